"""The prediction log's tables, where they lie, and what users said of the answers.

`mlfolio serve` writes them (`serve.journal`); runs that learn from feedback read them. SQLite
beside the runs, or the PostgreSQL that `MLFOLIO_DB` names.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    RowMapping,
    Select,
    String,
    Table,
    Text,
    and_,
    create_engine,
    delete,
    event,
    func,
    inspect,
    make_url,
    or_,
    select,
    text,
)
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from mlfolio.core.errors import UserError
from mlfolio.core.run import runs_folder

DATABASE = "MLFOLIO_DB"
TABLES = MetaData()
PREDICTIONS = Table(
    "predictions",
    TABLES,
    Column("id", String(32), primary_key=True),
    Column("time", Float, nullable=False),  # seconds since 1970, UTC
    Column("system", String(100), nullable=False),
    Column("version", Integer),
    Column("input", Text),  # JSON; null where it is not kept
    Column("output", Text, nullable=False),  # JSON
    Column("latency_ms", Float, nullable=False),
    Column("client", String(200), nullable=False),
    Column("tenant", String(64)),  # whom the client's key belongs to; null for nobody
    Column("shadow_of", String(32)),  # the answer that somebody got beside it; null of such answers
    Index("predictions_by_system", "system", "time"),
    Index("predictions_by_time", "time"),
)
FEEDBACK = Table(
    "feedback",
    TABLES,
    Column("prediction", String(32), primary_key=True),
    Column("time", Float, nullable=False),
    Column("answer", Text, nullable=False),  # JSON
    Column("client", String(200), nullable=False),
)
VERDICTS = Table(  # whether an answer was good, where nobody says what would have been right
    "verdicts",
    TABLES,
    Column("prediction", String(32), primary_key=True),
    Column("time", Float, nullable=False),
    Column("good", Integer, nullable=False),  # 1 or 0
    Column("client", String(200), nullable=False),
)

TALLIES = Table(  # of requests: a row for a minute, for two seconds while a version is tried
    "tallies",
    TABLES,
    Column("id", String(32), primary_key=True),
    Column("time", Float, nullable=False),
    Column("system", String(100), nullable=False),
    Column("version", Integer, nullable=False),
    Column("asked", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Index("tallies_by_system", "system", "time"),
)


class Judged(NamedTuple):
    """A prediction of which somebody told the truth.

    Attributes:
        input: What was asked, by field; None where it was not kept.
        answer: What was answered.
        truth: What would have been right.
        time: When that was said, in seconds since 1970.
        client: Who said it.
        version: Of the model that answered.
    """

    input: dict[str, Any] | None
    answer: Any
    truth: Any
    time: float
    client: str
    version: int | None = None


class Opinion(NamedTuple):
    """What is known of an answer: of a version's own, or of its shadow's beside it.

    Attributes:
        version: Of the model that answered.
        output: What it answered, by field.
        good: Whether somebody called the answer that was given good; None where nobody did.
        truth: What would have been right; None where nobody said.
        time: When that was said, in seconds since 1970.
        given: Id of the answer that was given, which a shadow's shares.
        is_shadow: Whether nobody got this one.
    """

    version: int
    output: dict[str, Any]
    good: bool | None
    truth: Any
    time: float
    given: str
    is_shadow: bool


def database_url() -> str:
    """Where predictions are logged: `$MLFOLIO_DB`, or SQLite in the runs' folder."""
    return os.environ.get(DATABASE) or f"sqlite:///{runs_folder() / 'predictions.db'}"


def feedback(system: str, url: str | None = None) -> list[Judged]:
    """The judged predictions of a system, in the order they were judged; none without a log.

    Those of tenants are left out: what is learned from them would be in everybody's answers.

    Args:
        system: Its name.
        url: SQLAlchemy URL of the log; None for the usual one.

    Raises:
        UserError: There is a log that cannot be read.
    """
    query = (
        select(PREDICTIONS.c.input, PREDICTIONS.c.output, PREDICTIONS.c.version, FEEDBACK)
        .join(FEEDBACK, FEEDBACK.c.prediction == PREDICTIONS.c.id)
        .where(PREDICTIONS.c.system == system, of(None))
        .order_by(FEEDBACK.c.time, FEEDBACK.c.prediction)
    )
    return [
        Judged(
            input=json.loads(row["input"]) if row["input"] else None,
            answer=json.loads(row["output"])["answer"],
            truth=json.loads(row["answer"]),
            time=row["time"],
            client=row["client"],
            version=row["version"],
        )
        for row in _rows(query, FEEDBACK.name, url)
    ]


