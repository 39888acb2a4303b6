"""PostgreSQL as a server of vectors: connections, what is needed, its errors in our words."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from mlfolio.core.errors import MissingExtraError, UserError
from mlfolio.parts.retrieval.stores.place import EXAMPLE, STORE, StoreError, gone

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

READERS, WRITERS = 8, 32  # connections of one process to one server, at most
_OPTIONS: dict[str, Any] = {"autocommit": True, "connect_timeout": 10}


def shown(url: str) -> str:
    """An address without who asks there and with what password."""
    parts = psycopg_module().conninfo.conninfo_to_dict(url)
    host, port = parts.get("host", "localhost"), parts.get("port", 5432)
    return f"PostgreSQL at {host}:{port}/{parts.get('dbname', '')}"


@cache
def pool_of(url: str) -> ConnectionPool:
    """The connections by which this process reads in a server.

    Raises:
        StoreError: It cannot be reached, or has no pgvector.
    """
    with said(url), psycopg_module().connect(url, **_OPTIONS) as first:
        _prepare(first)  # a pool would only try it again and again
    return _pool(url, min_size=1, max_size=READERS)


@contextmanager
def writing_to(url: str, name: str) -> Iterator[Connection[Any]]:
    """A connection that holds what whoever writes to an index holds, until it is given back.

    Raises:
        StoreError: The server cannot be reached, or has no pgvector.
    """
    with _writers_of(url).connection() as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
        yield connection


@cache
def _writers_of(url: str) -> ConnectionPool:
    """The connections by which this process writes: who waits to write keeps none from readers."""
    pool_of(url)  # looks whether there is a server
    return _pool(url, min_size=0, max_size=WRITERS, reset=_let_go)


def _pool(url: str, **settings: Any) -> ConnectionPool:
    from psycopg_pool import ConnectionPool

    pool = ConnectionPool(
        url, open=True, configure=_prepare, timeout=30, check=ConnectionPool.check_connection,
        kwargs=_OPTIONS, **settings,
    )  # fmt: skip
    atexit.register(pool.close)
    return pool


def _let_go(connection: Connection[Any]) -> None:
    connection.execute("SELECT pg_advisory_unlock_all()")


def _prepare(connection: Connection[Any]) -> None:
    """Makes a connection know vectors.

    Raises:
        StoreError: The server does not.
    """
    from pgvector.psycopg import register_vector

    try:
        register_vector(connection)
    except psycopg_module().ProgrammingError as error:
        raise StoreError(
            f"there is no index in {shown(connection.info.dsn)}: "
            f"it has no pgvector ({_first_line(error)})",
            f"set {STORE} to the database that it was made in",
        ) from None
    # As many as are asked for, also beside what was deleted: 40 by default.
    connection.execute("SET hnsw.ef_search = 200")
    connection.execute("SET hnsw.iterative_scan = strict_order")


def need_vectors(url: str) -> None:
    """Makes pgvector's type where it is not there yet.

    Raises:
        StoreError: There is no pgvector, or an old one.
    """
    psycopg = psycopg_module()
    with said(url), psycopg.connect(url, **_OPTIONS) as connection:
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except psycopg.Error as error:
            raise StoreError(
                f"{shown(url)} has no pgvector ({_first_line(error)})",
                "install it, and let the database's owner CREATE EXTENSION vector",
            ) from None
        row = connection.execute(
            "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
        ).fetchone()
    if row and tuple(map(int, row[0].split(".")[:2])) < (0, 8):
        raise StoreError(
            f"{shown(url)} has pgvector {row[0]}, and 0.8 is needed",
            "install a newer one, and ALTER EXTENSION vector UPDATE",
        )


@contextmanager
def said(who: str) -> Iterator[None]:
    """Turns PostgreSQL's errors into ours, without an address in them.

    Args:
        who: The server's address, or the name of an index there.
    """
    psycopg = psycopg_module()
    from psycopg_pool import PoolTimeout

    errors = psycopg.errors
    try:
        yield
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        raise gone(who) from None
    except errors.LockNotAvailable:
        raise StoreError(
            f"somebody has been reading in PostgreSQL for long, a backup perhaps ({who})",
            "try again when that is done",
        ) from None
    except psycopg.ProgrammingError as error:
        if error.sqlstate is not None or "://" not in who:  # the server said so
            who = shown(who) if "://" in who else who
            raise StoreError(f"PostgreSQL refused: {_first_line(error)} ({who})") from error
        raise UserError(  # the address itself: libpq would repeat parts of it
            f"{STORE} is no address of PostgreSQL", f"{STORE}={EXAMPLE}"
        ) from None
    except (psycopg.Error, PoolTimeout) as error:
        where = shown(who) if "://" in who else f"the PostgreSQL of the index {who}"
        raise StoreError(
            f"{where} cannot be used: {_first_line(error)}",
            f"is the server up, and {STORE} right?",
        ) from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


@cache
def psycopg_module() -> Any:
    """The driver, imported when it is wanted.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pgvector  # noqa: F401 - looked for
        import psycopg
        import psycopg_pool  # noqa: F401 - looked for
    except ImportError as error:
        raise MissingExtraError("an index in PostgreSQL", "stores", error.name or "") from None
    return psycopg
