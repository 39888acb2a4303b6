"""What a page asks with: the service, in the words of a page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import Context, LocalContext

from mlfolio.app import form, words
from mlfolio.core.errors import InputError, MlfolioError
from mlfolio.core.model import Conversation, Model, Output, Reason
from mlfolio.core.page import Given
from mlfolio.serve.fleet import Served
from mlfolio.serve.journal import Entry
from mlfolio.serve.keys import Caller
from mlfolio.serve.problems import as_problem
from mlfolio.serve.service import Service

NOBODY = Caller("page")  # who asks while a page is made, for whoever will see it
CLEAR = "() => ['', '', '']"


class Asking:
    """See `core.page.Ask`."""

    def __init__(self, name: str, service: Service) -> None:
        self._name = name
        self._service = service

    @property
    def model(self) -> Model:
        """The champion at this moment, as the visitor may see it."""
        return self._served.of(caller().tenant)

    @property
    def run(self) -> Path:
        """The folder of the run that made it."""
        return self._served.version.folder.parent

    def form(
        self,
        beside: Callable[[Mapping[str, Any]], str] | None = None,
        names: Mapping[str, str] | None = None,
        first: Collection[str] = (),
    ) -> None:
        """Makes a form of the model's input, and the answer beside it."""
        with gr.Row():
            with gr.Column():
                asked = form.Form(self.model, names or {}, first)
                button = gr.Button("Predict", variant="primary")
            with gr.Column(elem_classes="mlf-beside"):
                answer = gr.HTML("", elem_id="answer")
                why = gr.HTML("", elem_id="why")
                more = gr.HTML("", elem_id="beside")
        asked.examples(self.model)

        async def predict(*values: Any) -> tuple[str, str, str]:
            row = asked.row(values)
            answered, reasons = await self._answer(row, names or {})
            return answered, reasons, await asyncio.to_thread(beside, row) if beside else ""

        shown = [answer, why, more]
        button.click(predict, asked.inputs, shown, show_progress="minimal")
        # An answer belongs to the inputs that it was given for.
        changes = [form.event(part, "change") for part in asked.inputs]
        gr.on(changes, None, None, shown, js=CLEAR)

    async def __call__(self, row: Mapping[str, Any]) -> tuple[str, str]:
        """The answer to one row and its reasons, as HTML; or what is wrong with the row."""
        return await self._answer(row, {})

    async def output(self, row: Mapping[str, Any], logged: bool = True) -> Output:
        """The answer itself, for a page that shows it in its own way."""
        with _in_words():
            entry, _ = await self._predict(row, reasons=False, logged=logged)
        return entry.output

    async def _answer(self, row: Mapping[str, Any], names: Mapping[str, str]) -> tuple[str, str]:
        try:
            with _in_words():
                entry, why = await self._predict(row)
        except InputError as error:
            return words.error([words.problem(found, names) for found in error.problems]), ""
        except MlfolioError as error:
            return words.error([error.message, error.fix]), ""
        return words.answer(entry.output, entry.id, names), words.reasons(why, names)

    async def _predict(
        self, row: Mapping[str, Any], reasons: bool = True, logged: bool = True
    ) -> tuple[Entry, list[Reason]]:
        """What every question goes through: validated, queued, logged, within the time limit."""
        service, served = self._service, self._served
        async with asyncio.timeout(service.settings.timeout_s):
            inputs = await service.read(served.model, [row])
            (entry,) = await service.predict(served, inputs, caller(), logged)
            explains = reasons and served.reasons is not None
            if not explains:
                return entry, []
            (why,) = await service.explain(served, inputs, caller(), entry.version)
        return entry, why

    def talk(self, conversation: Conversation) -> AsyncIterator[str | Given]:
        """The pieces of an answer as they come, the whole last."""
        return self._talk(conversation, caller())

    async def _talk(self, conversation: Conversation, asking: Caller) -> AsyncIterator[str | Given]:
        with _in_words():
            async for piece in self._service.talk(self._served, conversation, asking):
                yield piece if isinstance(piece, str) else Given(piece.id, piece.output)

    async def judge(self, prediction: str, good: bool) -> None:
        """Keeps whether an answer was good: what the API does under `/feedback`."""
        with _in_words():
            await self._service.judge(self._served, prediction, caller(), good=good)

    async def documents(self) -> list[str]:
        """The names of the documents, now."""
        with _in_words():
            return await self._service.documents(self._served, caller())

    async def add_document(self, name: str, content: bytes) -> int:
        """Adds or replaces a document; returns its number of passages."""
        with _in_words():
            return await self._service.add_document(self._served, name, content, caller())

    async def delete_document(self, name: str) -> bool:
        """Erases a document; False if there was none."""
        with _in_words():
            return await self._service.delete_document(self._served, name, caller())

    @property
    def _served(self) -> Served:
        return self._service.fleet.get(self._name)


def caller() -> Caller:
    """Who asks: what the server knows of the sender of the event that is answered."""
    request = LocalContext.request.get(None)
    if request is None and Context.root_block is None:  # no page is being made: then whose is it?
        raise RuntimeError("a page asks, and nobody has sent it an event")
    scope = getattr(getattr(request, "request", None), "scope", {})
    caller: Caller = scope.get("caller", NOBODY)
    return caller


@contextmanager
def _in_words() -> Iterator[None]:
    """Makes whatever goes wrong an error that can be shown, as the API would show it."""
    try:
        yield
    except MlfolioError:
        raise
    except Exception as error:
        problem = as_problem(error)
        raise MlfolioError(problem.detail, problem.fix) from error
