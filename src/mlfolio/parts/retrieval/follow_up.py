"""Questions that only the conversation before them explains: "and when was it?"."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mlfolio.core.model import Message
from mlfolio.parts.retrieval.extract import terms

_GOES_ON = re.compile(r"^\s*(and|but|or|so|then|also|what about|how about)\b", re.IGNORECASE)
_POINTS_BACK = re.compile(
    r"\b(it|its|they|them|their|theirs|he|him|his|she|her|hers|there)\b", re.IGNORECASE
)
# "That permit" and "the blue one" point back; "the wall that was built" and "one-way" do not.
_MAY_POINT_BACK = re.compile(r"\b(that|those|these|this|one)\b(?!-)", re.IGNORECASE)
_THERE_IS = re.compile(
    r"\b(is|are|was|were|has|have|will|would|can|could|must|may) there\b"
    r"|\bthere('s| is| are| was| were| be| will| has| have)\b",
    re.IGNORECASE,
)
FEW_TERMS = 2  # a question with fewer words of its own leans on the one before
SOME_TERMS = 4  # and with fewer than these where it has a word that may point back


def stand_alone(messages: Sequence[Message], fits: Callable[[str], bool]) -> str:
    """The last question, with those before it that it leans on put in front.

    A rule, for where no language model can rewrite it: a question that points back (it, they,
    there), goes on (and, what about) or has hardly a word of its own is asked together with the
    one before it, and with that one's own if that leans too, as long as all of it is read.

    Args:
        messages: The conversation, the question last.
        fits: Whether a question is read whole: what is too much would be cut off at the end.
    """
    last, *before = reversed(_asked(messages))
    found, first = last, last
    for earlier in before:
        longer = f"{earlier} {found}"
        if not leans(first) or not fits(longer):
            break
        found, first = longer, earlier
    return found


def follows(messages: Sequence[Message]) -> bool:
    """Whether the last question needs what was asked before."""
    *before, last = _asked(messages)
    return bool(before) and leans(last)


def leans(question: str) -> bool:
    """Whether a question needs the one before it."""
    if _GOES_ON.search(question) or _POINTS_BACK.search(_THERE_IS.sub("", question)):
        return True
    return len(terms(question)) < (SOME_TERMS if _MAY_POINT_BACK.search(question) else FEW_TERMS)


def _asked(messages: Sequence[Message]) -> list[str]:
    return [message.content for message in messages if message.role == "user"]
