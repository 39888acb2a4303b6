"""Who saw what, as a sparse matrix, and splits of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

Sparse = Any  # scipy's csr_matrix, which has no types; shape (users, items)


def interactions(
    users: ArrayLike, items: ArrayLike, shape: tuple[int, int], values: ArrayLike | None = None
) -> Sparse:
    """A sparse matrix of users by items.

    Args:
        users: Row of each interaction, from 0, shape (n,).
        items: Column of each, shape (n,).
        shape: Numbers of users and of items.
        values: What is kept of each, shape (n,); 1 if nothing is given. Each pair once.
    """
    rows = np.asarray(users)
    kept = np.ones(len(rows)) if values is None else np.asarray(values, dtype=float)
    return sp.csr_matrix((kept, (rows, np.asarray(items))), shape=shape)


def hold_out(matrix: Sparse, share: float, seed: int) -> NDArray[np.bool_]:
    """Which of each user's interactions are held out: the share, rounded, drawn at random.

    Args:
        matrix: Users by items.
        share: In (0, 1). Who has too few for one to be held out keeps all.
        seed: Seed of the chance.

    Returns:
        True where held out, in the order of the matrix's stored entries, shape (entries,).
    """
    counts = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((np.random.default_rng(seed).random(len(rows)), rows))
    place = np.empty(len(rows), dtype=np.int64)
    place[order] = np.arange(len(rows)) - np.repeat(matrix.indptr[:-1], counts)
    return np.asarray(place < np.repeat(np.round(counts * share), counts))


def keep(matrix: Sparse, which: NDArray[np.bool_]) -> Sparse:
    """The matrix with some of its stored entries only.

    Args:
        matrix: Users by items.
        which: Those that stay, in the order in which they are stored, shape (entries,).
    """
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return interactions(rows[which], matrix.indices[which], matrix.shape, matrix.data[which])


def split(matrix: Sparse, share: float, seed: int) -> tuple[Sparse, Sparse]:
    """What is learned from, and what is held out, of every user (see `hold_out`)."""
    out = hold_out(matrix, share, seed)
    return keep(matrix, ~out), keep(matrix, out)
