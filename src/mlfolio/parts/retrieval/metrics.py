"""How good a ranking is."""

from __future__ import annotations

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
