"""The states of conversations, in the database of the prediction log.

Any number of processes may hold the same conversation at the same time: a state is written only if
it is still the one that was read, else the turn is taken again on the newer one. No lock is held
while somebody thinks.

Whoever knows the id of a conversation can go on with it: give ids that nobody guesses.
"""

from __future__ import annotations

import threading
import time
import uuid
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Index,
    String,
    Table,
    Text,
    delete,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from mlfolio.core.errors import MlfolioError, UserError
from mlfolio.track.log import TABLES, connect, database_url, make_tables, unusable

KEEP_DAYS = 30
ATTEMPTS = 50  # of a turn, while others write to the same conversation
SWEEP_S = 3600.0  # between looks for what is too old
CONVERSATIONS = Table(
    "conversations",
    TABLES,
    Column("system", String(100), primary_key=True),
    Column("id", String(200), primary_key=True),
    Column("version", String(32), nullable=False),  # another one each time that it is written
    Column("state", Text, nullable=False),  # JSON
    Column("time", Float, nullable=False),  # of the last turn, seconds since 1970, UTC
    Index("conversations_by_time", "time"),
)
Answer = TypeVar("Answer")


class Conversations:
    """The conversations of one system.

    Args:
        system: Its name.
        url: SQLAlchemy URL of the database; None for that of the prediction log. It is opened, and
            the table made, at the first turn.
        keep_days: A conversation that was silent for so long is forgotten.
    """

    def __init__(self, system: str, url: str | None = None, keep_days: float = KEEP_DAYS) -> None:
        self._system = system
        self._url = url
        self._keep_s = keep_days * 86_400
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        self._opened = ""
        self._next_sweep = 0.0

    def turn(self, key: str, step: Callable[[str | None], tuple[str, Answer]]) -> Answer:
        """Takes one turn of a conversation.

        Args:
            key: Its id.
            step: From the state (None at the beginning) to the next one and the answer. It may be
                called several times, so it has to be free of effects.

        Raises:
            UserError: The database cannot be used.
            MlfolioError: Too many write to this conversation at the same time.
        """
        address = self._url or database_url()
        try:
            engine = self._open(address)
            self._sweep(engine)
            for attempt in range(ATTEMPTS):
                version, state = self._read(engine, key)
                state, answer = step(state)
                if self._write(engine, key, version, state):
                    return answer
                time.sleep(0.002 * attempt)
        except SQLAlchemyError as error:
            raise unusable(address, error) from None
        raise MlfolioError(
            f"too many messages to the conversation {key[:40]!r} at the same time",
            "send them one after the other",
        )

    def _read(self, engine: Engine, key: str) -> tuple[str | None, str | None]:
        """The version that is there, and its state unless it is too old."""
        query = select(CONVERSATIONS).where(
            CONVERSATIONS.c.system == self._system, CONVERSATIONS.c.id == key
        )
        with engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None, None
        is_fresh = row["time"] >= time.time() - self._keep_s
        return row["version"], row["state"] if is_fresh else None

    def _write(self, engine: Engine, key: str, version: str | None, state: str) -> bool:
        """Writes a state, unless another version than the one that was read is there."""
        values = {"version": uuid.uuid4().hex, "state": state, "time": time.time()}
        try:
            with engine.begin() as connection:
                if version is None:
                    row = {"system": self._system, "id": key, **values}
                    connection.execute(insert(CONVERSATIONS).values(row))
                    return True
                change = update(CONVERSATIONS).where(
                    CONVERSATIONS.c.system == self._system,
                    CONVERSATIONS.c.id == key,
                    CONVERSATIONS.c.version == version,
                )
                return connection.execute(change.values(values)).rowcount == 1
        except IntegrityError:
            return False

    def _sweep(self, engine: Engine) -> None:
        """Erases what is too old, now and then."""
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_S
            with engine.begin() as connection:
                sweep(connection, self._keep_s)

    def _open(self, address: str) -> Engine:
        with self._opening:
            if self._engine is None or self._opened != address:
                if make_url(address).get_backend_name() == "sqlite":
                    _make_folder(address)
                engine = connect(address)
                make_tables(engine, TABLES)
                weakref.finalize(self, engine.dispose)  # nobody closes a model
                self._engine, self._opened = engine, address
            return self._engine


def sweep(connection: Connection, keep_s: float = KEEP_DAYS * 86_400) -> None:
    """Erases the conversations of all systems that were silent for so many seconds."""
    old = CONVERSATIONS.c.time < time.time() - keep_s
    connection.execute(delete(CONVERSATIONS).where(old))


def _make_folder(address: str) -> None:
    path = make_url(address).database
    if path and path != ":memory:":
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{path} cannot be made: {error.strerror}", "check MLFOLIO_RUNS"
            ) from None
