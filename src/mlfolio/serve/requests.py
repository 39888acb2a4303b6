"""Reading what clients send: JSON and forms, with the limits that go for them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from mlfolio.core.inputs import file_fields, parse_inputs
from mlfolio.core.model import Input
from mlfolio.serve.fleet import Served
from mlfolio.serve.problems import ProblemError
from mlfolio.serve.service import Service

SMALL_BODY = 20_000  # bytes; larger inputs are validated on a thread, not between other requests
MAX_FILES = 100  # inputs of one request that hold a file
MAX_JSON = 16 * 2**20  # bytes; nothing else in the process goes on while JSON is read


async def read_inputs(request: Request, served: Served, max_rows: int) -> list[Input]:
    """The inputs of a request, valid.

    Raises:
        ProblemError: The body is no such thing, or holds too many.
        InputError: Inputs that the model refuses.
    """
    service: Service = request.app.state.service
    if content_type(request) == "multipart/form-data":
        return await service.read(served.model, [await _read_fields(request)])
    body = await read_json(request)
    if not isinstance(body, dict) or set(body) != {"inputs"}:
        raise ProblemError(422, "the body has one member, inputs", 'send {"inputs": [{...}]}')
    rows = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
    most = most_inputs(served.model.input_type, max_rows)
    if len(rows) > most:
        raise ProblemError(413, f"{len(rows):,} inputs; at most {most:,} in one request")
    is_small = len(await request.body()) < SMALL_BODY
    if is_small and not file_fields(served.model.input_type):
        return parse_inputs(served.model, rows)
    return await service.read(served.model, rows)


def most_inputs(kind: type[Input], max_rows: int) -> int:
    """Inputs that a request may hold: few of those with files, for a few bytes can be a large one.

    Args:
        kind: Of input.
        max_rows: Of those without.
    """
    return min(max_rows, MAX_FILES) if file_fields(kind) else max_rows


async def read_json(request: Request) -> Any:
    """The body, which has to say that it is JSON.

    Raises:
        ProblemError: It is none, or too large.
    """
    kind = content_type(request)
    if kind != "application/json":
        # Strict, because a page elsewhere may send other types without asking the browser first.
        raise ProblemError(415, f"{kind or 'no'} content type", "send application/json")
    body = await request.body()
    if len(body) > MAX_JSON:
        limit = f"{MAX_JSON / 2**20:.0f} MB"
        raise ProblemError(
            413, f"JSON of more than {limit}", "send less at once, or files as forms"
        )
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, f"the body is no JSON: {error}") from None


@asynccontextmanager
async def read_form(request: Request, max_files: int, max_fields: int) -> AsyncIterator[FormData]:
    """A form, whose files are there as long as the context is open.

    Raises:
        ProblemError: It cannot be read.
    """
    if re.search(r";\s*charset\s*=", request.headers.get("content-type", ""), re.IGNORECASE):
        raise ProblemError(415, "a form with a charset of its own", "forms are UTF-8")
    try:
        form = await request.form(max_files=max_files, max_fields=max_fields, max_part_size=2**20)
    except (MultiPartException, ValueError) as error:
        raise ProblemError(400, f"the form cannot be read: {error}") from None
    try:
        yield form
    finally:
        await form.close()


def content_type(request: Request) -> str:
    """The type of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read_fields(request: Request) -> Mapping[str, Any]:
    """The fields of a form; a file is its content, its name is not looked at."""
    fields: dict[str, Any] = {}
    async with read_form(request, max_files=10, max_fields=1000) as form:
        for name, value in form.multi_items():
            if name in fields:
                raise ProblemError(422, f"the field {name!r} is given twice")
            fields[name] = await value.read() if isinstance(value, UploadFile) else value
    return fields
