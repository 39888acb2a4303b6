"""`mlfolio migrate`: the databases of an earlier version, brought to what this one reads."""

from __future__ import annotations

import typer


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("migrate")(migrate)


def migrate() -> None:
    """Bring the prediction log and the registry up to date, before a new version starts."""
    from mlfolio.track import (
        connection,
        conversations,  # noqa: F401 - its table is one of the log's
        log,
    )

    log.prepare(log.database_url()).dispose()
    typer.echo("the prediction log is up to date")
    typer.echo(connection.migrate())
