"""Feedback is read where the server wrote it, and reading makes nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import uuid4

import pytest

from mlfolio.core.errors import UserError
from mlfolio.core.model import Input, Output
from mlfolio.serve.journal import Entry, Journal
from mlfolio.track.log import database_url, feedback


class Question(Input):
    text: str


def written(url: str, answers: list[tuple[str, str, str | None, bool]]) -> None:
    """A log with predictions: text, answer, truth, and whether the input was kept."""

    async def main() -> None:
        journal = Journal(url)
        journal.start()
        for text, answer, truth, kept in answers:
            mine = uuid4().hex
            given = Question(text=text) if kept else None
            entry = Entry(mine, time.time(), "toy", 1, given, Output(answer=answer), 1.0, "ann")
            await journal.add([entry])
            if truth is not None:
                assert await journal.judge(mine, "toy", truth, "bob")
        await journal.close()

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_what_was_judged_is_read(
    kind: str, home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if kind == "postgres":
        monkeypatch.setenv("MLFOLIO_DB", request.getfixturevalue("postgres"))
    before = len(feedback("toy"))
    written(
        database_url(),
        [("a", "ham", '"spam"', True), ("b", "ham", None, True), ("c", "spam", '"ham"', False)],
    )

    first, second = feedback("toy")[before:]

    assert (first.input, first.answer, first.truth) == ({"text": "a"}, "ham", "spam")
    assert (second.input, second.truth, second.client) == (None, "ham", "bob")
    assert first.time < second.time
    assert feedback("other") == []


def test_reading_makes_nothing(home: Path) -> None:
    before = sorted(home.rglob("*"))
    assert feedback("toy") == []
    assert sorted(home.rglob("*")) == before


def test_a_log_that_cannot_be_read_is_told_without_its_password(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "runs" / "predictions.db").write_text("no database", "utf-8")
    with pytest.raises(UserError, match="prediction log"):
        feedback("toy")
    monkeypatch.setenv("MLFOLIO_DB", "postgresql://ann:secret@127.0.0.1:9/none")
    with pytest.raises(UserError) as caught:
        feedback("toy")
    assert "secret" not in str(caught.value)
