"""Small pieces of HTML: answers, reasons, cards. Everything that is not ours is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
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
    """Why: each share as a bar, the strongest first."""
    if not found:
        return ""
    rows = [(f"{r.feature} = {r.value}", r.effect, f"{r.effect:+.2f}") for r in found[:SHOWN]]
    return "<h4>Why</h4>" + bars(rows)


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Names, bars and figures; negative ones in another colour."""
    most = max((abs(value) for _, value, _ in rows), default=1) or 1
    cells = [
        f"<span>{escape(name)}</span>"
        f'<div><div class="mlf-bar{" minus" if value < 0 else ""}" '
        f'style="width: {100 * abs(value) / most:.1f}%"></div></div><span>{escape(shown)}</span>'
        for name, value, shown in rows
    ]
    return f'<div class="mlf-bars">{"".join(cells)}</div>'


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
