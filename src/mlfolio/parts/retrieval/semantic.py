"""Runs of sentences about one subject: a new one begins where the vectors turn.

Each sentence is embedded together with its neighbours; where the cosine distance between two such
windows is among the largest of the document, the subject is said to change. This is the percentile
method of Greg Kamradt (Five Levels of Text Splitting), which LlamaIndex's SemanticSplitter uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from mlfolio.parts.retrieval.blocks import UnreadableError
from mlfolio.parts.retrieval.sentences import Unit, join
from mlfolio.parts.text.vectors import Encodes, Vectors

MAX_SENTENCES = 200_000  # of one document: each is embedded
_NEIGHBOURS = 1  # sentences before and after one that are embedded with it
_PERCENTILE = 95  # of the document's distances: beyond it the subject changes


def by_subject(
    sections: Sequence[Sequence[Unit]], encoder: Encodes, size: int
) -> list[list[Sequence[Unit]]]:
    """Runs of sentences of each section, of up to `size` tokens.

    A run about one subject that has more is cut where the distance is largest between its half
    and its full size.

    Args:
        sections: The sentences of a document's sections, each of up to `size` tokens.
        encoder: Embeds them: all at once, and no other document's, so that the borders depend
            on nothing else.
        size: Tokens of a run at most.

    Raises:
        UnreadableError: There are very many sentences.
    """
    if not sections:
        return []
    if sum(map(len, sections)) > MAX_SENTENCES:
        raise UnreadableError(
            f"it holds over {MAX_SENTENCES:,} sentences", "split it, or let chunking be sentences"
        )
    distances = _distances(sections, encoder)
    every = np.concatenate(distances)
    limit = float(np.percentile(every, _PERCENTILE)) if len(every) else 0.0
    return [
        [units[start:end] for start, end in _runs(units, between, limit, size)]
        for units, between in zip(sections, distances, strict=True)
    ]


def _distances(sections: Sequence[Sequence[Unit]], encoder: Encodes) -> list[Vectors]:
    """Cosine distances between the windows of neighbouring sentences, one less than these."""
    windows = [
        join(units[max(0, at - _NEIGHBOURS) : at + _NEIGHBOURS + 1])
        for units in sections
        for at in range(len(units))
    ]
    vectors = encoder.encode(windows)
    ends = np.cumsum([len(units) for units in sections], dtype=int)[:-1]
    return [1 - np.einsum("ij,ij->i", part[:-1], part[1:]) for part in np.split(vectors, ends)]


def _runs(
    units: Sequence[Unit], distances: Vectors, limit: float, size: int
) -> Iterator[tuple[int, int]]:
    """Start and end of each run in one section."""
    tokens = np.cumsum([0, *(unit.tokens for unit in units)])
    turns = (np.flatnonzero(distances > limit) + 1).tolist()
    for start, end in pairwise(sorted({0, *turns, len(units)})):
        while tokens[end] - tokens[start] > size and end - start > 1:
            fits = int(np.searchsorted(tokens, tokens[start] + size, side="right")) - 1
            half = int(np.searchsorted(tokens, tokens[start] + size / 2))
            last = max(fits, start + 1)
            first = min(max(half, start + 1), last)
            cut = first + int(distances[first - 1 : last].argmax())
            yield start, cut
            start = cut
        yield start, end
