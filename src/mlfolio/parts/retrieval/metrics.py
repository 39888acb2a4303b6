"""How good a ranking is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.metrics import ndcg_score


def ndcg(ranking: Sequence[str], relevant: Mapping[str, float], k: int = 10) -> float:
    """Normalised discounted cumulative gain of one ranking, 0 to 1 (Järvelin and Kekäläinen, 2002).

    The gain is linear, as in trec_eval. Relevant items that were not found count as ranked last,
    behind k irrelevant ones, so that a short ranking is not paid for what it left out.

    Args:
        ranking: Items, best first, each once.
        relevant: Grade of every relevant item; at least one.
        k: How many places count.
    """
    missed = [item for item in relevant if item not in ranking]
    places = [*ranking, *([None] * k), *missed]
    gains = np.array([[relevant.get(item, 0.0) if item else 0.0 for item in places]])
    scores = np.arange(len(places), 0, -1, dtype=float)[None, :]
    return float(ndcg_score(gains, scores, k=k, ignore_ties=True))


def recall(ranking: Sequence[str], relevant: Mapping[str, float], k: int = 10) -> float:
    """Share of the relevant items that are among the first k, 0 to 1; trec_eval's recall_k.

    Args:
        ranking: Items, best first, each once.
        relevant: Every relevant item; at least one. Grades do not count.
        k: How many places count.
    """
    return len(relevant.keys() & set(ranking[:k])) / len(relevant)


def hit(ranking: Sequence[str], relevant: Mapping[str, float], k: int = 10) -> float:
    """1 if any relevant item is among the first k, else 0; trec_eval's success_k.

    Args:
        ranking: Items, best first, each once.
        relevant: Every relevant item. Grades do not count.
        k: How many places count.
    """
    return float(not relevant.keys().isdisjoint(ranking[:k]))


def reciprocal_rank(ranking: Sequence[str], relevant: Mapping[str, float], k: int = 10) -> float:
    """1 / rank of the first relevant item, 0 beyond the first k; its mean is MRR@k.

    Args:
        ranking: Items, best first, each once.
        relevant: Every relevant item. Grades do not count.
        k: How many places count.
    """
    ranks = (rank for rank, item in enumerate(ranking[:k], start=1) if item in relevant)
    return 1 / next(ranks, math.inf)
