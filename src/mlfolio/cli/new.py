"""`mlfolio new NAME --from SYSTEM`: a new system, begun as a copy of one that works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlfolio.cli.common import Json, complete_system, print_json


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("new")(new)


def new(
    name: Annotated[str, typer.Argument(help="Name of the new system.")],
    origin: Annotated[
        str,
        typer.Option("--from", help="The system to start from.", autocompletion=complete_system),
    ],
    folder: Annotated[
        Path | None, typer.Option("--to", help="Folder of the package; ./NAME if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Begin a new system as a copy of one that works; it joins `mlfolio list` once installed."""
    from mlfolio.scaffold import copy_system

    target = folder or Path(name)
    copy_system(origin, target, slug=name, plugin=True)
    if as_json:
        print_json({"system": name, "from": origin, "folder": str(target.resolve())})
        return
    package = target / name.replace("-", "_")
    typer.echo(f"{name} begins in {target}. Next:")
    typer.echo(f"  edit {package}/card.py and {package}/data.py: they still speak of {origin}")
    typer.echo(f"  pip install -e {target}\n  mlfolio run {name}")
