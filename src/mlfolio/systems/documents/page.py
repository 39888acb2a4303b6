"""The page of documents: bring files, ask, and look every citation up where it stands."""

from __future__ import annotations

import asyncio
import re
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
SPECIAL = r"[\\`*_{}\[\]<>#!|~$&:@]"  # what Markdown, HTML, links and formulas are made of
CITED = r"\\\[(\d+)\\\]"  # [n], as `_plain` leaves it
# A citation in the conversation opens its source below it.
OPEN = """
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#source-"]');
  const source = link && document.getElementById(link.getAttribute("href").slice(1));
  if (!source) return;
  event.preventDefault();
  source.open = true;
  source.querySelector("mark").scrollIntoView({block: "center"});
  source.querySelector("summary").focus({preventScroll: true});
});
"""


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
            sources = gr.HTML("", elem_id="sources", js_on_load=OPEN)
        with gr.Column():
            files = gr.File(
                label="add documents", file_count="multiple", type="filepath", elem_id="files"
            )
            said = gr.Markdown("", elem_id="said")
            names = gr.Dropdown(choices=model().documents(), label="documents", value=None)
            delete = gr.Button("Delete this document")

    async def answer(asked: str, turns: Turns, below: str) -> AsyncIterator[tuple[str, Turns, str]]:
        if not asked.strip():
            yield "", turns, below
            return
        said, turn, text = _plain(asked), len(turns) // 2 + 1, ""
        turns = [*turns, {"role": "user", "content": said}, {"role": "assistant", "content": ""}]
        yield "", turns, below
        try:
            async for piece in ask.talk(_conversation(turns[:-1])):
                if isinstance(piece, str):
                    text += piece
                    turns[-1] = {"role": "assistant", "content": _plain(text)}
                elif isinstance(piece, DocumentAnswer):
                    turns[-1] = {"role": "assistant", "content": _linked(piece, turn)}
                    # Earlier answers keep their sources: their citations lead there.
                    found = await asyncio.to_thread(_sources, model(), piece, turn)
                    below = found + below.replace("<details open ", "<details ")
                yield "", turns, below
        except MlfolioError as error:
            turns[-1] = {"role": "assistant", "content": _plain(f"error: {error}")}
            yield "", turns, below

    def add(paths: list[str] | None) -> tuple[str, Any, None]:
        lines = []
        for path in paths or []:
            name = Path(path).name
            try:
                chunks = model().add(Path(path), name)
            except MlfolioError as error:
                lines.append(f"- **{_plain(name)}** was not added: {_plain(str(error))}")
            else:
                lines.append(f"- **{_plain(name)}**: {chunks} passages")
        return "\n".join(lines), gr.Dropdown(choices=model().documents()), None

    def remove(name: str | None) -> tuple[str, Any]:
        if not name:
            return "choose a document first", gr.Dropdown()
        model().delete(name)
        return f"{_plain(name)} is erased", gr.Dropdown(choices=model().documents(), value=None)

    for event in (question.submit, send.click):
        shown = [question, talk, sources]
        event(answer, shown, shown, show_progress="hidden")
    clear.click(lambda: ([], ""), None, [talk, sources])
    files.upload(add, files, [said, names, files])
    delete.click(remove, names, [said, names])


def _conversation(turns: Turns) -> Conversation:
    """What was said, as models take it; Gradio may hold a text as a list of parts."""

    def text(content: Any) -> str:
        if isinstance(content, list):
            return "\n".join(str(part.get("text", "")) for part in content)
        return str(content)

    messages = [
        Message(role=turn["role"], content=_as_said(text(turn["content"]))) for turn in turns
    ]
    return Conversation(messages=tuple(messages[-20:]))


def _plain(text: str) -> str:
    """Text that stays text in a conversation, which shows Markdown: documents may hold anything.

    A document's `![](http://...)` would otherwise be fetched by whoever reads the answer.
    """
    return re.sub(SPECIAL, r"\\\g<0>", text)


def _linked(answer: DocumentAnswer, turn: int) -> str:
    """The answer with each [n] a link to its source below."""
    return re.sub(CITED, rf"[\\[\1\\]](#source-{turn}-\1)", _plain(answer.answer))


def _as_said(shown: str) -> str:
    """What a conversation shows, as it was said: `_plain` and `_linked` undone."""
    unlinked = re.sub(r"\[(\S+?)\]\(#source-[\d-]+\)", r"\1", shown)
    return re.sub(rf"\\({SPECIAL})", r"\1", unlinked)


def _sources(model: DocumentsModel, answer: DocumentAnswer, turn: int) -> str:
    """Each citation, to be opened: file, page and headings, then the passage in its page."""
    if not answer.sources:
        return ""
    shown = "".join(
        f'<details {"open " if number == 1 else ""}id="source-{turn}-{number}">'
        f"<summary>[{number}] {escape(str(source))}</summary>"
        f'<blockquote class="mlf-page">{_marked(model.page(source), source.text)}</blockquote>'
        "</details>"
        for number, source in enumerate(answer.sources, start=1)
    )
    warnings = "".join(f"<p>{escape(warning)}</p>" for warning in answer.warnings)
    title = "Sources" if answer.found else "The nearest passage"
    return f"<h4>{title}</h4>{shown}{warnings}"


def _marked(page: str, passage: str) -> str:
    """A page as HTML with the passage marked; the passage alone where it is not found in it."""
    place = re.search(r"\s+".join(map(re.escape, passage.split())), page)
    if place is None:
        return f"<mark>{escape(passage)}</mark>"
    before, inside, after = page[: place.start()], place.group(), page[place.end() :]
    return f"{escape(before)}<mark>{escape(inside)}</mark>{escape(after)}"
