"""Making an index say what a folder says: what changed is embedded, the rest is left alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

from mlfolio.parts.retrieval.blocks import Block, UnreadableError
from mlfolio.parts.retrieval.chunk import Chunk, chunks
from mlfolio.parts.retrieval.index import Index
from mlfolio.parts.retrieval.parse import SUFFIXES, parse_file
from mlfolio.parts.retrieval.vectors import Encodes

_BATCH_CHUNKS = 256  # in one commit: what a kill -9 can cost

T = TypeVar("T")


class Progress(Protocol):
    """Goes through items and shows how far it is; `Run.progress` is one."""

    def __call__(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """The items."""
        ...


def in_silence(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Goes through items and shows nothing."""
    yield from items


@dataclass(frozen=True)
class Document:
    """Something to index.

    Attributes:
        name: What citations say: a path relative to its folder, with forward slashes.
        digest: sha256 of its content: equal digests are the same document. Empty where the file
            could not be opened.
        read: Gives its blocks, or raises `UnreadableError`.
    """

    name: str
    digest: str
    read: Callable[[], list[Block]] = field(repr=False)

    @property
    def blocks(self) -> list[Block]:
        """Its blocks, in reading order, read once.

        Raises:
            UnreadableError: It cannot be turned into text.
        """
        return [block for block in self._blocks if block.kind != "blank"]

    @property
    def blank_pages(self) -> list[int]:
        """Numbers of the pages that hold no text.

        Raises:
            UnreadableError: None of them does.
        """
        return [block.page for block in self._blocks if block.kind == "blank" and block.page]

    @cached_property
    def _blocks(self) -> list[Block]:
        try:
            return self.read()
        except OSError as error:
            raise UnreadableError(
                f"it cannot be read ({error.strerror or error})", "check its permissions"
            ) from error

    @classmethod
    def of_file(cls, path: Path, name: str) -> Document:
        """A file on disk; one that cannot be opened says so when it is read."""
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            digest = ""
        return cls(_utf8(name), digest, lambda: parse_file(path))

    @classmethod
    def of_text(cls, name: str, title: str, text: str) -> Document:
        """A text in memory with a title."""
        blocks = [Block("heading", title, 1), Block("text", text)]
        blocks = [block for block in blocks if block.text.strip()]
        return cls(name, hashlib.sha256(f"{title}\n{text}".encode()).hexdigest(), lambda: blocks)


def _utf8(name: str) -> str:
    """A file's name as text: bytes of another encoding (on Linux a name is any bytes) escaped."""
    return name.encode(errors="backslashreplace").decode()


def list_files(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The files of a folder, those that can be read and those of other formats, by their names.

    Hidden files and folders are left out, and links, which could lead out of the folder.
    """
    known: dict[str, Path] = {}
    other: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or path.is_symlink():
            continue
        if path.is_file():
            (known if path.suffix.lower() in SUFFIXES else other)[_utf8(name.as_posix())] = path
    return known, other


@dataclass(frozen=True, slots=True)
class Changes:
    """What one `sync` did, by the documents' names."""

    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)  # name -> why


@dataclass(frozen=True, slots=True)
class Chunking:
    """How documents are cut: see `chunk.chunks`."""

    size: int = 180
    overlap: int = 32


def sync(
    index: Index,
    documents: Iterable[Document],
    encoder: Encodes,
    chunking: Chunking = Chunking(),
    progress: Progress = in_silence,
) -> Changes:
    """Makes the index hold these documents and no others.

    Each batch of documents is one commit, so after a kill -9 the next call goes on where this one
    was. Old bytes are gone from the disk when it returns.

    Args:
        index: The index to change.
        documents: All that it shall hold.
        encoder: The one that the index was made with.
        chunking: The one that the index was made with.
        progress: Shows how far it is.

    Returns:
        What was done; documents that cannot be read are in no answer.
    """
    known, wanted, done = index.documents(), {d.name: d for d in documents}, Changes()
    gone = [name for name in known if name not in wanted]
    index.remove(gone)
    done.removed.extend(gone)
    stale = [d for d in wanted.values() if known.get(d.name) != d.digest]
    read = progress(stale, "reading", len(stale))
    ready = [(d, cut) for d in read if (cut := _cut(d, encoder, chunking, done)) is not None]
    batches = list(_batches(ready))
    for batch in progress(batches, "embedding", len(batches)):
        vectors = encoder.encode([chunk.search_text for _, cut in batch for chunk in cut])
        index.replace({d.name: (d.digest, cut) for d, cut in batch}, vectors)
        for document, _ in batch:
            (done.replaced if document.name in known else done.added).append(document.name)
    index.remove(name for name in done.unreadable if name in known)
    if stale or gone:
        index.rewrite()
    return done


def put(
    index: Index,
    document: Document,
    encoder: Encodes,
    chunking: Chunking = Chunking(),
) -> int:
    """Adds or replaces one document; it is on disk when this returns.

    Returns:
        Its number of chunks.

    Raises:
        UnreadableError: It cannot be turned into text; the index is as it was.
    """
    cut = cut_up(document, encoder, chunking)
    vectors = encoder.encode([chunk.search_text for chunk in cut])
    with index.writing():
        known = document.name in index.documents()
        index.replace({document.name: (document.digest, cut)}, vectors)
        if known:
            index.rewrite()  # its former text must not stay on the disk
        else:
            index.optimize()
    return len(cut)


def drop(index: Index, name: str) -> bool:
    """Takes one document out of every answer and off the disk; False if there was none."""
    with index.writing():
        if name not in index.documents():
            return False
        index.remove([name])
        index.rewrite()
    return True


def cut_up(document: Document, encoder: Encodes, chunking: Chunking) -> list[Chunk]:
    """A document's chunks."""
    found = chunks(
        document.blocks, encoder.count_tokens, size=chunking.size, overlap=chunking.overlap
    )
    return list(found)


def _cut(
    document: Document, encoder: Encodes, chunking: Chunking, done: Changes
) -> list[Chunk] | None:
    try:
        return cut_up(document, encoder, chunking)
    except UnreadableError as error:
        done.unreadable[document.name] = error.message
        return None


def _batches(
    ready: Sequence[tuple[Document, list[Chunk]]],
) -> Iterator[list[tuple[Document, list[Chunk]]]]:
    """Documents in groups of about `_BATCH_CHUNKS` chunks."""
    batch: list[tuple[Document, list[Chunk]]] = []
    size = 0
    for document, cut in ready:
        batch.append((document, cut))
        size += len(cut)
        if size >= _BATCH_CHUNKS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
