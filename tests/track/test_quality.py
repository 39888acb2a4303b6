"""How a system does day by day, from the log that a server writes."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from mlfolio.core.model import Output
from mlfolio.parts.llm.usage import Usage
from mlfolio.serve.journal import Entry, Journal
from mlfolio.track.log import answers, feedback
from mlfolio.track.quality import days

DAY = 86_400.0
NOON = (time.time() // DAY) * DAY - DAY / 2  # of yesterday


class Found(Output):
    found: bool
    usage: Usage | None = None


def written(url: str, answers: list[tuple[float, Output, float, dict[str, Any]]]) -> None:
    """A log with answers: time, output, latency in ms, and what was said of them."""

    async def main() -> None:
        journal = Journal(url)
        journal.start()
        for when, output, latency, said in answers:
            mine = uuid4().hex
            await journal.add([Entry(mine, when, "toy", 1, None, output, latency, "ann")])
            if "good" in said:
                assert await journal.rate(mine, "toy", not said["good"], "bob")
                assert await journal.rate(mine, "toy", said["good"], "bob")  # another mind
                assert not await journal.rate(mine, "other", True, "bob")
            if "truth" in said:
                assert await journal.judge(mine, "toy", said["truth"], "bob")
        await journal.close()

    asyncio.run(main())


def test_days_tell_what_was_answered(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    paid = Usage(input_tokens=100, output_tokens=10, cost=0.5)
    unpriced = Usage(input_tokens=50, output_tokens=5, cost=None)
    told = [
        (NOON - DAY, Output(answer="ham", confidence=0.5), 10.0, {"truth": '"ham"'}),
        (NOON - DAY, Output(answer="ham", confidence=0.7), 30.0, {"truth": '"spam"'}),
        (NOON, Found(answer="a", found=True, confidence=0.9, usage=paid), 100.0, {"good": True}),
        (NOON, Found(answer="b", found=True, usage=unpriced), 200.0, {"good": False}),
        (NOON, Found(answer="", found=False, usage=Usage(remembered=True)), 300.0, {"good": True}),
        (NOON, Found(answer="", found=True), 400.0, {"truth": '"x"'}),  # what was said is not kept
    ]
    written(url, told)

    first, second = days("toy", NOON - 3 * DAY, url=url)

    assert second.day == datetime.fromtimestamp(NOON, UTC).date()
    assert (first.answers, first.not_found, first.up, first.down) == (2, None, 1, 1)
    assert first.confidence == pytest.approx(0.6)
    assert (first.p50, first.cost, first.unpriced) == (20.0, None, 0)
    assert (second.answers, second.not_found, second.confidence) == (4, 0.25, 0.9)
    assert (second.up, second.down, second.remembered) == (2, 1, 1)
    assert (second.p50, second.p95) == (250.0, pytest.approx(385.0))
    assert (second.input_tokens, second.output_tokens) == (150, 15)
    assert (second.cost, second.unpriced) == (0.5, 1)

    assert [day.answers for day in days("toy", NOON - 60, url=url)] == [4]
    assert days("other", 0, url=url) == []
    assert len(feedback("toy", url)) == 3, "a verdict is no truth that a run could learn from"


def test_answers_are_read_by_version_with_what_was_said_of_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    said: list[dict[str, Any]] = [{"truth": '"spam"'}, {}, {"good": True}, {}]
    written(url, [(NOON + at, Output(answer=at), 1.0, each) for at, each in enumerate(said)])

    last = answers("toy", 1, NOON + 1, 2, url=url)
    first = answers("toy", 1, 0.0, 2, newest=False, url=url)
    judged = answers("toy", 1, 0.0, 10, judged=True, url=url)

    assert [row["time"] - NOON for row in last] == [3, 2]
    assert [row["time"] - NOON for row in first] == [0, 1]
    assert [(row["truth"], row["good"]) for row in judged] == [(None, 1), ('"spam"', None)]
    assert all(row["told"] > NOON for row in judged)
    assert answers("toy", 2, 0.0, 10, url=url) == [], "of another version"


def test_without_a_log_there_is_no_day(home: Path) -> None:
    before = sorted(home.rglob("*"))
    assert days("toy", 0) == []
    assert sorted(home.rglob("*")) == before, "reading makes nothing"


def test_verdicts_go_with_their_answers(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    written(url, [(NOON - 200 * DAY, Output(answer="a"), 1.0, {"good": True})])

    async def sweep() -> int:
        journal = Journal(url)
        forgotten = journal.forget()
        await journal.close()
        return forgotten

    assert asyncio.run(sweep()) in (0, 1)  # the writer may have swept already
    import sqlite3

    with sqlite3.connect(tmp_path / "log.db") as database:
        assert database.execute("select count(*) from verdicts").fetchone() == (0,)
