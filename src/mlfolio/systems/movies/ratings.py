"""How many stars somebody would give: matrix factorisation that knows how sure it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from mlfolio.parts.recsys.interactions import Sparse

Floats = NDArray[np.float64]
SIDE = 20  # directions of who has seen what
FIXED = 1e-6  # variance of a coordinate that is known
RIDGE = 10.0  # of the regressions on what is known of users and films


@dataclass(frozen=True)
class Ratings:
    """Variational Bayesian matrix factorisation (Lim and Teh, 2007) with what is known beside it.

    A rating is mean + user . film + noise, all Gaussian. Each user and each film is a vector with a
    covariance. The first coordinate of a user and the second of a film are 1, so that the other
    side's are the biases. Before any rating, a user's vector is expected to be a linear function
    of which films were rated (what SVD++ has as implicit feedback), a film's of its genres, year,
    and who rated it; variances and noise are learned. A new user's vector is the same closed form
    as an old one's.

    Attributes:
        mean: Of all ratings.
        low: The least rating there is.
        high: The greatest.
        step: Between two ratings; 0 where they are as good as continuous.
        noise: Variance of a rating around what is expected.
        spread: Variances of a user's vector around what is expected before any rating, shape (d,).
        expect: From what is known of a user to that, shape (side, d).
        scale: A film's share in each direction of who has seen what, shape (films, SIDE).
        films: The films' vectors, shape (films, d).
        covariance: Of the films, shape (films, d, d).
    """

    mean: float
    low: float
    high: float
    step: float
    noise: float
    spread: Floats
    expect: Floats
    scale: Floats
    films: Floats
    covariance: Floats

    @classmethod
    def fit(
        cls, ratings: Sparse, facts: Floats, d: int = 10, sweeps: int = 30, seed: int = 0
    ) -> Ratings:
        """Users given films, films given users, in turn.

        Args:
            ratings: Users by films; what is stored was rated.
            facts: What is publicly known of each film, shape (films, facts).
            d: Coordinates beside the biases.
            sweeps: How often.
            seed: Of the start.
        """
        rng, size = np.random.default_rng(seed), d + 2
        values = np.unique(ratings.data)
        rated = ratings.copy()
        rated.data = np.ones_like(rated.data)
        rest = ratings.copy()
        rest.data = ratings.data - ratings.data.mean()
        scale, columns = _directions(rated, seed)
        facts = np.column_stack([facts, columns])
        prior = np.zeros((ratings.shape[1], size))
        prior[:, 1] = 1
        films = prior + rng.normal(size=prior.shape) * 0.1 * (np.arange(size) > 1)
        found = cls(
            mean=float(ratings.data.mean()),
            low=float(values[0]),
            high=float(values[-1]),
            step=float(np.diff(values).min()) if 1 < len(values) <= 20 else 0.0,
            noise=1.0,
            spread=np.r_[FIXED, 0.2, np.full(d, 0.1)],
            expect=np.eye(1, size),
            scale=scale,
            films=films,
            covariance=np.zeros((*films.shape, size)),
        )
        tall = np.r_[0.2, FIXED, np.full(d, 0.1)]  # the films' variances
        known = found._known(rated)
        expect = np.zeros((known.shape[1], size))
        expect[0, 0] = 1
        for sweep in range(sweeps):
            found = replace(found, expect=expect)
            users, wide = found._posterior(rest, rated)
            films, covariance = _given(
                rest.T.tocsr(),
                rated.T.tocsr(),
                users,
                _squares(users, wide),
                prior,
                tall,
                found.noise,
            )
            spread = found.spread
            if sweep > 2:  # by then the vectors mean something
                expect = expect.copy()
                expect[:, 1:] = _ridge(known, users[:, 1:])
                spread = _spread(users - known @ expect, wide, 0)
                free = np.arange(size) != 1
                prior[:, free] = facts @ _ridge(facts, films[:, free])
                tall = _spread(films - prior, covariance, 1)
            found = replace(found, films=films, covariance=covariance, spread=spread)
            found = replace(found, noise=_noise(rest, users, wide, films, covariance))
        return replace(found, expect=expect)

    def people(self, ratings: Sparse) -> tuple[Floats, Floats]:
        """Vectors and covariances of people with these ratings, shapes (people, d), (people, d, d).

        Args:
            ratings: People by films; what is stored was rated.
        """
        rated, rest = ratings.copy(), ratings.copy()
        rated.data = np.ones_like(rated.data)
        rest.data = ratings.data - self.mean
        return self._posterior(rest, rated)

    def expected(
        self, people: Floats, wide: Floats, films: NDArray[np.int64]
    ) -> tuple[Floats, Floats]:
        """Mean and deviation of what each person would give a film, shape (n,) each.

        Args:
            people: Vectors, shape (n, d).
            wide: Their covariances, shape (n, d, d).
            films: Which film each is asked about, shape (n,).
        """
        vector, tall = self.films[films], self.covariance[films]
        mean = self.mean + (people * vector).sum(axis=1)
        return mean.clip(self.low, self.high), np.sqrt(
            self.noise + _doubt(people, wide, vector, tall)
        )

    def chance(self, mean: Floats, deviation: Floats, least: float) -> Floats:
        """The chance of a rating of `least` or more."""
        return np.asarray(norm.sf((least - self.step / 2 - mean) / deviation))

    def parts(self) -> dict[str, Any]:
        """What it is made of, by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def changed(self, change: Callable[[Floats], Floats]) -> Ratings:
        """The same with every array changed."""
        arrays = {k: change(v) for k, v in self.parts().items() if isinstance(v, np.ndarray)}
        return replace(self, **arrays)  # type: ignore[arg-type]

    def _known(self, rated: Sparse) -> Floats:
        """What is known of people before their ratings count, shape (people, side)."""
        counts = np.asarray(rated.sum(axis=1)).ravel()
        by = np.asarray(rated @ self.scale) / np.sqrt(np.maximum(counts, 1))[:, None]
        return np.column_stack([np.ones(len(counts)), by, np.log1p(counts)])

    @cached_property
    def _squares(self) -> Floats:
        return _squares(self.films, self.covariance)

    def _posterior(self, rest: Sparse, rated: Sparse) -> tuple[Floats, Floats]:
        prior = self._known(rated) @ self.expect
        return _given(rest, rated, self.films, self._squares, prior, self.spread, self.noise)


