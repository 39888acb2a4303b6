"""The API: systems, predictions, explanations, feedback. Nothing here knows a system."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
)
from starlette.types import ASGIApp, Receive, Scope, Send

from mlfolio import __version__
from mlfolio.lifecycle import scores_of
from mlfolio.serve import chat, documents, keys, metrics, problems, tracing
from mlfolio.serve.fleet import Served
from mlfolio.serve.guard import Guard
from mlfolio.serve.openapi import describe
from mlfolio.serve.problems import ProblemError
from mlfolio.serve.requests import read_inputs, read_json
from mlfolio.serve.service import Service
from mlfolio.serve.settings import MAX_EXPLAINED, Settings

router = APIRouter()
PREDICT = re.compile("/v1/systems/([^/]+)/predict")


def create_app(settings: Settings) -> ASGIApp:
    """The application of one worker, behind its guard.

    Raises:
        UserError: It would listen beyond this machine without a key.
    """
    valid = keys.required(settings)
    app = FastAPI(
        title="mlfolio", version=__version__, lifespan=_life, docs_url=None, redoc_url=None,
        # The framework's own spans would tell paths, which name documents.
        telemetry={"exclude": lambda scope: True},
    )  # fmt: skip
    app.state.settings = settings
    for part in (router, documents.router, chat.router):
        app.include_router(part)
    problems.install(app)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return Guard(ShortCut(app), settings, valid)


class ShortCut:
    """Takes predictions past the framework, whose layers cost a quarter of a small answer.

    Everything else, and everything about the route but its speed, is the framework's.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        match = PREDICT.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if match is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["app"], scope["route_path"] = self._app, "/v1/systems/{name}/predict"
        response = await predict(match.group(1), Request(scope, receive))
        await response(scope, receive, send)


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    """Loads the champions before the first request; at the end answers and logs what waits."""
    service = Service(app.state.settings)
    app.state.service = service
    with tracing.exported():
        await service.start()
        try:
            async with _pages(app, service):
                # What lives now lives for good. Looking through all of it again and again for
                # garbage would stop every request for a quarter of a second each time.
                gc.collect()
                gc.freeze()
                yield
        finally:
            await service.close()


def _pages(app: FastAPI, service: Service) -> AbstractAsyncContextManager[None]:
    """The web app, where it is wanted; what it stands on takes seconds to import."""
    if not service.settings.pages:
        return nullcontext()
    from mlfolio.app.site import pages

    return pages(app, service)


@router.get("/health")
async def health() -> dict[str, str]:
    """Whether the process is alive."""
    return {"status": "ok"}


@router.get("/ready")
async def ready(request: Request) -> Response:
    """Whether it can answer and log."""
    service: Service = request.app.state.service
    serving = {served.card.slug: served.version.number for served in service.fleet}
    healthy = service.journal.healthy
    content = {"status": "ok" if healthy else "the prediction log fails", "serving": serving}
    return JSONResponse(content, 200 if healthy else 503)


@router.get("/metrics", response_class=PlainTextResponse)
async def prometheus(request: Request) -> Response:
    """The metrics of all workers, for Prometheus."""
    if request.scope["caller"].tenant is not None:
        raise ProblemError(403, "the metrics are not of one tenant", "use a key without a tenant")
    content, media_type = await asyncio.to_thread(metrics.exposition)
    return Response(content, media_type=media_type)


@router.get("/v1/systems")
async def systems(request: Request) -> list[dict[str, Any]]:
    """What is served: each with its primary score and what it can do."""
    tenant = request.scope["caller"].tenant
    return [_summary(served, tenant) for served in request.app.state.service.fleet]


@router.get("/v1/systems/{name}")
async def system(name: str, request: Request) -> dict[str, Any]:
    """One system: card, scores, schema of its inputs and outputs, examples, version."""
    served: Served = request.app.state.service.fleet.get(name)
    tenant = request.scope["caller"].tenant
    model = await asyncio.to_thread(served.of, tenant)
    examples = await asyncio.to_thread(model.examples)
    folder = served.version.folder.parent
    scores: dict[str, Any] = {}
    with suppress(OSError, ValueError):  # the run's folder was deleted; the model goes on
        if not served.has_own(tenant):  # they are of documents that a tenant does not see
            scores = await asyncio.to_thread(scores_of, folder)
    beside = request.app.state.service.fleet.beside(served)
    return {
        **_summary(served, tenant),
        "tried": beside.plan.model_dump() if beside else None,
        "card": served.card.model_dump(mode="json"),
        "knobs": served.version.knobs,
        "scores": scores.get("scores", []),
        "cost": scores.get("cost"),
        "input": model.input_type.model_json_schema(by_alias=True),
        "output": model.output_type.model_json_schema(),
        "examples": [row.model_dump(mode="json", by_alias=True) for row in examples[:3]],
    }


