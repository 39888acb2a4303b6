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
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    insert,
    select,
)
from sqlalchemy.exc import DatabaseError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from mlfolio.core.errors import UserError
from mlfolio.core.model import Input, Output

BATCH = 500  # rows of one transaction
PAUSE_S = 0.1  # in which rows gather for it
PATIENCE_S = 5.0  # how long a request waits for room
LOG = logging.getLogger(__name__)

_TABLES = MetaData()
PREDICTIONS = Table(
    "predictions",
    _TABLES,
    Column("id", String(32), primary_key=True),
    Column("time", Float, nullable=False),  # seconds since 1970, UTC
    Column("system", String(100), nullable=False),
    Column("version", Integer),
    Column("input", Text),  # JSON; null where it is not kept
    Column("output", Text, nullable=False),  # JSON
    Column("latency_ms", Float, nullable=False),
    Column("client", String(200), nullable=False),
    Index("predictions_by_system", "system", "time"),
)
FEEDBACK = Table(
    "feedback",
    _TABLES,
    Column("prediction", String(32), primary_key=True),
    Column("time", Float, nullable=False),
    Column("answer", Text, nullable=False),  # JSON
    Column("client", String(200), nullable=False),
)


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

    def row(self) -> dict[str, Any]:
        """The table's row."""
        given = self.input.model_dump_json(by_alias=True) if self.input is not None else None
        return {**self._asdict(), "input": given, "output": self.output.model_dump_json()}


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
        self._engine = _open(url)
        self._keep_s = keep_days * 86_400
        self._queue: asyncio.Queue[Entry] = asyncio.Queue(capacity)
        self._closing = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self.healthy = True

    def start(self) -> None:
        """Begins to write; needs a running event loop."""
        self._writer = asyncio.create_task(self._write())

    async def add(self, entries: Sequence[Entry]) -> None:
        """Takes entries over; they will be written unless the process is killed.

        Raises:
            JournalFullError: There is no room, and none comes within five seconds.
        """
        try:
            for entry in entries:
                if self._queue.full():
                    await asyncio.wait_for(self._queue.put(entry), PATIENCE_S)
                else:
                    self._queue.put_nowait(entry)
        except TimeoutError:
            raise JournalFullError from None

    async def flush(self) -> None:
        """Returns when everything that was added before is written."""
        await self._queue.join()

    async def close(self) -> None:
        """Writes what waits, then ends."""
        self._closing.set()
        if self._writer is not None:
            await self._writer
        self._engine.dispose()

    async def judge(self, prediction: str, system: str, answer: str, client: str) -> bool:
        """Keeps the true answer to a prediction, in place of an earlier one.

        Args:
            prediction: Its id.
            system: The system that made it.
            answer: The truth, as JSON.
            client: Who says so.

        Returns:
            Whether there is such a prediction.
        """
        for pause in (0.0, 3 * PAUSE_S):  # another worker's entry may not be written yet
            await asyncio.sleep(pause)
            if pause == 0:
                await asyncio.wait_for(self.flush(), PATIENCE_S)
            if await asyncio.to_thread(self._judge, prediction, system, answer, client):
                return True
        return False

    def read(self, system: str, limit: int = 1000) -> list[dict[str, Any]]:
        """The newest predictions of a system, each with `truth` (JSON or None), newest first."""
        query = (
            select(PREDICTIONS, FEEDBACK.c.answer.label("truth"))
            .outerjoin(FEEDBACK, FEEDBACK.c.prediction == PREDICTIONS.c.id)
            .where(PREDICTIONS.c.system == system)
            .order_by(PREDICTIONS.c.time.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def forget(self) -> int:
        """Deletes what is older than it may be; returns how many predictions that was."""
        old = PREDICTIONS.c.time < time.time() - self._keep_s
        theirs = FEEDBACK.c.prediction.in_(select(PREDICTIONS.c.id).where(old))
        with self._engine.begin() as connection:
            connection.execute(delete(FEEDBACK).where(theirs))
            return connection.execute(delete(PREDICTIONS).where(old)).rowcount

    def _judge(self, prediction: str, system: str, answer: str, client: str) -> bool:
        known = select(PREDICTIONS.c.id).where(
            PREDICTIONS.c.id == prediction, PREDICTIONS.c.system == system
        )
        row = {"prediction": prediction, "time": time.time(), "answer": answer, "client": client}
        for _ in range(2):  # of two who say it at once one finds the other's row
            try:
                with self._engine.begin() as connection:
                    if connection.execute(known).first() is None:
                        return False
                    mine = FEEDBACK.c.prediction == prediction
                    connection.execute(delete(FEEDBACK).where(mine))
                    connection.execute(insert(FEEDBACK), row)
                    return True
            except IntegrityError:
                continue
        return True

    async def _write(self) -> None:
        """Writes what gathers, again and again, until the journal closes and nothing waits."""
        next_sweep = 0.0
        while not (self._closing.is_set() and self._queue.empty()):
            if time.monotonic() >= next_sweep:
                next_sweep = time.monotonic() + 3600
                await self._attempt(self.forget)
            if self._queue.empty():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), PAUSE_S)
                continue
            rows = [self._queue.get_nowait() for _ in range(min(BATCH, self._queue.qsize()))]
            written = await self._attempt(lambda rows=rows: self._insert(rows))
            while not written and not self._closing.is_set():
                await asyncio.sleep(1)
                written = await self._attempt(lambda rows=rows: self._insert(rows))
            if not written:
                LOG.error("%d predictions could not be logged", len(rows))
            for _ in rows:
                self._queue.task_done()

    async def _attempt(self, work: Any) -> bool:
        """Works on the database from a thread; says in the log and in `healthy` what came of it."""
        try:
            await asyncio.to_thread(work)
        except (SQLAlchemyError, OSError) as error:
            self.healthy = False
            LOG.error("the prediction log cannot be written: %s", type(error).__name__)
            return False
        self.healthy = True
        return True

    def _insert(self, rows: Sequence[Entry]) -> None:
        with self._engine.begin() as connection:
            connection.execute(insert(PREDICTIONS), [row.row() for row in rows])


def prepare(url: str) -> None:
    """Makes the log before the first worker opens it.

    Raises:
        UserError: The database cannot be opened.
    """
    _open(url).dispose()


def _open(url: str) -> Engine:
    """An engine whose tables are there."""
    try:
        if url.startswith("postgresql://"):
            url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        engine = create_engine(url, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _set_pragmas)
        _make_tables(engine)
    except (SQLAlchemyError, OSError, ImportError) as error:
        shown = url.partition("://")[0]  # the rest may hold a password
        raise UserError(
            f"the prediction log cannot be opened ({shown}): {type(error).__name__}",
            "check MLFOLIO_DB, for example postgresql://user:password@host/database",
        ) from None
    return engine


def _make_tables(engine: Engine) -> None:
    """Makes what is not there; of two processes that do it at once one fails, and looks again."""
    for patience in (0.1, 1.0, None):
        try:
            with engine.begin() as connection:
                _TABLES.create_all(connection)
            return
        except DatabaseError:
            if patience is None:
                raise
            time.sleep(patience)


def _set_pragmas(connection: Any, record: ConnectionPoolEntry) -> None:
    """SQLite for several readers and writers: a write-ahead log, and patience at the lock."""
    cursor = connection.cursor()
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
