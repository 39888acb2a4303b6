"""`mlfolio watch [NAME...]`: look, decide, train, compare, release; once, or again and again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlfolio.cli.common import Json, complete_system, print_json

if TYPE_CHECKING:
    from mlfolio.monitor.loop import Outcome
    from mlfolio.monitor.policy import Policy

POLICY = Path("policy.yaml")


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("watch")(watch)


def watch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Systems; all in the policy if left.",
            autocompletion=complete_system,
        ),
    ] = None,
    policy: Annotated[
        Path, typer.Option(help="The rules: a YAML file.", envvar="MLFOLIO_POLICY")
    ] = POLICY,
    once: Annotated[
        bool, typer.Option("--once", help="Look once and end: for cron and Kubernetes.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Minutes from look to look.")] = 60,
    as_json: Json = False,
) -> None:
    """Watch systems by the rules of a policy file, and do what they say.

    Exit code with --once: 0 done or nothing to do, 1 something failed; the champions go on.
    """
    from mlfolio.core.errors import UnknownNameError
    from mlfolio.monitor.policy import read_policies

    rules = read_policies(policy)
    for name in names or ():
        if name not in rules:
            raise UnknownNameError(f"system in {policy}", name, rules)
    chosen = {name: rules[name] for name in names or rules}
    if once:
        raise typer.Exit(any(outcome.failed for outcome in _look(chosen, as_json)))
    _again_and_again(chosen, every, as_json)


def _look(chosen: dict[str, Policy], as_json: bool) -> list[Outcome]:
    """One look at each system; what fails in one does not keep the others from theirs."""
    from mlfolio.monitor.loop import step

    outcomes = []
    for name, policy in chosen.items():
        outcome = step(name, policy, lambda text: typer.echo(text, err=True))
        outcomes.append(outcome)
        if not as_json:
            typer.secho(f"{name}: {outcome.what}", bold=True)
            for reason in outcome.reasons:
                typer.echo(f"  {reason}")
    if as_json:
        print_json([outcome.model_dump() for outcome in outcomes])
    return outcomes


def _again_and_again(chosen: dict[str, Policy], minutes: float, as_json: bool) -> None:
    """Looks now and every so many minutes, until it is stopped."""
    from mlfolio.core.errors import MissingExtraError

    try:
        from apscheduler.schedulers.blocking import BlockingScheduler
    except ModuleNotFoundError as error:
        raise MissingExtraError("watching", "monitor", error.name or "") from None
    import logging
    from datetime import UTC, datetime

    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    scheduler = BlockingScheduler(timezone=UTC)
    scheduler.add_job(
        _look, "interval", (chosen, as_json), minutes=minutes, max_instances=1, coalesce=True,
        next_run_time=datetime.now(UTC),
    )  # fmt: skip
    scheduler.start()
