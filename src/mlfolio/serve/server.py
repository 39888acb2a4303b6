"""Starting the processes: one or several workers of uvicorn, and the end of them."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING

from mlfolio.core.errors import NotTrainedError, UserError
from mlfolio.serve.settings import ENVIRONMENT, Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def app() -> ASGIApp:
    """The application of a worker process, as uvicorn's factory."""
    from mlfolio.serve.api import create_app

    return create_app(Settings.from_environment())


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Serves until it is stopped.

    Raises:
        UserError: The address is taken, a key is needed, nothing is there to serve, or the
            prediction log cannot be opened. Or traces are wanted in a protocol that is not spoken.
    """
    import uvicorn
    from uvicorn.config import STARTUP_FAILURE

    from mlfolio.serve import keys, tracing
    from mlfolio.serve.listening import Protocol, Workers
    from mlfolio.track import log

    keys.required(settings)
    check_names(settings)
    check_address(settings)
    tracing.check_protocol()
    log.prepare(settings.database_url).dispose()
    os.environ[ENVIRONMENT] = settings.model_dump_json()
    say(f"mlfolio on http://{settings.host}:{settings.port}")
    config = uvicorn.Config(
        "mlfolio.serve.server:app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http=Protocol,
        timeout_graceful_shutdown=math.ceil(settings.timeout_s) + 1,
        timeout_worker_healthcheck=30,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
    )
    with _watching(settings):
        if settings.workers == 1:
            server = uvicorn.Server(config)
            with suppress(KeyboardInterrupt):
                server.run()  # ends the process by the signal, unless `scheduled` has taken that
            failed = not server.started
        else:
            with tempfile.TemporaryDirectory(prefix="mlfolio-metrics-") as folder:
                os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
                workers = Workers(config, sockets=[])
                workers.run()
            failed = any(worker.exitcode == STARTUP_FAILURE for worker in workers.processes)
    if failed:  # why is said already
        raise SystemExit(1)


def _watching(settings: Settings) -> AbstractContextManager[None]:
    """The loop beside the server, where there is a policy.

    Raises:
        UserError: The policy file breaks a rule, which is said before anything starts.
    """
    if settings.policy is None:
        return nullcontext()
    from mlfolio.monitor.policy import read_policies
    from mlfolio.serve.schedule import scheduled

    read_policies(settings.policy)
    return scheduled(settings.policy, settings.watch_minutes)


def check_names(settings: Settings) -> None:
    """Whether there is something to serve, said before any process starts.

    Raises:
        UnknownNameError: There is no such system.
        NotTrainedError: One that was asked for has no champion.
        UserError: Nothing has one.
    """
    from mlfolio.core.catalog import catalog, get_card
    from mlfolio.track import registry

    for name in (*settings.systems, *settings.store_inputs, *settings.forget_inputs):
        get_card(name)
    for name in settings.systems:
        if registry.champion(name) is None:
            raise NotTrainedError(name)
    if not settings.systems and not any(map(registry.champion, catalog())):
        raise UserError("there is no trained model to serve", "mlfolio run iris")


def check_address(settings: Settings) -> None:
    """Whether the address can be listened on.

    Raises:
        UserError: Somebody else has it, or there is no such address here.
    """
    import socket

    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise UserError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}",
                "another server may be running there; choose another with --port",
            ) from None
