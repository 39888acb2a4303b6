"""The page of the chatbot: the conversation, and beside it what was understood."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html import escape
from typing import Any

import gradio as gr

from mlfolio.core.errors import MlfolioError
from mlfolio.core.model import Conversation, Message, Output
from mlfolio.core.page import Ask, Given
from mlfolio.parts.text.markdown import as_said, plain

from .desk import in_words
from .model import READ, ChatAnswer

Turns = list[dict[str, Any]]
MAX_TURNS = 200  # of the user, the last ones, that are gone through


def build(ask: Ask) -> None:
    """The conversation, and what was understood of the last message."""
    with gr.Row():
        with gr.Column(scale=2):
            talk = gr.Chatbot(label="conversation", height=420, elem_id="conversation")
            message = gr.Textbox(
                label="your message", placeholder="and press Enter", elem_id="message",
                max_length=READ,
            )  # fmt: skip
            gr.Examples([[row.text] for row in ask.model.examples()], message, label="for example")
            with gr.Row():
                send = gr.Button("Send", variant="primary")
                clear = gr.Button("New conversation")
        with gr.Column(elem_classes="mlf-beside"):
            understood = gr.HTML("", elem_id="understood")

    async def answer(said: str, turns: Turns) -> AsyncIterator[tuple[Any, Turns, str]]:
        if not said.strip():
            yield "", turns, ""
            return
        turns = [*turns, {"role": "user", "content": plain(said)}]
        yield "", turns, ""
        shown = ""
        try:
            async for piece in ask.talk(_conversation(turns)):
                if isinstance(piece, Given):
                    text, shown = str(piece.output.answer), _understood(piece.output)
        except MlfolioError as error:
            text = f"No answer: {error.message}"
        # The box is left alone: the next message may be in it already.
        yield gr.skip(), [*turns, {"role": "assistant", "content": plain(text)}], shown

    for event in (message.submit, send.click):
        event(answer, [message, talk], [message, talk, understood], show_progress="hidden")
    clear.click(lambda: ([], ""), None, [talk, understood])


def _conversation(turns: Turns) -> Conversation:
    """What the user said, as it was written; Gradio may hold a text as a list of parts."""

    def text(content: Any) -> str:
        if isinstance(content, list):
            return "\n".join(str(part.get("text", "")) for part in content)
        return str(content)

    said = [as_said(text(turn["content"])) for turn in turns if turn["role"] == "user"]
    return Conversation(
        messages=tuple(Message(role="user", content=each) for each in said[-MAX_TURNS:])
    )


def _understood(answer: Output) -> str:
    """The intent and how sure it is, the slots so far, and what was found in the message."""
    if not isinstance(answer, ChatAnswer):
        return ""
    intent = in_words(answer.intent) if answer.intent else "nothing"
    sure = "" if answer.confidence is None else f", {answer.confidence:.0%} sure"
    guesses = {in_words(name): f"{chance:.0%}" for name, chance in answer.probabilities.items()}
    guesses["about any of them"] = f"{answer.in_scope:.0%}"
    found = {f"“{e.text}”": f"{in_words(e.kind)} {e.value or '?'}" for e in answer.entities}
    parts = [
        f'<h4>Understood: <span id="intent">{escape(intent)}</span>{sure}</h4>',
        _table("What is known", {in_words(n): value for n, value in answer.slots.items()}),
        _table("Found in the message", found),
        _table("The message alone", guesses),
    ]
    if answer.completed:
        parts.append(f"<p>Complete: <b>{escape(in_words(answer.completed))}</b></p>")
    if answer.handed_over:
        parts.append("<p><b>Handed over to a person.</b></p>")
    parts += [f"<p>{escape(warning)}</p>" for warning in answer.warnings]
    return "".join(parts)


def _table(title: str, rows: dict[str, str]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows.items()
    )
    return f"<h4>{escape(title)}</h4><table>{cells}</table>"
