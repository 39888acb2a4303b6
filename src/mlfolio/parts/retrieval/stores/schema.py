"""The schema of an index in PostgreSQL: its tables, made, filled from another's, dropped.

A deleted row stays in a table's file, also after VACUUM, until its place is needed. So an index is
written anew by filling a new schema, which gets the old one's name and rights before that is
dropped. Columns that hold text have no statistics: ANALYZE, which the server also does by itself,
copies values into a catalog that all indexes share, and there they would stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection

EXACT_ROWS = 20_000  # up to so many every vector is compared
_MOST_DIMENSIONS = 2_000  # that pgvector's index takes

TABLES = ("state", "documents", "chunks", "postings")
COLUMNS = "document, position, page, heading, text"
_TABLES = """
    CREATE SCHEMA {s};
    CREATE TABLE {s}.state (
        version bigint NOT NULL, erasing boolean NOT NULL,
        next bigint NOT NULL,  -- key of the next chunk: none is used twice
        chunks bigint NOT NULL, terms bigint NOT NULL
    );
    CREATE TABLE {s}.documents (
        name text COLLATE "C" PRIMARY KEY,
        digest text NOT NULL,
        labels text[] COLLATE "C" NOT NULL DEFAULT '{}'
    );
    CREATE TABLE {s}.chunks (
        key bigint PRIMARY KEY,
        id text COLLATE "C" NOT NULL UNIQUE,
        document text COLLATE "C" NOT NULL,
        position integer NOT NULL,
        page integer,
        heading text NOT NULL,
        text text NOT NULL,
        vector vector({d}) STORAGE MAIN NOT NULL  -- in the row: all are read to compare them
    );
    CREATE TABLE {s}.postings (
        chunk bigint NOT NULL,
        term text COLLATE "C" NOT NULL,
        frequency integer NOT NULL,
        length integer NOT NULL  -- terms of the chunk, so that scoring needs this table alone
    );
    ALTER TABLE {s}.documents ALTER name SET STATISTICS 0,
        ALTER digest SET STATISTICS 0, ALTER labels SET STATISTICS 0;
    ALTER TABLE {s}.chunks ALTER id SET STATISTICS 0, ALTER document SET STATISTICS 0,
        ALTER heading SET STATISTICS 0, ALTER text SET STATISTICS 0, ALTER vector SET STATISTICS 0;
    ALTER TABLE {s}.postings ALTER term SET STATISTICS 0;
"""
_LOOKUPS = """
    CREATE INDEX ON {s}.chunks (document, position);
    CREATE INDEX ON {s}.documents USING gin (labels);
    CREATE INDEX ON {s}.postings (term);
    CREATE INDEX ON {s}.postings (chunk);
"""
_COPY = """
    INSERT INTO {t}.documents SELECT name, digest, labels FROM {s}.documents ORDER BY name;
    INSERT INTO {t}.chunks SELECT * FROM {s}.chunks ORDER BY document, position, id;
    INSERT INTO {t}.postings SELECT * FROM {s}.postings ORDER BY term, chunk;
    INSERT INTO {t}.state SELECT version + 1, false, next, chunks, terms FROM {s}.state;
"""
_RIGHTS = """
    SELECT 'GRANT ' || privilege_type || ' ON ' || what || ' TO '
        || CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
        || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
    FROM (
        SELECT 'SCHEMA {t}' AS what, given.*
        FROM pg_namespace, aclexplode(nspacl) AS given WHERE nspname = '{s}'
        UNION ALL
        SELECT '{t}.' || relname, given.*
        FROM pg_class, aclexplode(relacl) AS given
        WHERE relnamespace = '{s}'::regnamespace AND to_regclass('{t}.' || relname) IS NOT NULL
    ) AS rights
"""
# Whoever backs a database up, or forgot a transaction, holds on to its tables for hours.
IMPATIENT = "SET LOCAL lock_timeout = '3s';"  # in one string with what it is for


def make(connection: Connection[Any], name: str, dimension: int) -> None:
    """Makes a schema of no documents; within the caller's transaction."""
    _make_tables(connection, name, dimension)
    connection.execute(statement("INSERT INTO {s}.state VALUES (0, false, 0, 0, 0)", name))
    connection.execute(statement(_LOOKUPS, name))


def pour(connection: Connection[Any], name: str, new: str, dimension: int) -> None:
    """Makes a schema that holds what another one does; within the caller's transaction."""
    _make_tables(connection, new, dimension)
    connection.execute(statement(_COPY, name, new))
    connection.execute(statement(_LOOKUPS, new))
    row = connection.execute(statement("SELECT chunks FROM {s}.state", new)).fetchone()
    if row and row[0] > EXACT_ROWS and dimension <= _MOST_DIMENSIONS:
        connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
        connection.execute(
            statement("CREATE INDEX ON {s}.chunks USING hnsw (vector vector_ip_ops)", new)
        )


def wait_for_readers(connection: Connection[Any], name: str) -> None:
    """Goes on when nobody reads in a schema, and holds them off until the transaction ends.

    Raises:
        psycopg.errors.LockNotAvailable: Somebody reads for longer than we wait.
    """
    connection.execute(statement(f"{IMPATIENT} LOCK {{s}}.state", name))


def exchange(connection: Connection[Any], name: str, new: str) -> None:
    """Gives a schema the name and the rights of another, which is `former` from then on.

    Within the caller's transaction, and behind all who read: a backup asks for each table by its
    name, and would find none of the rows that came after it began. Nothing else is locked, and
    whoever comes meanwhile waits, so there is no deadlock.

    Raises:
        psycopg.errors.LockNotAvailable: Somebody reads for longer than we wait.
    """
    for (grant,) in connection.execute(statement(_RIGHTS, name, new)).fetchall():
        connection.execute(grant)
    wait_for_readers(connection, name)
    connection.execute(statement("ALTER SCHEMA {s} RENAME TO {t}", name, former(name)))
    connection.execute(statement("ALTER SCHEMA {s} RENAME TO {t}", new, name))


def drop(connection: Connection[Any], name: str) -> None:
    """Drops a schema that may be read meanwhile: each table by itself; nothing where none is.

    A prepared query locks its tables in an order of its planner's; whoever wanted several at once
    would hold one and wait for another, as that query does.

    Raises:
        psycopg.errors.LockNotAvailable: Somebody has read there for longer than we wait.
    """
    for table in TABLES:
        connection.execute(statement(f"{IMPATIENT} DROP TABLE IF EXISTS {{s}}.{table}", name))
    connection.execute(statement(f"{IMPATIENT} DROP SCHEMA IF EXISTS {{s}} CASCADE", name))


def former(name: str) -> str:
    """What a schema is called from when another takes its place until it is dropped."""
    return f"{name}_old"


def statement(template: str, name: str, new: str = "") -> bytes:
    """A statement about a schema, and perhaps another; their names are ours, see `Place`."""
    parts = {"{columns}": COLUMNS, "{s}": name, "{t}": new}
    for part, text in parts.items():
        template = template.replace(part, text)
    return template.encode()


def _make_tables(connection: Connection[Any], name: str, dimension: int) -> None:
    connection.execute(statement(_TABLES.replace("{d}", str(dimension)), name))
