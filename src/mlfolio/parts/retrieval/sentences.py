"""Sentences: of a block as it is read, of a text as it is quoted, and runs of them by tokens."""

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
_COUNTED = 1_000  # texts whose tokens are counted at once
_WINDOW = 10_000  # characters that the splitter gets at once: it gives up after seconds of work
_ABBREVIATIONS = (
    "a.m al approx ca cf cm col corp dec dept dr e.g ed eds eq eqs esp est et etc feb fig figs "
    "gen gov i.e inc jan jr km lt ltd mr mrs ms no nos nov oct p ph.d p.m pp prof ref refs resp "
    "rev sec sect sep sept sr st tab u.k u.s u.s.a v.s viz vol vs"
)


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
class Unit:
    """A sentence or a piece of one.

    Attributes:
        text: Without what parts it from its neighbours.
        tokens: As the encoder counts them.
        before: What parts it from the unit before: a line break where its block begins.
    """

    text: str
    tokens: int
    before: str = " "


def counted(pieces: Iterable[tuple[str, str]], count: CountTokens) -> Iterator[Unit]:
    """Pieces of text (what stands before, the text) with their tokens, counted many at once."""
    pieces = iter(pieces)
    while group := list(islice(pieces, _COUNTED)):
        tokens = count([text for _, text in group])
        yield from (Unit(text, n, before) for (before, text), n in zip(group, tokens, strict=True))


def units(blocks: Iterable[Block], count: CountTokens) -> Iterator[Unit]:
    """The sentences of some blocks."""
    pieces = (
        ("\n" if block.kind == "code" or at == 0 else " ", text)
        for block in blocks
        for at, text in enumerate(sentences(block))
    )
    return counted(pieces, count)


def shortened(found: Iterable[Unit], count: CountTokens, size: int) -> Iterator[Unit]:
    """The units, those of more than `size` tokens in pieces."""
    for unit in found:
        if unit.tokens <= size:
            yield unit
            continue
        for at, (part, n) in enumerate(_cut(unit.text, unit.tokens, count, size)):
            yield Unit(part, n, " " if at else unit.before)


def pack(found: Iterable[Unit], size: int, overlap: int) -> Iterator[list[Unit]]:
    """Runs of as many units as have up to `size` tokens; the last ones open the next run too.

    Args:
        found: Units of up to `size` tokens.
        size: Tokens of a run at most.
        overlap: Tokens that two neighbouring runs share at most.
    """
    held: list[Unit] = []
    used = fresh = 0
    for unit in found:
        if held and used + unit.tokens > size:
            yield held
            held = tail(held, min(overlap, size - unit.tokens))
            used, fresh = sum(u.tokens for u in held), 0
        held.append(unit)
        used, fresh = used + unit.tokens, fresh + 1
    if fresh:
        yield held


def tail(found: Sequence[Unit], room: int) -> list[Unit]:
    """The last units, up to `room` tokens."""
    kept: list[Unit] = []
    for unit in reversed(found):
        room -= unit.tokens
        if room < 0:
            break
        kept.insert(0, unit)
    return kept


def join(found: Iterable[Unit]) -> str:
    """The text of a run."""
    return "".join(unit.before + unit.text for unit in found).strip()


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
