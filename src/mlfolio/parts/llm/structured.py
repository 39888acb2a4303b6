"""Replies of a language model that have to be of a form."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mlfolio.parts.llm.chat import Chat, LanguageModelError

T = TypeVar("T", bound=BaseModel)


def ask_for(chat: Chat, system: str, question: str, kind: type[T]) -> T | None:
    """What a language model says, read as JSON; None where it says nothing of that kind."""
    try:
        said = chat.ask(system, question)
        found = re.search(r"\{.*\}", said, re.DOTALL)
        return kind.model_validate_json(found[0] if found else said)
    except (LanguageModelError, ValidationError):
        return None
