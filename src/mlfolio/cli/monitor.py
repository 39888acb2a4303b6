"""`mlfolio monitor [NAME]`: whether what a served system is asked and answers has changed."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlfolio.cli.common import Json, complete_system, print_json, print_table

if TYPE_CHECKING:
    from mlfolio.monitor.checks import Alarm, Check
    from mlfolio.monitor.watching import Watched

SHOWN = 5  # comparisons that are no alarm
UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("monitor")(monitor)


def monitor(
    name: Annotated[
        str | None,
        typer.Argument(help="A system; all that have a champion.", autocompletion=complete_system),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Answers of this span: 90m, 24h, 7d, 4w.")
    ] = None,
    last: Annotated[
        int | None, typer.Option(min=1, max=50_000, help="So many answers at most; else 1000.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write evidently's report of every column there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare what a system is asked and answers with what its model was measured on.

    Exit code: 0 all is quiet, 1 there is an alarm.
    """
    from mlfolio.core.catalog import catalog, get_card
    from mlfolio.core.errors import UserError
    from mlfolio.monitor.watching import gather, look
    from mlfolio.track import registry

    begin = None if since is None else time.time() - _seconds(since)
    if name is None:
        if html is not None:
            raise UserError("--html is of one system", f"mlfolio monitor NAME --html {html}")
        served = [each for each in catalog() if registry.champion(each)]
        every = [look(each, since=begin, last=last) for each in served]
        if as_json:
            print_json([found.model_dump() for found in every])
        else:
            _print_all(every)
        raise typer.Exit(any(found.alarms for found in every))
    get_card(name)  # a wrong name is told with the nearest one
    gathered = gather(name, since=begin, last=last)
    found = look(name, gathered)
    if html is not None:
        from mlfolio.monitor.report import write_report

        write_report(gathered, html)
        typer.echo(f"evidently's report is in {html}", err=True)
    if as_json:
        print_json(found.model_dump())
    else:
        _print(found)
    raise typer.Exit(bool(found.alarms))


def _seconds(span: str) -> int:
    """A span of time as people write it.

    Raises:
        UserError: It is none.
    """
    from mlfolio.core.errors import UserError

    match = re.fullmatch(r"(\d{1,6})([mhdw])", span.strip().lower())
    if match is None:
        raise UserError(f"--since {span!r} is no span of time", "write 90m, 24h, 7d or 4w")
    return int(match[1]) * UNITS[match[2]]


def _print_all(every: list[Watched]) -> None:
    """One line a system."""
    if not every:
        typer.echo("nothing is served yet: mlfolio run NAME, then mlfolio serve")
        return
    rows = []
    for found in every:
        kinds = ", ".join(dict.fromkeys(alarm.kind for alarm in found.alarms))
        few = "too few rows" if any("too few rows" in note for note in found.notes) else "quiet"
        rows.append([found.system, str(found.version), f"{found.rows:,}", kinds or few])
    print_table(["system", "version", "answers", "alarms"], rows)


def _print(found: Watched) -> None:
    """All that was seen of one system, the alarms first."""
    span = ""
    if found.since is not None and found.until is not None:
        span = f", {_when(found.since)} to {_when(found.until)}"
    typer.secho(f"{found.system}, version {found.version}", bold=True)
    typer.echo(f"{found.rows:,} answers{span}, beside {found.before:,} of {found.reference}\n")
    if found.alarms:
        said = [[a.kind, a.message, _p(a.p_value), f"{a.effect:.2f}"] for a in found.alarms]
        print_table(["alarm", "what has changed", "p", "effect"], said)
    else:
        typer.secho("no alarm\n", fg="green")
    for each in found.newest:
        typer.echo(f"newest in {each.column}: {' | '.join(each.texts or each.predictions)}")
    _print_quality(found)
    _print_checks([check for check in found.checks if not _fired(check, found.alarms)])
    for note in found.notes:
        typer.echo(f"note: {note}")


def _print_quality(found: Watched) -> None:
    for measure in found.live.measures if found.live else ():
        before = "" if measure.before is None else f", {measure.before:.3f} in the reference"
        bounds = "({:.3f} to {:.3f})".format(*measure.ci95) if measure.ci95 else ""
        typer.echo(f"{measure.name} {measure.value:.3f} {bounds} of {measure.n:,}{before}")
    if found.live and found.live.delay_median_s is not None:
        typer.echo(
            f"told after {_span(found.live.delay_median_s)} (median), "
            f"{_span(found.live.delay_p90_s or 0)} (p90); {found.live.waiting:.0%} still wait"
        )
    if found.latency:
        run = found.latency.measured
        beside = "" if run is None else f"; the run took {run:,.1f} ms for one"
        typer.echo(f"time to answer {found.latency.p50:,.1f} ms (p50), "
                   f"{found.latency.p95:,.1f} ms (p95){beside}")  # fmt: skip


def _print_checks(checks: list[Check]) -> None:
    """What was compared and is no alarm, the least likely first."""
    if not checks:
        return
    shown = sorted(checks, key=lambda check: check.p_value)[:SHOWN]
    rows = [[c.kind, c.message, _p(c.p_value), f"{c.effect:.2f} of {c.least:.2f}"] for c in shown]
    title = f"no alarm: {len(checks)} comparisons; the nearest to one"
    print_table(["compared", "", "p alone", "effect"], rows, title)


def _fired(check: Check, alarms: tuple[Alarm, ...]) -> bool:
    return any((a.kind, a.message) == (check.kind, check.message) for a in alarms)


def _p(value: float) -> str:
    return "<0.0001" if value < 1e-4 else f"{value:.4f}"


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _span(seconds: float) -> str:
    for unit, size in reversed(UNITS.items()):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
