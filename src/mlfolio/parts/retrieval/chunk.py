"""Blocks to chunks, which are embedded, found and cited: five ways to cut a document.

No chunk crosses a page, and only those of a fixed size cross a heading, so each can be cited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Literal, NamedTuple, TypeAlias

from mlfolio.parts.retrieval.blocks import Block
from mlfolio.parts.retrieval.fixed import cut_page
from mlfolio.parts.retrieval.semantic import by_subject
from mlfolio.parts.retrieval.sentences import CountTokens, Unit, join, pack, shortened, tail, units
from mlfolio.parts.text.vectors import Encodes

ChunkKind: TypeAlias = Literal["sentences", "fixed", "headings", "semantic", "parents"]
HEADING_TOKENS = 60  # beyond, a heading would take the encoder's room from the text
PARENT, CHILD = 3, 2  # a parent has up to 3 times the size, a child up to half of it
_SPECIAL = 2  # tokens that the encoder adds to a text
_SHARED = (8, 4_000)  # characters that neighbours share: fewer are chance


@dataclass(frozen=True, slots=True)
class Chunking:
    """How documents are cut.

    Attributes:
        kind: The way:

            - "sentences": as many whole sentences of a section (what stands under one heading on
              one page) as `size` allows.
            - "fixed": `size` tokens, whatever sentence or heading ends there.
            - "headings": a whole section, if the encoder reads that; a longer one as by
              sentences. Short sections stay alone: their headings would tell nothing of another's
              text.
            - "semantic": sentences of a section about one subject (`semantic.by_subject`).
            - "parents": what is searched has up to half of `size`, and what is quoted for it up
              to three times `size`: by default 90 tokens within 540, close to the 400 characters
              within 2,000 that LangChain shows for its ParentDocumentRetriever.
        size: Tokens of text that a chunk has at most, where the kind says no other number; a
            longer sentence is cut between words.
        overlap: The last sentences (words, where they are fixed) of a chunk, up to so many tokens,
            open the next one, so that no answer is cut in two. Not where a chunk ends with its
            subject; and parents share, not their children.
    """

    kind: ChunkKind = "sentences"
    size: int = 180
    overlap: int = 32


BY_SENTENCES = Chunking()


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is embedded, found and cited.

    Attributes:
        text: As it is quoted.
        heading: Path of the headings above it: "Guide > Timeouts". A very long one keeps its end,
            the nearest headings: "… Timeouts".
        page: Counted from 1; None where the format has no pages.
        position: 0, 1, 2... in its document. The children of one parent share it, and its text.
        part: 0, 1, 2... of the children of one parent; 0 for what has no parent.
        child: The piece of the text that is searched in its place; empty where all of it is.
    """

    text: str
    heading: str
    page: int | None
    position: int
    part: int = 0
    child: str = ""

    @property
    def search_text(self) -> str:
        """Heading, and text or child: what both the encoder and the full-text index read."""
        searched = self.child or self.text
        return f"{self.heading}\n{searched}" if self.heading else searched


class _Section(NamedTuple):
    """A run of blocks under the same headings and on the same page."""

    heading: str
    page: int | None
    blocks: list[Block]


class _Piece(NamedTuple):
    """A chunk without its number, or a parent with its children."""

    heading: str
    page: int | None
    text: str
    children: Sequence[str] = ("",)


def cut_blocks(
    blocks: Sequence[Block], encoder: Encodes, chunking: Chunking = BY_SENTENCES
) -> Iterator[Chunk]:
    """Chunks of one document, in reading order.

    Args:
        blocks: Of the document.
        encoder: The one that will embed the chunks.
        chunking: How to cut.

    Raises:
        UnreadableError: There are too many sentences to embed each ("semantic").
    """
    count, size, overlap = encoder.count_tokens, chunking.size, chunking.overlap
    match chunking.kind:
        case "sentences":
            return chunks(blocks, count, size=size, overlap=overlap)
        case "fixed":
            return _numbered(_fixed(blocks, count, size, overlap))
        case "semantic":
            return _numbered(_semantic(blocks, encoder, size))
        case "headings":
            found = (_whole(part, encoder, size, overlap) for part in _sections(blocks, count))
        case "parents":
            found = (_parents(part, count, size, overlap) for part in _sections(blocks, count))
    return _numbered(chain.from_iterable(found))


