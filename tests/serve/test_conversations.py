"""Conversations are kept apart, and whoever writes to one at the same time loses nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mlfolio.core.errors import UserError
from mlfolio.track import conversations
from mlfolio.track.conversations import Conversations, sweep
from mlfolio.track.log import connect, database_url


def count(state: str | None) -> tuple[str, int]:
    """A step that counts its turns."""
    number = int(state or 0) + 1
    return str(number), number


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The database that the environment names."""
    monkeypatch.setenv("MLFOLIO_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("MLFOLIO_DB", raising=False)
    if request.param == "postgres":
        monkeypatch.setenv("MLFOLIO_DB", request.getfixturevalue("postgres"))
    return database_url()


def test_conversations_are_kept_apart_and_survive_a_restart(database: str) -> None:
    one, other = f"one {time.time_ns()}", f"other {time.time_ns()}"
    first = Conversations("bot")
    assert [first.turn(one, count) for _ in range(3)] == [1, 2, 3]
    assert first.turn(other, count) == 1
    again = Conversations("bot")
    assert again.turn(one, count) == 4
    assert Conversations("another bot").turn(one, count) == 1
    assert again.turn(other, count) == 2


def test_turns_at_the_same_time_are_taken_one_after_the_other(database: str) -> None:
    key, seen = f"busy {time.time_ns()}", []
    stores = [Conversations("bot") for _ in range(2)]

    def work(store: Conversations) -> None:
        seen.extend(store.turn(key, count) for _ in range(15))

    threads = [threading.Thread(target=work, args=(stores[n % 2],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 61))


def test_two_processes_write_to_one_conversation(database: str) -> None:
    key = f"shared {time.time_ns()}"
    program = (
        "import sys\n"
        "from mlfolio.track.conversations import Conversations\n"
        "store = Conversations('bot')\n"
        "for _ in range(20):\n"
        "    store.turn(sys.argv[1], lambda s: (str(int(s or 0) + 1), None))\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", program, key]) for _ in range(2)]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    assert Conversations("bot").turn(key, count) == 41


def test_what_was_silent_for_long_is_forgotten(database: str) -> None:
    key, new = f"old {time.time_ns()}", f"new {time.time_ns()}"
    Conversations("bot").turn(key, count)
    time.sleep(0.02)
    short = Conversations("bot", keep_days=0.01 / 86_400)
    assert short.turn(key, count) == 1
    time.sleep(0.02)
    Conversations("bot", keep_days=0.01 / 86_400).turn(new, count)  # sweeps
    assert Conversations("bot").turn(key, count) == 1  # though this one keeps it for long


def test_a_turn_on_what_was_swept_meanwhile_is_taken_again(database: str) -> None:
    store, key, calls = Conversations("bot"), f"swept {time.time_ns()}", []
    store.turn(key, count)

    def overtaken(state: str | None) -> tuple[str, int]:
        """While this thinks the conversation is swept, and begun anew by somebody else."""
        calls.append(state)
        if len(calls) == 1:
            engine = connect(database)
            with engine.begin() as connection:
                sweep(connection, keep_s=-1)
            engine.dispose()
            Conversations("bot").turn(key, lambda old: (f"{old} 41", None))
        return state or "", 0

    store.turn(key, overtaken)
    assert calls == ["1", "None 41"]


def test_a_conversation_in_which_all_write_at_once_says_so(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "ATTEMPTS", 2)
    store, key = Conversations("bot"), f"crowded {time.time_ns()}"

    def overtaken(state: str | None) -> tuple[str, int]:
        Conversations("bot").turn(key, count)
        return count(state)

    with pytest.raises(Exception, match="too many messages"):
        store.turn(key, overtaken)


def test_a_database_that_cannot_be_used_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for url in (f"sqlite:///{tmp_path}/file/x.db", "postgresql://nobody:secret@127.0.0.1:1/x"):
        with pytest.raises(UserError) as caught:
            Conversations("bot", url).turn("some conversation", count)
        assert "secret" not in str(caught.value)