def asked(
    system: str, url: str | None = None, most: int = 100_000
) -> list[tuple[dict[str, Any] | None, dict[str, Any]]]:
    """What a system was asked last, the latest first, each with its output; none without a log.

    What tenants asked is left out.

    Args:
        system: Its name.
        url: SQLAlchemy URL of the log; None for the usual one.
        most: Number of predictions that are read.

    Returns:
        Inputs, None where they were not kept, with outputs, both by field.

    Raises:
        UserError: There is a log that cannot be read.
    """
    query = (
        select(PREDICTIONS.c.input, PREDICTIONS.c.output)
        .where(PREDICTIONS.c.system == system, of(None))
        .order_by(PREDICTIONS.c.time.desc(), PREDICTIONS.c.id)
        .limit(most)
    )
    return [
        (json.loads(row["input"]) if row["input"] else None, json.loads(row["output"]))
        for row in _rows(query, PREDICTIONS.name, url)
    ]


def told(
    system: str, since: float, most: int, tenant: str | None = None, url: str | None = None
) -> Sequence[RowMapping]:
    """What is known of a system's answers, the latest first; none without a log.

    Args:
        system: Its name.
        since: Seconds since 1970.
        most: Number of answers that are read.
        tenant: To whom they were given; None for those that no tenant got.
        url: SQLAlchemy URL of the log; None for the usual one.

    Returns:
        Rows of `time`, `output` (JSON), `latency_ms`, `good` (1, 0 or None) and `truth` (JSON or
        None).

    Raises:
        UserError: There is a log that cannot be read.
    """
    about = PREDICTIONS.c
    query = (
        select(
            about.time, about.output, about.latency_ms, VERDICTS.c.good,
            FEEDBACK.c.answer.label("truth"),
        )
        .outerjoin(VERDICTS, VERDICTS.c.prediction == about.id)
        .outerjoin(FEEDBACK, FEEDBACK.c.prediction == about.id)
        .where(about.system == system, about.time >= since, of(tenant))
        .order_by(about.time.desc())
        .limit(most)
    )  # fmt: skip
    return _rows(query, VERDICTS.name, url)


def opinions(system: str, since: float, url: str | None = None) -> list[Opinion]:
    """What was said of the answers since a time, also of what shadows answered beside them.

    Tenants are among those who said it: nothing of what they asked is read.

    Args:
        system: Its name.
        since: Seconds since 1970: of answers from before nothing is read.
        url: SQLAlchemy URL of the log; None for the usual one.

    Returns:
        In the order they were said.

    Raises:
        UserError: There is a log that cannot be read.
    """
    about = PREDICTIONS.c
    given = func.coalesce(about.shadow_of, about.id)
    query = (
        select(
            about.version, about.output, given.label("given"), about.shadow_of, VERDICTS.c.good,
            FEEDBACK.c.answer.label("truth"),
            func.coalesce(FEEDBACK.c.time, VERDICTS.c.time).label("said"),
        )
        .outerjoin(VERDICTS, VERDICTS.c.prediction == given)
        .outerjoin(FEEDBACK, FEEDBACK.c.prediction == given)
        .where(about.system == system, about.time >= since, about.version.is_not(None))
        .where(or_(VERDICTS.c.good.is_not(None), FEEDBACK.c.answer.is_not(None)))
        .order_by(text("said"), about.id)
    )  # fmt: skip
    return [
        Opinion(
            version=row["version"],
            output=json.loads(row["output"]),
            good=None if row["good"] is None else bool(row["good"]),
            truth=None if row["truth"] is None else json.loads(row["truth"]),
            time=row["said"],
            given=row["given"],
            is_shadow=row["shadow_of"] is not None,
        )
        for row in _rows(query, VERDICTS.name, url)
    ]


def tallies(system: str, since: float, url: str | None = None) -> Sequence[RowMapping]:
    """How many requests a system's versions were asked, and failed, the first first.

    Args:
        system: Its name.
        since: Seconds since 1970.
        url: SQLAlchemy URL of the log; None for the usual one.

    Returns:
        Rows of `time`, `version`, `asked` and `failed`, each of the time since the row before.

    Raises:
        UserError: There is a log that cannot be read.
    """
    query = (
        select(TALLIES.c.time, TALLIES.c.version, TALLIES.c.asked, TALLIES.c.failed)
        .where(TALLIES.c.system == system, TALLIES.c.time >= since)
        .order_by(TALLIES.c.time, TALLIES.c.id)
    )
    return _rows(query, TALLIES.name, url)


def answers(
    system: str, version: int, since: float, most: int, *, judged: bool = False,
    newest: bool = True, url: str | None = None,
) -> Sequence[RowMapping]:  # fmt: skip
    """What a version of a system was asked and has answered; none without a log.

    What tenants asked is left out.

    Args:
        system: Its name.
        version: The version's number.
        since: Seconds since 1970.
        most: Number of answers that are read.
        judged: Only those of which somebody told how good they were.
        newest: Whether the latest ones are read, the latest first; else the first ones.
        url: SQLAlchemy URL of the log; None for the usual one.

    Returns:
        Rows of `id`, `time`, `input` (JSON or None), `output` (JSON), `latency_ms`, `good` (1, 0
        or None), `truth` (JSON or None), and `told`, when either was said.

    Raises:
        UserError: There is a log that cannot be read.
    """
    about = PREDICTIONS.c
    told = func.coalesce(FEEDBACK.c.time, VERDICTS.c.time)
    query = (
        select(
            about.id, about.time, about.input, about.output, about.latency_ms, VERDICTS.c.good,
            FEEDBACK.c.answer.label("truth"), told.label("told"),
        )
        .outerjoin(VERDICTS, VERDICTS.c.prediction == about.id)
        .outerjoin(FEEDBACK, FEEDBACK.c.prediction == about.id)
        .where(about.system == system, about.version == version, about.time >= since, of(None))
        .order_by(about.time.desc() if newest else about.time, about.id)
        .limit(most)
    )  # fmt: skip
    return _rows(query.where(told.is_not(None)) if judged else query, VERDICTS.name, url)


