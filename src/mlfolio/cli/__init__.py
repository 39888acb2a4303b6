"""The command line: one file a verb, heavy imports inside the functions."""

from __future__ import annotations

import os
import sys

import typer

from mlfolio.cli import compare, data, doctor, eject, info, key, new, predict, report, run, serve
from mlfolio.cli import list as list_

app = typer.Typer(
    name="mlfolio",
    help="Machine-learning systems that really work, from iris to a production RAG.",
    epilog="--debug, anywhere, shows tracebacks. Try: mlfolio run iris",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for module in (list_, info, run, predict, serve, report, compare, data, doctor, key, eject, new):
    module.add_to(app)


def main() -> None:
    """Runs the command line; errors become a message and an exit code.

    Exit codes: 0 done, 1 failure, 2 a mistake in the request, 3 data not available, 130 ctrl-C.
    """
    # On a busy machine OpenMP threads that spin while they wait cost up to fifty times the work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in sys.argv
    if debug:
        sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app()
    except KeyboardInterrupt:
        _complain("interrupted")
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except Exception as error:
        if debug:
            raise
        from mlfolio.core.errors import MlfolioError

        if isinstance(error, MlfolioError):
            _complain(str(error))
            raise SystemExit(error.exit_code) from None
        _complain(f"{type(error).__name__}: {error}\n  add --debug to see where it happened")
        raise SystemExit(1) from None


def _complain(message: str) -> None:
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    typer.echo(message, err=True)
