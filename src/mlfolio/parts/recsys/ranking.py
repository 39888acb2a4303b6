"""How good a ranking of items is, over all items: no sampled negatives.

Sampled metrics put methods in another order than full ones (Krichene and Rendle, 2020, On sampled
metrics for item recommendation), so there are none here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .interactions import Sparse

Floats = NDArray[np.float64]
Ranked = NDArray[np.int64]


def best(scores: Floats, seen: Sparse, k: int) -> Ranked:
    """The k best items of each user that were not seen, best first, shape (users, k).

    Args:
        scores: Users by items.
        seen: What is not recommended again, of the same shape.
        k: At most the number of items. Who has seen nearly all gets seen ones at the end.
    """
    left = scores.copy()
    left[seen.nonzero()] = -np.inf
    top = np.argpartition(-left, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(left, top, 1), axis=1, kind="stable")
    return np.take_along_axis(top, order, 1)


def judge(ranked: Ranked, relevant: Sparse) -> dict[str, Floats]:
    """Precision, recall, nDCG and average precision at k of each user, shape (users,) each.

    The gain is 1 or 0. Recall, nDCG and MAP are of what k places can hold at most: a user with 40
    relevant items can have ten of them among ten. Who has none is NaN.

    Args:
        ranked: Each user's k items, best first.
        relevant: What they should be, users by items.
    """
    hits = np.take_along_axis(relevant.toarray() > 0, ranked, 1).astype(float)
    k = hits.shape[1]
    most = np.diff(relevant.indptr).astype(float)
    most[most == 0] = np.nan
    within = np.minimum(most, k)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.append(0, np.cumsum(discount))[np.nan_to_num(within).astype(int)]
    ideal[ideal == 0] = np.nan
    precise = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return {
        f"nDCG@{k}": hits @ discount / ideal,
        f"precision@{k}": hits.mean(axis=1) + 0 * most,
        f"recall@{k}": hits.sum(axis=1) / within,
        f"MAP@{k}": (precise * hits).sum(axis=1) / within,
    }


def beyond(ranked: Ranked, seen: Sparse) -> dict[str, Floats]:
    """Novelty and diversity of each user's k items, shape (users,) each.

    Novelty is the mean of -log2 of the share of users who have seen the item (Zhou et al., 2010),
    in bits; diversity one minus the mean cosine of two of the items, by who has seen them (Ziegler
    et al., 2005).

    Args:
        ranked: Each user's k items.
        seen: What the ranking was learned from, users by items.
    """
    counts = np.asarray(seen.sum(axis=0)).ravel()
    surprise = -np.log2(np.maximum(counts, 1) / seen.shape[0])
    columns = seen.T.tocsr().astype(float)
    columns.data[:] = 1
    lengths = np.sqrt(np.maximum(counts, 1))
    cosine = (columns @ columns.T).toarray() / np.outer(lengths, lengths)
    np.fill_diagonal(cosine, 0)
    k = ranked.shape[1]
    alike = np.array([cosine[np.ix_(items, items)].sum() for items in ranked])
    return {
        f"novelty@{k}": surprise[ranked].mean(axis=1),
        f"diversity@{k}": 1 - alike / max(k * (k - 1), 1),
    }


def coverage(ranked: Ranked, items: int) -> float:
    """The share of all items that anybody is recommended."""
    return len(np.unique(ranked)) / items
