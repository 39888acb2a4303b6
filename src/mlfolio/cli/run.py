"""`mlfolio run NAME`: load, fit, evaluate, report, register."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlfolio.cli.common import (
    DataOption,
    Json,
    OnOption,
    SystemName,
    pairs,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from mlfolio.lifecycle import Result


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("run")(run)


def run(
    name: SystemName,
    knobs: Annotated[
        list[str] | None, typer.Argument(metavar="[KNOB=VALUE]...", help="Knobs to change.")
    ] = None,
    data: DataOption = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all chance.")] = 0,
    on: OnOption = "local",
    force: Annotated[bool, typer.Option("--force", help="Go on in spite of a leak.")] = False,
    candidate: Annotated[
        bool, typer.Option("--candidate", help="Never champion by itself: for mlfolio release.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Give the whole log.")] = False,
    as_json: Json = False,
) -> None:
    """Load the data, fit, evaluate, report and register."""
    import mlfolio
    from mlfolio.core.catalog import get_system

    given = pairs(knobs or [])
    _refuse_options(name, given)
    get_system(name).with_knobs(given)  # refused before they can be arguments of `mlfolio.run`

    def say(text: str) -> None:
        if not as_json or verbose:
            typer.echo(text, err=True)

    result = mlfolio.run(
        name,
        data=data,
        seed=seed,
        on=on,
        force=force,
        candidate=candidate,
        quiet=as_json,
        verbose=verbose,
        say=say,
        **given,
    )
    if as_json:
        print_json(result.summary())
    else:
        show(result)


def _refuse_options(name: str, knobs: dict[str, Any]) -> None:
    """Options that were typed like knobs."""
    from mlfolio.core.errors import KnobError

    takes_value = {"data": True, "seed": True, "on": True}
    options = {**takes_value, "force": False, "candidate": False, "verbose": False}
    for option, value in options.items():
        if option in knobs:
            raise KnobError(
                f"{name} has no knob {option!r}: it is an option of run",
                f"--{option} {knobs[option]}" if value else f"--{option}",
            )


def show(result: Result) -> None:
    """Prints the scores and where to look next."""
    from mlfolio.report.words import interval, number, verdict

    print_table(
        ["metric", "value", "95 % interval", "n", "trivial", "strong", "target"],
        [
            [
                score.name,
                number(score.value),
                interval(score.ci95),
                f"{score.n:,}",
                number(score.trivial.value if score.trivial else None),
                number(score.strong.value if score.strong else None),
                number(score.target),
            ]
            for score in result.scores
        ],
        title=f"{result.system} on {result.source}",
    )
    said = verdict(result.scores[0].summary())
    if said:
        typer.echo(f"{result.scores[0].name} {said}")
    role = "champion" if result.champion else "challenger"
    typer.echo(f"version {result.version} is {role}: {result.reason}")
    typer.echo(f"fitted in {result.cost.fit_seconds} s; report: {_near(result.folder)}/report.html")


def _near(path: Path) -> Path:
    """The path as seen from here, where that is shorter."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
