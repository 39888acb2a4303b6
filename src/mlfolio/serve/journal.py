"""The prediction log: every answer with its input, and later the truth, in one database.

SQLite (WAL) beside the runs, or any PostgreSQL. Rows are written off the request's path, many in
one transaction. The queue before the writer is bounded: where the database cannot follow, requests
wait for it, and are refused when they have waited too long; no answer goes out that is not at
least in the queue, and `close` writes all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError

from mlfolio.core.model import Input, Output
from mlfolio.serve import metrics
from mlfolio.track import conversations, log
from mlfolio.track.log import FEEDBACK, PREDICTIONS, TALLIES, VERDICTS

BATCH = 500  # rows of one transaction
PAUSE_S = 0.1  # in which rows gather for it
PATIENCE_S = 5.0  # how long a request waits for room
RETRY_S = 1.0  # between attempts to reach a database that is away
SWEEP_S = 3600.0  # between looks for what is too old
MAX_HELD = 256 * 2**20  # bytes of pictures that may wait to be written
AWAY = (OperationalError, InterfaceError, OSError)  # what a database raises that will be back
LOG = logging.getLogger(__name__)


class Entry(NamedTuple):
    """One prediction, as it is logged; the attributes are the table's columns.

    Input (None where it is not kept) and output are made JSON by the writer, off the request's
    path: a picture takes a while.
    """

    id: str
    time: float
    system: str
    version: int | None
    input: Input | None
    output: Output
    latency_ms: float
    client: str
    whole: bool = True  # else the output loses what would tell of the input
    tenant: str | None = None
    shadow_of: str | None = None  # the entry that somebody was given, where nobody is given this

    def row(self) -> dict[str, Any]:
        """The table's row."""
        row = self._asdict()
        output = self.output if row.pop("whole") else self.output.redacted()
        given = self.input.model_dump_json(by_alias=True) if self.input is not None else None
        return {**row, "input": given, "output": output.model_dump_json()}


class JournalFullError(Exception):
    """The database does not follow: the request cannot be logged, so it is not answered."""