def of(tenant: str | None) -> ColumnElement[bool]:
    """Which answers a tenant was given; for None, which somebody was given who is no tenant.

    What a shadow answered was given to nobody.
    """
    return and_(_of(tenant), PREDICTIONS.c.shadow_of.is_(None))


def _of(tenant: str | None) -> ColumnElement[bool]:
    """Which rows are of a tenant's requests, those of shadows too."""
    return PREDICTIONS.c.tenant.is_(None) if tenant is None else PREDICTIONS.c.tenant == tenant


def erase_tenant(tenant: str, url: str | None = None) -> int:
    """Erases what a tenant has asked, and what it said of the answers; returns how many rows.

    Raises:
        UserError: There is a log that cannot be written.
    """
    theirs = select(PREDICTIONS.c.id).where(_of(tenant))
    with _opened(PREDICTIONS.name, url) as connection:
        if connection is None:
            return 0
        for table in (FEEDBACK, VERDICTS):
            if inspect(connection).has_table(table.name):
                connection.execute(delete(table).where(table.c.prediction.in_(theirs)))
        return connection.execute(delete(PREDICTIONS).where(_of(tenant))).rowcount


def _rows(query: Select[Any], table: str, url: str | None) -> Sequence[RowMapping]:
    """What a query finds in a log; nothing where there is none."""
    with _opened(table, url) as connection:
        return [] if connection is None else connection.execute(query).mappings().all()


@contextmanager
def _opened(table: str, url: str | None) -> Iterator[Connection | None]:
    """A transaction in a log that has a table; None where there is no such log.

    Raises:
        UserError: There is one that cannot be used.
    """
    address = url or database_url()
    if make_url(address).get_backend_name() == "sqlite":
        path = make_url(address).database
        if not path or not Path(path).is_file():  # connecting would make it
            yield None
            return
    engine = connect(address)
    try:
        if not inspect(engine).has_table(table):
            yield None
            return
        add_columns(engine)
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise unusable(address, error) from None
    finally:
        engine.dispose()


def connect(url: str) -> Engine:
    """An engine for a log; nothing is made.

    Raises:
        UserError: There is no such kind of database.
    """
    try:
        if url.startswith("postgresql://"):
            url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        engine = create_engine(url, pool_pre_ping=True)
    except (SQLAlchemyError, ImportError) as error:
        raise unusable(url, error) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
    return engine


def prepare(url: str) -> Engine:
    """An engine for a log whose tables are there and have what this version writes.

    Raises:
        UserError: The database cannot be opened.
    """
    engine = connect(url)
    try:
        make_tables(engine, TABLES)
    except (SQLAlchemyError, OSError) as error:
        engine.dispose()
        raise unusable(url, error) from None
    return engine


def make_tables(engine: Engine, tables: MetaData) -> None:
    """Makes what is not there; of two processes that do it at once one fails, and looks again."""
    for patience in (0.1, 1.0, None):
        try:
            with engine.begin() as connection:
                tables.create_all(connection)
            add_columns(engine)
            return
        except DatabaseError:
            if patience is None:
                raise
            time.sleep(patience)


def add_columns(engine: Engine) -> None:
    """Adds to a log what it lacks that was made before there were tenants, or shadows."""
    known, name = inspect(engine), PREDICTIONS.name
    if not known.has_table(name):
        return
    there = {column["name"] for column in known.get_columns(name)}
    for column in (PREDICTIONS.c.tenant, PREDICTIONS.c.shadow_of):
        if column.name not in there:
            kind = column.type.compile(engine.dialect)
            with engine.begin() as connection:
                connection.execute(text(f"ALTER TABLE {name} ADD COLUMN {column.name} {kind}"))


def unusable(url: str, error: Exception) -> UserError:
    """What to say of a log that cannot be opened or read."""
    shown = url.partition("://")[0]  # the rest may hold a password
    return UserError(
        f"the prediction log cannot be opened ({shown}): {type(error).__name__}",
        f"check {DATABASE}, for example postgresql://user:password@host/database",
    )


def _set_pragmas(connection: Any, record: ConnectionPoolEntry) -> None:
    """SQLite for several readers and writers, whose deleted rows are gone from the file too."""
    cursor = connection.cursor()
    pragmas = ("busy_timeout=10000", "journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON")
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
