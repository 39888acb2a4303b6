"""Questions that only the conversation before them explains: "and when was it?"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlfolio.core.model import Message
from mlfolio.parts.retrieval.extract import terms

_POINTS_BACK = re.compile(
    r"\b(it|its|they|them|their|theirs|he|him|his|she|her|hers|that|those|these|this|there|one)\b",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"^\s*(and|but|or|so|then|also|what about|how about)\b", re.IGNORECASE)
FEW_TERMS = 2  # a question with fewer words of its own leans on the one before


def stand_alone(messages: Sequence[Message]) -> str:
    """The last question, with those before it that it leans on put in front.

    A rule, for where no language model can rewrite it: a question that points back (it, they,
    there), goes on (and, what about) or has hardly a word of its own is asked together with the
    one before it, and with that one's own if that leans too.

    Args:
        messages: The conversation, the question last.
    """
    asked = [message.content for message in messages if message.role == "user"]
    needed = [asked[-1]]
    for before in reversed(asked[:-1]):
        if not leans(needed[0]):
            break
        needed.insert(0, before)
    return " ".join(needed)


def leans(question: str) -> bool:
    """Whether a question needs the one before it."""
    if _POINTS_BACK.search(question) or _GOES_ON.search(question):
        return True
    return len(terms(question)) < FEW_TERMS
