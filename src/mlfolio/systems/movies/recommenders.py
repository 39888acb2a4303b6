"""Who might like what, from what everybody has seen; ratings play no part here.

Each recommender is fitted on a matrix of users by films, and scores people whom it has never seen
from a row of films: a new user needs no new fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mlfolio.parts.recsys.interactions import Sparse, interactions, keep

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BLOCK = 500  # users at a time, for the memory's sake
# Best of a grid for MovieLens, on films held out of the training part of the first split alone.
WEIGHTS = (0.3, 0.5, 0.2)
FILMS_EACH = 25  # films a coordinate of ALS: longer vectors learn few films by heart


class Recommender(Protocol):
    """Anything that scores films for people."""

    def score(self, rows: Sparse) -> Floats:
        """Scores of every film, shape (people, films), from who has seen what, same shape."""
        ...


@dataclass(frozen=True)
class Popularity:
    """The same for everybody: by how many a film was seen, shape (films,)."""

    counts: Floats

    @classmethod
    def fit(cls, seen: Sparse) -> Popularity:
        """Counts."""
        return cls(np.asarray(seen.sum(axis=0), dtype=float).ravel())

    def score(self, rows: Sparse) -> Floats:
        """See `Recommender`."""
        return np.tile(self.counts, (rows.shape[0], 1))


@dataclass(frozen=True)
class UserNeighbours:
    """What the k users most like one, by cosine, have seen, weighted by the cosine."""

    seen: Sparse
    k: int = 60

    def score(self, rows: Sparse) -> Floats:
        """See `Recommender`; who is among the users is no neighbour of their own."""
        found, users = [], _unit(self.seen).T
        for start in range(0, rows.shape[0], BLOCK):
            near = (_unit(rows[start : start + BLOCK]) @ users).toarray()
            near[near > 1 - 1e-9] = 0
            k = min(self.k, near.shape[1])
            least = np.partition(near, -k, axis=1)[:, -k][:, None]
            found.append(np.where(near >= least, near, 0) @ self.seen)
        return np.concatenate(found)


@dataclass(frozen=True)
class ItemWeights:
    """A weight from each film seen to each other film, shape (films, films)."""

    array: Floats

    @classmethod
    def cosine(cls, seen: Sparse, k: int = 100) -> ItemWeights:
        """Item-based CF: the cosine, for each film of the k most like it."""
        columns = _unit(seen.T.tocsr())
        near = (columns @ columns.T).toarray()
        np.fill_diagonal(near, 0)
        k = min(k, len(near))
        least = np.partition(near, -k, axis=0)[-k]
        return cls(np.where(near >= least, near, 0))

    @classmethod
    def ease(cls, seen: Sparse, ridge: float = 10.0, damp: float = 0.25) -> ItemWeights:
        """EASE (Steck, 2019): each film regressed on all others in closed form, none on itself.

        Rows and columns are divided by a power of their counts first, so that neither people who
        have seen everything nor films that everybody has seen drown the rest.

        Args:
            seen: Users by films.
            ridge: Of the regressions, in multiples of the mean of the Gram matrix's diagonal.
            damp: The power; 0 is EASE as published.
        """
        wide = np.maximum(np.asarray(seen.sum(axis=1)).ravel(), 1) ** -damp
        tall = np.maximum(np.asarray(seen.sum(axis=0)).ravel(), 1) ** -damp
        damped = sp.diags(wide) @ seen @ sp.diags(tall)
        gram = (damped.T @ damped).toarray()
        gram[np.diag_indices_from(gram)] += ridge * gram.trace() / len(gram)
        inverse = np.linalg.inv(gram)
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0)
        return cls(tall[:, None] * weights / tall)

    def score(self, rows: Sparse) -> Floats:
        """See `Recommender`."""
        return np.asarray(rows @ self.array)

    def changed(self, change: Callable[[Floats], Floats]) -> ItemWeights:
        """The same with the array changed."""
        return replace(self, array=change(self.array))

    def pull(self, liked: Ints, films: Ints) -> Floats:
        """What each film seen adds to the score of each film, shape (liked, films)."""
        return self.array[np.ix_(liked, films)]


@dataclass(frozen=True)
class Factors:
    """Implicit ALS (Hu, Koren and Volinsky, 2008), as tuned by Rendle et al. (2022).

    The loss is the squared error on what was seen, plus `unseen` times the squares of all scores,
    plus a ridge that grows with how much there is of a user or a film.

    Attributes:
        array: One vector a film, shape (films, d).
        unseen: The weight of what was not seen.
        ridge: The ridge, for each thing that was seen.
    """

    array: Floats
    unseen: float = 0.2
    ridge: float = 0.02

    @classmethod
    def fit(cls, seen: Sparse, d: int = 64, sweeps: int = 8, seed: int = 0) -> Factors:
        """Users given films, films given users, in turn."""
        start = np.random.default_rng(seed).normal(size=(seen.shape[1], d)) * 0.1 / np.sqrt(d)
        found, columns = cls(start), seen.T.tocsr()
        for _ in range(sweeps):
            found = cls(cls(found.people(seen)).people(columns))
        return found

    def people(self, rows: Sparse) -> Floats:
        """The vectors of people who have seen these films, shape (people, d)."""
        parts = [
            self._inverse(part) @ (part @ self.array)[..., None]
            for part in (rows[at : at + BLOCK] for at in range(0, rows.shape[0], BLOCK))
        ]
        return np.concatenate(parts)[..., 0]

    def score(self, rows: Sparse) -> Floats:
        """See `Recommender`."""
        return self.people(rows) @ self.array.T

    def changed(self, change: Callable[[Floats], Floats]) -> Factors:
        """The same with the array changed."""
        return replace(self, array=change(self.array))

    def pull(self, liked: Ints, films: Ints) -> Floats:
        """What each film seen adds to the score of each film, shape (liked, films); exactly."""
        row = interactions(np.zeros(len(liked), dtype=int), liked, (1, len(self.array)))
        pulled: Floats = self.array[liked] @ self._inverse(row)[0] @ self.array[films].T
        return pulled

    def _inverse(self, rows: Sparse) -> Floats:
        """The inverse of each person's normal equations, shape (people, d, d)."""
        n, d = self.array.shape
        seen = (self.array[part] for part in np.split(rows.indices, rows.indptr[1:-1]))
        own = np.stack([films.T @ films for films in seen])
        ridge = self.ridge * (np.diff(rows.indptr) + self.unseen * n)
        return np.linalg.inv(own + self._unseen + ridge[:, None, None] * np.eye(d))

    @cached_property
    def _unseen(self) -> Floats:
        """What all films count as unseen ones, shape (d, d)."""
        return self.unseen * self.array.T @ self.array


