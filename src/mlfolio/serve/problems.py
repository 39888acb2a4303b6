"""Errors as `application/problem+json` (RFC 9457): what, why, what to do, which field."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mlfolio.core.errors import (
    FileError,
    InputError,
    MlfolioError,
    NotTrainedError,
    UnknownNameError,
    UserError,
)
from mlfolio.serve.batcher import QueueFullError
from mlfolio.serve.journal import JournalFullError

LOG = logging.getLogger(__name__)
OPENAI = ("/v1/chat/", "/v1/models")  # paths that their clients ask
TITLES = {
    400: "Bad request", 401: "No valid key", 403: "Not allowed", 404: "Not found",
    405: "Method not allowed", 408: "Too slow to come", 409: "Conflict",
    413: "Too large", 415: "Unsupported media type",
    422: "Invalid input", 429: "Too many requests", 500: "Failure", 503: "Not available",
    504: "Too slow",
}  # fmt: skip


class ProblemError(Exception):
    """A request that is answered with a problem.

    Args:
        status: The HTTP status.
        detail: What is wrong, with the offending value.
        fix: What to do about it.
        headers: To send along.
        more: Further members of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        fix: str = "",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        self.status = status
        self.detail = detail
        self.fix = fix
        self.headers = headers or {}
        self.more = more
        super().__init__(detail)

    def response(self) -> Response:
        """The answer."""
        content = {
            "type": "about:blank",
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
            **({"fix": self.fix} if self.fix else {}),
            **self.more,
        }
        return Response(
            orjson.dumps(content), self.status, self.headers, "application/problem+json"
        )


def as_problem(error: Exception, path: str = "") -> ProblemError:
    """The problem that an error stands for; what is not ours is a failure, told to the log only.

    Args:
        error: What was raised.
        path: Of the request: where OpenAI's clients ask, they find their own form beside ours.
    """
    problem = _problem(error)
    if path.startswith(OPENAI):
        problem.more["error"] = openai_error(problem)
    return problem


def openai_error(problem: ProblemError) -> dict[str, Any]:
    """A problem as OpenAI's clients read it: they show the message alone."""
    kind = "invalid_request_error" if problem.status < 500 else "server_error"
    rules = [f"{each['field']}: {each['rule']}" for each in problem.more.get("errors", [])[:5]]
    message = "; ".join([problem.detail, *rules])
    return {"message": message, "type": kind, "code": str(problem.status)}


def _problem(error: Exception) -> ProblemError:
    match error:
        case ProblemError():
            return error
        case InputError():
            errors = [problem._asdict() for problem in error.problems[:100]]
            count = len(error.problems)
            detail = f"{count} problem{'s' * (count != 1)} with the input"
            return ProblemError(422, detail, error.fix, errors=errors)
        case UnknownNameError():
            return ProblemError(404, error.message, error.fix)
        case NotTrainedError():
            return ProblemError(404, error.message, f"train it: {error.fix}")
        case FileError():
            return ProblemError(422, error.message, error.fix)
        case UserError():
            return ProblemError(400, error.message, error.fix)
        case MlfolioError():
            return ProblemError(503, error.message, error.fix)
        case QueueFullError():
            wait = str(round(error.retry_after))
            return ProblemError(
                429, "too much waits already", f"try again in {wait} s",
                {"Retry-After": wait},
            )  # fmt: skip
        case JournalFullError():
            return ProblemError(
                503, "the prediction log cannot keep up", "try again", {"Retry-After": "5"}
            )
        case TimeoutError():
            return ProblemError(504, "the answer took too long", "send less at once")
        case HTTPException():
            headers = dict(error.headers or {})
            return ProblemError(error.status_code, str(error.detail), headers=headers)
        case RequestValidationError():
            errors = [
                {"field": ".".join(map(str, e["loc"][1:])), "rule": e["msg"]}
                for e in error.errors()
            ]
            return ProblemError(422, "the request is not what it should be", errors=errors)
    LOG.error("a request failed", exc_info=error)
    return ProblemError(500, "the server failed at this request", "the server's log says why")


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem."""

    async def answer(request: Request, error: Exception) -> Response:
        return as_problem(error, request.url.path).response()

    for kind in (
        ProblemError, MlfolioError, QueueFullError, JournalFullError, TimeoutError,
        HTTPException, RequestValidationError, Exception,
    ):  # fmt: skip
        app.add_exception_handler(kind, answer)
