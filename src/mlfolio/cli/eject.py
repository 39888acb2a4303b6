"""`mlfolio eject NAME DIR`: a system's folder copied out, runnable, yours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlfolio.cli.common import Json, SystemName, print_json


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("eject")(eject)


def eject(
    name: SystemName,
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    as_json: Json = False,
) -> None:
    """Copy a system out into a package of your own."""
    from mlfolio.scaffold import copy_system

    copy_system(name, folder, slug=name, plugin=False)
    if as_json:
        print_json({"system": name, "folder": str(folder.resolve())})
        return
    package = folder.resolve().name.replace("-", "_")
    typer.echo(f"{name} is yours in {folder}. Next:")
    typer.echo(f"  pip install -e {folder}\n  python -m {package} run\n  pytest {folder}")
