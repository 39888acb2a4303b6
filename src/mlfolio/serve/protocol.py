"""uvicorn's protocol, but for connections that open and then say nothing."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 10.0  # in which the head of a request has to come


class Protocol(HttpToolsProtocol):
    """Closes a connection on which no request begins in time.

    Everything later has its time elsewhere: a body (`guard`), an answer (the routes), the pause
    until the next request (uvicorn).
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._head = self.loop.call_later(HEAD_S, transport.close)

    def on_message_begin(self) -> None:
        """Begins to wait for the rest of a request's head."""
        self._head.cancel()
        self._head = self.loop.call_later(HEAD_S, self.transport.close)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head.cancel()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._head.cancel()
        super().connection_lost(exc)