def _directions(rated: Sparse, seed: int) -> tuple[Floats, Floats]:
    """The main directions of who has rated what: what projects users on them, and the films'."""
    from scipy.sparse import diags
    from sklearn.utils.extmath import randomized_svd

    wide = np.maximum(np.asarray(rated.sum(axis=1)).ravel(), 1)
    tall = np.maximum(np.asarray(rated.sum(axis=0)).ravel(), 1)
    normed = diags(wide**-0.5) @ rated @ diags(tall**-0.5)
    side = min(SIDE, min(rated.shape) - 1)
    _, values, vectors = randomized_svd(normed, side, random_state=seed)
    scale = vectors.T * tall[:, None] ** -0.5 * np.sqrt(rated.shape[0]) / np.maximum(values, 1e-9)
    sure = np.minimum(1, tall / 20)[:, None] * 0.3 * np.sqrt(rated.shape[1])
    return scale, np.column_stack([vectors.T * sure, np.log(tall)])


def _squares(vectors: Floats, covariance: Floats) -> Floats:
    """What each uncertain vector's outer product with itself is expected to be, shape (n, d*d)."""
    squares = vectors[:, :, None] * vectors[:, None] + covariance
    return squares.reshape(len(vectors), -1)


def _given(
    rest: Sparse, rated: Sparse, others: Floats, squares: Floats, prior: Floats, spread: Floats,
    noise: float,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Gaussian posteriors of one side given the other's, shapes (n, d) and (n, d, d)."""
    size = others.shape[1]
    precision = np.asarray(rated @ squares).reshape(-1, size, size) / noise + np.diag(1 / spread)
    wide = np.linalg.inv(precision)
    mean = wide @ (np.asarray(rest @ others) / noise + prior / spread)[..., None]
    return np.asarray(mean[..., 0]), np.asarray(wide, dtype=float)


def _ridge(known: Floats, answers: Floats) -> Floats:
    gram = known.T @ known + RIDGE * np.eye(known.shape[1])
    return np.asarray(np.linalg.solve(gram, known.T @ answers))


def _spread(rest: Floats, covariance: Floats, fixed: int) -> Floats:
    """Variances of vectors around what was expected of them; of the fixed coordinate nearly 0."""
    found = np.mean(rest**2 + np.diagonal(covariance, axis1=1, axis2=2), axis=0)
    found[fixed] = FIXED
    return np.asarray(found)


def _doubt(users: Floats, wide: Floats, films: Floats, tall: Floats) -> Floats:
    """Variances of products of uncertain vectors, shape (n,)."""
    of_films = np.einsum("nij,nij->n", wide + users[:, :, None] * users[:, None], tall)
    return np.asarray(of_films + np.einsum("ni,nij,nj->n", films, wide, films))


def _noise(rest: Sparse, users: Floats, wide: Floats, films: Floats, tall: Floats) -> float:
    """The mean squared error that is left, the vectors' own doubt included."""
    rows, columns, total = rest.tocoo().row, rest.indices, 0.0
    for start in range(0, len(rows), 100_000):
        u, f = rows[start : start + 100_000], columns[start : start + 100_000]
        error = rest.data[start : start + 100_000] - (users[u] * films[f]).sum(axis=1)
        total += float((error**2 + _doubt(users[u], wide[u], films[f], tall[f])).sum())
    return total / len(rows)
