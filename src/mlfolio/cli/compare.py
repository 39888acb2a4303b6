"""`mlfolio compare NAME`: runs of a system beside each other."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mlfolio.cli.common import Json, SystemName, print_json, print_table


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("compare")(compare)


def compare(
    name: SystemName,
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs; the last ten if none.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put runs beside each other: data, changed knobs, scores."""
    from mlfolio.cli.report import find_run
    from mlfolio.core.run import finished_runs
    from mlfolio.lifecycle import scores_of
    from mlfolio.report.words import interval, number

    find_run(name, None)
    folders = [find_run(name, run) for run in runs] if runs else finished_runs(name)[-10:]
    results = [{**scores_of(folder), "run": folder.name} for folder in folders]
    if as_json:
        print_json(results)
        return
    metrics = list(dict.fromkeys(s["name"] for result in results for s in result["scores"]))
    changed = _changed(results)
    rows = []
    for result in results:
        scores = {s["name"]: s for s in result["scores"]}
        cells = [
            f"{number(scores[m]['value'])} ({interval(scores[m]['ci95'])})" if m in scores else "–"
            for m in metrics
        ]
        data = "SAMPLE" if result["sample"] else result["source"]
        knobs = ", ".join(f"{k}={result['knobs'].get(k)}" for k in changed)
        mark = " *" if result["champion"] else ""
        rows.append([result["run"] + mark, f"{data} {result['fingerprint'][:8]}", knobs, *cells])
    print_table(["run", "data", "knobs that differ", *metrics], rows)
    if len({result["fingerprint"] for result in results}) > 1:
        typer.echo("not all on the same data: compare only runs with the same data column")


def _changed(results: list[dict[str, Any]]) -> list[str]:
    """Knobs whose value is not the same in all runs."""
    names = dict.fromkeys(knob for result in results for knob in result["knobs"])
    return [n for n in names if len({str(result["knobs"].get(n)) for result in results}) > 1]
