"""Documents of the models that index: listed, uploaded, replaced and deleted while they serve."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import JSONResponse, Response

from mlfolio.serve.problems import ProblemError, as_problem
from mlfolio.serve.requests import content_type, read_form
from mlfolio.serve.service import Service

router = APIRouter(prefix="/v1/systems/{name}/documents")
MAX_FILES = 50  # of one upload
METADATA = "Mlfolio-Metadata"  # the header of a document that is the body itself
_FIX = """curl -F file=@report.pdf -F 'metadata={"team": "legal"}' ..."""
_FIX_HEADER = """curl -T report.pdf -H 'Mlfolio-Metadata: {"team": "legal"}' ..."""


@router.get("")
async def listed(name: str, request: Request) -> list[str]:
    """The names of all documents."""
    service: Service = request.app.state.service
    return await service.documents(service.fleet.get(name), request.scope["caller"])


@router.post("")
async def uploaded(name: str, request: Request) -> Response:
    """Adds the files of a form, each under its name, in the place of one of that name.

    A field `metadata`, a JSON object, goes for all of them.

    Those that cannot be read are named in `errors`; the others are in, and named in `added`. Where
    two would have one name, none is.
    """
    service: Service = request.app.state.service
    served, caller = service.fleet.get(name), request.scope["caller"]
    added: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    async with read_form(request, max_files=MAX_FILES, max_fields=1) as form:
        metadata = _form_metadata(form)
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise ProblemError(422, "there is no file in the form", "curl -F file=@report.pdf ...")
        names = [re.split(r"[/\\]", file.filename or "")[-1] for file in files]  # no path of theirs
        _require_apart(names)
        for document, file in zip(names, files, strict=True):
            try:
                content = await file.read()
                chunks = await service.add_document(served, document, content, caller, metadata)
            except Exception as error:
                problem = as_problem(error)
                if len(files) == 1 or problem.status >= 500:
                    raise
                errors.append({"field": document, "rule": problem.detail, "fix": problem.fix})
            else:
                added.append({"name": document, "chunks": chunks})
    if errors:
        raise ProblemError(
            422, f"{len(errors)} of {len(files)} files were not added", errors=errors, added=added
        )
    return JSONResponse(added, 201)


def _require_apart(names: list[str]) -> None:
    """Two files of one name would be one document.

    Raises:
        ProblemError: There are such.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        shown = ", ".join(repr(name[:80]) for name in twice[:5])
        raise ProblemError(
            422, f"several files of the form would be named {shown}; none was added",
            "a form's files go without their folders; PUT .../documents/FOLDER/NAME keeps one",
        )  # fmt: skip


def _form_metadata(form: FormData) -> dict[str, Any] | None:
    """The field that is no file; None if there is none.

    Raises:
        ProblemError: It has another name, or is no JSON object.
    """
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            continue
        if name != "metadata":
            raise ProblemError(
                422, f"there is no field {name[:80]!r}", "files, and one field metadata"
            )
        return _metadata("metadata", value, _FIX)
    return None


def _header_metadata(request: Request) -> dict[str, Any] | None:
    """The header's; None if there is none.

    Raises:
        ProblemError: It is there twice, or is no JSON object.
    """
    # The bytes as they came, which are UTF-8 if they are JSON; ASCII with \u00e9 is JSON too.
    given = [value for name, value in request.headers.raw if name == METADATA.lower().encode()]
    if len(given) > 1:
        raise ProblemError(422, f"the header {METADATA} is there twice", _FIX_HEADER)
    return _metadata(METADATA, given[0], _FIX_HEADER) if given else None


def _metadata(name: str, given: str | bytes, fix: str) -> dict[str, Any]:
    """A JSON object that was sent under a name.

    Raises:
        ProblemError: It is none.
    """
    said = f"{name} = {given[:80]!r}"
    try:
        found = orjson.loads(given)
    except orjson.JSONDecodeError as error:
        raise ProblemError(422, f"{said}: no JSON ({error})", fix) from None
    if not isinstance(found, dict):
        raise ProblemError(422, f"{said}: no JSON object", fix)
    return found


@router.put("/{document:path}")
async def replaced(name: str, document: str, request: Request) -> Response:
    """Adds or replaces one document; the body is its content.

    The header `Mlfolio-Metadata`, a JSON object, has its metadata.
    """
    if content_type(request).startswith("multipart/"):
        raise ProblemError(
            415, "a form, where the body is the document itself",
            "curl -T FILE; a form goes to POST",
        )  # fmt: skip
    metadata = _header_metadata(request)
    service: Service = request.app.state.service
    served, caller = service.fleet.get(name), request.scope["caller"]
    content = await request.body()
    chunks = await service.add_document(served, document, content, caller, metadata)
    return JSONResponse({"name": document, "chunks": chunks})


@router.delete("/{document:path}", status_code=204)
async def deleted(name: str, document: str, request: Request) -> None:
    """Erases a document: it is in no later answer, and not on the disk."""
    service: Service = request.app.state.service
    served, caller = service.fleet.get(name), request.scope["caller"]
    if not await service.delete_document(served, document, caller):
        raise ProblemError(404, f"there is no document {document!r}")
