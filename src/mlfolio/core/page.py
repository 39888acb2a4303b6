"""What a system's own `page.py` is given by the web app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from mlfolio.core.model import Conversation, Model, Output


class Ask(Protocol):
    """Asks the champion as every client does: validated, queued, logged.

    A `page.py` has one function, `build(ask: Ask) -> None`, which makes Gradio components in the
    page's first tab.
    """

    @property
    def model(self) -> Model:
        """The champion at this moment."""
        ...

    @property
    def run(self) -> Path:
        """The folder of the run that made it."""
        ...

    def form(self, beside: Callable[[Mapping[str, Any]], str]) -> None:
        """Makes the usual form and answer; `beside` gives more HTML for each answered row."""
        ...

    async def __call__(self, row: Mapping[str, Any]) -> tuple[str, str]:
        """The answer to one row and its reasons, as HTML; or what is wrong with the row."""
        ...

    def talk(self, conversation: Conversation) -> AsyncIterator[str | Output]:
        """The pieces of an answer as they come, the whole output last; only if it `Streams`."""
        ...
