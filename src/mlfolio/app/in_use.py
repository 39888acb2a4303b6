"""How a system does while it serves: day by day, and beside what its model was measured on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from html import escape
from itertools import pairwise

import gradio as gr

from mlfolio.app import watching, words
from mlfolio.app.asking import caller
from mlfolio.core.errors import MlfolioError
from mlfolio.monitor import story
from mlfolio.monitor.watching import look
from mlfolio.serve.service import Service
from mlfolio.track import releases
from mlfolio.track.quality import MOST, Day, days

SPANS = {"a week": 7, "a month": 30, "90 days": 90}
WIDTH, HEIGHT = 300, 90  # of a chart
SHARED_S = 30  # for which a look is shown again
Line = tuple[str, Callable[[Day], float | None]]


def build(name: str, service: Service, tab: gr.Tab) -> None:
    """Makes the inside of the tab; what it shows is read whenever somebody turns to it."""
    span = gr.Radio(list(SPANS), value="a month", label="the last")
    shown = gr.HTML("", elem_id="in-use")
    seen = gr.HTML("", elem_id="watching")

    async def show(chosen: str) -> str:
        n = SPANS.get(chosen, 30)
        since = time.time() - n * 86_400
        try:
            whose, url = caller().tenant, service.settings.database_url
            found = await asyncio.to_thread(days, name, since, whose, url)
        except MlfolioError as error:
            return words.error([error.message, error.fix])
        return charts(found, n, datetime.now(UTC).date())

    last: tuple[float, str] = (0.0, "")  # a look at texts takes seconds: many visitors share one
    looking = asyncio.Lock()

    async def watch() -> str:
        nonlocal last
        if caller().tenant is not None:  # rows of everybody are compared, and none of a tenant
            return ""
        async with looking:
            if time.monotonic() > last[0]:
                try:
                    told = await asyncio.to_thread(_told, name, service.settings.database_url)
                except MlfolioError as error:
                    return words.error([error.message, error.fix])
                last = (time.monotonic() + SHARED_S, told)
        return last[1]

    gr.on([tab.select, span.change], show, span, shown, show_progress="minimal")
    gr.on(tab.select, watch, None, seen, show_progress="minimal")


def _told(name: str, url: str) -> str:
    """A look, and what became of the models."""
    models = watching.happened(releases.history_of(name), story.steps(name), releases.staged(name))
    return watching.told(look(name, url=url)) + models


def charts(found: Sequence[Day], n: int, today: date) -> str:
    """The last n days as charts and as a table."""
    if not found:
        return f"<p>There is no answer in the log of the last {n} days.</p>"
    by_day = {each.day: each for each in found}
    row = [by_day.get(today - timedelta(days=back)) for back in reversed(range(n))]
    share = "{:.0%}".format
    kinds: list[tuple[str, Callable[[float], str], list[Line]]] = [
        ("answers", "{:,.0f}".format, [("", lambda d: d.answers)]),
        ("share not found", share, [("", lambda d: d.not_found)]),
        ("mean confidence", share, [("", lambda d: d.confidence)]),
        ("thumbs", "{:,.0f}".format, [("up", lambda d: d.up), ("down", lambda d: d.down)]),
        ("time to answer", _duration, [("median", lambda d: d.p50), ("p95", lambda d: d.p95)]),
        ("tokens", "{:,.0f}".format,
         [("in", lambda d: d.input_tokens), ("out", lambda d: d.output_tokens)]),
        ("cost", "${:,.4f}".format, [("", lambda d: d.cost)]),
    ]  # fmt: skip
    drawn = [_chart(title, row, lines, said) for title, said, lines in kinds]
    return f'{_totals(found)}<div class="mlf-charts">{"".join(drawn)}</div>{_table(found)}'


def _totals(found: Sequence[Day]) -> str:
    """What can be said in a line."""
    n = sum(day.answers for day in found)
    said = [f"{n:,} answers", f"{sum(d.up for d in found):,} thumbs up",
            f"{sum(d.down for d in found):,} down"]  # fmt: skip
    if remembered := sum(day.remembered for day in found):
        said.append(f"{remembered:,} given before, and given again at no cost")
    if unpriced := sum(day.unpriced for day in found):
        said.append(f"the cost of {unpriced:,} is not known: MLFOLIO_LLM_PRICES")
    if n >= MOST:
        said.append(f"only the last {MOST:,} are looked at")
    return f"<p>{escape(' · '.join(said))}</p>"


def _chart(
    title: str, row: Sequence[Day | None], lines: Sequence[Line], said: Callable[[float], str]
) -> str:
    """One chart: a line each, from zero to the most; nothing where there is nothing to draw."""
    values = [[None if day is None else value(day) for day in row] for _, value in lines]
    most = max((each for line in values for each in line if each is not None), default=0.0)
    if most == 0:
        return ""
    drawn = "".join(_line(line, most, number) for number, line in enumerate(values))
    names = "".join(
        f'<span class="mlf-line-{number}">{escape(name)}</span>'
        for number, (name, _) in enumerate(lines)
        if name
    )
    return (
        f'<figure class="mlf-chart"><figcaption>{escape(title)} {names}'
        f'<span class="mlf-faint">up to {escape(said(most))}</span></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}, by day">'
        f'<line class="mlf-axis" x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}"/>{drawn}'
        "</svg></figure>"
    )


def _line(values: Sequence[float | None], most: float, number: int) -> str:
    """A dot for each day that has a value, and a line between those that follow each other."""
    step = WIDTH / len(values)
    places = [
        None if value is None else ((at + 0.5) * step, HEIGHT - 4 - (HEIGHT - 8) * value / most)
        for at, value in enumerate(values)
    ]
    parts = [f'<circle cx="{p[0]:.1f}" cy="{p[1]:.1f}" r="2.5"/>' for p in places if p]
    parts += [
        f'<line x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"/>'
        for a, b in pairwise(places)
        if a and b
    ]
    return f'<g class="mlf-line-{number}">{"".join(parts)}</g>'


def _table(found: Sequence[Day]) -> str:
    """The same in figures, the last day first."""
    head = ("day", "answers", "not found", "confidence", "up", "down", "median", "p95",
            "tokens in", "out", "cost")  # fmt: skip
    rows = [
        (day.day.isoformat(), f"{day.answers:,}", _share(day.not_found), _share(day.confidence),
         f"{day.up:,}", f"{day.down:,}", _duration(day.p50), _duration(day.p95),
         f"{day.input_tokens:,}", f"{day.output_tokens:,}",
         "–" if day.cost is None else f"${day.cost:,.4f}")
        for day in reversed(found)
    ]  # fmt: skip
    cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    named = "".join(f"<th>{name}</th>" for name in head)
    return (
        "<details><summary>In figures</summary><div class='mlf-table'><table>"
        f"<thead><tr>{named}</tr></thead><tbody>{cells}</tbody></table></div></details>"
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _duration(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"
