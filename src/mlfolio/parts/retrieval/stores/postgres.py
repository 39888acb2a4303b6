"""An index in PostgreSQL with pgvector: one schema an index, with three tables and a row of state.

PostgreSQL has no BM25 of its own, so there is a table of postings: which term occurs in which
chunk how often. A question's scores are one query over it (Robertson and Zaragoza, 2009, The
Probabilistic Relevance Framework: BM25 and Beyond), with LanceDB's numbers and terms.

Writers wait for each other at an advisory lock, which the server takes from a killed process; those
who wait keep no connection from the readers. Deleted text leaves with the schema that held it (see
`schema`): a writer waits for whoever still reads there, a few seconds at most, and who asks
meanwhile waits with it. Where that was not enough (a backup reads for hours) the trace stays, and
the next writer or opener erases what is left. The log of transactions and backups are the server's,
and keep old text for their time.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlfolio.parts.retrieval.index import NEIGHBOURS, Entry, Found, Passage, Within, chunk_id
from mlfolio.parts.retrieval.stems import term_counts
from mlfolio.parts.retrieval.stores.place import STORE, Place, StoreError
from mlfolio.parts.retrieval.stores.schema import (
    IMPATIENT,
    drop,
    exchange,
    former,
    make,
    pour,
    statement,
    wait_for_readers,
)
from mlfolio.parts.retrieval.stores.server import (
    need_vectors,
    pool_of,
    psycopg_module,
    said,
    shown,
    writing_to,
)
from mlfolio.parts.text.vectors import Vectors

if TYPE_CHECKING:
    from psycopg import Connection

LOG = logging.getLogger(__name__)

K1, B = 1.2, 0.75  # BM25's
_MATCHING = """
    WITH size AS (SELECT chunks, greatest(terms, 1)::float8 / chunks AS mean FROM {s}.state),
    asked AS (SELECT * FROM unnest(%(terms)s::text[], %(counts)s::int[]) AS t(term, times)),
    posted AS (  -- a term at a time: there are no statistics that a join could be planned by
        SELECT times, p.* FROM asked CROSS JOIN LATERAL (
            SELECT chunk, frequency::float8, length, count(*) OVER () AS holders
            FROM {s}.postings WHERE term = asked.term
        ) AS p
    ),
    scored AS (
        SELECT chunk, sum(
            times * ln(1 + (chunks - holders + 0.5) / (holders + 0.5))
            * frequency * (%(k1)s + 1)
            / (frequency + %(k1)s * (1 - %(b)s + %(b)s * length / mean))
        ) AS score
        FROM posted CROSS JOIN size {inside}
        GROUP BY chunk ORDER BY score DESC, chunk LIMIT %(limit)s
    )
    SELECT id, key, score, vector FROM scored JOIN {s}.chunks ON key = chunk
    ORDER BY score DESC, key
"""
_IN_PLACE = "(document = %(place)s OR (document >= %(from)s AND document < %(to)s))"
# An array, since of an IN the planner would think, without statistics, that all chunks are read.
_HAVING = """
    document = ANY(ARRAY(SELECT name FROM {s}.documents WHERE labels && %({group})s::text[]))
"""
_ADD_LABELS = """
    ALTER TABLE {s}.documents
    ADD COLUMN IF NOT EXISTS labels text[] COLLATE "C" NOT NULL DEFAULT '{}'
"""
_HAS_LABELS = """
    SELECT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = '{s}.documents'::regclass AND attname = 'labels' AND NOT attisdropped
    )