@dataclass(frozen=True)
class Blend:
    """Several recommenders, each standardised over the films that a person has not seen.

    Its rows hold 1 for a film that was seen and 2 for one that was rated well too. The last member
    goes by what was rated well, the others by what was seen.

    Attributes:
        members: EASE, ALS, and ALS of films rated well.
        weights: Of each; they sum to 1.
    """

    members: tuple[ItemWeights | Factors, ...]
    weights: tuple[float, ...] = WEIGHTS

    @classmethod
    def fit(cls, rows: Sparse, d: int = 64, seed: int = 0) -> Blend:
        """Fits the members on what was seen, and the last on what was rated well."""
        seen, loved = seen_and_loved(rows)
        d = min(d, max(4, rows.shape[1] // FILMS_EACH))
        als = [Factors.fit(part, d, seed=seed) for part in (seen, loved)]
        return cls((ItemWeights.ease(seen), *als))

    def alike(self, film: int) -> Floats:
        """The cosine of a film's vector in ALS to every film's, shape (films,)."""
        vectors = self.members[-2].array
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)[:, None]
        return np.asarray(unit @ unit[film])

    def score(self, rows: Sparse) -> Floats:
        """See `Recommender`; in standard deviations of the films not seen."""
        return np.asarray(np.tensordot(self.weights, self._scores(rows), 1))

    def pull(self, row: Sparse, films: Ints) -> Floats:
        """What each film of one person's row adds to films' scores, shape (entries, films).

        Less what it adds to all films on average, as scores are.
        """
        every, total = np.arange(row.shape[1]), np.zeros((row.nnz, len(films)))
        for number, (member, weight) in enumerate(zip(self.members, self.weights, strict=True)):
            liked = row.data > (number == len(self.members) - 1)
            pulled = member.pull(row.indices[liked], every)
            spread = np.delete(pulled.sum(axis=0), row.indices).std() or 1.0
            total[liked] += (
                weight * (pulled - pulled.mean(axis=1, keepdims=True))[:, films] / spread
            )
        return total

    def _scores(self, rows: Sparse) -> Floats:
        """Each member's standardised scores, shape (members, people, films)."""
        seen, loved = seen_and_loved(rows)
        scores = [member.score(seen) for member in self.members[:-1]]
        scores.append(self.members[-1].score(loved))
        return np.stack([_standard(each, seen.toarray() > 0) for each in scores])


def levels(ratings: Floats, good: float) -> Floats:
    """1 for a film that was seen, 2 for one that was rated well, or not at all but chosen."""
    return np.where(ratings < good, 1.0, 2.0)


def seen_and_loved(rows: Sparse) -> tuple[Sparse, Sparse]:
    """Ones where a film was seen, and ones where it was rated well, both users by films."""
    seen, loved = rows.copy(), keep(rows, rows.data > 1)
    seen.data, loved.data = np.ones(seen.nnz), np.ones(loved.nnz)
    return seen, loved


def _standard(scores: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Scores with mean 0 and deviation 1 over what each person has not seen."""
    left = np.maximum((~seen).sum(axis=1, keepdims=True), 1)
    centred = scores - np.where(seen, 0, scores).sum(axis=1, keepdims=True) / left
    spread = np.sqrt(np.where(seen, 0, centred**2).sum(axis=1, keepdims=True) / left)
    return np.asarray(centred / np.where(spread > 0, spread, 1))


def _unit(rows: Sparse) -> Sparse:
    """Each row divided by its length."""
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return sp.diags(1 / np.where(lengths > 0, lengths, 1)) @ rows
