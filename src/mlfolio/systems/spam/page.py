"""The page of spam: the usual form, and the message with the words that decided marked."""

from __future__ import annotations

from mlfolio.core.page import Ask
from mlfolio.parts.text.marked import marked_form


def build(ask: Ask) -> None:
    """The usual form, and beside the answer the words as they were read."""
    marked_form(ask, "Orange speaks for spam, blue for ham")
