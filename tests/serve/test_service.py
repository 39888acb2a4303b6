"""What goes wrong at the end: of an answer, of the server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from mlfolio.serve.guard import Guard
from mlfolio.serve.keys import Keyring
from mlfolio.serve.service import Service
from mlfolio.serve.settings import Settings
from tests.serve.conftest import logged
from tests.serve.test_journal import entry


@pytest.mark.parametrize("whole", [True, False])
def test_an_error_behind_a_whole_answer_ends_no_connection(tmp_path: Path, whole: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"told", "more_body": not whole})
        raise ValueError("what went wrong")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(app, Settings(), Keyring(tmp_path / "keys.json", is_local=True))
    asked = guard({"type": "http", "method": "GET", "path": "/", "headers": []}, send, send)
    if whole:
        asyncio.run(asked)
    else:
        with pytest.raises(ValueError, match="what went wrong"):
            asyncio.run(asked)
    assert len(sent) == 2


def test_a_model_that_fails_at_the_end_costs_nothing_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"

    async def nothing() -> None: ...

    async def fail() -> None:
        raise OSError("the disk is full")

    async def main() -> None:
        service = Service(Settings(database=url))
        monkeypatch.setattr(service.fleet, "start", nothing)
        monkeypatch.setattr(service.fleet, "close", fail)
        await service.start()
        await service.journal.add([entry(1)])
        with pytest.raises(OSError, match="disk"):
            await service.close()

    asyncio.run(main())
    assert len(logged(url, "toy")) == 1
