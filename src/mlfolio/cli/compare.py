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
    from mlfolio.cli.report import find_runs
    from mlfolio.report.words import interval, number
    from mlfolio.track import registry

    found = find_runs(name, runs or [], last=10)
    present = registry.champion(name)
    results = [
        {
            **scores,
            "run": folder.name,
            "champion": present is not None and folder.name == present.run,
        }
        for folder, scores in found
    ]
    if as_json:
        print_json(results)
        return
    metrics = {s["name"]: s["direction"] for result in results for s in result["scores"]}
    changed = _changed(results)
    rows = []
    for result in results:
        scores = {s["name"]: s for s in result["scores"]}
        cells = [
            f"{number(scores[m]['value'])}\n{interval(scores[m]['ci95'])}" if m in scores else "–"
            for m in metrics
        ]
        data = "SAMPLE" if result["sample"] else result["source"]
        knobs = "\n".join(f"{k}={result['knobs'].get(k)}" for k in changed)
        mark = " *" if result["champion"] else ""
        data = f"{data}\n{result['fingerprint'][:8]}"
        rows.append([result["run"] + mark, str(result["seed"]), data, knobs, *cells])
    names = [m + " (lower is better)" * (metrics[m] == "lower") for m in metrics]
    print_table(["run", "seed", "data", "knobs that differ", *names], rows)
    if any(result["champion"] for result in results):
        typer.echo("* is the champion, which predict and serve answer with")
    if len({result["fingerprint"] for result in results}) > 1:
        typer.echo("not all on the same data: compare only runs with the same data column")


def _changed(results: list[dict[str, Any]]) -> list[str]:
    """Knobs whose value is not the same in all runs."""
    names = dict.fromkeys(knob for result in results for knob in result["knobs"])
    return [n for n in names if len({str(result["knobs"].get(n)) for result in results}) > 1]