@router.get("/v1/systems/{name}/report", response_class=HTMLResponse)
async def report(name: str, request: Request) -> Response:
    """The report of the run that made the champion: one page, without scripts."""
    return _file_of(request, name, "report.html", "text/html")


@router.get("/v1/systems/{name}/picture", response_class=Response)
async def picture(name: str, request: Request) -> Response:
    """The first figure of that report, for cards."""
    served: Served = request.app.state.service.fleet.get(name)
    return _file_of(request, name, served.picture or "picture", "image/png")


@router.post("/v1/systems/{name}/predict")
async def predict(name: str, request: Request) -> Response:
    """Answers `{"inputs": [...]}` in JSON, or one input as a form with files."""
    service: Service = request.app.state.service
    await request.body()  # that it comes in time is the guard's business
    async with asyncio.timeout(service.settings.timeout_s):
        served = service.fleet.get(name)
        inputs = await read_inputs(request, served, service.settings.max_rows)
        entries = await service.predict(served, inputs, request.scope["caller"])
    found = [{"id": entry.id, **entry.output.model_dump(mode="json")} for entry in entries]
    version = entries[0].version if entries else served.version.number  # a canary may have answered
    return _json({"system": name, "version": version, "predictions": found})


@router.post("/v1/systems/{name}/explain")
async def explain(name: str, request: Request) -> Response:
    """Why: for each input its reasons, the strongest first."""
    service: Service = request.app.state.service
    await request.body()  # that it comes in time is the guard's business
    async with asyncio.timeout(service.settings.timeout_s):
        served = service.fleet.get(name)
        inputs = await read_inputs(request, served, MAX_EXPLAINED)
        reasons = await service.explain(served, inputs, request.scope["caller"])
    found = [[reason.model_dump() for reason in row] for row in reasons]
    return _json({"system": name, "version": served.version.number, "explanations": found})


@router.post("/v1/systems/{name}/feedback")
async def feedback(name: str, request: Request) -> dict[str, str]:
    """Keeps what is said of a prediction: `{"id": ..., "answer": ...}` is what is true.

    `{"id": ..., "good": true}` is for who knows only whether the answer was good.
    """
    service: Service = request.app.state.service
    served = service.fleet.get(name)
    body = await read_json(request)
    known = isinstance(body, dict) and set(body) in ({"id", "answer"}, {"id", "good"})
    if not known or not _is_id(body["id"]):
        raise ProblemError(
            422, "feedback has an id, and an answer or whether it was good",
            'send {"id": "...", "answer": ...} or {"id": "...", "good": true}',
            errors=[{"field": "id", "rule": "the 32 letters and digits that came with the answer"}],
        )  # fmt: skip
    caller: keys.Caller = request.scope["caller"]
    if "answer" in body:
        answer = _truth(served, body["answer"])
        await service.judge(served, body["id"], caller, answer=answer)
    elif isinstance(body["good"], bool):
        await service.judge(served, body["id"], caller, good=body["good"])
    else:
        rules = [{"field": "good", "rule": "true or false"}]
        raise ProblemError(422, "good is neither true nor false", errors=rules)
    return {"id": body["id"], "status": "kept"}


def _truth(served: Served, said: Any) -> str:
    """What would have been right, as JSON.

    Raises:
        ProblemError: No such thing could be answered.
    """
    annotation: Any = served.model.output_type.model_fields["answer"].annotation
    kind = TypeAdapter[Any](annotation)
    try:
        answer = kind.dump_json(kind.validate_python(said))
    except ValidationError as error:
        rules = [{"field": "answer", "rule": str(e["msg"])} for e in error.errors()[:5]]
        name = served.card.slug
        raise ProblemError(422, f"no answer that {name} could give", errors=rules) from None
    if len(answer) > 10_000:
        raise ProblemError(422, "the answer has more than 10,000 characters")
    return answer.decode()


def _file_of(request: Request, system: str, name: str, media_type: str) -> Response:
    """A file of the champion's run; it runs nothing, and is shown in our own pages only."""
    served: Served = request.app.state.service.fleet.get(system)
    if served.has_own(request.scope["caller"].tenant):
        raise ProblemError(404, f"the run of {system} is not about documents of yours")
    path = served.version.folder.parent / name
    if not path.is_file():
        raise ProblemError(404, f"the run {served.version.run} has no {name}")
    headers = {
        "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        "frame-ancestors 'self'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    return FileResponse(path, headers=headers, media_type=media_type)


def _summary(served: Served, tenant: str | None) -> dict[str, Any]:
    version = served.version
    score = {"metric": version.metric, "value": version.value}
    return {
        "name": served.card.slug,
        "title": served.card.title,
        "summary": served.card.summary,
        "kind": served.card.kind,
        "version": version.number,
        "run": version.run,
        "data": version.source,
        **({} if served.has_own(tenant) else score),
        "explains": served.reasons is not None,
    }


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 32 and value.isalnum() and value.isascii()


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
