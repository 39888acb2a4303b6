"""`mlfolio release NAME`, `rollback NAME`, `history NAME`: which version answers, and why."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlfolio.cli.common import Json, SystemName, pairs, print_json, print_table

if TYPE_CHECKING:
    from mlfolio.monitor.examples import Example
    from mlfolio.monitor.release import Gates, Trial
    from mlfolio.track.registry import Version

Reason = Annotated[str, typer.Option("--reason", help="Why, for the history.")]


def add_to(app: typer.Typer) -> None:
    """Adds the verbs to the command line."""
    app.command("release")(release)
    app.command("rollback")(rollback)
    app.command("history")(history)


def release(
    name: SystemName,
    version: Annotated[
        int | None, typer.Argument(help="Its number; the last challenger if none.")
    ] = None,
    on: Annotated[
        Path | None,
        typer.Option("--on", help="Labelled rows: .csv, .parquet, .jsonl; else feedback."),
    ] = None,
    target: Annotated[str, typer.Option("--target", help="Column of the truth.")] = "",
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Try it unseen, on copies of the requests.")
    ] = False,
    canary: Annotated[
        float | None, typer.Option("--canary", help="Try it on this share of the requests.")
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option("--gate", metavar="NAME=VALUE", help="Change a gate: better=yes, margin=0."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Without a comparison.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compare, and change nothing.")
    ] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Compare a challenger with the champion, and put it in its place."""
    from mlfolio.core.errors import MissedError, UserError
    from mlfolio.track import registry, releases

    if shadow and canary is not None:
        raise UserError("--shadow and --canary are two ways to try a version", "choose one")
    chosen = _chosen(name, version)
    gates = _gates(pairs(gate or []))
    # A shadow is seen by nobody, so nothing has to speak for it.
    free = force or (shadow and on is None and not dry_run) or registry.champion(name) is None
    trial = None if free else _trial(name, chosen, on, target, gates)
    if trial is not None and not as_json:
        _show(trial)
    done = not dry_run and (trial is None or trial.passed)
    if done:
        why = reason or ("; ".join(trial.reasons) if trial else "without a comparison")
        if shadow or canary is not None:
            releases.stage(
                name, chosen.number, shadow=shadow, share=canary or 0.0, passed=trial is not None
            )
        else:
            releases.promote(name, chosen.number, why)
    if as_json:
        plain = None if trial is None else _plain(trial)
        number = chosen.number
        print_json({"system": name, "version": number, "released": done, "trial": plain})
        if trial is not None and not trial.passed:
            raise typer.Exit(1)
        return
    if trial is not None and not trial.passed:
        raise MissedError(
            f"version {chosen.number} is not released: {'; '.join(trial.reasons)}",
            "--force releases it all the same",
        )
    if done:
        tried = shadow or canary is not None
        what = releases.staged(name) if tried else f"version {chosen.number} is champion"
        typer.echo(f"{name}: {what}")


def rollback(
    name: SystemName,
    staged: Annotated[
        bool, typer.Option("--staged", help="Only end what is tried beside the champion.")
    ] = False,
    reason: Reason = "by hand",
    as_json: Json = False,
) -> None:
    """Make the champion of before the champion again."""
    from mlfolio.core.errors import UserError
    from mlfolio.track import registry, releases

    if staged:
        if not releases.unstage(name, reason):
            raise UserError(f"nothing is tried beside the champion of {name}")
        champion = registry.champion(name)
    else:
        champion = releases.rollback(name, reason)
    number = champion.number if champion else None
    if as_json:
        print_json({"system": name, "champion": number})
    else:
        typer.echo(f"{name}: version {number} is champion")


def history(name: SystemName, as_json: Json = False) -> None:
    """Tell which version was champion from when on and why, and what was tried."""
    from mlfolio.core.catalog import get_card
    from mlfolio.core.errors import NotTrainedError
    from mlfolio.track import connection, registry, releases

    events = releases.history_of(get_card(name).slug)
    if not events:
        raise NotTrainedError(name, connection.place())
    if as_json:
        print_json([event.model_dump() for event in events])
        return
    print_table(
        ["when", "what", "version", "before", "why"],
        [
            [
                _when(event.time), event.action, str(event.version),
                "–" if event.before is None else str(event.before), event.reason,
            ]
            for event in events
        ],
    )  # fmt: skip
    champion, tried = registry.champion(name), releases.staged(name)
    number = champion.number if champion else None
    typer.echo(f"champion: version {number}" + (f"; tried: {tried}" if tried else ""))


def _chosen(name: str, number: int | None) -> Version:
    """The version that is to be released.

    Raises:
        UserError: There is none.
    """
    from mlfolio.core.catalog import get_card
    from mlfolio.core.errors import UserError
    from mlfolio.track import registry, releases

    get_card(name)
    if number is not None:
        return registry.version(name, number)
    found = releases.challenger(name)
    if found is None:
        raise UserError(
            f"{name} has no challenger", f"mlfolio run {name} --candidate makes one; or name one"
        )
    return found


def _gates(given: dict[str, Any]) -> Gates:
    """The gates, with those that were changed.

    Raises:
        UserError: A name or a value is wrong.
    """
    from pydantic import ValidationError

    from mlfolio.core.errors import UnknownNameError, UserError
    from mlfolio.monitor.release import Gates

    for name in given:
        if name not in Gates.model_fields:
            raise UnknownNameError("gate", name, Gates.model_fields)
    try:
        return Gates.model_validate(given)
    except ValidationError as error:
        said = [f"gate {e['loc'][0]} = {e['input']!r}: {e['msg']}" for e in error.errors()]
        raise UserError("; ".join(said), "mlfolio release --help") from None


def _trial(name: str, chosen: Version, on: Path | None, target: str, gates: Gates) -> Trial:
    import mlfolio
    from mlfolio.monitor.release import compare

    champion, challenger = mlfolio.load(name), mlfolio.load(name, chosen.number)
    rows = _rows(name, champion.model, chosen, on, target)
    return compare(champion, challenger, rows, gates)


def _rows(name: str, model: Any, chosen: Version, on: Path | None, target: str) -> list[Example]:
    """What both are compared on.

    Raises:
        UserError: There is nothing.
    """
    from mlfolio.core.errors import FileError, UserError
    from mlfolio.monitor.examples import judged_rows, read_rows

    if on is not None:
        if not on.exists():
            raise FileError(f"there is no file {str(on)!r}", "check the path")
        return read_rows(model, on, target or str(chosen.knobs.get("target", "")))
    rows = judged_rows(name, chosen.made)
    if not rows:
        raise UserError(
            f"nobody has told the truth of an answer since version {chosen.number} was made",
            "name a file of labelled rows: --on; or --shadow, or --force",
        )
    return rows


def _plain(trial: Trial) -> dict[str, Any]:
    return {**trial.model_dump(), "passed": trial.passed, "reasons": trial.reasons}


def _show(trial: Trial) -> None:
    """Prints the gates."""
    print_table(
        ["gate", "", "why"],
        [[check.gate, "ok" if check.passed else "NO", check.reason] for check in trial.checks],
        title=f"version {trial.challenger} beside {trial.champion}, on {trial.rows:,} rows",
    )


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
