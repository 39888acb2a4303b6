"""Who might like what, from what everybody has seen; ratings play no part here.

Each recommender is fitted on a matrix of users by films, and scores people whom it has never seen
from a row of films: a new user needs no new fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mlfolio.parts.recsys.interactions import Sparse, split
from mlfolio.parts.recsys.ranking import best, judge

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BLOCK = 500  # users at a time, for the memory's sake
WEIGHTS = np.linspace(0, 1, 11)  # of ALS in the blend that are tried
K = 10  # places that the weight is chosen by


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
        near = (_unit(rows) @ _unit(self.seen).T).toarray()
        near[near > 1 - 1e-9] = 0
        k = min(self.k, near.shape[1])
        least = np.partition(near, -k, axis=1)[:, -k][:, None]
        return np.asarray(np.where(near >= least, near, 0) @ self.seen)


@dataclass(frozen=True)
class ItemWeights:
    """A weight from each film seen to each other film, shape (films, films)."""

    weights: Floats

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
    def ease(cls, seen: Sparse, ridge: float = 12.0, damp: float = 0.25) -> ItemWeights:
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
        return np.asarray(rows @ self.weights)

    def pull(self, liked: Ints, films: Ints) -> Floats:
        """What each film seen adds to the score of each film, shape (liked, films)."""
        return self.weights[np.ix_(liked, films)]


@dataclass(frozen=True)
class Factors:
    """Implicit ALS (Hu, Koren and Volinsky, 2008), as tuned by Rendle et al. (2022).

    The loss is the squared error on what was seen, plus `unseen` times the squares of all scores,
    plus a ridge that grows with how much there is of a user or a film.

    Attributes:
        films: One vector a film, shape (films, d).
        unseen: The weight of what was not seen.
        ridge: The ridge, for each thing that was seen.
    """

    films: Floats
    unseen: float = 0.2
    ridge: float = 0.02

    @classmethod
    def fit(cls, seen: Sparse, d: int = 32, sweeps: int = 8, seed: int = 0) -> Factors:
        """Users given films, films given users, in turn."""
        start = np.random.default_rng(seed).normal(size=(seen.shape[1], d)) * 0.1 / np.sqrt(d)
        found, columns = cls(start), seen.T.tocsr()
        for _ in range(sweeps):
            found = cls(cls(found.people(seen)).people(columns))
        return found

    def people(self, rows: Sparse) -> Floats:
        """The vectors of people who have seen these films, shape (people, d)."""
        parts = [self._inverse(part) @ (part @ self.films)[..., None] for part in _blocks(rows)]
        return np.concatenate(parts)[..., 0]

    def score(self, rows: Sparse) -> Floats:
        """See `Recommender`."""
        return self.people(rows) @ self.films.T

    def pull(self, liked: Ints, films: Ints) -> Floats:
        """What each film seen adds to the score of each film, shape (liked, films); exactly."""
        row = sp.csr_matrix((np.ones(len(liked)), (np.zeros(len(liked), int), liked)),
                            shape=(1, len(self.films)))  # fmt: skip
        pulled: Floats = self.films[liked] @ self._inverse(row)[0] @ self.films[films].T
        return pulled

    def alike(self, film: int) -> Floats:
        """The cosine of a film to every film, shape (films,)."""
        unit = self.films / np.maximum(np.linalg.norm(self.films, axis=1), 1e-12)[:, None]
        cosine: Floats = unit @ unit[film]
        return cosine

    def _inverse(self, rows: Sparse) -> Floats:
        """The inverse of each person's normal equations, shape (people, d, d)."""
        n, d = self.films.shape
        squares = (self.films[:, :, None] * self.films[:, None]).reshape(n, d * d)
        own = np.asarray(rows @ squares).reshape(-1, d, d)
        ridge = self.ridge * (np.diff(rows.indptr) + self.unseen * n)
        everything = self.unseen * self.films.T @ self.films
        return np.linalg.inv(own + everything + ridge[:, None, None] * np.eye(d))


@dataclass(frozen=True)
class Blend:
    """EASE and ALS, each standardised over the films that a person has not seen.

    Attributes:
        ease: A weight for each two films.
        als: A vector for each film.
        weight: Of ALS, in [0, 1].
    """

    ease: ItemWeights
    als: Factors
    weight: float

    @classmethod
    def fit(cls, seen: Sparse, d: int = 32, seed: int = 0) -> Blend:
        """Chooses the weight on a quarter of each user's films, then fits both on all of them."""
        train, held = split(seen, 0.25, seed + 1000)
        parts = cls(ItemWeights.ease(train), Factors.fit(train, d, seed=seed), 0)
        found = np.zeros(len(WEIGHTS))
        for rows, answers in zip(_blocks(train), _blocks(held), strict=True):
            ease, als = parts._members(rows)
            for number, weight in enumerate(WEIGHTS):
                top = best(weight * als + (1 - weight) * ease, rows, min(K, seen.shape[1]))
                found[number] += np.nansum(next(iter(judge(top, answers).values())))
        weight = float(WEIGHTS[found.argmax()])
        return cls(ItemWeights.ease(seen), Factors.fit(seen, d, seed=seed), weight)

    def score(self, rows: Sparse) -> Floats:
        """See `Recommender`; in standard deviations of the films not seen."""
        ease, als = self._members(rows)
        return self.weight * als + (1 - self.weight) * ease

    def pull(self, liked: Ints, films: Ints) -> Floats:
        """What each film seen adds to a film's score, less what it adds to all, each member's."""
        every = np.arange(len(self.als.films))
        total = np.zeros((len(liked), len(films)))
        for member, weight in ((self.ease, 1 - self.weight), (self.als, self.weight)):
            pulled = member.pull(liked, every)
            spread = np.std(np.delete(pulled.sum(axis=0), liked)) or 1.0
            total += weight * (pulled[:, films] - pulled.mean(axis=1, keepdims=True)) / spread
        return total

    def _members(self, rows: Sparse) -> tuple[Floats, Floats]:
        seen = rows.toarray() > 0
        ease, als = (_standard(member.score(rows), seen) for member in (self.ease, self.als))
        return ease, als


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


def _blocks(rows: Sparse) -> Iterator[Sparse]:
    """A few hundred rows at a time."""
    for start in range(0, rows.shape[0], BLOCK):
        yield rows[start : start + BLOCK]
