"""What the page of a system says of drift and quality, and of what became of its models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from mlfolio.monitor.checks import Alarm, Check
from mlfolio.monitor.quality import Live
from mlfolio.monitor.story import Step
from mlfolio.monitor.watching import Watched
from mlfolio.report.words import number
from mlfolio.track.history import Event, Staged

ALIKE = 0.5  # p-value from which nothing differs
LATEST = 30  # events that are shown


def told(found: Watched) -> str:
    """A look as HTML. What people asked is not repeated: whoever sees the page need not see it."""
    beside = f"{found.rows:,} answers beside {found.before:,} of {found.reference}"
    return (
        f'<h4>Watching</h4><p class="mlf-faint">{escape(beside)}</p>{_verdict(found)}'
        f"{_quality(found.live)}{_compared(found.checks)}{_notes(found.notes)}"
    )


def happened(events: Sequence[Event], steps: Sequence[Step], staged: Staged | None) -> str:
    """What is tried, released and trained, and why, as HTML, the last first.

    Args:
        events: The registry's history.
        steps: The loop's story; looks are left out.
        staged: What is tried beside the champion.
    """
    lines: list[tuple[float, str, str, int | None]] = [
        *((event.time or 0.0, event.action, event.reason, event.version) for event in events),
        *(
            (step.time, step.what, "; ".join(step.reasons), step.version)
            for step in steps
            if step.what != "looked"
        ),
    ]
    tried = f'<div class="mlf-quiet" role="status">Tried now: {escape(str(staged))}.</div>'
    cells = "".join(
        f"<tr><td>{_when(time)}</td><td><b>{escape(what)}</b> {escape(why)}</td>"
        f"<td>{version or ''}</td></tr>"
        for time, what, why, version in sorted(lines, key=lambda line: -line[0])[:LATEST]
    )
    head = "".join(f"<th>{name}</th>" for name in ("when (UTC)", "what and why", "version"))
    return (
        f"<h4>Its models</h4>{tried if staged else ''}"
        f"<details><summary>What became of them, the last {min(len(lines), LATEST)}</summary>"
        f"<div class='mlf-table mlf-words'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{cells}</tbody></table></div></details>"
    )


def _when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}" if seconds else "–"


def _verdict(found: Watched) -> str:
    if found.alarms:
        return _alarms(found.alarms)
    if not found.checks:
        return '<div class="mlf-quiet" role="status">Nothing can be said yet.</div>'
    return (
        '<div class="mlf-calm" role="status"><b>No alarm.</b> What comes in and goes out is like '
        "what the model was measured on.</div>"
    )


def _alarms(alarms: Sequence[Alarm]) -> str:
    lines = [
        f'<div class="mlf-warning" role="alert"><b>{escape(alarm.kind)}</b> · '
        f'{escape(alarm.message)} <span class="mlf-faint">{alarm.n:,} rows, p {_p(alarm.p_value)}'
        "</span></div>"
        for alarm in alarms
    ]
    return "".join(lines)


def _quality(live: Live | None) -> str:
    if live is None or not live.measures:
        return ""
    lines = []
    for measure in live.measures:
        bounds = "" if measure.ci95 is None else " ({} to {})".format(*map(number, measure.ci95))
        before = "" if measure.before is None else f", {number(measure.before)} in the reference"
        lines.append(
            f"<li>{escape(measure.name)} <b>{number(measure.value)}</b>{bounds} of "
            f"{measure.n:,} judged answers{before}</li>"
        )
    waiting = f"<li>{live.waiting:.0%} of the last answers still wait for their truth</li>"
    return f"<ul>{''.join(lines)}{waiting}</ul>"


def _compared(checks: Sequence[Check]) -> str:
    """The comparisons in which anything differs, the least likely first."""
    if not checks:
        return ""
    differs = [check for check in checks if check.p_value < ALIKE]
    cells = "".join(
        f"<tr><td>{escape(check.kind)}</td><td>{escape(check.message)}</td><td>{check.n:,}</td>"
        f"<td>{_p(check.p_value)}</td><td>{check.effect:.2f}</td></tr>"
        for check in sorted(differs, key=lambda check: check.p_value)
    )
    head = "".join(f"<th>{name}</th>" for name in ("", "compared", "rows", "p alone", "effect"))
    return (
        f"<details><summary>{len(checks)} comparisons, {len(differs)} with any difference</summary>"
        f"<div class='mlf-table mlf-words'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{cells}</tbody></table></div></details>"
    )


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p class="mlf-faint">{escape(note)}</p>' for note in notes)


def _p(value: float) -> str:
    return "&lt; 0.0001" if value < 1e-4 else f"{value:.4f}"
