"""The page of documents: bring files, ask, and look every citation up where it stands."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from mlfolio.core.errors import InputError, MlfolioError
from mlfolio.core.inputs import parse_as
from mlfolio.core.model import Message
from mlfolio.core.page import Ask
from mlfolio.parts.text.markdown import as_said, plain

from .answers import MAX_QUESTION, DocumentAnswer, DocumentConversation
from .model import DocumentsModel

Turns = list[dict[str, Any]]
LABELS = 500  # of the metadata, that can be chosen; others can be typed
CITED = r"\\\[(\d+)\\\]"  # [n], as `plain` leaves it
QUOTED = re.compile(rf"“.*” ?(?={CITED}$)")  # what documents say, before its citation: no link
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


# The name of the document goes on to be deleted only after a yes.
CONFIRM = """
(name, sources) => [
  name && confirm(`Delete ${name}? It is erased for everybody.`) ? name : null, sources]
"""


def build(ask: Ask) -> None:
    """The conversation, what its answer rests on, and the documents."""
    with gr.Row():
        with gr.Column(scale=2):
            talk = gr.Chatbot(
                label="conversation", height=380, elem_id="conversation", buttons=["copy"]
            )
            question = gr.Textbox(
                label="your question",
                placeholder="and press Enter",
                elem_id="question",
                max_length=MAX_QUESTION,
            )
            with gr.Accordion("Where to look", open=False, visible=False) as narrowing:
                narrow = gr.Dropdown(
                    [], value=[], multiselect=True, allow_custom_value=True, elem_id="narrow",
                    label="only documents that are",
                    info="of one key one of those chosen, of different keys all",
                )  # fmt: skip
            # Filled for each visitor: tenants have other documents, and so other examples.
            examples = gr.Dataset(components=[question], samples=[], label="for example")
            with gr.Row():
                send = gr.Button("Ask", variant="primary")
                clear = gr.Button("New conversation")
            thanks = gr.Markdown("", elem_id="thanks")
            sources = gr.HTML("", elem_id="sources", js_on_load=OPEN)
        with gr.Column():
            files = gr.File(
                label="add documents", file_count="multiple", type="filepath", elem_id="files"
            )
            told = gr.Markdown("", elem_id="said")
            names = gr.Dropdown([], label="documents", value=None, elem_id="names")
            delete = gr.Button("Delete this document")

    async def answer(
        asked: str, turns: Turns, below: str, chosen: Any
    ) -> AsyncIterator[tuple[Any, Turns, str]]:
        if not asked.strip():
            yield "", turns, below
            return
        said, turn, text = plain(asked), len(turns) // 2 + 1, ""
        turns = [*turns, {"role": "user", "content": said}, {"role": "assistant", "content": ""}]
        yield "", turns, below
        try:
            async for piece in ask.talk(_conversation(turns[:-1], chosen)):
                if isinstance(piece, str):
                    text += piece
                    turns[-1] = {"role": "assistant", "content": plain(text)}
                elif isinstance(whole := piece.output, DocumentAnswer):
                    shown, known = _linked(whole, turn), {"id": piece.id}
                    turns[-1] = {"role": "assistant", "content": shown, "metadata": known}
                    # Earlier answers keep their sources: their citations lead there.
                    found = await asyncio.to_thread(_sources, ask, whole, turn)
                    below = found + below.replace("<details open ", "<details ")
                yield gr.skip(), turns, below  # the next question may be in the box already
        except MlfolioError as error:
            told = f"{text}\n\nBroken off" if text else "No answer"
            turns[-1] = {"role": "assistant", "content": plain(f"{told}: {_why(error)}")}
            yield gr.skip(), turns, below

    async def judge(turns: Turns, thumb: gr.LikeData) -> str:
        """The thumb under an answer, up or down; what was said stays where it is taken back."""
        if not isinstance(thumb.liked, bool):
            return ""
        try:
            await ask.judge(_prediction(turns, thumb.index), thumb.liked)
        except MlfolioError as error:
            return f"That could not be kept: {plain(error.message)}"
        return "Kept: thank you."

    async def exemplary() -> Any:
        rows = await asyncio.to_thread(lambda: ask.model.examples())
        return gr.Dataset(samples=[[row.question] for row in rows])

    async def listed() -> Any:
        return gr.Dropdown(choices=await ask.documents(), value=None)

    async def narrowable() -> tuple[Any, Any]:
        labels = await asyncio.to_thread(_labels, ask)
        choices = [(" = ".join(each.split("=", 1)), each) for each in labels[:LABELS]]
        return gr.Accordion(visible=bool(labels)), gr.Dropdown(choices=choices)

    async def add(paths: list[str] | None) -> tuple[str, Any, None]:
        lines = [await _added(ask, path) for path in paths or []]
        return "\n".join(lines), await listed(), None

    async def remove(name: str | None, below: str) -> tuple[str, Any, str]:
        if not name:
            return "nothing is deleted: no document was chosen", gr.Dropdown(), below
        try:
            known = await ask.delete_document(name)
        except MlfolioError as error:
            return (
                f"**{plain(name)}** was not deleted: {plain(error.message)}",
                gr.Dropdown(),
                below,
            )
        told = "is erased" if known else "was erased already"
        return f"**{plain(name)}** {told}", await listed(), _without(below, name)

    for event in (question.submit, send.click):
        shown = [question, talk, sources]
        event(answer, [*shown, narrow], shown, show_progress="hidden")
    clear.click(lambda: ([], ""), None, [talk, sources])
    talk.like(judge, talk, thanks, show_progress="hidden")
    brought = files.upload(add, files, [told, names, files])
    # Not checked against the list: Gradio keeps that for each visit, and forgets it when the pages
    # are built anew under one who is in them.
    deleted = [told, names, sources]
    gone = delete.click(remove, [names, sources], deleted, js=CONFIRM, preprocess=False)
    for changed in (brought.then, gone.then, partial(gr.on, None)):
        changed(narrowable, None, [narrowing, narrow], show_progress="hidden")
    gr.on(None, listed, None, names, show_progress="hidden")
    gr.on(None, exemplary, None, examples, show_progress="hidden")
    examples.click(lambda row: row[0], examples, question, show_progress="hidden")


async def _added(ask: Ask, path: str) -> str:
    """Adds an uploaded file, which is not kept; says in a line what became of it."""
    name = Path(path).name
    try:
        content = await asyncio.to_thread(_take, Path(path))
        count = await ask.add_document(name, content)
    except MlfolioError as error:
        reason = error.message.removeprefix(f"{name}: ")
        return f"- **{plain(name)}** was not added: {plain(reason)}"
    return f"- **{plain(name)}**: {count} passages"


def _take(path: Path) -> bytes:
    """The content of an upload, which is gone from the disk afterwards."""
    try:
        content = path.read_bytes()
        path.unlink()
    except OSError as error:  # somebody else has uploaded the same at the same time
        raise MlfolioError("the upload was lost; choose the file again") from error
    return content


def _labels(ask: Ask) -> list[str]:
    """What is known of the documents that the visitor sees."""
    model = ask.model
    return model.labels() if isinstance(model, DocumentsModel) else []


def _conversation(turns: Turns, chosen: Any) -> DocumentConversation:
    """What was said, as models take it; Gradio may hold a text as a list of parts.

    Args:
        turns: What was said.
        chosen: What is to be known of the documents, `key=value`; it comes from a browser.

    Raises:
        InputError: That is nothing that can be known of a document.
    """

    def text(content: Any) -> str:
        if isinstance(content, list):
            return "\n".join(str(part.get("text", "")) for part in content)
        return str(content)

    messages = [
        Message(role=turn["role"], content=_as_said(text(turn["content"]))) for turn in turns
    ]
    labels = [each for each in chosen if isinstance(each, str)] if isinstance(chosen, list) else []
    row = {"messages": tuple(messages[-20:]), "where": _where(labels) or None}
    (conversation,) = parse_as(DocumentConversation, [row])
    return conversation


def _where(labels: Sequence[str]) -> dict[str, list[str]]:
    """Labels as a filter: of one key one of the values, and every key."""
    where: dict[str, list[str]] = {}
    for label in labels:
        key, _, value = label.partition("=")
        where.setdefault(key.strip().lower(), []).append(value)
    return where


def _why(error: MlfolioError) -> str:
    """What is wrong, for a conversation: a question there has no row."""
    if isinstance(error, InputError):
        return "; ".join(f"{each.field}: {each.rule}" for each in error.problems)
    return error.message


def _prediction(turns: Turns, index: Any) -> str:
    """The id of the answer at a place of the conversation; it comes from a browser.

    Raises:
        MlfolioError: There is none.
    """
    if isinstance(index, int) and 0 <= index < len(turns):
        found = (turns[index].get("metadata") or {}).get("id")
        if isinstance(found, str) and re.fullmatch("[0-9a-f]{32}", found):
            return found
    raise MlfolioError("this is no answer")


def _linked(answer: DocumentAnswer, turn: int) -> str:
    """The answer with each [n] a link to its source below, but for those in quoted sentences."""

    def link(cited: re.Match[str]) -> str:
        there = 1 <= int(cited[1][:9]) <= len(answer.sources)
        return rf"[\[{cited[1]}\]](#source-{turn}-{cited[1]})" if there else cited[0]

    lines = []
    for line in plain(answer.answer).split("\n"):
        quote = QUOTED.match(line)
        said = quote[0] if quote else ""
        lines.append(said + re.sub(CITED, link, line[len(said) :]))
    return "\n".join(lines)


def _as_said(shown: str) -> str:
    """What a conversation shows, as it was said: `plain` and `_linked` undone."""
    return as_said(re.sub(r"\[(\\\[\d+\\\])\]\(#source-[\d-]+\)", r"\1", shown))


def _sources(ask: Ask, answer: DocumentAnswer, turn: int) -> str:
    """Each citation, to be opened: file, page and headings, then the passage in its page.

    And the warnings, also where nothing was found: a filter may have left nothing to find.
    """
    model = ask.model
    if not isinstance(model, DocumentsModel) or not (answer.sources or answer.warnings):
        return ""
    shown = "".join(
        f'<details {"open " if number == 1 else ""}id="source-{turn}-{number}" '
        f'data-document="{escape(source.document)}">'
        f"<summary>[{number}] {escape(str(source))}</summary>"
        f'<blockquote class="mlf-page">{_marked(model.page(source), source.text)}</blockquote>'
        "</details>"
        for number, source in enumerate(answer.sources, start=1)
    )
    warnings = "".join(f"<p>{escape(warning)}</p>" for warning in answer.warnings)
    title = "Sources" if answer.found else "The nearest passage"
    heading = f"<h4>{title}</h4>" if answer.sources else ""
    return f"<section>{heading}{shown}{warnings}</section>"


def _without(below: str, document: str) -> str:
    """What is shown of sources, less those from a document; nothing of answers without any.

    It comes from a browser, which may send anything: a pattern with a gap in it could look for its
    end for hours, and nothing else in the process would go on.
    """
    place, shown = f'data-document="{escape(document)}"', []
    for section in below.split("<section>")[1:]:
        title, *sources = section.split("<details ")
        left = [source for source in sources if place not in source.partition(">")[0]]
        if left:
            rest = section.rpartition("</details>")[2]  # warnings, the section's end
            whole = [source.rpartition("</details>")[0] + "</details>" for source in left]
            shown.append("<details ".join([f"<section>{title}", *whole]) + rest)
    return "".join(shown)


def _marked(page: str, passage: str) -> str:
    """A page as HTML with the passage marked; the passage alone where it is not found in it."""
    place = re.search(r"\s+".join(map(re.escape, passage.split())), page)
    if place is None:
        return f"<mark>{escape(passage)}</mark>"
    before, inside, after = page[: place.start()], place.group(), page[place.end() :]
    return f"{escape(before)}<mark>{escape(inside)}</mark>{escape(after)}"
