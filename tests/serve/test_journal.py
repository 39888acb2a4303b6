"""The prediction log, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.exc import OperationalError

from mlfolio.core.errors import UserError
from mlfolio.core.model import Input, Output
from mlfolio.serve.journal import Entry, Journal, JournalFullError
from mlfolio.track.conversations import Conversations
from mlfolio.track.log import prepare
from tests.serve.conftest import logged


class Question(Input):
    text: str


def entry(number: int, when: float | None = None) -> Entry:
    output = Output(answer=number, confidence=0.5)
    now = time.time() if when is None else when
    return Entry(uuid4().hex, now, "toy", 1, Question(text="ü'; --"), output, 1.5, "ann")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    address: str = request.getfixturevalue("postgres")
    return address


async def until(met: Callable[[], bool], seconds: float = 20) -> None:
    """Waits for something that will be so soon."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def test_what_is_added_is_there_after_closing(url: str) -> None:
    async def main() -> None:
        journal = Journal(url)
        journal.start()
        await asyncio.gather(*(journal.add([entry(i), entry(i)]) for i in range(600)))
        await journal.close()

    before = len(logged(url, "toy"))
    asyncio.run(main())
    rows = logged(url, "toy")

    assert len(rows) == before + 1200
    assert rows[0]["input"] == '{"text":"ü\'; --"}'
    assert rows[0]["truth"] is None
    assert [row["time"] for row in rows] == sorted((row["time"] for row in rows), reverse=True)


def test_the_truth_joins_its_prediction(url: str) -> None:
    async def main() -> list[bool]:
        journal = Journal(url)
        journal.start()
        mine = entry(1)
        await journal.add([mine])
        said = [
            await journal.judge(mine.id, "toy", "1", "ann"),
            await journal.judge(mine.id, "toy", "2", "bob"),
            await journal.judge(mine.id, "other", "3", "bob"),
            await journal.judge("0" * 32, "toy", "3", "bob"),
        ]
        truths = {row["id"]: row["truth"] for row in journal.read("toy")}
        await journal.close()
        assert truths[mine.id] == "2"
        return said

    assert asyncio.run(main()) == [True, True, False, False]


def test_two_writers_lose_nothing(url: str) -> None:
    async def main() -> None:
        journals = [Journal(url) for _ in range(2)]
        for journal in journals:
            journal.start()
        await asyncio.gather(*(journals[i % 2].add([entry(i)]) for i in range(1000)))
        for journal in journals:
            await journal.close()

    before = len(logged(url, "toy"))
    asyncio.run(main())
    assert len(logged(url, "toy")) == before + 1000


def test_processes_that_make_the_log_at_once_all_get_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for i in range(20):
            url = f"sqlite:///{tmp_path / f'{i}.db'}"
            list(pool.map(lambda one: prepare(one).dispose(), [url] * 8))


def test_conversations_that_nobody_goes_on_with_are_forgotten_too(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        Conversations("bot", url).turn(key, lambda state: ("said", None))
        journal = Journal(url)
        journal.forget()
        assert Conversations("bot", url).turn(key, lambda state: ("said", state)) == "said"
        monkeypatch.setattr("mlfolio.track.conversations.time.time", lambda: now + 31 * 86_400)
        journal.forget()
        monkeypatch.undo()
        assert Conversations("bot", url).turn(key, lambda state: ("said", state)) is None
        await journal.close()

    now, key = time.time(), f"silent {time.time_ns()}"
    asyncio.run(main())


def test_old_ones_go_with_their_truth(url: str) -> None:
    async def main() -> int:
        journal = Journal(url, keep_days=1)
        journal.start()
        old, new = entry(1, time.time() - 90_000), entry(2)
        await journal.add([old, new])
        await journal.judge(old.id, "toy", "1", "ann")
        gone = journal.forget()
        kept = {row["id"] for row in journal.read("toy", limit=9999)}
        assert new.id in kept
        assert old.id not in kept
        await journal.close()
        return gone

    assert asyncio.run(main()) == 1


def test_a_database_that_does_not_follow_stops_the_answers_not_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlfolio.serve.journal.PATIENCE_S", 0.2)

    def fail(self: Journal, rows: object) -> None:
        raise OperationalError("disk full", None, Exception())

    async def main() -> None:
        journal = Journal(f"sqlite:///{tmp_path / 'log.db'}", capacity=10)
        with monkeypatch.context() as broken:
            broken.setattr(Journal, "_insert", fail)
            journal.start()
            for i in range(10):
                await journal.add([entry(i)])
            with pytest.raises(JournalFullError):
                await journal.add([entry(10), entry(11)])
            assert not journal.healthy
        await until(lambda: journal.healthy)  # the disk has room again
        await until(lambda: len(journal.read("toy")) == 10)
        assert len(journal.read("toy")) == 10, "a refused request is not in the log"
        await journal.close()

    asyncio.run(main())


def test_feedback_that_cannot_be_kept_is_no_failure_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise OperationalError("disk full", None, Exception())

    async def main() -> None:
        journal = Journal(f"sqlite:///{tmp_path / 'log.db'}")
        monkeypatch.setattr(journal, "_replace", fail)
        with pytest.raises(JournalFullError):
            await journal.judge("0" * 32, "toy", "1", "ann")
        await journal.close()

    asyncio.run(main())


class Strange:
    """Nothing that could be written as JSON."""


def test_what_cannot_be_written_costs_itself_and_not_the_log(url: str) -> None:
    async def main() -> None:
        journal = Journal(url)
        journal.start()
        bad = entry(0)._replace(output=Output(answer=Strange()))
        odd = entry(0)._replace(client="\ud800" * 3)  # no database takes half a character
        mine = [entry(1), bad, entry(2), odd, entry(3)]
        await journal.add(mine)
        await journal.close()

    before = len(logged(url, "toy"))
    asyncio.run(main())
    assert len(logged(url, "toy")) == before + 3


def test_feedback_finds_its_prediction_while_others_are_written(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal(f"sqlite:///{tmp_path / 'log.db'}")
        journal.start()
        busy = True

        async def crowd() -> None:
            while busy:
                await journal.add([entry(i) for i in range(20)])
                await asyncio.sleep(0.005)

        others = asyncio.create_task(crowd())
        for _ in range(5):
            mine = entry(1)
            await journal.add([mine])
            assert await journal.judge(mine.id, "toy", "1", "ann")
        busy = False
        await others
        await journal.close()

    asyncio.run(main())


def test_nothing_is_stored_of_what_may_not_be(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"

    async def main() -> None:
        journal = Journal(url)
        journal.start()
        told = Output(answer=1, warnings=["age = 99 is outside"])
        await journal.add([entry(1)._replace(input=None, output=told, whole=False)])
        await journal.close()

    asyncio.run(main())
    (row,) = logged(url, "toy")
    assert row["input"] is None
    assert "99" not in row["output"]


def test_a_wrong_address_is_said_without_its_password() -> None:
    with pytest.raises(UserError) as caught:
        Journal("postgresql://me:hunter2@127.0.0.1:9/none")
    assert "hunter2" not in str(caught.value)
    assert "MLFOLIO_DB" in str(caught.value)
