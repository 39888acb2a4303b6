"""Making an index say what a folder says: what changed is embedded, the rest is left alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mlfolio.parts.retrieval.apart import parse_apart, parse_file
from mlfolio.parts.retrieval.blocks import BESIDE, Block, UnreadableError
from mlfolio.parts.retrieval.chunk import BY_SENTENCES, Chunk, Chunking, cut_blocks
from mlfolio.parts.retrieval.index import Entry, Index
from mlfolio.parts.retrieval.labels import labels_of
from mlfolio.parts.retrieval.parse import SUFFIXES
from mlfolio.parts.text.vectors import Encodes

_BATCH_CHUNKS = 256  # in one commit: what a kill -9 can cost
MAX_CHUNKS = 20_000  # of one document: minutes of embedding

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
        content: sha256 of its content. Empty where the file could not be opened.
        read: Gives its blocks, or raises `UnreadableError`.
        given: Labels that were given beside it.
    """

    name: str
    content: str
    read: Callable[[], list[Block]] = field(repr=False)
    given: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Of its content and its metadata: equal digests are the same document."""
        if not self.given:
            return self.content
        return hashlib.sha256("\n".join([self.content, *self.given]).encode()).hexdigest()

    @property
    def labels(self) -> list[str]:
        """Its metadata, see `labels`; what was given wins over what the file says.

        Raises:
            UnreadableError: It cannot be turned into text.
        """
        given = {label.partition("=")[0] for label in self.given}
        own = [block.text for block in self._blocks if block.kind == "label"]
        return sorted([*self.given, *(each for each in own if each.partition("=")[0] not in given)])

    @property
    def odd(self) -> str:
        """Why the metadata in it cannot be read; empty where they can.

        Raises:
            UnreadableError: It cannot be turned into text.
        """
        return next((block.text for block in self._blocks if block.kind == "odd"), "")

    @property
    def blocks(self) -> list[Block]:
        """Its blocks, in reading order, read once.

        Raises:
            UnreadableError: It cannot be turned into text.
        """
        return [block for block in self._blocks if block.kind not in BESIDE]

    @property
    def blank_pages(self) -> list[int]:
        """Numbers of the pages that hold no text.

        Raises:
            UnreadableError: None of them does.
        """
        return [block.page for block in self._blocks if block.kind == "blank" and block.page]

    @cached_property
    def _blocks(self) -> list[Block]:
        return self.read()

    @classmethod
    def of_file(cls, path: Path, name: str, metadata: Mapping[str, Any] | None = None) -> Document:
        """A file on disk; one that cannot be opened says so when it is read.

        Raises:
            FileError: The metadata break a rule, see `labels_of`.
        """
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            digest = ""
        return cls(_utf8(name), digest, lambda: parse_file(path), labels_of(metadata or {}))

    @classmethod
    def of_bytes(
        cls, name: str, data: bytes, suffix: str, metadata: Mapping[str, Any] | None = None
    ) -> Document:
        """A file's content in memory; the suffix says its format.

        Raises:
            FileError: The metadata break a rule, see `labels_of`.
        """
        digest, given = hashlib.sha256(data).hexdigest(), labels_of(metadata or {})
        return cls(_utf8(name), digest, lambda: parse_apart(f"file{suffix}", data), given)

    @classmethod
    def of_text(
        cls, name: str, title: str, text: str, metadata: Mapping[str, Any] | None = None
    ) -> Document:
        """A text in memory with a title.

        Raises:
            FileError: The metadata break a rule, see `labels_of`.
        """
        blocks = [Block("heading", title, 1), Block("text", text)]
        blocks = [block for block in blocks if block.text.strip()]
        digest = hashlib.sha256(f"{title}\n{text}".encode()).hexdigest()
        return cls(name, digest, lambda: blocks, labels_of(metadata or {}))


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


def sync(
    index: Index,
    documents: Iterable[Document],
    encoder: Encodes,
    chunking: Chunking = BY_SENTENCES,
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
    wanted = list(documents)
    gone = set(index.documents()) - {document.name for document in wanted}
    return merge(index, wanted, sorted(gone), encoder, chunking, progress)


def merge(
    index: Index,
    documents: Iterable[Document],
    gone: Sequence[str],
    encoder: Encodes,
    chunking: Chunking = BY_SENTENCES,
    progress: Progress = in_silence,
) -> Changes:
    """Makes the index hold these documents, and not those that are gone; the rest stays.

    Otherwise as `sync`.
    """
    known, done = index.documents(), Changes()
    stale = [d for d in {d.name: d for d in documents}.values() if known.get(d.name) != d.digest]
    if not stale and not gone:
        return done
    read = progress(stale, "reading", len(stale))
    ready = [(d, cut) for d in read if (cut := _cut(d, encoder, chunking, done)) is not None]
    lost = [name for name in done.unreadable if name in known]
    if not ready and not gone and not lost:  # all of it is unreadable, as it was
        return done
    index.leave_trace()
    index.remove([*gone, *lost])
    done.removed.extend(gone)
    batches = list(_batches(ready))
    for batch in progress(batches, "embedding", len(batches)):
        vectors = encoder.encode([chunk.search_text for _, cut in batch for chunk in cut])
        index.replace({d.name: Entry(d.digest, cut, d.labels) for d, cut in batch}, vectors)
        for document, _ in batch:
            (done.replaced if document.name in known else done.added).append(document.name)
    index.rewrite()
    return done


def put(
    index: Index,
    document: Document,
    encoder: Encodes,
    chunking: Chunking = BY_SENTENCES,
    before: Callable[[], object] = lambda: None,
) -> int:
    """Adds or replaces one document; it is on disk when this returns.

    Args:
        index: The index to change.
        document: What to put into it.
        encoder: The one that the index was made with.
        chunking: The one that the index was made with.
        before: Is called under the index's lock, once nothing is wrong with the document.

    Returns:
        Its number of chunks.

    Raises:
        UnreadableError: It cannot be turned into text; the index is as it was.
    """
    cut = cut_up(document, encoder, chunking)
    vectors = encoder.encode([chunk.search_text for chunk in cut])
    with index.writing():
        known = document.name in index.documents()  # fails where the index was erased meanwhile
        before()
        with _erasing(index) if known or index.is_erasing else nullcontext():
            entry = Entry(document.digest, cut, document.labels)
            index.replace({document.name: entry}, vectors)
        if not known:
            index.optimize()
    return len(cut)


def drop(index: Index, name: str) -> bool:
    """Takes one document out of every answer and off the disk; False if there was none."""
    with index.writing():
        known = name in index.documents()
        if known or index.is_erasing:  # of a process that was killed, perhaps in this deletion
            with _erasing(index):
                index.remove([name])
    return known


@contextmanager
def _erasing(index: Index) -> Iterator[None]:
    """Held while documents are removed or replaced: at its end their old text is erased."""
    with index.writing():
        index.leave_trace()
        yield
        index.rewrite()


def cut_up(document: Document, encoder: Encodes, chunking: Chunking) -> list[Chunk]:
    """A document's chunks.

    Raises:
        UnreadableError: It cannot be turned into text, or into no or very many passages only.
    """
    cut = list(islice(cut_blocks(document.blocks, encoder, chunking), MAX_CHUNKS + 1))
    if len(cut) > MAX_CHUNKS:
        raise UnreadableError(f"it makes over {MAX_CHUNKS:,} passages", "split it")
    if not cut:  # it would be in no list of documents, and read again and again
        raise UnreadableError("there is no text in it", "delete it, or put text into it")
    return cut


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
