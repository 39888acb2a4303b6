"""What a page says when a model does not answer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio")

from mlfolio.app.asking import Asking
from mlfolio.app.site import _shape
from mlfolio.core.model import Input


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


class Library:
    """A model of documents, whose examples are their beginnings."""

    input_type = Input
    begins = "Aardvarks of Arnholm"

    def examples(self) -> list[str]:
        return [self.begins]

    add = delete = documents = adopt = examples


def test_no_page_goes_on_showing_what_a_deleted_document_began_with() -> None:
    model = Library()
    version, card = SimpleNamespace(source="own"), SimpleNamespace(slug="documents")
    served = SimpleNamespace(model=model, version=version, card=card)
    service: Any = SimpleNamespace(fleet=[served])

    before = _shape(service)
    assert _shape(service) == before
    model.begins = "Bears"
    assert _shape(service) != before  # so the pages are built anew
