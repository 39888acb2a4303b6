"""The prediction log, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.exc import OperationalError

from mlfolio.core.errors import UserError
from mlfolio.core.model import Input, Output
from mlfolio.serve.journal import Entry, Journal, JournalFullError, prepare
from tests.serve.conftest import free_port


class Question(Input):
    text: str


def entry(number: int, when: float | None = None) -> Entry:
    output = Output(answer=number, confidence=0.5)
    now = time.time() if when is None else when
    return Entry(uuid4().hex, now, "toy", 1, Question(text="ü'; --"), output, 1.5, "ann")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of Debian's package, of our own, on a port of its own."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) + [
        Path(place).parent for place in filter(None, [shutil.which("initdb")])
    ]
    if not found:
        pytest.skip("there is no PostgreSQL here: apt-get install postgresql")
    tools, port = found[-1], free_port()
    folder = tmp_path_factory.mktemp("postgres") / "data"
    drop: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        if shutil.which("runuser") is None:
            pytest.skip("PostgreSQL does not run as root, and there is no runuser")
        drop = ["runuser", "-u", "postgres", "--"]
        folder = Path(f"/tmp/mlfolio-postgres-{os.getpid()}") / "data"
        folder.parent.mkdir()
        shutil.chown(folder.parent, "postgres")

    def run(*command: str) -> None:
        subprocess.run([*drop, *command], check=True, capture_output=True, cwd="/")

    options = f"-p {port} -k {folder.parent} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        run(str(tools / "initdb"), "-D", str(folder), "-A", "trust", "-U", "tester")
        run(str(tools / "pg_ctl"), "-D", str(folder), "-w", "-o", options,
            "-l", str(folder.parent / "log"), "start")  # fmt: skip
        yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        run(str(tools / "pg_ctl"), "-D", str(folder), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    address: str = request.getfixturevalue("postgres")
    return address


def stored(url: str) -> list[dict[str, Any]]:
    """Everything in the log, read by somebody else."""

    async def main() -> list[dict[str, Any]]:
        journal = Journal(url)
        try:
            return journal.read("toy", limit=9999)
        finally:
            await journal.close()

    return asyncio.run(main())


def test_what_is_added_is_there_after_closing(url: str) -> None:
    async def main() -> None:
        journal = Journal(url)
        journal.start()
        await asyncio.gather(*(journal.add([entry(i), entry(i)]) for i in range(600)))
        await journal.close()

    before = len(stored(url))
    asyncio.run(main())
    rows = stored(url)

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

    before = len(stored(url))
    asyncio.run(main())
    assert len(stored(url)) == before + 1000


def test_processes_that_make_the_log_at_once_all_get_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for i in range(20):
            url = f"sqlite:///{tmp_path / f'{i}.db'}"
            list(pool.map(prepare, [url] * 8))


def test_old_ones_go_with_their_truth(url: str) -> None:
    async def main() -> int:
        journal = Journal(url, keep_days=1)
        journal.start()
        await asyncio.sleep(0.2)  # the sweep at the start is over
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
            with pytest.raises(JournalFullError):
                await journal.add([entry(i) for i in range(100)])
            assert not journal.healthy
        await asyncio.sleep(1.5)  # the disk has room again
        assert journal.healthy
        assert len(journal.read("toy")) >= 10
        await journal.close()

    asyncio.run(main())


def test_a_wrong_address_is_said_without_its_password() -> None:
    with pytest.raises(UserError) as caught:
        Journal("postgresql://me:hunter2@127.0.0.1:9/none")
    assert "hunter2" not in str(caught.value)
    assert "MLFOLIO_DB" in str(caught.value)
