"""What a system's own `page.py` is, and what the web app gives to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mlfolio.core.model import Conversation, Model, Output


class Given(NamedTuple):
    """A whole answer, and the id that it has in the prediction log."""

    id: str
    output: Output


class Ask(Protocol):
    """Asks the champion as every client does: validated, queued, logged, within the time limit.

    What goes wrong is an `MlfolioError` whose message can be shown.
    """

    @property
    def model(self) -> Model:
        """The champion at this moment."""
        ...

    @property
    def run(self) -> Path:
        """The folder of the run that made it."""
        ...

    def form(
        self,
        beside: Callable[[Mapping[str, Any]], str] | None = None,
        names: Mapping[str, str] | None = None,
        first: Collection[str] = (),
    ) -> None:
        """Makes the usual form and answer.

        Args:
            beside: Gives more HTML for each answered row.
            names: How people say names of fields, answers, and values (under `field=value`), where
                they differ.
            first: The fields that are asked for, where they are too many; the others are folded
                away and begin empty. None given: all of them are asked for.
        """
        ...

    async def __call__(self, row: Mapping[str, Any]) -> tuple[str, str]:
        """The answer to one row and its reasons, as HTML; or what is wrong with the row."""
        ...

    async def output(self, row: Mapping[str, Any], logged: bool = True) -> Output:
        """The answer itself, for a page that shows it in its own way.

        Args:
            row: One input.
            logged: Whether the answer goes into the log. One of a camera's frames in a second
                should; all of them would only fill the disk.
        """
        ...

    def talk(self, conversation: Conversation) -> AsyncIterator[str | Given]:
        """The pieces of an answer as they come, the whole last; only if it `Streams`."""
        ...

    async def judge(self, prediction: str, good: bool) -> None:
        """Keeps whether an answer was good: what the API does under `/feedback`."""
        ...

    async def documents(self) -> list[str]:
        """The names of the documents, now; this and the next two only if it `Indexes`."""
        ...

    async def add_document(self, name: str, content: bytes) -> int:
        """Adds or replaces a document; returns its number of passages."""
        ...

    async def delete_document(self, name: str) -> bool:
        """Erases a document; False if there was none."""
        ...


class Page(Protocol):
    """A module `page.py` beside a system, for one whose generated page is not enough."""

    def build(self, ask: Ask) -> None:
        """Makes Gradio components in the first tab of the system's page."""
        ...
