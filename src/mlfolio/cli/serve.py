"""`mlfolio serve [NAME...]`: the API, the web app and the metrics in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlfolio.cli.common import complete_system


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("serve")(serve)


def serve(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Systems; all if left.", autocompletion=complete_system
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    pages: Annotated[
        bool | None, typer.Option(help="Serve the web app too; it needs a single worker.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="Requests a second of one client; 0: no limit (locally), else 50."),
    ] = None,
    max_body_mb: Annotated[float, typer.Option(help="Largest request.")] = 64,
    timeout: Annotated[float, typer.Option(help="Seconds until a request is given up.")] = 30,
    keep_days: Annotated[float, typer.Option(help="How long predictions are kept.")] = 90,
    store_inputs: Annotated[
        list[str] | None, typer.Option(help="Log the inputs of this private system too.")
    ] = None,
    forget_inputs: Annotated[
        list[str] | None, typer.Option(help="Do not log the inputs of this system.")
    ] = None,
    watch: Annotated[
        Path | None, typer.Option(help="Watch, train and release by this policy file.")
    ] = None,
    watch_minutes: Annotated[float, typer.Option(help="From look to look.")] = 60,
) -> None:
    """Serve the champions: REST API, web app, /metrics."""
    from pydantic import ValidationError

    from mlfolio.core.errors import MissingExtraError, UserError
    from mlfolio.serve.settings import Settings

    try:
        settings = Settings(
            systems=tuple(names or ()), host=host, port=port, workers=workers, rate=rate,
            pages=workers == 1 if pages is None else pages, max_body_mb=max_body_mb,
            timeout_s=timeout, keep_days=keep_days,
            store_inputs=tuple(store_inputs or ()), forget_inputs=tuple(forget_inputs or ()),
            policy=watch, watch_minutes=watch_minutes,
        )  # fmt: skip
    except ValidationError as error:
        lines = [
            f"  {e['loc'][0]} = {e['input']!r}: {e['msg']}" if e["loc"] else f"  {e['msg']}"
            for e in error.errors()
        ]
        raise UserError("\n".join(["the server cannot be started so:", *lines])) from None
    try:
        from mlfolio.serve import api, server  # noqa: F401 - what is missing is said here
    except ModuleNotFoundError as error:
        raise MissingExtraError("serve", "serve", error.name or "") from None
    server.serve(settings, lambda text: typer.echo(text, err=True))
