"""Hybrid retrieval: the nearest vectors and the best BM25 scores, in one ranking.

Fusion is the convex combination of Bruch, Gai and Ingber (2023), An Analysis of Fusion Functions
for Hybrid Retrieval, ACM TOIS, with theoretical minima: BM25 from 0, the cosine from -1.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np

from mlfolio.parts.retrieval.index import Index, Passage, passage_id
from mlfolio.parts.text.vectors import Encodes, Vectors

CANDIDATES = 100  # taken from each side
DENSE_WEIGHT = 0.8  # of the fused score; chosen on SciFact's training questions


@dataclass(frozen=True, slots=True)
class Candidates:
    """What either side found for one question.

    Attributes:
        ids: As `index.chunk_id` makes them, in the order of the alphabet.
        rows: Where they lay in the index when they were found.
        bm25: Scores, shape (n,); 0 for what only the vectors found.
        cosine: Exact, of all, shape (n,), -1 to 1.
        vector: Of the question, shape (dimension,).
    """

    ids: list[str]
    rows: list[int]
    bm25: Vectors
    cosine: Vectors
    vector: Vectors

    def fused(self, weight: float = DENSE_WEIGHT) -> Vectors:
        """Fused scores, shape (n,), 0 to 1; comparable within one question only.

        Args:
            weight: Of the cosine, 0 (BM25 alone) to 1 (vectors alone).
        """
        lexical = self.bm25 / max(float(self.bm25.max(initial=0.0)), 1e-9)
        dense = (1 + self.cosine) / max(1 + float(self.cosine.max(initial=-1.0)), 1e-9)
        fused: Vectors = ((1 - weight) * lexical + weight * dense).astype(np.float32)
        if weight == 0:
            fused[self.bm25 == 0] = -1
        return fused

    def order(self, weight: float = DENSE_WEIGHT) -> list[int]:
        """Positions of the candidates, best first; ties by id, so that answers do not change."""
        fused = self.fused(weight)
        order: list[int] = np.argsort(-fused, kind="stable").tolist()
        return [at for at in order if fused[at] >= 0]

    def documents(self, weight: float, k: int = 10) -> list[str]:
        """The k best documents, each by its best chunk, best first."""
        names = (self.ids[at].rpartition("#")[0] for at in self.order(weight))
        return list(dict.fromkeys(names))[:k]


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found, and why.

    Attributes:
        passage: The chunk; where one of a parent's children was found, the parent.
        score: Fused, 0 to 1; comparable within one question only.
        cosine: Between question and chunk, -1 to 1; comparable between questions.
        bm25: 0 where none of the question's words occurs.
    """

    passage: Passage
    score: float
    cosine: float
    bm25: float


@cache
def _helper() -> ThreadPoolExecutor:
    """Where full-text search runs beside the encoder, so that neither waits for the other."""
    return ThreadPoolExecutor(max_workers=4, thread_name_prefix="full-text")


def cut_question(encoder: Encodes, question: str) -> tuple[str, int]:
    """The part of a question that the encoder reads, and how many tokens the whole one has."""
    limit = encoder.max_tokens
    tokens = encoder.count_tokens([question])[0] + 2  # the two special ones
    if tokens <= limit:
        return question, tokens
    words = question.split()
    low, high = 1, len(words)
    while low < high:  # the most words that fit
        middle = (low + high + 1) // 2
        fits = encoder.count_tokens([" ".join(words[:middle])])[0] + 2 <= limit
        low, high = (middle, high) if fits else (low, middle - 1)
    return " ".join(words[:low])[: 20 * limit], tokens


def find(
    index: Index,
    encoder: Encodes,
    question: str,
    limit: int = CANDIDATES,
    within: str | None = None,
) -> Candidates:
    """The candidates of one question from both sides.

    Args:
        index: Where to look.
        encoder: The one that the index was made with.
        question: Any text; beyond the encoder's length it is cut, for both sides.
        limit: How many are taken from each side.
        within: Name of a document or folder to look in; None for all.
    """
    question, _ = cut_question(encoder, question)
    lexical = _helper().submit(index.matching, question, limit, within)
    vector = encoder.encode_query(question)
    near = index.nearest(vector, limit, within)
    words, vectors = lexical.result()
    bm25 = dict(zip(words.ids, words.scores.tolist(), strict=True))
    cosine = dict(zip(near.ids, near.scores.tolist(), strict=True))
    cosine |= dict(zip(words.ids, (vectors @ vector).tolist(), strict=True))
    rows = dict(zip(near.ids, near.rows, strict=True)) | dict(
        zip(words.ids, words.rows, strict=True)
    )
    ids = sorted(cosine)
    return Candidates(
        ids=ids,
        rows=[rows[chunk] for chunk in ids],
        bm25=np.array([bm25.get(chunk, 0.0) for chunk in ids], dtype=np.float32),
        cosine=np.array([cosine[chunk] for chunk in ids], dtype=np.float32),
        vector=vector,
    )


def best_hits(
    index: Index, candidates: Candidates, k: int, weight: float = DENSE_WEIGHT
) -> list[Hit]:
    """The k best chunks, best first; a parent once, by the best of its children."""
    best: dict[str, int] = {}
    for at in candidates.order(weight):
        best.setdefault(passage_id(candidates.ids[at]), at)
    order, fused = list(best.values())[:k], candidates.fused(weight)
    ids = [candidates.ids[at] for at in order]
    passages = index.passages(ids, [candidates.rows[at] for at in order])
    return [
        Hit(
            passages[candidates.ids[at]],
            score=float(fused[at]),
            cosine=float(candidates.cosine[at]),
            bm25=float(candidates.bm25[at]),
        )
        for at in order
        if candidates.ids[at] in passages
    ]
