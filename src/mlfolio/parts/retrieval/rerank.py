"""A second look at the first hits, by whoever reads question and passage together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mlfolio.parts.retrieval.ranking import Hit

Scores = NDArray[np.float32]


class Reranker(Protocol):
    """Whoever says how well texts answer a question (see `cross_encoder`)."""

    def score(self, question: str, texts: Sequence[str]) -> Scores:
        """How well each text answers, shape (n,): higher is better, on any scale."""
        ...


@runtime_checkable
class Saves(Protocol):
    """A reranker that can be stored."""

    def save(self, folder: Path) -> None:
        """Writes it into an empty folder."""
        ...


def rerank(
    reranker: Reranker, question: str, hits: Sequence[Hit], keep: int, weight: float = 1.0
) -> list[Hit]:
    """The hits in the order of a reranker, or between that and their own.

    Both kinds of scores are stretched to 0 for the worst hit and 1 for the best, and their weighted
    mean is each hit's new score, 0 to 1; whatever else a hit says of itself stays.

    Args:
        reranker: Reads each hit's heading and text, as the index has them.
        question: As it was asked.
        hits: What was found.
        keep: How many come back at most.
        weight: Of the reranker, 0 (the first order) to 1 (the reranker alone).
    """
    if not hits:
        return []
    texts = [hit.passage.headed for hit in hits]
    first = _stretched(np.array([hit.score for hit in hits]))
    second = _stretched(np.asarray(reranker.score(question, texts), dtype=np.float64))
    mixed = (1 - weight) * first + weight * second
    order = np.argsort(-mixed, kind="stable")[:keep].tolist()
    return [replace(hits[at], score=float(mixed[at])) for at in order]


def _stretched(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores from 0 for the least to 1 for the greatest; all 1 where they are the same."""
    least, greatest = scores.min(), scores.max()
    if least == greatest:
        return np.ones_like(scores)
    stretched: NDArray[np.float64] = (scores - least) / (greatest - least)
    return stretched
