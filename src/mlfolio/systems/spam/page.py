"""The page of spam: the usual form, and the message with the words that decided marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlfolio.core.page import Ask
from mlfolio.parts.text.marked import marked

from .model import SpamModel


def build(ask: Ask) -> None:
    """The usual form, and beside the answer the words as they were read."""

    def words(row: Mapping[str, Any]) -> str:
        text = row.get("text")
        if not isinstance(ask.model, SpamModel) or not isinstance(text, str):
            return ""
        return marked(ask.model.words(text), "Orange speaks for spam, blue for ham")

    ask.form(words)
