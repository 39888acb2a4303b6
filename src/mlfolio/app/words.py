"""Small pieces of HTML: answers, reasons, cards. Everything that is not ours is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import accumulate
from typing import Any

from mlfolio.core.model import Output, Reason
from mlfolio.report.words import number

SHOWN = 8  # reasons


def answer(output: Output, prediction: str) -> str:
    """An answer: what, how sure, of what one should be warned."""
    sure = "" if output.confidence is None else f"{output.confidence:.1%} sure"
    parts = [
        f'<div class="mlf-answer">{escape(str(output.answer))}</div>',
        f'<div class="mlf-faint">{sure}</div>',
        *(f'<div class="mlf-warning">{escape(text)}</div>' for text in output.warnings),
    ]
    chances = getattr(output, "probabilities", None)
    if isinstance(chances, dict):
        best = sorted(chances.items(), key=lambda pair: -pair[1])[:3]
        parts.append(bars([(name, chance, f"{chance:.1%}") for name, chance in best]))
    parts.append(f'<div class="mlf-faint">prediction {escape(prediction)}</div>')
    return "\n".join(parts)


def reasons(found: Sequence[Reason]) -> str:
    """Why, as a waterfall: each share begins where the one above it ended."""
    if not found:
        return ""
    rows = [(f"{r.feature} = {r.value}", r.effect) for r in found[:SHOWN]]
    if rest := found[SHOWN:]:
        rows.append((f"{len(rest)} more", sum(r.effect for r in rest)))
    ends = list(accumulate((effect for _, effect in rows), initial=0.0))
    low, high = min(ends), max(ends)
    scale = 100 / ((high - low) or 1)
    cells = [
        _cell(name, f"{effect:+.2f}", (min(at, to) - low) * scale, abs(effect) * scale, effect < 0)
        for (name, effect), at, to in zip(rows, ends, ends[1:], strict=False)
    ]
    total = ends[-1]
    cells.append(
        _cell("together", f"{total:+.2f}", (min(0.0, total) - low) * scale, abs(total) * scale,
              total < 0, "total")
    )  # fmt: skip
    return (
        '<h4>Why</h4><div class="mlf-faint">from a typical case to this one: what '
        f'speaks for the answer (+) and against it</div><div class="mlf-bars">{"".join(cells)}'
        "</div>"
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
        f'<span>{escape(name)}</span><div><div class="{marks}" '
        f'style="margin-left: {start:.1f}%; width: {width:.1f}%"></div></div>'
        f"<span>{escape(shown)}</span>"
    )


def error(text: str) -> str:
    """What was wrong with the input."""
    lines = "<br>".join(escape(line) for line in text.splitlines())
    return f'<div class="mlf-error" role="alert">{lines}</div>'


def card(about: dict[str, Any]) -> str:
    """A system on the first page; one that is not trained says how to train it."""
    name = escape(about["name"])
    head = f"<h3>{escape(about['title'])}</h3><p>{escape(about['summary'])}</p>"
    faint = f'<p class="mlf-faint">{escape(about["kind"])} · {escape(about["level"])}</p>'
    if about.get("version") is None:
        extra = f" (needs {escape(about['needs'])})" if about["needs"] else ""
        return (
            f'<article class="mlf-card">{head}{faint}'
            f"<p>Not trained yet: <code>mlfolio run {name}</code>{extra}</p></article>"
        )
    target = "" if about["target"] is None else f", target {number(about['target'])}"
    word = " (SAMPLE)" if about["data"] == "sample" else ""
    score = f"{escape(about['metric'])} <b>{number(about['value'])}</b>{target}{word}"
    picture = f'<img src="/v1/systems/{name}/picture" alt="" loading="lazy">'
    return (
        f'<article class="mlf-card">{picture if about["picture"] else ""}'
        f'<h3><a href="/{name}">{escape(about["title"])}</a></h3>'
        f"<p>{escape(about['summary'])}</p><p>{score}</p>{faint}</article>"
    )
