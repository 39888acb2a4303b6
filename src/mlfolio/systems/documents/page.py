"""The page of documents: bring files, ask, and look every citation up where it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from mlfolio.core.errors import MlfolioError
from mlfolio.core.model import Conversation, Message
from mlfolio.core.page import Ask

from .model import DocumentAnswer, DocumentsModel

Turns = list[dict[str, Any]]


def build(ask: Ask) -> None:
    """The conversation, what its answer rests on, and the documents."""

    def model() -> DocumentsModel:
        champion = ask.model
        assert isinstance(champion, DocumentsModel)  # noqa: S101 - it is this system's page
        return champion

    with gr.Row():
        with gr.Column(scale=2):
            talk = gr.Chatbot(label="conversation", height=380, elem_id="conversation")
            question = gr.Textbox(
                label="your question", placeholder="and press Enter", elem_id="question"
            )
            with gr.Row():
                send = gr.Button("Ask", variant="primary")
                clear = gr.Button("New conversation")
            sources = gr.HTML("", elem_id="sources")
        with gr.Column():
            files = gr.File(
                label="add documents", file_count="multiple", type="filepath", elem_id="files"
            )
            said = gr.Markdown("", elem_id="said")
            names = gr.Dropdown(choices=model().documents(), label="documents", value=None)
            delete = gr.Button("Delete this document")

    async def answer(asked: str, turns: Turns) -> AsyncIterator[tuple[str, Turns, str]]:
        if not asked.strip():
            yield "", turns, ""
            return
        turns = [*turns, {"role": "user", "content": asked}, {"role": "assistant", "content": ""}]
        yield "", turns, ""
        text = ""
        try:
            async for piece in ask.talk(_conversation(turns[:-1])):
                if isinstance(piece, str):
                    text += piece
                    turns[-1] = {"role": "assistant", "content": text}
                    yield "", turns, ""
                elif isinstance(piece, DocumentAnswer):
                    turns[-1] = {"role": "assistant", "content": piece.answer}
                    yield "", turns, _sources(piece)
        except MlfolioError as error:
            turns[-1] = {"role": "assistant", "content": f"error: {error}"}
            yield "", turns, ""

    def add(paths: list[str] | None) -> tuple[str, Any, None]:
        lines = []
        for path in paths or []:
            name = Path(path).name
            try:
                chunks = model().add(Path(path), name)
            except MlfolioError as error:
                lines.append(f"- **{name}** was not added: {error}")
            else:
                lines.append(f"- **{name}**: {chunks} passages")
        return "\n".join(lines), gr.Dropdown(choices=model().documents()), None

    def remove(name: str | None) -> tuple[str, Any]:
        if not name:
            return "choose a document first", gr.Dropdown()
        model().delete(name)
        return f"{name} is erased", gr.Dropdown(choices=model().documents(), value=None)

    for event in (question.submit, send.click):
        event(answer, [question, talk], [question, talk, sources], show_progress="hidden")
    clear.click(lambda: ([], ""), None, [talk, sources])
    files.upload(add, files, [said, names, files])
    delete.click(remove, names, [said, names])


def _conversation(turns: Turns) -> Conversation:
    """What was said, as models take it; Gradio may hold a text as a list of parts."""

    def text(content: Any) -> str:
        if isinstance(content, list):
            return "\n".join(str(part.get("text", "")) for part in content)
        return str(content)

    messages = [Message(role=turn["role"], content=text(turn["content"])) for turn in turns]
    return Conversation(messages=tuple(messages[-20:]))


def _sources(answer: DocumentAnswer) -> str:
    """Each citation, to be opened: file, page and headings, then the passage itself."""
    if not answer.sources:
        return ""
    shown = "".join(
        f"<details{' open' if number == 1 else ''}><summary>[{number}] {escape(str(source))}"
        f"</summary><blockquote>{escape(source.text)}</blockquote></details>"
        for number, source in enumerate(answer.sources, start=1)
    )
    warnings = "".join(f"<p>{escape(warning)}</p>" for warning in answer.warnings)
    title = "Sources" if answer.found else "The nearest passage"
    return f"<h4>{title}</h4>{shown}{warnings}"
