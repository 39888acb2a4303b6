"""The page of spam: the usual form, and the message with the words that decided marked."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from mlfolio.core.page import Ask

from .model import SpamModel

STRONG = 1.5  # log-odds from which a mark is as dark as it gets
WORDS = 400  # that are shown


def build(ask: Ask) -> None:
    """The usual form, and beside the answer the words as they were read."""

    def marked(row: Mapping[str, Any]) -> str:
        text = row.get("text")
        if not isinstance(ask.model, SpamModel) or not isinstance(text, str):
            return ""
        words = ask.model.words(text)
        shown = " ".join(_mark(word, effect) for word, effect in words[:WORDS])
        more = f" ... and {len(words) - WORDS:,} more words" if len(words) > WORDS else ""
        return (
            '<h4>As it was read</h4><p style="line-height: 1.9; overflow-wrap: anywhere">'
            f'{shown}{more}</p><div class="mlf-faint">Orange speaks for spam, blue for ham; point '
            "at a word for its share in the log-odds.</div>"
        )

    ask.form(marked)


def _mark(word: str, effect: float) -> str:
    """A word on a ground that says how much it speaks for what."""
    colour = "213, 94, 0" if effect > 0 else "0, 114, 178"
    depth = 0.7 * min(abs(effect) / STRONG, 1.0)
    return (
        f'<mark style="background: rgba({colour}, {depth:.2f}); color: inherit" '
        f'title="{effect:+.2f}">{escape(word)}</mark>'
    )
