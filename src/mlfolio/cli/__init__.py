"""The command line: one file a verb, heavy imports inside the functions."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from mlfolio.cli import (
    compare,
    data,
    doctor,
    eject,
    evaluate,
    info,
    ingest,
    key,
    migrate,
    monitor,
    new,
    predict,
    release,
    report,
    reproduce,
    run,
    serve,
    tenant,
    watch,
)
from mlfolio.cli import list as list_
from mlfolio.cli.common import print_json

app = typer.Typer(
    name="mlfolio",
    help="Machine-learning systems that really work, from iris to a production RAG.",
    epilog="--debug, anywhere, shows tracebacks. Try: mlfolio run iris",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
ABOUT_ONE_SYSTEM = (
    "info", "run", "predict", "evaluate", "serve", "monitor", "ingest", "watch", "release",
    "rollback", "history", "report", "compare",
)  # fmt: skip
VERBS = (
    list_, info, run, predict, evaluate, serve, monitor, ingest, watch, release, report, compare,
    reproduce, data, doctor, key, tenant, migrate, eject, new,
)  # fmt: skip
for module in VERBS:
    module.add_to(app)


def main(system: str | None = None) -> None:
    """Runs the command line; errors become a message and an exit code.

    Exit codes: 0 done, 1 failure, 2 a mistake in the request, 3 data not available, 130 ctrl-C.

    Args:
        system: The system that verbs about one system are about, in an ejected package.
    """
    # On a busy machine OpenMP threads that spin while they wait cost far more than the work itself.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in sys.argv
    if debug:
        sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    verb = next((i for i, word in enumerate(sys.argv) if i and not word.startswith("-")), 0)
    if system is not None and sys.argv[verb] in ABOUT_ONE_SYSTEM:
        sys.argv.insert(verb + 1, system)
    try:
        app()
    except KeyboardInterrupt:
        _fail("interrupted", "", 130)
    except BrokenPipeError:
        raise SystemExit(0) from None
    except Exception as error:
        if debug:
            raise
        from mlfolio.core.errors import MlfolioError

        if isinstance(error, MlfolioError):
            _fail(error.message, error.fix, error.exit_code)
        _fail(f"{type(error).__name__}: {error}", "add --debug to see where it happened", 1)


def _fail(message: str, fix: str, code: int) -> NoReturn:
    """Says what is wrong, to programs too, and ends."""
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    typer.echo(f"{message}\n  fix: {fix}" if fix else message, err=True)
    if "--json" in sys.argv:
        print_json({"error": {"message": message, "fix": fix, "exit_code": code}})
    raise SystemExit(code)
