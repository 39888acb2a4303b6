"""Chunks of so many tokens, whatever ends there: what most people begin with, to compare with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from mlfolio.parts.retrieval.blocks import Block
from mlfolio.parts.retrieval.sentences import CountTokens, Unit, counted, join

_WORD = re.compile(r"(\s*)(\S{1,200})")


def cut_page(
    page: Iterable[tuple[str, Block]], count: CountTokens, size: int, overlap: int
) -> Iterator[tuple[str, str]]:
    """Texts of `size` tokens, cut between words, each with the path of headings above it.

    A heading within a text is a line of it. No text begins with one: it is in its path.

    Args:
        page: Blocks of one page, headings among them, each with its path of headings.
        count: Gives the tokens of each text, as the encoder counts them.
        size: Tokens of a text at most; but for the last one it has as many as its words allow.
        overlap: Tokens that two neighbouring texts share, up to half of `size`.
    """
    words: list[Unit] = []
    paths: list[str | None] = []  # of each word; None for a heading's own
    for path, block in page:
        new = list(_words(block.text, count, size))
        words += new
        paths += [None if block.kind == "heading" else path] * len(new)
    while paths and paths[-1] is None:
        paths.pop()  # what stands below this heading is on the next page
    ends = np.cumsum([0, *(word.tokens for word in words)])
    start = end = 0
    while end < len(paths):
        while (above := paths[start]) is None:
            start += 1
        fits = int(np.searchsorted(ends, ends[start] + size, side="right")) - 1
        end = min(max(fits, start + 1, end + 1), len(paths))  # on, whatever one word takes
        yield above, join(words[start:end])
        start = int(np.searchsorted(ends, ends[end] - min(overlap, size // 2)))


def _words(text: str, count: CountTokens, size: int) -> Iterator[Unit]:
    """Words; the letters of one that takes over half a chunk, as a sentence of Chinese does."""
    found = ((("" if m.start() else "\n") + m[1], m[2]) for m in _WORD.finditer(text))
    for word in counted(found, count):
        if word.tokens <= max(1, size // 2):
            yield word
        else:
            letters = ((word.before if at == 0 else "", a) for at, a in enumerate(word.text))
            yield from counted(letters, count)
