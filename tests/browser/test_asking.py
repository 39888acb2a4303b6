"""What a page says when a model does not answer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio")

from mlfolio.app.asking import Asking


class Hindered:
    """A service whose models cannot be reached."""

    def __init__(self, error: Exception | None = None) -> None:
        self.settings = SimpleNamespace(timeout_s=0.05)
        self.fleet = {"iris": SimpleNamespace(model=None, reasons=None)}
        self._error = error

    async def read(self, *_: Any) -> None:
        if self._error is not None:
            raise self._error
        await asyncio.sleep(60)


def test_answers_obey_the_time_limit() -> None:
    told, why = asyncio.run(Asking("iris", Hindered())({}))  # type: ignore[arg-type]
    assert "took too long" in told
    assert why == ""


def test_failures_are_told_in_our_words() -> None:
    error = OSError("no such file: /srv/secret/model.bin")
    told, _ = asyncio.run(Asking("iris", Hindered(error))({}))  # type: ignore[arg-type]
    assert "the server failed" in told
    assert "secret" not in told