def chunks(
    blocks: Sequence[Block], count: CountTokens, *, size: int = 180, overlap: int = 32
) -> Iterator[Chunk]:
    """Chunks of whole sentences, in reading order: what needs no encoder.

    Args:
        blocks: Of one document.
        count: Gives the tokens of each text, as the encoder counts them.
        size: Tokens of text that a chunk has at most; a longer sentence is cut between words.
        overlap: The last sentences of a chunk, up to so many tokens, open the next one of the same
            section.
    """
    sections = _sections(blocks, count)
    return _numbered(p for section in sections for p in _sentences(section, count, size, overlap))


def run_together(texts: Iterable[str]) -> str:
    """Texts of neighbouring chunks as one: what two share is said once."""
    whole = ""
    for text in texts:
        longest = min(len(text), len(whole), _SHARED[1])
        same = (n for n in range(longest, _SHARED[0] - 1, -1) if whole.endswith(text[:n]))
        shared = next(same, 0)
        whole += text[shared:] if shared else f"\n\n{text}"
    return whole.strip()


def _numbered(pieces: Iterable[_Piece]) -> Iterator[Chunk]:
    for position, piece in enumerate(pieces):
        for part, child in enumerate(piece.children):
            yield Chunk(piece.text, piece.heading, piece.page, position, part, child)


def _sentences(section: _Section, count: CountTokens, size: int, overlap: int) -> Iterator[_Piece]:
    found = shortened(units(section.blocks, count), count, size)
    for run in pack(found, size, overlap):
        yield _Piece(section.heading, section.page, join(run))


def _whole(section: _Section, encoder: Encodes, size: int, overlap: int) -> Iterator[_Piece]:
    """A section as one, if the encoder reads it with its heading."""
    count = encoder.count_tokens
    found = list(units(section.blocks, count))
    room = encoder.max_tokens - _SPECIAL - count([section.heading])[0]
    if found and sum(unit.tokens for unit in found) <= room:
        yield _Piece(section.heading, section.page, join(found))
    else:
        yield from _sentences(section, count, size, overlap)


def _parents(section: _Section, count: CountTokens, size: int, overlap: int) -> Iterator[_Piece]:
    """Runs of sentences, each with the smaller runs in it."""
    large, small = PARENT * size, max(1, size // CHILD)
    found = shortened(units(section.blocks, count), count, large)
    for run in pack(found, large, overlap):
        children = [join(child) for child in pack(shortened(run, count, small), small, 0)]
        yield _Piece(section.heading, section.page, join(run), children)


def _semantic(blocks: Sequence[Block], encoder: Encodes, size: int) -> Iterator[_Piece]:
    count = encoder.count_tokens
    sections = list(_sections(blocks, count))
    found = [list(shortened(units(s.blocks, count), count, size)) for s in sections]
    for section, runs in zip(sections, by_subject(found, encoder, size), strict=True):
        for run in runs:
            yield _Piece(section.heading, section.page, join(run))


def _fixed(
    blocks: Iterable[Block], count: CountTokens, size: int, overlap: int
) -> Iterator[_Piece]:
    for page, placed in groupby(_placed(blocks), key=lambda one: one[1].page):
        for path, text in cut_page(placed, count, size, overlap):
            yield _Piece(_nearest(path, count), page, text)


def _sections(blocks: Iterable[Block], count: CountTokens) -> Iterator[_Section]:
    heading, body = "", list[Block]()
    for path, block in _placed(blocks):
        if body and (block.kind == "heading" or block.page != body[-1].page):
            yield _Section(_nearest(heading, count), body[0].page, body)
            body = []
        if block.kind != "heading":
            heading = path
            body.append(block)
    if body:
        yield _Section(_nearest(heading, count), body[0].page, body)


def _placed(blocks: Iterable[Block]) -> Iterator[tuple[str, Block]]:
    """Each block with its path of headings; a heading's own ends with itself."""
    above: list[tuple[int, str]] = []
    path = ""
    for block in blocks:
        if block.kind == "heading":
            above = [(level, text) for level, text in above if level < block.level]
            above.append((block.level, block.text))
            path = " > ".join(text for _, text in above)
        yield path, block


def _nearest(heading: str, count: CountTokens) -> str:
    """A path of headings, cut from the left to `HEADING_TOKENS`."""
    end = heading[-20 * HEADING_TOKENS :]
    if end == heading and count([heading])[0] <= HEADING_TOKENS:
        return heading
    words = end.split()
    found = [Unit(word, n) for word, n in zip(words, count(words), strict=True)]
    return f"… {join(tail(found, HEADING_TOKENS - 1)) or end[-HEADING_TOKENS:]}"
