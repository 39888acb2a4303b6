"""In what order comes what was found: two rankings fused into one, and variety.

Scores are fused by the convex combination of Bruch, Gai and Ingber (2023), An Analysis of Fusion
Functions for Hybrid Retrieval, ACM TOIS, with theoretical minima: BM25 from 0, the cosine from -1.
Ranks are fused by Cormack, Clarke and Büttcher (2009), Reciprocal Rank Fusion outperforms
Condorcet and individual Rank Learning Methods, SIGIR.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mlfolio.parts.retrieval.index import Passage
from mlfolio.parts.text.vectors import Vectors

Fusion = Literal["scores", "ranks"]
DENSE_WEIGHT = 0.8  # of the fused score; chosen on SciFact's training questions
RANK_K = 60  # of reciprocal rank fusion, as in the paper


@dataclass(frozen=True, slots=True)
class Ranking:
    """What decides which candidates an answer is made from, and in what order.

    Attributes:
        weight: Of the vectors, 0 (BM25 alone) to 1 (vectors alone).
        fusion: Whether the two sides' scores are added up, or the reciprocals of their ranks.
        diversity: What being like a passage that is chosen already takes from one, 0 (nothing) to
            1: maximal marginal relevance (Carbonell and Goldstein, 1998), whose lambda is
            1 - diversity.
        per_document: Passages of one document at most; None for any number.
    """

    weight: float = DENSE_WEIGHT
    fusion: Fusion = "scores"
    diversity: float = 0.0
    per_document: int | None = None

    @property
    def varies(self) -> bool:
        """Whether the best k passages may be others than the first k."""
        return self.diversity > 0 or self.per_document is not None


PLAIN = Ranking()


@dataclass(frozen=True, slots=True)
class Candidates:
    """What either side found for one question.

    Attributes:
        ids: As `index.chunk_id` makes them, in the order of the alphabet.
        rows: Where they lay in the index when they were found.
        bm25: Scores, shape (n,); 0 for what only the vectors found.
        cosine: Exact, of all, shape (n,), -1 to 1.
        vector: Of the question, shape (dimension,).
        searches: What was searched with in the question's place (see `expand`); their rankings
            count instead of its own. Empty for the question as it was asked.
    """

    ids: list[str]
    rows: list[int]
    bm25: Vectors
    cosine: Vectors
    vector: Vectors
    searches: tuple[Candidates, ...] = ()

    def fused(self, ranking: Ranking = PLAIN) -> Vectors:
        """Fused scores, shape (n,), 0 to 1; comparable within one question only.

        -1 for what is in no ranking: with BM25 alone what has none of the words.
        """
        if self.searches:
            return self._of_searches(ranking)
        weight = ranking.weight
        if ranking.fusion == "ranks":
            lexical, dense = _by_rank(self.bm25) * (self.bm25 > 0), _by_rank(self.cosine)
        else:
            lexical = self.bm25 / max(float(self.bm25.max(initial=0.0)), 1e-9)
            dense = (1 + self.cosine) / max(1 + float(self.cosine.max(initial=-1.0)), 1e-9)
        fused: Vectors = ((1 - weight) * lexical + weight * dense).astype(np.float32)
        if weight == 0:
            fused[self.bm25 == 0] = -1
        return fused

    def order(self, ranking: Ranking = PLAIN) -> list[int]:
        """Positions of the candidates, best first; ties by id, so that answers do not change."""
        fused = self.fused(ranking)
        order: list[int] = np.argsort(-fused, kind="stable").tolist()
        return [at for at in order if fused[at] >= 0]

    def documents(self, ranking: Ranking = PLAIN, k: int = 10) -> list[str]:
        """The k best documents, each by its best chunk, best first; variety does not count."""
        names = (self.ids[at].rpartition("#")[0] for at in self.order(ranking))
        return list(dict.fromkeys(names))[:k]

    def without(self, documents: Container[str]) -> Candidates:
        """The candidates that are of none of some documents."""
        kept = [
            at for at, chunk in enumerate(self.ids) if chunk.rpartition("#")[0] not in documents
        ]
        return Candidates(
            ids=[self.ids[at] for at in kept],
            rows=[self.rows[at] for at in kept],
            bm25=self.bm25[kept],
            cosine=self.cosine[kept],
            vector=self.vector,
            searches=tuple(search.without(documents) for search in self.searches),
        )

    def _of_searches(self, ranking: Ranking) -> Vectors:
        """Scores of the only search, or reciprocal ranks over all of them."""
        if len(self.searches) == 1:
            (only,) = self.searches
            scores = dict(zip(only.ids, only.fused(ranking).tolist(), strict=True))
        else:
            scores = {}
            for search in self.searches:
                for rank, at in enumerate(search.order(ranking), start=1):
                    share = (RANK_K + 1) / (RANK_K + rank) / len(self.searches)
                    scores[search.ids[at]] = scores.get(search.ids[at], 0.0) + share
        return np.array([scores.get(chunk, -1.0) for chunk in self.ids], dtype=np.float32)


def _by_rank(scores: Vectors) -> Vectors:
    """Reciprocal ranks, 1 for the best; equal scores share a rank."""
    ranks = 1 + np.searchsorted(np.sort(-scores), -scores)
    reciprocal: Vectors = ((RANK_K + 1) / (RANK_K + ranks)).astype(np.float32)
    return reciprocal


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found, and why.

    Attributes:
        passage: The chunk.
        score: Fused, 0 to 1; comparable within one question only.
        cosine: Between question and chunk, -1 to 1; comparable between questions.
        bm25: 0 where none of the question's words occurs.
        vector: Of the chunk, shape (dimension,); only where variety is asked for.
    """

    passage: Passage
    score: float
    cosine: float
    bm25: float
    vector: Vectors | None = field(default=None, compare=False, repr=False)


def varied(hits: Sequence[Hit], k: int, ranking: Ranking) -> list[Hit]:
    """The k of some hits that are good and unlike each other, in the order they are chosen in.

    Args:
        hits: Best first; with their vectors where the ranking asks for diversity.
        k: How many at most; fewer where there are no more documents to take them from.
        ranking: What counts.
    """
    if not ranking.varies:
        return list(hits[:k])
    worth = (1 - ranking.diversity) * np.array([hit.score for hit in hits])
    likeness = _likeness(hits) if ranking.diversity > 0 else np.zeros((len(hits), len(hits)))
    nearest = np.zeros(len(hits))  # to any that is chosen
    taken = Counter[str]()
    chosen: list[int] = []
    while len(chosen) < k and np.isfinite(worth).any():
        at = int(np.argmax(worth - ranking.diversity * nearest))  # of equals the better one
        document = hits[at].passage.document
        chosen.append(at)
        worth[at] = -np.inf
        nearest = np.maximum(nearest, likeness[at])
        taken[document] += 1
        if taken[document] == ranking.per_document:
            full = [hit.passage.document == document for hit in hits]
            worth[full] = -np.inf
    return [hits[at] for at in chosen]


def _likeness(hits: Sequence[Hit]) -> Vectors:
    """Cosines of every two, shape (n, n).

    Raises:
        ValueError: Their vectors were not asked for.
    """
    vectors = [hit.vector for hit in hits if hit.vector is not None]
    if len(vectors) < len(hits):
        raise ValueError("diversity needs the vectors of the hits: find them with this ranking")
    rows = np.stack(vectors) if vectors else np.zeros((0, 0), dtype=np.float32)
    likeness: Vectors = rows @ rows.T
    return likeness
