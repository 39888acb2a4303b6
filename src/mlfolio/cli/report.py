"""`mlfolio report NAME`: where the report of a run is, made anew."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from mlfolio.cli.common import Json, SystemName, print_json


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("report")(report)


def report(
    name: SystemName,
    run: Annotated[str | None, typer.Argument(help="A run; the latest if left out.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: Json = False,
) -> None:
    """Write the report of a run anew and say where it is."""
    from mlfolio.core.catalog import get_card
    from mlfolio.report.html import write_report

    folder, _ = find_runs(name, [run] if run else [], last=1)[0]
    path = write_report(folder, get_card(name))
    if as_json:
        print_json({"system": name, "run": folder.name, "report": str(path)})
    else:
        typer.echo(path)
    if show:
        webbrowser.open(path.as_uri())


def find_runs(name: str, runs: list[str], last: int) -> list[tuple[Path, dict[str, Any]]]:
    """Finished runs with their results: those that are named, else the last ones.

    Raises:
        UserError: There is no such run, or it did not end well, or its files are damaged.
    """
    from mlfolio.core.catalog import get_card
    from mlfolio.core.errors import NotTrainedError, UnknownNameError, UserError
    from mlfolio.core.run import finished_runs, runs_folder, status
    from mlfolio.lifecycle import results_of, scores_of

    get_card(name)  # an unknown name is refused here
    found = []
    for run in runs:
        folder = runs_folder() / name / run
        if not folder.is_dir():
            raise UnknownNameError("run", run, [path.name for path in finished_runs(name)[-10:]])
        if status(folder) != "done":
            raise UserError(f"run {run} of {name} is {status(folder)}, so it has no result")
        found.append((folder, scores_of(folder)))
    found = found or results_of(name)[-last:]
    if not found:
        raise NotTrainedError(name, str(runs_folder()))
    return found
