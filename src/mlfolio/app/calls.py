"""How a program asks what the page asks: commands and programs that work as they stand."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from mlfolio.core.inputs import file_fields
from mlfolio.core.model import Indexes, Model, Streams

LONG = 200  # characters of a value, beyond which an example only hints at it
HEADERS = '{"Authorization": "Bearer " + os.environ["MLFOLIO_KEY"]}'


class Call(NamedTuple):
    """One way to call a system: what it does, and the text to copy."""

    label: str
    language: Literal["shell", "python"]
    text: str


def calls(name: str, model: Model, address: str, key: bool) -> list[Call]:
    """The ways to call a system.

    Args:
        name: Of the system.
        model: Its champion.
        address: Of the server, as the reader of the page reaches it.
        key: Whether the server asks for one.
    """
    files = file_fields(model.input_type)
    row = _example(model, files)
    url = f"{address}/v1/systems/{name}"
    curl = 'curl -H "Authorization: Bearer $MLFOLIO_KEY" ' if key else "curl "
    found = [
        Call("curl", "shell", curl + _curl(f"{url}/predict", row, files)),
        Call("Python, over HTTP", "python", _over_http(f"{url}/predict", row, files, key)),
        Call("Python, where the model is", "python", _in_process(name, row, files)),
    ]
    if isinstance(model, Indexes):
        text = f"{curl}{shlex.quote(f'{url}/documents')} -F file=@FILE"
        found.append(Call("add or replace a document", "shell", text))
    if isinstance(model, Streams):
        question = next((str(value) for value in row.values()), "...")
        found.append(
            Call("a conversation, with OpenAI's client", "python",
                 _conversation(name, address, question, key))
        )  # fmt: skip
    return found


def _example(model: Model, files: Sequence[str]) -> dict[str, Any]:
    """An example of the model's that is short enough to read, without its files."""
    row = model.examples()[0].model_dump(mode="json", by_alias=True)
    return {
        field: value if len(str(value)) < LONG else f"{str(value)[:40]}..."
        for field, value in row.items()
        if value is not None and field not in files
    }


def _curl(url: str, row: dict[str, Any], files: Sequence[str]) -> str:
    """JSON; a form where there are files."""
    if files:
        parts = [f"-F {shlex.quote(f'{field}=@FILE')}" for field in files]
        parts += [f"--form-string {shlex.quote(f'{k}={v}')}" for k, v in row.items()]
    else:
        body = json.dumps({"inputs": [row]}, ensure_ascii=False)
        parts = ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    return " \\\n  ".join([shlex.quote(url), *parts])


def _over_http(url: str, row: dict[str, Any], files: Sequence[str], key: bool) -> str:
    if files:
        opened = ", ".join(f"{field!r}: open('FILE', 'rb')" for field in files)
        sent = f"files={{{opened}}}" + (f", data={row!r}" if row else "")
    else:
        sent = f"json={{'inputs': [{row!r}]}}"
    head = f"headers={HEADERS}, " if key else ""
    return (
        f"{'import os' * key}\nimport httpx\n\nurl = {url!r}\n"
        f"reply = httpx.post(url, {head}{sent}, timeout=60)\nprint(reply.json())"
    ).lstrip()


def _in_process(name: str, row: dict[str, Any], files: Sequence[str]) -> str:
    parts = [f"{field!r}: open('FILE', 'rb').read()" for field in files]
    parts += [f"{field!r}: {value!r}" for field, value in row.items()]
    return (
        f"import mlfolio\n\nmodel = mlfolio.load({name!r})\n"
        f"answer = model.predict({{{', '.join(parts)}}})\n"
        "print(answer.answer, answer.confidence, answer.warnings)"
    )


def _conversation(name: str, address: str, question: str, key: bool) -> str:
    opened = 'os.environ["MLFOLIO_KEY"]' if key else '"none"'
    return (
        ("import os\n\n" if key else "")
        + f"from openai import OpenAI\n\nclient = OpenAI(base_url={f'{address}/v1'!r}, "
        f"api_key={opened})\nreply = client.chat.completions.create(\n    model={name!r},\n"
        f'    messages=[{{"role": "user", "content": {question!r}}}],\n)\n'
        "print(reply.choices[0].message.content)"
    )
