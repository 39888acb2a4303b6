"""`mlfolio key add|list|remove`: who may use a server that others can reach."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

KeyName = Annotated[str, typer.Argument(help="Whose key it is.")]
Tenant = Annotated[
    str | None, typer.Option(help="Whom it belongs to: it sees this tenant's documents alone.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    group = typer.Typer(help="API keys of `mlfolio serve`; only their hashes are kept.")
    group.command("add")(add)
    group.command("list")(list_)
    group.command("remove")(remove)
    app.add_typer(group, name="key")


def add(name: KeyName, tenant: Tenant = None) -> None:
    """Make a key and show it, this once."""
    from mlfolio.serve import keys
    from mlfolio.serve.settings import Settings

    typer.echo(keys.make(name, Settings().keys_file, tenant))
    typer.echo(
        "keep it now, it is not shown again; from now on every server over these runs asks for a "
        "key, also on this machine", err=True,
    )  # fmt: skip


def list_() -> None:
    """Name the keys, each with its tenant if it has one."""
    from mlfolio.serve import keys
    from mlfolio.serve.settings import Settings

    for one in sorted(keys.read(Settings().keys_file).values(), key=lambda each: each.name):
        typer.echo(f"{one.name}\t{one.tenant}" if one.tenant else one.name)


def remove(name: KeyName) -> None:
    """Take a key's right away."""
    from mlfolio.serve import keys
    from mlfolio.serve.settings import Settings

    file = Settings().keys_file
    keys.remove(name, file)
    warn_of_the_last(file)


def warn_of_the_last(file: Path) -> None:
    """Says what it means that no key is left."""
    from mlfolio.serve import keys

    if not keys.read(file):
        typer.echo(
            f"that was the last key: a server now refuses everybody; delete {file} and start it "
            "anew to use it from this machine without one", err=True,
        )  # fmt: skip