"""
_INSIDE = "WHERE chunk IN (SELECT key FROM {s}.chunks WHERE {within})"
_NEAREST = """
    SELECT id, key, -(vector <#> %(vector)s) FROM {s}.chunks
    ORDER BY vector <#> %(vector)s LIMIT %(limit)s
"""
_NEAREST_INSIDE = """
    WITH inside AS MATERIALIZED (SELECT id, key, vector FROM {s}.chunks WHERE {within})
    SELECT id, key, -(vector <#> %(vector)s) FROM inside
    ORDER BY vector <#> %(vector)s LIMIT %(limit)s
"""
_AROUND = """
    SELECT DISTINCT ON (position) {columns} FROM {s}.chunks
    WHERE document = %(document)s AND CASE
        WHEN %(page)s::int IS NULL THEN position BETWEEN %(first)s AND %(last)s
        ELSE page = %(page)s::int
    END
    ORDER BY position
"""


class PostgresIndex:
    """An `Index` in a schema of its own.

    Args:
        folder: Remembers which schema that is.
        dimension: Length of its vectors.
        url: `postgresql://user:password@host/database`.
        name: The schema's.

    Raises:
        StoreError: The server cannot be reached, or there is no such schema.
        MissingExtraError: The extra `stores` is not installed.
    """

    def __init__(self, folder: Path, dimension: int, url: str, name: str) -> None:
        self.folder = folder
        self.dimension = dimension
        self.name = name
        self._url = url
        self._pool = pool_of(url)
        self._turn = threading.RLock()
        self._mine = threading.local()  # .connection: of the thread that writes
        there = self._rows("SELECT 1 FROM pg_namespace WHERE nspname = %(name)s", name=name)
        if not there:
            raise StoreError(
                f"there is no index {name} in {shown(url)}",
                f"set {STORE} to the database that it was made in, or mlfolio run documents",
            )
        self._need_labels()
        if self.is_erasing:
            self._finish_erasing()

    @classmethod
    def new(cls, folder: Path, dimension: int, url: str) -> PostgresIndex:
        """An empty one, in a new schema.

        Raises:
            StoreError: The server cannot be reached, has no pgvector or lets us make no schema.
        """
        need_vectors(url)
        place = Place.new()
        with said(url), pool_of(url).connection() as connection, connection.transaction():
            make(connection, place.name, dimension)
            place.keep(folder)  # before the commit: what no folder remembers nobody would drop
        return cls(folder, dimension, url, place.name)

    @property
    def is_erasing(self) -> bool:
        """See `Index`."""
        ((erasing,),) = self._rows("SELECT erasing FROM {s}.state")
        return bool(erasing)

    @property
    def version(self) -> int:
        """See `Index`."""
        ((version,),) = self._rows("SELECT version FROM {s}.state")
        return int(version)

    def documents(self) -> dict[str, str]:
        """See `Index`."""
        return dict(self._rows("SELECT name, digest FROM {s}.documents"))

    def labels(self) -> set[str]:
        """See `Index`."""
        return {label for (label,) in self._rows("SELECT unnest(labels) FROM {s}.documents")}

    def __len__(self) -> int:
        """Number of chunks; of parents, that of their children."""
        ((chunks,),) = self._rows("SELECT chunks FROM {s}.state")
        return int(chunks)

    def replace(self, documents: Mapping[str, Entry], vectors: Vectors) -> None:
        """See `Index`."""
        with self._committing() as connection:
            self._delete(connection, list(documents))
            self._insert(connection, documents, vectors)

    def remove(self, names: Iterable[str]) -> None:
        """See `Index`."""
        gone = list(names)
        if gone:
            with self._committing() as connection:
                self._delete(connection, gone)

    def leave_trace(self) -> None:
        """See `Index`."""
        with self.writing() as connection:
            connection.execute(statement("UPDATE {s}.state SET erasing = true", self.name))

    def rewrite(self) -> None:
        """Fills a new schema, in the order of names and places, and drops the old one.

        Where somebody reads there for long the trace stays, and it is left to who comes next.
        """
        new, old = f"{self.name}_new", former(self.name)
        with self.writing() as connection:
            try:
                drop(connection, old)  # a killed process or a long reader may have left it
                wait_for_readers(connection, self.name)  # or all that is poured is for nothing
                with self._committing():
                    pour(connection, self.name, new, self.dimension)
                    exchange(connection, self.name, new)
                    self.leave_trace()
                drop(connection, old)
                connection.execute(statement("UPDATE {s}.state SET erasing = false", self.name))
            except psycopg_module().errors.LockNotAvailable:
                LOG.warning("deleted text stays in %s while somebody reads there", self.name)
        self.optimize()

    def optimize(self) -> None:
        """Counts anew what the server plans its searches by."""
        with self.writing() as connection:
            connection.execute(
                statement("ANALYZE {s}.chunks, {s}.postings, {s}.documents", self.name)
            )

    def nearest(self, vector: Vectors, limit: int, within: Within | None = None) -> Found:
        """See `Index`."""
        where, values = _conditions(within)
        query = _NEAREST_INSIDE.replace("{within}", where) if where else _NEAREST
        rows = self._rows(query, vector=vector.astype(np.float32), limit=limit, **values)
        return _found(rows)

    def matching(
        self, text: str, limit: int, within: Within | None = None
    ) -> tuple[Found, Vectors]:
        """See `Index`."""
        asked = term_counts(text)
        where, values = _conditions(within)
        inside = _INSIDE.replace("{within}", where) if where else ""
        query = _MATCHING.replace("{inside}", inside)
        rows = self._rows(
            query, terms=list(asked), counts=list(asked.values()), limit=limit, k1=K1, b=B,
            **values,
        )  # fmt: skip
        vectors = np.array([row[3].to_numpy() for row in rows], dtype=np.float32)
        return _found(rows), vectors.reshape(-1, self.dimension)

    def passages(self, ids: Sequence[str], rows: Sequence[int]) -> dict[str, Passage]:
        """See `Index`; an id is as quick as a row here."""
        query = "SELECT id, {columns} FROM {s}.chunks WHERE id = ANY(%(ids)s)"
        found = {row[0]: Passage(*row[1:]) for row in self._rows(query, ids=list(ids))}
        return {chunk: found[chunk] for chunk in ids if chunk in found}

    def vectors(self, ids: Sequence[str], rows: Sequence[int]) -> dict[str, Vectors]:
        """See `Index`."""
        query = "SELECT id, vector FROM {s}.chunks WHERE id = ANY(%(ids)s)"
        found = {row[0]: _float32(row[1]) for row in self._rows(query, ids=list(ids))}
        return {chunk: found[chunk] for chunk in ids if chunk in found}

    def around(self, document: str, position: int, page: int | None) -> list[Passage]:
        """See `Index`."""
        rows = self._rows(
            _AROUND, document=_storable(document), page=page,
            first=position - NEIGHBOURS, last=position + NEIGHBOURS,
        )  # fmt: skip
        return [Passage(*row) for row in rows]

    def beginnings(self, limit: int) -> list[Passage]:
        """See `Index`."""
        rows = self._rows(
            "SELECT {columns} FROM {s}.chunks WHERE position = 0 AND id = document || '#0' "
            "ORDER BY document LIMIT %(limit)s",
            limit=limit,
        )
        return [Passage(*row) for row in rows]

    def sample(self, n: int, seed: int = 0) -> list[Passage]:
        """See `Index`."""
        ids = [chunk for (chunk,) in self._rows("SELECT id FROM {s}.chunks ORDER BY id")]
        chosen = sorted(random.Random(seed).sample(ids, min(n, len(ids))))  # noqa: S311 - no secret
        return list(self.passages(chosen, []).values())

    def copy_to(self, folder: Path) -> None:
        """Copies the schema within the server; `folder` remembers the copy."""
        place = Place.new()
        with self.writing() as connection, connection.transaction():
            pour(connection, self.name, place.name, self.dimension)
            place.keep(folder)

    @contextmanager
    def writing(self) -> Iterator[Connection[Any]]:
        """Held by whoever writes, in this or any other process; re-entrant within a thread."""
        held = getattr(self._mine, "connection", None)
        if held is not None:
            yield held
            return
        with self._turn, said(self.name), writing_to(self._url, self.name) as connection:
            self._mine.connection = connection
            try:
                yield connection
            finally:
                self._mine.connection = None

    @contextmanager
    def _committing(self) -> Iterator[Connection[Any]]:
        """One commit, with another version."""
        with self.writing() as connection, connection.transaction():
            connection.execute(statement("UPDATE {s}.state SET version = version + 1", self.name))
            yield connection

    def _delete(self, connection: Connection[Any], names: list[str]) -> None:
        connection.execute(
            statement(
                "WITH gone AS (DELETE FROM {s}.chunks WHERE document = ANY(%(names)s) "
                "RETURNING key), "
                "named AS (DELETE FROM {s}.documents WHERE name = ANY(%(names)s)), "
                "words AS (DELETE FROM {s}.postings USING gone WHERE chunk = key "
                "RETURNING frequency) "
                "UPDATE {s}.state SET chunks = chunks - (SELECT count(*) FROM gone), "
                "terms = terms - (SELECT coalesce(sum(frequency), 0) FROM words)",
                self.name,
            ),
            {"names": [_storable(name) for name in names]},
        )

    def _insert(
        self,
        connection: Connection[Any],
        documents: Mapping[str, Entry],
        vectors: Vectors,
    ) -> None:
        chunks = [(name, chunk) for name, entry in documents.items() for chunk in entry.chunks]
        counts = [term_counts(chunk.search_text) for _, chunk in chunks]
        lengths = [sum(count.values()) for count in counts]
        state = connection.execute(
            statement(
                "UPDATE {s}.state SET next = next + %(new)s, chunks = chunks + %(new)s, "
                "terms = terms + %(terms)s RETURNING next - %(new)s",
                self.name,
            ),
            {"new": len(chunks), "terms": sum(lengths)},
        ).fetchone()
        assert state is not None  # noqa: S101 - there is one row
        first = int(state[0])
        self._put(
            connection, "documents (name, digest, labels)", ("text", "text", "text[]"),
            (
                (_storable(name), entry.digest, list(map(_storable, entry.labels)))
                for name, entry in documents.items()
                if entry.chunks
            ),
        )  # fmt: skip
        self._put(
            connection,
            "chunks (key, id, document, position, page, heading, text, vector)",
            ("int8", "text", "text", "int4", "int4", "text", "text", "vector"),
            (
                (first + at, _storable(chunk_id(name, chunk)), _storable(name), chunk.position,
                 chunk.page, _storable(chunk.heading), _storable(chunk.text), vectors[at])
                for at, (name, chunk) in enumerate(chunks)
            ),
        )  # fmt: skip
        self._put(
            connection, "postings (chunk, term, frequency, length)",
            ("int8", "text", "int4", "int4"),
            (
                (first + at, term, frequency, lengths[at])
                for at, count in enumerate(counts)
                for term, frequency in count.items()
            ),
        )  # fmt: skip

    def _put(
        self,
        connection: Connection[Any],
        table: str,
        types: Sequence[str],
        rows: Iterable[tuple[Any, ...]],
    ) -> None:
        filling = statement(f"COPY {{s}}.{table} FROM STDIN (FORMAT BINARY)", self.name)
        with connection.cursor() as cursor, cursor.copy(filling) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def _rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query finds; once more where another process exchanged the schema meanwhile."""
        errors = psycopg_module().errors
        asked = statement(query, self.name)

        def ask(connection: Connection[Any]) -> list[tuple[Any, ...]]:
            with connection.cursor(binary=True) as cursor:
                return cursor.execute(asked, values).fetchall()

        held = getattr(self._mine, "connection", None)
        with said(self.name):
            if held is not None:
                return ask(held)
            with self._pool.connection() as connection:
                try:
                    return ask(connection)
                except (errors.UndefinedTable, errors.InvalidSchemaName):
                    return ask(connection)

    def _need_labels(self) -> None:
        """Gives the table of an earlier version the column: nobody has a label there."""
        ((has,),) = self._rows(_HAS_LABELS)
        if not has:
            try:
                with self.writing() as connection:
                    connection.execute(statement(IMPATIENT + _ADD_LABELS, self.name))
            except StoreError:  # we may only read: without labels it can still be asked
                LOG.warning("%s takes no metadata", self.name, exc_info=True)

    def _finish_erasing(self) -> None:
        """Erases what a killed process has left; it is in no answer, so this may wait."""
        try:
            with self.writing():
                if self.is_erasing:  # nobody else has done it meanwhile
                    self.rewrite()
        except StoreError:  # we may only read, a full disk
            LOG.warning("deleted text is still in the files of %s", self.name, exc_info=True)


def discard(url: str, name: str) -> None:
    """Drops an index; nothing where there is none of this name.

    Raises:
        StoreError: The server cannot be reached, or somebody reads in it for long.
    """
    psycopg = psycopg_module()
    with said(url), psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        drop(connection, name)
        drop(connection, former(name))


def _conditions(within: Within | None) -> tuple[str, dict[str, Any]]:
    """What a chunk has to be, empty where it may be anything, and the values in that."""
    where: list[str] = []
    values: dict[str, Any] = {}
    if within is not None and within.place is not None:
        # Between what the names in the folder of that name lie: 0 follows /.
        folder = _storable(within.place.rstrip("/"))
        where.append(_IN_PLACE)
        values |= {"place": _storable(within.place), "from": f"{folder}/", "to": f"{folder}0"}
    for number, group in enumerate(within.labels if within is not None else ()):
        where.append(_HAVING.replace("{group}", f"group{number}"))
        values[f"group{number}"] = list(map(_storable, group))
    return " AND ".join(where), values


def _storable(text: str) -> str:
    """A text without the one character that PostgreSQL's do not have."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _found(rows: Sequence[tuple[Any, ...]]) -> Found:
    scores = np.array([row[2] for row in rows], dtype=np.float32)
    return Found([row[0] for row in rows], [row[1] for row in rows], scores)


def _float32(vector: Any) -> Vectors:
    return np.array(vector.to_numpy(), dtype=np.float32)
