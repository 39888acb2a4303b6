"""What uvicorn lacks: an end to connections that say nothing, and workers that share fairly."""

from __future__ import annotations

import asyncio
import socket

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

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


class Workers(Multiprocess):
    """Worker processes that each listen with a socket of their own.

    The system spreads connections over the sockets. Of workers with one socket the first that wakes
    takes all that wait, and with a handful of clients the others idle.
    """

    @property
    def sockets(self) -> list[socket.socket]:
        """A socket for the worker that is about to start."""
        own = socket.socket(socket.AF_INET6 if ":" in self.config.host else socket.AF_INET)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        own.bind((self.config.host, self.config.port))
        own.set_inheritable(True)
        return [own]

    @sockets.setter
    def sockets(self, ignored: list[socket.socket]) -> None:
        """What uvicorn would share among all."""
