"""`mlfolio report NAME`: where the report of a run is, made anew."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

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

    folder = find_run(name, run)
    path = write_report(folder, get_card(name))
    if as_json:
        print_json({"system": name, "run": folder.name, "report": str(path)})
    else:
        typer.echo(path)
    if show:
        webbrowser.open(path.as_uri())


def find_run(name: str, run: str | None) -> Path:
    """The folder of a finished run; the latest if none is named.

    Raises:
        UserError: There is no such run, or it did not end well.
    """
    from mlfolio.core.catalog import get_card
    from mlfolio.core.errors import NotTrainedError, UnknownNameError, UserError
    from mlfolio.core.run import finished_runs, runs_folder, status

    get_card(name)  # an unknown name is refused here
    finished = finished_runs(name)
    if not finished:
        raise NotTrainedError(name)
    if run is None:
        return finished[-1]
    folder = runs_folder() / name / run
    if folder in finished:
        return folder
    if folder.is_dir():
        raise UserError(f"run {run} of {name} is {status(folder)}, so it has no result")
    raise UnknownNameError("run", run, [path.name for path in finished[-10:]])
