"""What an index is: chunks of many documents, found by their words and by their vectors.

Where they lie is a store's business (see `stores`): LanceDB's files or PostgreSQL. All keep
the same promises, which one battery of tests holds. Each write is one commit: a document is there
in its old or its new form, never in half. Writers wait for each other; readers see every commit of
any process at their next question.

What was deleted is in no answer at once, and gone from the store's files when they are written
anew. Between the two lies a trace, so that a process that is killed there leaves this to whoever
comes next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mlfolio.parts.retrieval.chunk import Chunk
from mlfolio.parts.text.vectors import Vectors

NEIGHBOURS = 2  # chunks before and after one, where a document has no pages


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk of a document as it stands in the index."""

    document: str
    position: int
    page: int | None
    heading: str
    text: str

    @property
    def headed(self) -> str:
        """Heading and text, as a second reader gets them."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


class Found(NamedTuple):
    """Chunks that one side of the search found, best first: ids, row ids and scores."""

    ids: list[str]
    rows: list[int]
    scores: Vectors


class Entry(NamedTuple):
    """What an index holds of a document.

    Attributes:
        digest: Of its content and its metadata: equal digests are the same document.
        chunks: Its text.
        labels: Its metadata, see `labels`.
    """

    digest: str
    chunks: Sequence[Chunk]
    labels: Sequence[str] = ()


class Within(NamedTuple):
    """Where to look: what lies outside is in no answer.

    Attributes:
        place: Name of a document or of a folder; None for all.
        labels: Groups of labels: a document has one or more of every group. Of an empty group
            nobody has one.
    """

    place: str | None = None
    labels: tuple[tuple[str, ...], ...] = ()


class Index(Protocol):
    """Chunks of many documents, with their vectors and their full text.

    Attributes:
        folder: What it has on this machine: all of it, or only where it is (`stores.place`).
        dimension: Length of its vectors.
    """

    folder: Path
    dimension: int

    @property
    def is_erasing(self) -> bool:
        """Whether deleted text is still in the files: it is being erased, or that was broken."""
        ...

    @property
    def version(self) -> int:
        """Another number after every commit, of this or any other process."""
        ...

    def documents(self) -> dict[str, str]:
        """Names of the indexed documents, and the digests of their contents."""
        ...

    def labels(self) -> set[str]:
        """The labels that any document has."""
        ...

    def __len__(self) -> int:
        """Number of chunks; of parents, that of their children."""
        ...

    def replace(self, documents: Mapping[str, Entry], vectors: Vectors) -> None:
        """Puts documents in the place of their former selves, all at once.

        Args:
            documents: What is to be held, by name.
            vectors: Of all the chunks in order, shape (chunks, dimension).
        """
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Takes documents out of every later answer; `rewrite` takes them off the disk too."""
        ...

    def leave_trace(self) -> None:
        """Says that from here on there may be deleted text in the files, until `rewrite`."""
        ...

    def rewrite(self) -> None:
        """Writes everything anew and drops what was there, with all that was deleted."""
        ...

    def optimize(self) -> None:
        """Makes later searches quick, after documents were added."""
        ...

    def nearest(self, vector: Vectors, limit: int, within: Within | None = None) -> Found:
        """The chunks whose vectors are nearest, with their cosines.

        Args:
            vector: Unit vector, shape (dimension,).
            limit: How many at most.
            within: Where to look, which every vector in it is compared for; None for everywhere.
        """
        ...

    def matching(
        self, text: str, limit: int, within: Within | None = None
    ) -> tuple[Found, Vectors]:
        """The chunks that share words with `text`, with their BM25 scores.

        Returns:
            What was found, and the chunks' vectors, shape (n, dimension).
        """
        ...

    def passages(self, ids: Sequence[str], rows: Sequence[int]) -> dict[str, Passage]:
        """The chunks called `ids`; those that were deleted meanwhile are left out.

        Args:
            ids: As `chunk_id` makes them.
            rows: Where they were when they were found. Another process may have written all of it
                anew since, so what lies there now is checked.
        """
        ...

    def vectors(self, ids: Sequence[str], rows: Sequence[int]) -> dict[str, Vectors]:
        """The vectors of the chunks called `ids`; otherwise as `passages`."""
        ...

    def around(self, document: str, position: int, page: int | None) -> list[Passage]:
        """The chunks of the page on which one stands; without pages it and its neighbours.

        A parent is one of them, however many children it has.
        """
        ...

    def beginnings(self, limit: int) -> list[Passage]:
        """The first chunks of some documents."""
        ...

    def sample(self, n: int, seed: int = 0) -> list[Passage]:
        """Up to n chunks drawn at random, in the order of their names."""
        ...

    def copy_to(self, folder: Path) -> None:
        """Makes a copy that lives its own life; `folder`, which is not there yet, leads to it."""
        ...

    def writing(self) -> AbstractContextManager[Any]:
        """Held by whoever writes, in this or any other process; re-entrant within a thread."""
        ...


def chunk_id(document: str, chunk: Chunk) -> str:
    """A chunk's name: "<document>#<position>", and for a parent's further children ".<part>"."""
    return f"{document}#{chunk.position}" + (f".{chunk.part}" if chunk.part else "")


def passage_id(chunk: str) -> str:
    """The name of the passage that is quoted for a chunk: all children of a parent have one."""
    document, _, place = chunk.rpartition("#")
    return f"{document}#{place.partition('.')[0]}"
