"""Blocks to chunks: as many whole sentences under one heading as the encoder reads well.

A chunk never crosses a heading or a page, so it can be cited. Neighbours share their border
sentence, so that no answer is cut in two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

from nltk.tokenize.punkt import (
    PunktParameters,
    PunktSentenceTokenizer,
)

from mlfolio.parts.retrieval.blocks import Block

CountTokens = Callable[[Sequence[str]], list[int]]
HEADING_TOKENS = 60  # beyond, a heading would take the encoder's room from the text
_COUNTED = 1_000  # sentences whose tokens are counted at once
_WINDOW = 10_000  # characters that the splitter gets at once: it gives up after seconds of work
_SHARED = (8, 4_000)  # characters that neighbours share: fewer are chance
_ABBREVIATIONS = (
    "a.m al approx ca cf cm col corp dec dept dr e.g ed eds eq eqs esp est et etc feb fig figs "
    "gen gov i.e inc jan jr km lt ltd mr mrs ms no nos nov oct p ph.d p.m pp prof ref refs resp "
    "rev sec sect sep sept sr st tab u.k u.s u.s.a v.s viz vol vs"
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is embedded, found and cited.

    Attributes:
        text: As it is quoted.
        heading: Path of the headings above it: "Guide > Timeouts". A very long one keeps its end,
            the nearest headings: "… Timeouts".
        page: Counted from 1; None where the format has no pages.
        position: 0, 1, 2... in its document.
    """

    text: str
    heading: str
    page: int | None
    position: int

    @property
    def search_text(self) -> str:
        """Heading and text: what both the encoder and the full-text index read."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


@cache
def _splitter() -> PunktSentenceTokenizer:
    """Punkt with abbreviations given by hand: its trained model would be a download."""
    parameters = PunktParameters()
    parameters.abbrev_types = set(_ABBREVIATIONS.split())
    return PunktSentenceTokenizer(parameters)


def sentences(block: Block) -> Iterator[str]:
    """Sentences of a paragraph; lines of code; a list item or table row is one to many."""
    if block.kind != "code":
        return _split(block.text)
    lines = (match[0] for match in re.finditer(r"[^\n]+", block.text))
    return (line for line in lines if line.strip())


def split_sentences(text: str) -> list[str]:
    """Sentences of a chunk's text: lines part them too (headings, items, code)."""
    return [s for line in text.split("\n") if line.strip() for s in _split(line)]


def _split(text: str) -> Iterator[str]:
    """Sentences of a text of any length; one longer than a window is cut between words."""
    at = 0
    while len(text) - at > _WINDOW:
        window = text[at : at + _WINDOW]
        *whole, last = _splitter().span_tokenize(window)
        if whole:
            step = last[0]  # the last one may go on behind the window
        else:
            step = window.rfind(" ") + 1 or _WINDOW
            whole = [(0, step)]
        yield from (window[start:end].rstrip() for start, end in whole)
        at += step
    yield from _splitter().tokenize(text[at:])


@dataclass(frozen=True, slots=True)
class _Unit:
    text: str
    tokens: int
    starts_line: bool  # first sentence of its block


def chunks(
    blocks: Sequence[Block], count: CountTokens, *, size: int = 180, overlap: int = 32
) -> Iterator[Chunk]:
    """Chunks in reading order.

    Args:
        blocks: Of one document.
        count: Gives the tokens of each text, as the encoder counts them.
        size: Tokens of text that a chunk has at most; a longer sentence is cut between words.
        overlap: The last sentences of a chunk, up to so many tokens, open the next one of the same
            section.
    """
    position = 0
    for headings, page, section in _sections(blocks):
        heading = _nearest(headings, count)
        for text in _pack(_units(section, count, size), size, overlap):
            yield Chunk(text, heading, page, position)
            position += 1


def run_together(texts: Iterable[str]) -> str:
    """Texts of neighbouring chunks as one: what two share is said once."""
    whole = ""
    for text in texts:
        longest = min(len(text), len(whole), _SHARED[1])
        same = (n for n in range(longest, _SHARED[0] - 1, -1) if whole.endswith(text[:n]))
        shared = next(same, 0)
        whole += text[shared:] if shared else f"\n\n{text}"
    return whole.strip()


def _sections(blocks: Sequence[Block]) -> Iterator[tuple[str, int | None, list[Block]]]:
    """Runs of blocks under the same headings and on the same page."""
    path: list[tuple[int, str]] = []
    body: list[Block] = []
    for block in blocks:
        turned = body and block.page != body[-1].page
        if block.kind == "heading" or turned:
            if body:
                yield _heading(path), body[0].page, body
            body = []
        if block.kind == "heading":
            path = [(level, text) for level, text in path if level < block.level]
            path.append((block.level, block.text))
        else:
            body.append(block)
    if body:
        yield _heading(path), body[0].page, body


def _heading(path: list[tuple[int, str]]) -> str:
    return " > ".join(text for _, text in path)


def _nearest(heading: str, count: CountTokens) -> str:
    """A path of headings, cut from the left to `HEADING_TOKENS`."""
    end = heading[-20 * HEADING_TOKENS :]
    if end == heading and count([heading])[0] <= HEADING_TOKENS:
        return heading
    words = end.split()
    units = [_Unit(word, n, False) for word, n in zip(words, count(words), strict=True)]
    return f"… {_join(_tail(units, HEADING_TOKENS - 1)) or end[-HEADING_TOKENS:]}"


def _units(section: list[Block], count: CountTokens, size: int) -> Iterator[_Unit]:
    pieces = (
        (text, block.kind == "code" or at == 0)
        for block in section
        for at, text in enumerate(sentences(block))
    )
    while group := list(islice(pieces, _COUNTED)):
        for (text, starts), tokens in zip(group, count([text for text, _ in group]), strict=True):
            if tokens <= size:
                yield _Unit(text, tokens, starts)
                continue
            for at, (part, n) in enumerate(_cut(text, tokens, count, size)):
                yield _Unit(part, n, starts and at == 0)


def _cut(text: str, tokens: int, count: CountTokens, size: int) -> Iterator[tuple[str, int]]:
    """Pieces of a text of too many tokens, with theirs; cut within a word only if it must be."""
    parts = re.findall(r"\S{1,200}\s*", text)
    if len(parts) < 2:
        parts = list(text)
    step = max(1, len(parts) * size // (tokens + size // 4))
    pieces = ["".join(parts[at : at + step]).rstrip() for at in range(0, len(parts), step)]
    pieces = [piece for piece in pieces if piece]
    for piece, n in zip(pieces, count(pieces), strict=True):
        if n > size and len(piece) > 1:
            yield from _cut(piece, n, count, size)
        else:
            yield piece, n


def _pack(units: Iterable[_Unit], size: int, overlap: int) -> Iterator[str]:
    held: list[_Unit] = []
    used = fresh = 0
    for unit in units:
        if held and used + unit.tokens > size:
            yield _join(held)
            held = _tail(held, min(overlap, size - unit.tokens))
            used, fresh = sum(u.tokens for u in held), 0
        held.append(unit)
        used, fresh = used + unit.tokens, fresh + 1
    if fresh:
        yield _join(held)


def _tail(units: list[_Unit], room: int) -> list[_Unit]:
    kept: list[_Unit] = []
    for unit in reversed(units):
        room -= unit.tokens
        if room < 0:
            break
        kept.insert(0, unit)
    return kept


def _join(units: list[_Unit]) -> str:
    parts = [("\n" if unit.starts_line else " ") + unit.text for unit in units]
    return "".join(parts).strip()
