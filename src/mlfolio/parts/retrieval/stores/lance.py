"""An index in files: one LanceDB table, a row a chunk, and nothing else to keep in step.

What is indexed is read from the table itself, so there is no second state that a crash could leave
behind. Each write is one commit of Lance's. Writers wait for each other at a file lock, which a
killed process lets go of. The trace of deleted text is an empty file.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import lancedb
import numpy as np
import pyarrow as pa
from filelock import FileLock
from lancedb.index import FTS, IvfFlat, IvfRq, LabelList

from mlfolio.parts.retrieval.index import NEIGHBOURS, Entry, Found, Passage, Within, chunk_id
from mlfolio.parts.retrieval.stores.place import gone
from mlfolio.parts.text.vectors import Vectors

TABLE = "chunks"
LOCK = ".lock"
TRACE = ".erasing"  # there is deleted text in the files
LOG = logging.getLogger(__name__)
T = TypeVar("T")

# From so many rows on there is an index of vectors, which Lance holds in memory and so searches
# faster. Up to the second number it is one list of them all, and the search stays exact. Beyond,
# the lists hold a bit a number in place of the vectors, so that half of them can be read; then the
# vectors of the nearest by their bits are compared. Where it is told where to look it reads all of
# the vectors there, which may be few.
_INDEXED_ROWS, _EXACT_ROWS = 1_000, 20_000
_LISTS, _PROBES, _COMPARED = 128, 64, 200
_REWRITTEN = 10_000  # rows at once
_COLUMNS = ["document", "position", "page", "heading", "text"]


class LanceIndex:
    """Chunks of many documents, with their vectors and their full text.

    Attributes:
        folder: Where it lies; it is made if there is none.
        dimension: Length of its vectors.
    """

    def __init__(self, folder: Path, dimension: int) -> None:
        self.folder = folder
        self.dimension = dimension
        folder.mkdir(parents=True, exist_ok=True)
        # Interval zero: every read looks for commits of other processes first.
        database = lancedb.connect(str(folder), read_consistency_interval=timedelta(0))
        self._database = database
        self._files = folder / f"{TABLE}.lance"
        self._schema = _schema(dimension)
        self._lock = FileLock(folder / LOCK)
        # A table that is whole is opened without the lock: its folder may be read-only.
        if not self._open():
            with self.writing():
                self._table = database.create_table(TABLE, schema=self._schema, exist_ok=True)
                self._need_full_text()
        self._names: tuple[int, set[str]] = -1, set()  # see `_known`
        if self.is_erasing:
            self._finish_erasing()

    @property
    def is_erasing(self) -> bool:
        """Whether deleted text is still in the files: it is being erased, or that was broken."""
        return (self.folder / TRACE).exists()

    @property
    def version(self) -> int:
        """Another number after every commit, of this or any other process."""
        return int(self._read(lambda: self._table.version))

    def documents(self) -> dict[str, str]:
        """Names of the indexed documents, and the digests of their contents."""
        rows = self._selected(["document", "digest"])
        return dict(zip(rows["document"].to_pylist(), rows["digest"].to_pylist(), strict=True))

    def labels(self) -> set[str]:
        """The labels that any document has."""

        def ask() -> set[str]:
            if not self._has_labels():
                return set()
            rows = self._table.search().select(["labels"]).to_arrow()
            return set(_flat(rows["labels"]).unique().to_pylist())

        return self._read(ask)

    def __len__(self) -> int:
        """Number of chunks; of parents, that of their children."""
        return int(self._read(lambda: self._table.count_rows()))

    def replace(self, documents: Mapping[str, Entry], vectors: Vectors) -> None:
        """Puts documents in the place of their former selves, all at once.

        Args:
            documents: What is to be held, by name.
            vectors: Of all the chunks in order, shape (chunks, dimension).
        """
        rows = [
            {"id": chunk_id(name, chunk), "document": name, "digest": entry.digest,
             "labels": list(entry.labels), "position": chunk.position, "page": chunk.page,
             "heading": chunk.heading, "text": chunk.text, "search_text": chunk.search_text}
            for name, entry in documents.items()
            for chunk in entry.chunks
        ]  # fmt: skip
        vector = self._schema.field("vector")
        plain = self._schema.remove(self._schema.get_field_index("vector"))
        flat = pa.FixedSizeListArray.from_arrays(
            pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1)), self.dimension
        )
        table = pa.Table.from_pylist(rows, schema=plain).append_column(vector, flat)
        with self.writing():
            self._need_labels()
            known = self._known()
            if known.isdisjoint(documents):  # the cheaper commit: it reads nothing
                self._table.add(table)
            else:
                (
                    self._table.merge_insert("id")
                    .when_matched_update_all()
                    .when_not_matched_insert_all()
                    .when_not_matched_by_source_delete(f"document IN ({_quoted(documents)})")
                    .execute(table)
                )
            known.update(documents)
            self._names = self.version, known

    def remove(self, names: Iterable[str]) -> None:
        """Takes documents out of every later answer; `rewrite` takes them off the disk too."""
        gone = list(names)
        if gone:
            with self.writing():
                self._table.delete(f"document IN ({_quoted(gone)})")

    def leave_trace(self) -> None:
        """Says that from here on there may be deleted text in the files, until `rewrite`."""
        (self.folder / TRACE).touch()

    def rewrite(self) -> None:
        """Writes every file anew, in the order of names and places, and drops the old ones.

        Deleted rows stay in Lance's data files until much of a file is deleted; after this they
        are gone from the disk. It also makes an index that grew in steps the same as one that was
        made at once.
        """
        with self.writing():
            self._need_labels()
            rows = len(self)
            batches = pa.RecordBatchReader.from_batches(self._schema, self._in_order())
            self._table = self._database.create_table(TABLE, data=batches, mode="overwrite")
            self._need_full_text()
            if rows >= _INDEXED_ROWS:
                exact = rows <= _EXACT_ROWS or self.dimension % 8  # bits come in whole bytes
                kind, lists = (IvfFlat, 1) if exact else (IvfRq, _LISTS)
                config = kind(distance_type="dot", num_partitions=lists)
                self._table.create_index("vector", config=config)
                if self.labels():
                    self._table.create_index("labels", config=LabelList())
            with warnings.catch_warnings():
                # It warns of readers of the old files: ours ask again (`_read`).
                warnings.simplefilter("ignore", UserWarning)
                self._table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
            (self.folder / TRACE).unlink(missing_ok=True)

    def optimize(self) -> None:
        """Merges small files and brings the full-text index up to date."""
        with self.writing():
            self._table.optimize(cleanup_older_than=timedelta(minutes=10))

    def nearest(self, vector: Vectors, limit: int, within: Within | None = None) -> Found:
        """The chunks whose vectors are nearest, with their cosines.

        Args:
            vector: Unit vector, shape (dimension,).
            limit: How many at most.
            within: Where to look, which every vector in it is compared for; None for everywhere.
        """

        def ask() -> Any:
            query = self._table.search(vector, vector_column_name="vector").distance_type("dot")
            query = self._only(query.nprobes(_PROBES).select(["id", "_distance"]), within)
            large = len(self) > _EXACT_ROWS
            if large and within is None:
                query = query.refine_factor(-(-_COMPARED // limit))
            elif large:
                query = query.bypass_vector_index()
            return query.with_row_id(True).limit(limit).to_arrow()

        found = self._read(ask)
        return Found(*_keys(found), 1 - found["_distance"].to_numpy())  # dot distance is 1 - dot

    def matching(
        self, text: str, limit: int, within: Within | None = None
    ) -> tuple[Found, Vectors]:
        """The chunks that share words with `text`, with their BM25 scores.

        Returns:
            What was found, and the chunks' vectors, shape (n, dimension).
        """

        def ask() -> Any:
            query = self._table.search(text, query_type="fts", fts_columns="search_text")
            query = self._only(query.select(["id", "vector", "_score"]), within)
            return query.with_row_id(True).limit(limit).to_arrow()

        found = self._read(ask)
        vectors = found["vector"].combine_chunks().flatten().to_numpy()
        scores = found["_score"].to_numpy()
        return Found(*_keys(found), scores), vectors.reshape(-1, self.dimension)

    def passages(self, ids: Sequence[str], rows: Sequence[int]) -> dict[str, Passage]:
        """The chunks called `ids`; those that were deleted meanwhile are left out.

        Args:
            ids: As `chunk_id` makes them.
            rows: Where they were when they were found. Another process may have written the
                table anew since, so what lies there now is checked.
        """
        found = self._taken(ids, rows, _COLUMNS)
        return {chunk: Passage(**row) for chunk, row in found.items()}

    def vectors(self, ids: Sequence[str], rows: Sequence[int]) -> dict[str, Vectors]:
        """The vectors of the chunks called `ids`; otherwise as `passages`."""
        found = self._taken(ids, rows, ["vector"])
        return {chunk: np.array(row["vector"], np.float32) for chunk, row in found.items()}

    def _taken(
        self, ids: Sequence[str], rows: Sequence[int], columns: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        wanted = ["id", *columns]
        try:
            taken = self._table.take_row_ids(list(rows)).select(wanted).to_list() if rows else []
        except Exception:  # there are no such rows any more; LanceDB has no narrower error
            taken = []
        found = {row.pop("id"): row for row in taken}  # not in the order of `rows`
        missing = [chunk for chunk in ids if chunk not in found]
        if missing:
            again = self._selected(wanted, f"id IN ({_quoted(missing)})", len(missing))
            found |= {row.pop("id"): row for row in again.to_pylist()}
        return {chunk: found[chunk] for chunk in ids if chunk in found}

    def around(self, document: str, position: int, page: int | None) -> list[Passage]:
        """The chunks of the page on which one stands; without pages it and its neighbours.

        A parent is one of them, however many children it has.
        """
        where = f"document = {_quoted([document])} AND "
        if page is not None:
            where += f"page = {page}"
        else:
            where += f"position BETWEEN {position - NEIGHBOURS} AND {position + NEIGHBOURS}"
        rows = self._selected(_COLUMNS, where).to_pylist()
        found = {row["position"]: Passage(**row) for row in rows}
        return [found[place] for place in sorted(found)]

    def beginnings(self, limit: int) -> list[Passage]:
        """The first chunks of some documents."""
        # That of position 0, and not the further children of a parent there.
        rows = self._selected(_COLUMNS, "ends_with(id, '#0')", limit).to_pylist()
        return sorted((Passage(**row) for row in rows), key=lambda one: one.document)

    def sample(self, n: int, seed: int = 0) -> list[Passage]:
        """Up to n chunks drawn at random, in the order of their names."""
        ids = sorted(self._selected(["id"])["id"].to_pylist())
        chosen = sorted(random.Random(seed).sample(ids, min(n, len(ids))))  # noqa: S311 - no secret
        return list(self.passages(chosen, []).values())

    def copy_to(self, folder: Path) -> None:
        """Copies the index, by hard links where the disk allows: Lance never changes a file."""
        with self.writing():
            shutil.copytree(
                self.folder, folder, copy_function=_link, ignore=shutil.ignore_patterns(LOCK)
            )

    def writing(self) -> AbstractContextManager[Any]:
        """Held by whoever writes, in this or any other process; re-entrant within a thread."""
        return self._lock

    def _selected(self, columns: Sequence[str], where: str = "", limit: int | None = None) -> Any:
        """Columns of the rows that a condition holds for, as an Arrow table."""

        def ask() -> Any:  # of the table that is open now: `_read` may open it anew
            query = self._table.search().select(list(columns))
            query = query.where(where) if where else query
            return (query.limit(limit) if limit else query).to_arrow()

        return self._read(ask)

    def _only(self, query: Any, within: Within | None) -> Any:
        """Narrows a query to where it shall look."""
        if within is None:
            return query
        conditions = [_in_place(within.place)] if within.place is not None else []
        conditions += [_having(group, self._has_labels()) for group in within.labels]
        return query.where(" AND ".join(conditions), prefilter=True) if conditions else query

    def _has_labels(self) -> bool:
        """Whether the table has the column; one of an earlier version has none."""
        return "labels" in self._table.schema.names

    def _need_labels(self) -> None:
        """Gives the table of an earlier version the column: nobody has a label there."""
        if not self._has_labels():
            self._table.add_columns(self._schema.field("labels"))

    def _known(self) -> set[str]:
        """Names of the indexed documents; read anew only where another has written since."""
        if self._names[0] != self.version:
            self._names = self.version, set(self.documents())
        return self._names[1]

    def _in_order(self) -> Iterator[Any]:
        """All rows in the order of names and places, in batches: they may not fit in memory."""
        order = [("document", "ascending"), ("position", "ascending"), ("id", "ascending")]
        keys = self._table.search().select([name for name, _ in order]).with_row_id(True)
        rows = keys.to_arrow().sort_by(order)["_rowid"].to_pylist()
        for at in range(0, len(rows), _REWRITTEN):
            batch = self._table.take_row_ids(rows[at : at + _REWRITTEN]).to_arrow().sort_by(order)
            # A column that came later stands last; rows came in another order.
            yield from batch.select(self._schema.names).cast(self._schema).to_batches()

    def _read(self, ask: Callable[[], T]) -> T:
        """Reads; once more behind the writers if one of them was just changing the files.

        Raises:
            StoreError: The index was erased meanwhile.
        """
        try:
            return ask()
        except Exception:  # LanceDB raises RuntimeError, ValueError and OSError for it
            if not self._files.exists():
                raise gone(self.folder) from None
            with self.writing():
                self._table = self._database.open_table(TABLE)
                self._need_full_text()
                return ask()

    def _finish_erasing(self) -> None:
        """Erases what a killed process has left; it is in no answer, so this may wait."""
        try:
            with self.writing():
                if self.is_erasing:  # nobody else has done it meanwhile
                    self.rewrite()
        except Exception:  # a read-only folder, a full disk; LanceDB has no narrower error
            LOG.warning("deleted text is still in the files of %s", self.folder, exc_info=True)

    def _open(self) -> bool:
        """Opens the table; False if there is none, or one without its full-text index."""
        if TABLE not in self._database.list_tables().tables:
            return False
        self._table = self._database.open_table(TABLE)
        return self._has_full_text()

    def _has_full_text(self) -> bool:
        return any("search_text" in index.columns for index in self._table.list_indices())

    def _need_full_text(self) -> None:
        """Makes the full-text index if there is none: at first, or after a crash in `rewrite`."""
        if not self._has_full_text():
            config = FTS(language="English", stem=True, remove_stop_words=True, ascii_folding=True)
            self._table.create_index("search_text", config=config)


def _schema(dimension: int) -> Any:
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),  # see `chunk_id`
            pa.field("document", pa.string(), nullable=False),
            pa.field("digest", pa.string(), nullable=False),  # of the document's content
            pa.field("labels", pa.list_(pa.string())),  # see `labels`
            pa.field("position", pa.int32(), nullable=False),
            pa.field("page", pa.int32()),
            pa.field("heading", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("search_text", pa.string(), nullable=False),  # see `Chunk`
            pa.field("vector", pa.list_(pa.float32(), dimension), nullable=False),
        ]
    )


def _in_place(place: str) -> str:
    """A row is of this document, or of one in this folder."""
    folder = place.rstrip("/") + "/"
    return f"(document = {_quoted([place])} OR starts_with(document, {_quoted([folder])}))"


def _having(labels: Sequence[str], has_labels: bool) -> str:
    """A row is of a document that has one of these labels."""
    if not labels or not has_labels:
        return "false"
    return f"array_has_any(labels, [{_quoted(labels)}])"


def _flat(labels: Any) -> Any:
    """The labels of all rows, one after the other."""
    return labels.combine_chunks().flatten()


def _quoted(names: Iterable[str]) -> str:
    return ", ".join("'" + name.replace("'", "''") + "'" for name in names)


def _keys(found: Any) -> tuple[list[str], list[int]]:
    return found["id"].to_pylist(), found["_rowid"].to_pylist()


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without hard links
        shutil.copy2(source, target)
