"""The page of sentiment: the usual form, and the review with the words that decided marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlfolio.core.page import Ask
from mlfolio.parts.text.marked import marked

from .model import SentimentModel


def build(ask: Ask) -> None:
    """The usual form, and beside the answer the words as they were read."""

    def words(row: Mapping[str, Any]) -> str:
        text = row.get("text")
        if not isinstance(ask.model, SentimentModel) or not isinstance(text, str):
            return ""
        return marked(ask.model.words(text), "Orange speaks for positive, blue for negative")

    ask.form(words)
