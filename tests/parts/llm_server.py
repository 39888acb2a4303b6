"""A scripted language-model server that speaks the protocols of OpenAI, Anthropic and Ollama."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from tests.loopback import listening

READ, WROTE = 700, 30  # tokens, as it tells them
BROKEN_OFF = 0  # a step that hangs up without a reply


class Breaks(NamedTuple):
    """A text that is streamed, and then no end of it but an error."""

    text: str
    after_s: float = 0


Step = str | int | Breaks  # a text to say, an HTTP status to fail with, or both


class Script:
    """What the server shall say, call by call (the last one for ever), and what it was asked."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []

    def next(self) -> Step:
        return self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]

    def messages(self, call: int = -1) -> dict[str, str]:
        """System prompt and question of a call, whatever the protocol."""
        body = self.asked[call]
        said = {m["role"]: _text(m["content"]) for m in body["messages"]}
        if "system" in body:
            said["system"] = _text(body["system"])
        return said


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@contextmanager
def serve(script: Script) -> Iterator[Script]:
    """Runs the server on a free port of this machine; its address is `script.url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"  # closes each connection: clients keep theirs open for ever

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self._send(200, {"object": "list", "data": [{"id": "served-model"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            script.asked.append(body)
            script.paths.append(self.path)
            script.headers.append({k.lower(): v for k, v in self.headers.items()})
            step = script.next()
            if step == BROKEN_OFF:
                return
            if isinstance(step, int):
                key = self.headers.get("Authorization", "") + self.headers.get("x-api-key", "")
                message = f"refused {key}"  # some servers repeat the key that they refuse
                self._send(step, {"type": "error", "error": {"type": "e", "message": message}})
            elif isinstance(step, Breaks):
                self._break(step)
            elif self.path.endswith("/chat/completions"):
                if body.get("stream"):
                    told = body.get("stream_options", {}).get("include_usage", False)
                    self._send_events(_openai_pieces(step, told))
                else:
                    self._send(200, _openai(step))
            elif self.path.endswith("/messages"):
                if body.get("stream"):
                    self._send_events(_anthropic_pieces(step))
                else:
                    self._send(200, _anthropic(step))
            else:
                self._send_lines(_ollama(step))

        def _send(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Retry-After-Ms", "1")
            self.end_headers()
            self.wfile.write(data)

        def _send_lines(self, lines: list[dict[str, Any]]) -> None:
            data = "".join(json.dumps(line) + "\n" for line in lines)
            self._send_text(data, "application/x-ndjson")

        def _send_events(self, events: list[dict[str, Any]]) -> None:
            data = "".join(
                f"event: {event.get('type', 'message')}\ndata: {json.dumps(event)}\n\n"
                for event in events
            )
            self._send_text(data, "text/event-stream")

        def _break(self, step: Breaks) -> None:
            pieces = [*_openai_pieces(step.text, usage=False)[:-1], {"error": {"message": "busy"}}]
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            with suppress(OSError):  # nobody reads on
                for n, piece in enumerate(pieces):
                    time.sleep(step.after_s * (n == len(pieces) - 1))
                    self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
                    self.wfile.flush()

        def _send_text(self, text: str, kind: str) -> None:
            data = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with listening(Handler) as script.url:
        yield script


def _openai(text: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": text}}],
        "usage": _openai_usage(),
    }  # fmt: skip


def _openai_usage() -> dict[str, int]:
    return {"prompt_tokens": READ, "completion_tokens": WROTE, "total_tokens": READ + WROTE}


def _openai_pieces(text: str, usage: bool) -> list[dict[str, Any]]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    half = len(text) // 2
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"role": "assistant", "content": text[:half]}, None), ({"content": text[half:]}, None),
        ({}, "stop"),
    ]  # fmt: skip
    pieces: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        for delta, reason in deltas
    ]
    return pieces + [{**head, "choices": [], "usage": _openai_usage()}] * usage


def _anthropic(text: str) -> dict[str, Any]:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
        "stop_sequence": None, "usage": {"input_tokens": READ, "output_tokens": WROTE},
    }  # fmt: skip


def _anthropic_pieces(text: str) -> list[dict[str, Any]]:
    begun = {**_anthropic(""), "content": [], "stop_reason": None}
    begun["usage"] = {"input_tokens": READ, "output_tokens": 1}
    half = len(text) // 2
    block: dict[str, Any] = {"type": "text", "text": ""}
    return [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0,
           "delta": {"type": "text_delta", "text": part}} for part in (text[:half], text[half:])),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
         "usage": {"input_tokens": READ, "output_tokens": WROTE}},
        {"type": "message_stop"},
    ]  # fmt: skip


def _ollama(text: str) -> list[dict[str, Any]]:
    line = {"model": "m", "created_at": "2026-01-01T00:00:00Z"}
    half = len(text) // 2
    pieces = [
        {**line, "message": {"role": "assistant", "content": part}, "done": False}
        for part in (text[:half], text[half:])
    ]
    end = {
        **line, "message": {"role": "assistant", "content": ""}, "done": True,
        "done_reason": "stop", "total_duration": 1, "prompt_eval_count": READ,
        "eval_count": WROTE,
    }  # fmt: skip
    return [*pieces, end]