class Journal:
    """The log's writer and reader.

    Args:
        url: SQLAlchemy URL of the database; its tables are made if they are not there.
        keep_days: How long predictions are kept.
        capacity: Rows that may wait to be written.

    Raises:
        UserError: The database cannot be opened.
    """

    def __init__(self, url: str, keep_days: float = 90, capacity: int = 20_000) -> None:
        self._engine = log.prepare(url)
        self._keep_s = keep_days * 86_400
        self._queue: deque[Entry] = deque()
        self._capacity = capacity
        self._held = 0  # bytes of the arrays in it
        self._closing = asyncio.Event()
        # Threads of their own: whatever else the server is busy with, the log is written.
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="log-writer")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="log-reader")
        self._writer: asyncio.Task[None] | None = None
        self._failing = False

    @property
    def healthy(self) -> bool:
        """Whether what is added is being written."""
        return not self._failing and self._writer is not None and not self._writer.done()

    def start(self) -> None:
        """Begins to write; needs a running event loop."""
        self._writer = asyncio.create_task(self._write())

    async def add(self, entries: Sequence[Entry]) -> None:
        """Takes entries over; they will be written unless the process is killed.

        Raises:
            JournalFullError: There is no room, and none comes within five seconds.
        """
        until = time.monotonic() + PATIENCE_S
        while not self.offer(entries):
            if time.monotonic() > until:
                raise JournalFullError
            await asyncio.sleep(PAUSE_S / 2)

    def offer(self, entries: Sequence[Entry], room: float = 1.0) -> bool:
        """Takes entries over if there is room for all of them now.

        Args:
            entries: What was answered.
            room: The share of the queue that they may fill: what nobody was given yields.
        """
        capacity, held = room * self._capacity, room * MAX_HELD
        if self._queue and (len(self._queue) + len(entries) > capacity or self._held > held):
            return False
        self._queue.extend(entries)
        self._held += sum(map(_bytes, entries))
        metrics.LOG_WAITING.set(len(self._queue))
        return True

    async def tally(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Writes how many requests were asked and failed; False if that cannot be done now."""

        def write() -> None:
            with self._engine.begin() as connection:
                connection.execute(insert(TALLIES), rows)

        return await self._attempt(write)

    async def close(self) -> None:
        """Writes what waits, then ends."""
        self._closing.set()
        if self._writer is not None:
            await self._writer
        for thread in (self._writing, self._reading):
            thread.shutdown(wait=False)
        self._engine.dispose()

    async def judge(
        self, prediction: str, system: str, answer: str, client: str, tenant: str | None = None
    ) -> bool:
        """Keeps the true answer to a prediction, in place of an earlier one.

        Args:
            prediction: Its id.
            system: The system that made it.
            answer: The truth, as JSON.
            client: Who says so.
            tenant: Whose key says so.

        Returns:
            Whether there is such a prediction: those of other tenants are unknown.

        Raises:
            JournalFullError: The database is away, or takes nothing.
        """
        said = {"answer": answer, "client": client}
        return await self._keep(FEEDBACK, prediction, system, tenant, said)

    async def rate(
        self, prediction: str, system: str, good: bool, client: str, tenant: str | None = None
    ) -> bool:
        """Keeps whether an answer was good, in place of an earlier verdict; as `judge`."""
        said = {"good": int(good), "client": client}
        return await self._keep(VERDICTS, prediction, system, tenant, said)

    async def _keep(
        self, table: Table, prediction: str, system: str, tenant: str | None,
        said: Mapping[str, Any],
    ) -> bool:  # fmt: skip
        loop = asyncio.get_running_loop()
        for pause in (0, PAUSE_S, 2 * PAUSE_S, 5 * PAUSE_S):  # it may not be written yet
            await asyncio.sleep(pause)
            work = partial(self._replace, table, prediction, system, tenant, said)
            try:
                if await loop.run_in_executor(self._reading, work):
                    return True
            except AWAY as error:
                LOG.error("the prediction log cannot be written: %s", type(error).__name__)
                raise JournalFullError from None
        return False

    def read(self, system: str, limit: int = 1000) -> list[dict[str, Any]]:
        """The newest predictions of a system, each with `truth` (JSON or None), newest first."""
        query = (
            select(PREDICTIONS, FEEDBACK.c.answer.label("truth"))
            .outerjoin(FEEDBACK, FEEDBACK.c.prediction == PREDICTIONS.c.id)
            .where(PREDICTIONS.c.system == system, PREDICTIONS.c.shadow_of.is_(None))
            .order_by(PREDICTIONS.c.time.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def forget(self) -> int:
        """Deletes what is older than it may be; returns how many predictions that was.

        Conversations go too: what nobody writes to any more is still in the database.
        """
        old = PREDICTIONS.c.time < time.time() - self._keep_s
        theirs = select(PREDICTIONS.c.id).where(old)
        with self._engine.begin() as connection:
            conversations.sweep(connection)
            connection.execute(delete(TALLIES).where(TALLIES.c.time < time.time() - self._keep_s))
            for table in (FEEDBACK, VERDICTS):
                connection.execute(delete(table).where(table.c.prediction.in_(theirs)))
            return connection.execute(delete(PREDICTIONS).where(old)).rowcount

    def _replace(
        self, table: Table, prediction: str, system: str, tenant: str | None,
        said: Mapping[str, Any],
    ) -> bool:  # fmt: skip
        """Puts what was said of a prediction in the place of what was; False if there is none."""
        known = select(PREDICTIONS.c.id).where(
            PREDICTIONS.c.id == prediction, PREDICTIONS.c.system == system, log.of(tenant)
        )
        row = {"prediction": prediction, "time": time.time(), **said}
        for _ in range(2):  # of two who say it at once one finds the other's row
            try:
                with self._engine.begin() as connection:
                    if connection.execute(known).first() is None:
                        return False
                    connection.execute(delete(table).where(table.c.prediction == prediction))
                    connection.execute(insert(table), row)
                    return True
            except IntegrityError:
                continue
        return True

    async def _write(self) -> None:
        """Writes what gathers, again and again, until the journal closes and nothing waits."""
        next_sweep = 0.0
        while self._queue or not self._closing.is_set():
            if time.monotonic() >= next_sweep:
                next_sweep = time.monotonic() + SWEEP_S
                await self._attempt(self.forget)
            if not self._queue:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), PAUSE_S)
                continue
            entries = [self._queue[at] for at in range(min(BATCH, len(self._queue)))]
            while not await self._attempt(partial(self._insert, entries)):
                if self._closing.is_set():
                    LOG.error("%d predictions could not be logged", len(self._queue))
                    return
                await asyncio.sleep(RETRY_S)
            for entry in entries:  # only now: until they are written they take up room
                self._queue.popleft()
                self._held -= _bytes(entry)
            metrics.LOG_WAITING.set(len(self._queue))

    async def _attempt(self, work: Callable[[], object]) -> bool:
        """Works on the database; False, and said in the log, while that is out of order."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._writing, work)
        except Exception as error:  # whatever it is, the writer goes on
            self._set_failing(True)
            LOG.error("the prediction log cannot be written: %s", type(error).__name__)
            return False
        self._set_failing(False)
        return True

    def _set_failing(self, failing: bool) -> None:
        self._failing = failing
        metrics.LOG_FAILING.set(failing)

    def _insert(self, entries: Sequence[Entry]) -> None:
        """Writes entries in one transaction; one that cannot be written at all goes alone."""
        try:
            self._insert_rows(entries)
        except AWAY:  # all of them again
            raise
        except Exception:  # among them is one that no database takes
            if len(entries) == 1:
                LOG.exception(
                    "prediction %s of %s cannot be logged", entries[0].id, entries[0].system
                )
                return
            for entry in entries:
                self._insert([entry])

    def _insert_rows(self, entries: Sequence[Entry]) -> None:
        rows = [entry.row() for entry in entries]
        with self._engine.begin() as connection:
            connection.execute(insert(PREDICTIONS), rows)


def _bytes(entry: Entry) -> int:
    """What an entry's pictures take; everything else is small beside them."""
    given = vars(entry.input).values() if entry.input is not None else ()
    return sum(int(getattr(value, "nbytes", 0)) for value in given)
