"""What the API and the web app both do: ask a champion, log its answer, count it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from uuid import uuid4

from mlfolio.core.model import Conversation, Input, Output, Reason, Streams
from mlfolio.serve import metrics
from mlfolio.serve.fleet import Fleet, Served
from mlfolio.serve.journal import Entry, Journal
from mlfolio.serve.problems import ProblemError
from mlfolio.serve.settings import Settings

TALKS = 8  # conversations that are answered at the same time; more wait


class Service:
    """The champions, the prediction log and the settings of a server.

    Attributes:
        settings: What the server was told.
        fleet: The champions.
        journal: The prediction log.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.journal = Journal(settings.database_url, settings.keep_days)
        self.fleet = Fleet(settings.systems, settings.queue_rows)
        self._talks = asyncio.Semaphore(TALKS)

    async def start(self) -> None:
        """Loads the champions; from here on it answers."""
        self.journal.start()
        await self.fleet.start()

    async def close(self) -> None:
        """Answers and logs what waits, then ends."""
        await self.fleet.close()
        await self.journal.close()

    async def predict(self, served: Served, inputs: Sequence[Input], client: str) -> list[Entry]:
        """Answers inputs; each entry of the log has the answer and its id.

        Raises:
            QueueFullError: Too many wait.
            JournalFullError: The answers could not be logged, so they are not given.
        """
        name, started = served.card.slug, time.perf_counter()
        try:
            outputs = await served.answers.ask(list(inputs))
        except Exception:
            metrics.ERRORS.labels(name).inc()
            raise
        return await self.keep(served, inputs, outputs, started, client)

    async def keep(
        self,
        served: Served,
        inputs: Sequence[Input],
        outputs: Sequence[Output],
        started: float,
        client: str,
    ) -> list[Entry]:
        """Logs and counts answers; `started` is when their computing began (`perf_counter`)."""
        latency = (time.perf_counter() - started) * 1000
        keeps = self._keeps_inputs(served)
        entries = [
            Entry(
                uuid4().hex, time.time(), served.card.slug, served.version.number,
                given if keeps else None, output, latency, client,
            )
            for given, output in zip(inputs, outputs, strict=True)
        ]  # fmt: skip
        await self.journal.add(entries)
        metrics.observe(served.card.slug, served.version.number, outputs)
        return entries

    async def explain(self, served: Served, inputs: Sequence[Input]) -> list[list[Reason]]:
        """Why each input gets its answer.

        Raises:
            ProblemError: The model gives no reasons.
        """
        if served.reasons is None:
            raise ProblemError(404, f"{served.card.slug} cannot explain its answers")
        queue = served.reasons
        return [row[0] for row in await asyncio.gather(*(queue.ask([given]) for given in inputs))]

    async def talk(
        self, served: Served, conversation: Conversation, client: str
    ) -> AsyncIterator[str | Output]:
        """The pieces of an answer as they come; the last one is the whole, logged already.

        Raises:
            ProblemError: The model cannot be talked to.
        """
        if not isinstance(served.model, Streams):
            raise ProblemError(404, f"{served.card.slug} cannot be talked to")
        started = time.perf_counter()
        async with self._talks:
            pieces = served.model.talk(conversation)
            while True:
                try:
                    piece = await asyncio.to_thread(_next, pieces)
                except Exception:
                    metrics.ERRORS.labels(served.card.slug).inc()
                    raise
                if isinstance(piece, Output):
                    break
                yield piece
        await self.keep(served, [conversation], [piece], started, client)
        yield piece

    def _keeps_inputs(self, served: Served) -> bool:
        """Whether inputs are logged: not those of private systems, unless the settings say so."""
        name = served.card.slug
        if served.card.private:
            return name in self.settings.store_inputs
        return name not in self.settings.forget_inputs


def _next(pieces: Iterator[str | Output]) -> str | Output:
    return next(pieces)
