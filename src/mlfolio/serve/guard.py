"""What every request passes before anything reads it: host, origin, key, rate, size, time.

A plain ASGI wrapper, because it is on the way of every request and Starlette's own middleware
class costs more than all of its checks. It counts the requests too.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlfolio.serve import keys, metrics, tracing
from mlfolio.serve.problems import ProblemError, as_problem
from mlfolio.serve.settings import Settings

OPEN = frozenset({"/health", "/ready"})  # asked by machines that hold no key
MANY_CLIENTS = 10_000  # whose rates are remembered
BURST_S = 5.0  # a client may use so many seconds of its rate at once
_SAFE = frozenset({"GET", "HEAD"})

Headers = Mapping[bytes, bytes]


class Guard:
    """Lets through what the settings allow and answers the rest with a problem.

    Args:
        app: The application.
        settings: What is allowed.
        keyring: The keys, asked for at each request. Where none is needed, whoever is on this
            machine may ask, and nobody else.
    """

    def __init__(self, app: ASGIApp, settings: Settings, keyring: keys.Keyring) -> None:
        self._app = app
        self._settings = settings
        self._keyring = keyring
        self._rate = settings.requests_a_second
        self._max_body = int(settings.max_body_mb * 2**20)
        self._rates: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (tokens, when)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, _in_short(send))
        if scope["type"] != "http":  # nothing here speaks over websockets
            return
        started = time.perf_counter()
        state: dict[str, Any] = {"status": 500, "begun": False, "ended": False}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                state.update(status=message["status"], begun=True)
                # What is mounted here must not open to other pages what this server keeps shut.
                kept = [h for h in message["headers"] if not h[0].startswith(b"access-control-")]
                message["headers"] = kept
            elif message["type"] == "http.response.body":
                state["ended"] = not message.get("more_body", False)
            await send(message)

        metrics.IN_FLIGHT.inc()
        try:
            with tracing.request(scope, state):
                await self._answer(scope, receive, sending, state)
        finally:
            metrics.IN_FLIGHT.dec()
            route = metrics.route_of(scope)
            metrics.REQUESTS.labels(route, scope["method"], str(state["status"])).inc()
            metrics.SECONDS.labels(route).observe(time.perf_counter() - started)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, state: Mapping[str, Any]
    ) -> None:
        """Answers a request, also where something goes wrong."""
        try:
            headers: Headers = dict(scope["headers"])
            scope["caller"] = self._admit(scope, headers)
            await self._app(scope, self._measured(headers, receive), send)
        except Exception as error:
            if not state["begun"]:
                await as_problem(error, scope["path"]).response()(scope, receive, send)
            elif not state["ended"]:  # what is answered in full was told to the log already
                raise

    def _admit(self, scope: Scope, headers: Headers) -> keys.Caller:
        """Who asks, if it may ask at all.

        Raises:
            ProblemError: It may not.
        """
        address = scope["client"][0] if scope.get("client") else "local"
        netloc = headers.get(b"host", b"").decode("latin-1").lower()
        host = _hostname(netloc)
        valid = self._keyring()
        # A page elsewhere can make a browser send here, and point a name of its own at this
        # machine. Its name, or its origin, gives it away. Where a key is needed the name does not
        # matter: browsers keep keys by name, and a proxy brings names of its own.
        if not self._keyring.needed and host and not _is_this_machine(host):
            raise ProblemError(
                403, f"the host {host!r} is not this machine",
                "use 127.0.0.1; behind a proxy, make a key: mlfolio key add NAME",
            )  # fmt: skip
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if scope["method"] not in _SAFE and origin and origin.partition("://")[2] != netloc:
            raise ProblemError(403, f"requests from pages of {origin} are refused")
        caller = keys.Caller(address)
        if self._keyring.needed and scope["path"] not in OPEN:
            holder = keys.holder(headers, valid)
            if holder is None:
                raise ProblemError(
                    401, "this needs a valid API key", "send Authorization: Bearer KEY",
                    {"WWW-Authenticate": 'Basic realm="mlfolio: any name, your key as password"'},
                )  # fmt: skip
            caller = holder
        if self._rate and scope["path"] not in OPEN:
            self._count(caller.name)
        return caller

    def _count(self, client: str) -> None:
        """A bucket of tokens a client: each request takes one, time fills it.

        Raises:
            ProblemError: It is empty.
        """
        rate, now = self._rate, time.monotonic()
        full = max(1.0, rate * BURST_S)
        tokens, before = self._rates.pop(client, (full, now))
        tokens = min(full, tokens + (now - before) * rate)
        if tokens < 1:
            self._rates[client] = (tokens, now)
            wait = (1 - tokens) / rate
            raise ProblemError(
                429, f"more than {rate:g} requests a second", "slow down",
                {"Retry-After": str(max(1, round(wait)))},
            )  # fmt: skip
        self._rates[client] = (tokens - 1, now)
        if len(self._rates) > MANY_CLIENTS:
            self._rates.popitem(last=False)

    def _measured(self, headers: Headers, receive: Receive) -> Receive:
        """`receive` with a limit on the size of a body and on the time that it takes to come.

        Raises:
            ProblemError: The body is said to be too large.
        """
        said = headers.get(b"content-length", b"0")
        if not said.isdigit() or int(said) > self._max_body:
            raise self._too_large()
        seen = 0
        deadline = asyncio.get_running_loop().time() + self._settings.timeout_s
        ended = False

        async def receiving() -> Message:
            nonlocal seen, ended
            if ended:  # what comes now is the client's leaving, which may take long
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise ProblemError(
                    408, f"the request took more than {self._settings.timeout_s:g} s to come",
                    "send less at once",
                ) from None  # fmt: skip
            seen += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if seen > self._max_body:
                raise self._too_large()
            return message

        return receiving

    def _too_large(self) -> ProblemError:
        limit = f"{self._settings.max_body_mb:g} MB"
        return ProblemError(413, f"the request has more than {limit}", "send less at once")


def _hostname(netloc: str) -> str:
    """The name or address in `Host` or an origin, without the port."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:]*)(:\d*)?", netloc.strip())
    return (match.group(1).strip("[]") if match else netloc).lower().rstrip(".")


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _in_short(send: Send) -> Send:
    """What uvicorn is told of a failed start: our own errors say enough without a traceback."""

    async def sending(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            error = message["message"].rpartition("mlfolio.core.errors.")[2].partition(": ")[2]
            message["message"] = error.strip() or message["message"]
        await send(message)

    return sending
