"""The story of `make loop`: one HTML file that needs no network."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from jinja2 import Environment

from mlfolio.core.run import write_text
from mlfolio.data.versions import DataStore
from mlfolio.monitor import story
from mlfolio.track import releases

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>The loop: {{ system }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1b1f24; background: #fff; }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem; border-top: 1px solid #d6dbe1; padding-top: 1rem }
.lead { color: #57606a } img { width: 100% }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem .6rem;
        border-bottom: 1px solid #e4e8ec; vertical-align: top } td.n { text-align: right }
ol { list-style: none; padding: 0 } li { display: grid; grid-template-columns: 5.5rem 8rem 1fr;
     gap: .8rem; padding: .35rem 0; border-bottom: 1px solid #f0f2f4 }
time { color: #57606a; font-variant-numeric: tabular-nums }
.what { font-weight: 600 } .bad { color: #a3262a } .good { color: #1a6b34 }
@media (max-width: 40rem) { li { grid-template-columns: 1fr } }
</style></head><body>
<h1>The loop: {{ system }}</h1>
<p class="lead">{{ months|length }} simulated months in {{ minutes }} minutes. The customers are
made up; the server, the log, the tests, the trainings and the releases are real, and nobody touched
them but where it is said.</p>
<img alt="Share of right answers, month by month" src="{{ picture }}">
<h2>The months</h2>
<table><tr><th>month</th><th>what happened</th><th>right answers</th><th>answered by</th>
<th>alarms</th></tr>
{% for month in months %}<tr><td>{{ month.number }}</td><td>{{ month.title }}</td>
<td class="n">{{ "%.1f %%"|format(100 * month.right) }}</td>
<td>{% for number, count in month.versions.items() %}version {{ number }}: {{ count }}<br>
{% endfor %}</td>
<td>{% for alarm in month.alarms %}{{ alarm }}<br>{% else %}none{% endfor %}</td></tr>{% endfor %}
</table>
{% for month in chapters %}<h2>{{ month.title }}</h2><ol>
{% for line in month.lines %}<li><time>{{ line.clock }}</time>
<span class="what {{ line.tone }}">{{ line.what }}</span><span>{{ line.words }}</span></li>
{% endfor %}</ol>{% endfor %}
</body></html>
"""
TONES = {"rollback": "bad", "unstage": "bad", "failed": "bad", "release": "good"}


class Month(Protocol):
    """What the story needs of a month."""

    number: int
    title: str
    began: float
    ended: float
    right: float


class Line(NamedTuple):
    """One thing that happened."""

    time: float
    what: str
    words: str

    @property
    def clock(self) -> str:
        """The time of day."""
        return time.strftime("%H:%M:%S", time.localtime(self.time))

    @property
    def tone(self) -> str:
        """Whether it is good or bad news."""
        return TONES.get(self.what, "")


def write_story(folder: Path, system: str, months: Sequence[Any]) -> Path:
    """Writes `story.html` into a folder."""
    lines = sorted(lines_of(system), key=lambda line: line.time)
    begins = [month.began for month in months[1:]] + [float("inf")]
    chapters, begin = [], 0.0
    for month, end in zip(months, begins, strict=True):
        mine = [line for line in lines if begin <= line.time < end]
        chapters.append({"title": f"Month {month.number}: {month.title}", "lines": mine})
        begin = end
    page = Environment(autoescape=True).from_string(PAGE)
    html = page.render(
        system=system, months=months, chapters=chapters, picture=drawn(months),
        minutes=f"{(months[-1].ended - months[0].began) / 60:.0f}",
    )  # fmt: skip
    path = folder / "story.html"
    write_text(path, html)
    return path


def lines_of(system: str) -> list[Line]:
    """What the loop, the registry and the living data tell, the same look after look once."""
    lines, last = [], None
    for step in story.steps(system):
        if (step.what, step.reasons) != last:
            words = "; ".join(step.reasons) or {"looked": "all is quiet"}.get(step.what, "")
            lines.append(Line(step.time, step.what, f"version {step.version}: {words}"))
        last = step.what, step.reasons
    for event in releases.history_of(system):
        if event.time is not None:
            words = f"version {event.version}: {event.reason}"
            lines.append(Line(event.time, event.action, words))
    for version in DataStore(system).versions():
        batch = version.batches[-1]
        made = time_of(batch.made)
        words = (
            f"{batch.rows:,} rows, {batch.quarantined:,} set aside: data version {version.number}"
        )
        lines.append(Line(made, "ingested", words))
    return lines


def time_of(text: str) -> float:
    """A time in ISO's form, in seconds since 1970."""
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def drawn(months: Sequence[Month]) -> str:
    """Right answers month by month, as a picture in text."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.plot([m.number for m in months], [100 * m.right for m in months], "o-", color="#2456a6")
    axes.set(xlabel="month", ylabel="right answers, %", xticks=[m.number for m in months])
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=140)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
