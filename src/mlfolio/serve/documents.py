"""Documents of the models that index: listed, uploaded, replaced and deleted while they serve."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse, Response

from mlfolio.core.model import Indexes
from mlfolio.serve.problems import ProblemError

router = APIRouter(prefix="/v1/systems/{name}/documents")
MAX_FILES = 50  # of one upload
_NAME = re.compile(r"[^\x00-\x1f\x7f\\]{1,200}")


@router.get("")
async def listed(name: str, request: Request) -> list[str]:
    """The names of all documents."""
    return await asyncio.to_thread(_index(name, request).documents)


@router.post("")
async def uploaded(name: str, request: Request) -> Response:
    """Adds the files of a form, each under its name, in the place of one of that name."""
    index = _index(name, request)
    try:
        form = await request.form(max_files=MAX_FILES, max_fields=0)
    except (MultiPartException, ValueError) as error:
        raise ProblemError(400, f"the form cannot be read: {error}") from None
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise ProblemError(422, "there is no file in the form", "curl -F file=@report.pdf ...")
    added = [
        await _add(index, _base_name(file.filename or ""), await file.read()) for file in files
    ]
    return JSONResponse(added, 201)


@router.put("/{document:path}")
async def replaced(name: str, document: str, request: Request) -> Response:
    """Adds or replaces one document; the body is its content."""
    return JSONResponse(await _add(_index(name, request), document, await request.body()))


@router.delete("/{document:path}", status_code=204)
async def deleted(name: str, document: str, request: Request) -> None:
    """Erases a document: it is in no later answer, and not in the index's files."""
    if not await asyncio.to_thread(_index(name, request).delete, document):
        raise ProblemError(404, f"there is no document {document!r}")


def _index(name: str, request: Request) -> Indexes:
    model = request.app.state.service.fleet.get(name).model
    if not isinstance(model, Indexes):
        raise ProblemError(404, f"{name} holds no documents")
    return model


def _base_name(given: str) -> str:
    """The last part of an uploaded file's name, which may be a path of the sender's machine."""
    return re.split(r"[/\\]", given)[-1]


async def _add(index: Indexes, name: str, content: bytes) -> dict[str, Any]:
    """Adds a document; it lies in a file of our own naming only as long as that takes."""
    parts = name.split("/")
    if not _NAME.fullmatch(name) or any(part in ("", ".", "..") for part in parts):
        raise ProblemError(
            422, f"{name[:80]!r} cannot name a document", "a file name, or a relative path"
        )

    def work() -> int:
        with tempfile.TemporaryDirectory(prefix="mlfolio-upload-") as folder:
            path = Path(folder) / f"upload{Path(name).suffix.lower()[:20]}"
            path.write_bytes(content)
            return index.add(path, name)

    return {"name": name, "chunks": await asyncio.to_thread(work)}
