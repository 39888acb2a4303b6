"""`mlfolio reproduce RUN`: a run made again, and compared bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mlfolio.cli.common import Json, print_json

if TYPE_CHECKING:
    from mlfolio.monitor.reproduce import Reproduction


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("reproduce")(reproduce)


def reproduce(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", help="A system (its latest run), system/run, or a folder."),
    ],
    as_json: Json = False,
) -> None:
    """Make a run again from the same data; is the model the same?

    The new run is not registered. Exit code 1 if anything differs.
    """
    from mlfolio.monitor import reproduce as reproducing

    def say(text: str) -> None:
        if not as_json:
            typer.echo(text, err=True)

    found = reproducing.reproduce(run, say)
    if as_json:
        print_json({**found._asdict(), "same": found.same})
    else:
        _show(found)
    if not found.same:
        raise typer.Exit(1)


def _show(found: Reproduction) -> None:
    name = f"{found.system}/{found.run.name}"
    if found.data:
        typer.echo(f"{name}: the data are not those of then, so it was not made again")
    elif found.same:
        typer.echo(f"{name}: bit for bit the same: {found.files} files of the model, every score")
    else:
        typer.echo(f"{name}: not the same")
    for line in (*found.data, *found.models, *found.scores):
        typer.echo(f"  {line}")
    if found.surroundings:
        typer.echo("what is not as it was around it:")
        for line in found.surroundings:
            typer.echo(f"  {line}")
    if found.again:
        typer.echo(f"made again in {found.again}, not registered")
