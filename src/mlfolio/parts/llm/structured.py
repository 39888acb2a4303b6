"""Replies of a language model that have to be of a form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from mlfolio.parts.llm.chat import Chat, LanguageModelError

T = TypeVar("T", bound=BaseModel)
TRIED: Final = 5


def ask_for(chat: Chat, system: str, question: str, kind: type[T]) -> T | None:
    """What a language model says, read as JSON; None where it says nothing of that kind."""
    try:
        said = chat.ask(system, question)
    except LanguageModelError:
        return None
    for text in _objects(said):
        with suppress(ValidationError):
            return kind.model_validate_json(text)
    return None


def _objects(said: str) -> Iterator[str]:
    """What may be the JSON: from the first brace to the last; else, last first, what has one pair.

    Models say other things around it, with braces too: what they think before they answer, say.
    """
    first, last = said.find("{"), said.rfind("}")
    if 0 <= first < last:
        yield said[first : last + 1]
    yield from reversed(re.findall(r"\{[^{}]*\}", said)[-TRIED:])
