"""Small pieces of HTML: answers, reasons, cards. Everything that is not ours is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate

from mlfolio.core.card import Card
from mlfolio.core.errors import Problem
from mlfolio.core.model import LOG_ODDS, Output, Reason
from mlfolio.report.words import number, signed
from mlfolio.serve.fleet import Served

SHOWN = 8  # reasons
BEST = 3  # classes
ABOUT_LOG_ODDS = (
    "From a typical case (top) to this one (bottom): what speaks for the answer (+) and what "
    "against it (−), in log-odds; +0.7 doubles the odds."
)
ABOUT_SAMPLE = "trained on its built-in sample: the score says nothing"


def said(name: str, names: Mapping[str, str]) -> str:
    """A name of the model's, as people say it."""
    return names.get(name) or name.replace("_", " ")


def valued(field: str, value: str, names: Mapping[str, str]) -> str:
    """A value of a field, as people say it: `names` has it under `field=value`."""
    return names.get(f"{field}={value}", value)


def answer(output: Output, prediction: str, names: Mapping[str, str]) -> str:
    """An answer: what, how sure, of what one should be warned."""
    text, sure = _told(output)
    parts = [
        f'<div class="mlf-answer">{escape(names.get(text, text))}</div>',
        f'<div class="mlf-faint">{sure}</div>',
        *(f'<div class="mlf-warning">{escape(text)}</div>' for text in output.warnings),
    ]
    chances = getattr(output, "probabilities", None)
    if isinstance(chances, dict):
        best = sorted(chances.items(), key=lambda pair: -pair[1])[:BEST]
        rows = [(names.get(name, name), chance, f"{chance:.1%}") for name, chance in best]
        parts.append(bars(rows))
    parts.append(f'<div class="mlf-faint">prediction {escape(prediction)}</div>')
    return f'<div role="status">{"".join(parts)}</div>'


def _told(output: Output) -> tuple[str, str]:
    """An answer and how sure it is: by an interval where it has one, else by its confidence."""
    ends = [getattr(output, name, None) for name in ("low", "high")]
    if None not in ends:
        between = " and ".join(number(end) for end in ends)
        share = getattr(output, "level", None)
        often = f"in {share:.0%} of such cases " if share else ""
        return number(output.answer), f"{often}between {between}"
    sure = "" if output.confidence is None else f"{output.confidence:.1%} sure"
    return str(output.answer), sure


def reasons(found: Sequence[Reason], names: Mapping[str, str]) -> str:
    """Why, as a waterfall: each share begins where the one above it ended."""
    if not found:
        return ""
    rows = [
        (f"{said(r.feature, names)} = {valued(r.feature, r.value, names)}", r.effect)
        for r in found[:SHOWN]
    ]
    if rest := found[SHOWN:]:
        rows.append((f"{len(rest)} more", sum(r.effect for r in rest)))
    ends = list(accumulate((effect for _, effect in rows), initial=0.0))
    low, high = min(ends), max(ends)
    scale = 100 / ((high - low) or 1)
    cells = [
        _cell(name, signed(effect), (min(at, to) - low) * scale, abs(effect) * scale, effect < 0)
        for (name, effect), at, to in zip(rows, ends, ends[1:], strict=False)
    ]
    total = ends[-1]
    cells.append(
        _cell("together", signed(total), (min(0.0, total) - low) * scale, abs(total) * scale,
              total < 0, "total")
    )  # fmt: skip
    unit = found[0].unit
    raises = f"Step by step: what raises the {escape(said(unit, names))} (+) or lowers it (−)."
    about = ABOUT_LOG_ODDS if unit == LOG_ODDS else raises
    return (
        f'<h4>Why</h4><div class="mlf-faint">{about}</div>'
        f'<div class="mlf-bars">{"".join(cells)}</div>'
    )


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Names, bars from zero and figures."""
    most = max((value for _, value, _ in rows), default=1) or 1
    cells = [_cell(name, shown, 0, 100 * value / most) for name, value, shown in rows]
    return f'<div class="mlf-bars">{"".join(cells)}</div>'


def _cell(
    name: str, shown: str, start: float, width: float, minus: bool = False, kind: str = ""
) -> str:
    """A name, its bar (start and width in percent of the room) and its figure."""
    marks = " ".join(filter(None, ("mlf-bar", "minus" if minus else "", kind)))
    return (
        f'<span class="mlf-name" title="{escape(name)}">{escape(name)}</span>'
        f'<div><div class="{marks}" style="margin-left: {start:.1f}%; width: {width:.1f}%"></div>'
        f'</div><span class="mlf-figure">{escape(shown)}</span>'
    )


def problem(found: Problem, names: Mapping[str, str]) -> str:
    """What is wrong with a field, without its value: that stands in the form."""
    return f"{said(found.field, names)}: {found.rule.removeprefix('Value error, ')}"


def error(lines: Sequence[str]) -> str:
    """What was wrong with the input."""
    shown = "<br>".join(escape(line) for line in lines if line)
    return f'<div class="mlf-error" role="alert">{shown}</div>'


def card(about: Card, served: Served | None, tenant: str | None) -> str:
    """A system on the first page, for a tenant: all of it leads to its page."""
    name = escape(about.slug)
    picture = ""
    if served is not None and served.picture is not None and not served.has_own(tenant):
        picture = f'<img src="/v1/systems/{name}/picture" alt="" loading="lazy">'
    standing = _standing(about, served, tenant)
    return (
        f'<article class="mlf-card"><h3><a href="/{name}">{escape(about.title)}</a></h3>'
        f"<p>{escape(about.summary)}</p><p>{standing}</p>{faint(about)}{picture}"
        "</article>"
    )


def faint(about: Card) -> str:
    """Which kind of system it is."""
    return f'<p class="mlf-faint">{escape(about.kind)} · {escape(about.level)}</p>'


def _standing(about: Card, served: Served | None, tenant: str | None) -> str:
    """How good it is, where that can be said."""
    if served is None:
        return "not trained yet"
    if served.has_own(tenant):  # its scores are about what the tenant does not see
        return "answers from what is yours"
    version = served.version
    if version.source == "sample":
        return ABOUT_SAMPLE
    goal = about.primary.target if version.source == "official" else None
    target = "" if goal is None else f", target {number(goal)}"
    return f"{escape(version.metric)} <b>{number(version.value)}</b>{target}"


def untrained(about: Card, install: str) -> str:
    """What stands where a system could be tried, and what to type."""
    extra = f"<p>It needs an extra; install it first:</p>{_command(install)}" if install else ""
    return (
        f'<div class="mlf-untrained"><p>It is not trained yet.</p>{extra}'
        f"<p>Train it where this server runs; its page is here within seconds:</p>"
        f"{_command(f'mlfolio run {about.slug}')}</div>"
    )


def _command(line: str) -> str:
    return f"<pre><code>{escape(line)}</code></pre>"
