"""Conversations, as OpenAI's clients hold them: `/v1/chat/completions` and `/v1/models`.

The model's name is the system's. Settings that our models do not have (temperature, tools) are
taken and left alone. What our models have and OpenAI's have not is in `mlfolio`, on either way: in
a request fields beside the messages (`extra_body` of OpenAI's clients), in a reply what the answer
rests on, with the prediction's id for feedback. What language models read and wrote for it is in
`usage`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.responses import JSONResponse, Response, StreamingResponse

from mlfolio.core.inputs import parse_as
from mlfolio.core.model import Conversation, Message, Model, Streams
from mlfolio.serve.journal import Entry
from mlfolio.serve.problems import ProblemError, as_problem, openai_error
from mlfolio.serve.service import Service

router = APIRouter()


class Turn(BaseModel):
    """A message as OpenAI's clients send it: its content is a text, or a list of texts."""

    role: str
    content: str | list[dict[str, Any]] | None = None

    def message(self) -> Message:
        """The message as our models take it."""
        content = self.content or ""
        if isinstance(content, list):
            if any(part.get("type") != "text" for part in content):
                raise ProblemError(422, "a message has parts that are no text", "send text only")
            content = "\n".join(str(part.get("text", "")) for part in content)
        role = "system" if self.role == "developer" else self.role
        return Message.model_validate({"role": role, "content": content})


class ChatRequest(BaseModel):
    """What OpenAI's clients send, as far as it is used here."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[Turn] = Field(min_length=1, max_length=200)
    stream: bool = False
    mlfolio: dict[str, Any] = Field({}, description="fields of the system's conversations")

    @field_validator("messages")
    @classmethod
    def _ends_with_a_question(cls, turns: list[Turn]) -> list[Turn]:
        if turns[-1].role != "user":
            raise ValueError("the last message has to be the user's")
        return turns


@router.get("/v1/models")
async def models(request: Request) -> dict[str, Any]:
    """The systems that can be talked to."""
    data = [
        {"id": served.card.slug, "object": "model", "created": 0, "owned_by": "mlfolio"}
        for served in request.app.state.service.fleet
        if isinstance(served.model, Streams)
    ]
    return {"object": "list", "data": data}


@router.post("/v1/chat/completions")
async def complete(body: ChatRequest, request: Request) -> Response:
    """Answers the last message of a conversation, whole or as it comes."""
    service: Service = request.app.state.service
    served = service.fleet.get(body.model)
    conversation = _conversation(body, served.model)
    head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": body.model}
    pieces = service.talk(served, conversation, request.scope["caller"])
    if body.stream:
        # The first piece is waited for, so that what goes wrong before it has a status of its own.
        first = await anext(pieces)
        return StreamingResponse(_events(head, first, pieces), media_type="text/event-stream")
    async with asyncio.timeout(service.settings.timeout_s):
        entry: Any = [piece async for piece in pieces][-1]  # the last one is the whole
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": str(entry.output.answer)},
        "finish_reason": "stop",
    }
    return JSONResponse(
        {**head, "object": "chat.completion", "choices": [choice], **_beside(entry)}
    )


def _conversation(body: ChatRequest, model: Model) -> Conversation:
    """A conversation as a model takes it.

    Raises:
        ProblemError: The messages are none, or the model cannot be talked to.
        InputError: It refuses what is beside them.
    """
    if not isinstance(model, Streams):
        raise ProblemError(404, f"{body.model} cannot be talked to")
    try:
        plain = Conversation(messages=tuple(turn.message() for turn in body.messages))
    except ValidationError as error:
        rules = "; ".join(str(e["msg"]) for e in error.errors())
        raise ProblemError(422, f"the messages are not what they should be: {rules}") from None
    if not plain.messages[-1].content.strip():
        raise ProblemError(422, "the last message is empty", "ask something")
    if "messages" in body.mlfolio:
        raise ProblemError(422, "there are messages in mlfolio too", "they stand beside it alone")
    (conversation,) = parse_as(
        model.conversation_type, [{**body.mlfolio, "messages": plain.messages}]
    )
    return conversation


def _beside(entry: Entry) -> dict[str, Any]:
    """What comes beside the text: all of the answer, and its tokens as OpenAI tells them."""
    beside: dict[str, Any] = {"mlfolio": {"id": entry.id, **entry.output.model_dump(mode="json")}}
    usage = getattr(entry.output, "usage", None)
    if usage is not None and None not in (usage.input_tokens, usage.output_tokens):
        read, written = usage.input_tokens, usage.output_tokens
        beside["usage"] = {
            "prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written,
        }  # fmt: skip
    return beside


async def _events(
    head: dict[str, Any], first: str | Entry, rest: AsyncIterator[str | Entry]
) -> AsyncIterator[bytes]:
    """Server-sent events, as OpenAI sends them."""

    def event(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {**head, "object": "chat.completion.chunk", "choices": [choice], **more}
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    yield event({"role": "assistant", "content": ""})
    piece = first
    try:
        if isinstance(piece, Entry):  # there was nothing to stream
            yield event({"content": str(piece.output.answer)})
        while isinstance(piece, str):
            yield event({"content": piece})
            piece = await anext(rest)
        yield event({}, "stop", **_beside(piece))
    except Exception as error:  # the status is sent already: the stream says it
        yield b"data: " + orjson.dumps({"error": openai_error(as_problem(error))}) + b"\n\n"
    yield b"data: [DONE]\n\n"
