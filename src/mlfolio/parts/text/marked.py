"""A page's form with its text beside it, the words marked by what they speak for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Protocol, runtime_checkable

from mlfolio.core.page import Ask

STRONG = 1.5  # log-odds from which a mark is as dark as it gets
MOST = 400  # words that are shown


@runtime_checkable
class Marks(Protocol):
    """A model that knows the share of each word of a text in its answer."""

    def words(self, text: str) -> list[tuple[str, float]]:
        """Each word that is read, and its share in the log-odds."""
        ...


def marked_form(ask: Ask, legend: str) -> None:
    """The usual form of a model with a field `text`, and beside the answer the words as read.

    Args:
        ask: Asks the model.
        legend: What the colours speak for.
    """

    def beside(row: Mapping[str, Any]) -> str:
        text = row.get("text")
        if not isinstance(ask.model, Marks) or not isinstance(text, str):
            return ""
        return marked(ask.model.words(text), legend)

    ask.form(beside)


def marked(words: Sequence[tuple[str, float]], legend: str) -> str:
    """The words as they were read, orange for a positive effect, blue for a negative one.

    Args:
        words: Each with its share in the log-odds.
        legend: What the colours speak for.
    """
    shown = " ".join(_mark(word, effect) for word, effect in words[:MOST])
    more = f" ... and {len(words) - MOST:,} more words" if len(words) > MOST else ""
    return (
        '<h4>As it was read</h4><p style="line-height: 1.9; overflow-wrap: anywhere">'
        f'{shown}{more}</p><div class="mlf-faint">{escape(legend)}; point at a word for its share '
        "in the log-odds.</div>"
    )


def _mark(word: str, effect: float) -> str:
    """A word on a ground that says how much it speaks for what."""
    colour = "213, 94, 0" if effect > 0 else "0, 114, 178"
    depth = 0.7 * min(abs(effect) / STRONG, 1.0)
    return (
        f'<mark style="background: rgba({colour}, {depth:.2f}); color: inherit" '
        f'title="{effect:+.2f}">{escape(word)}</mark>'
    )
