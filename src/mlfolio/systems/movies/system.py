"""Movies: a blend of EASE and ALS, a model of ratings, and three protocols to measure them by."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from sklearn.metrics import root_mean_squared_error
from threadpoolctl import threadpool_limits

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Baseline, Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.parts.recsys.interactions import Sparse, keep, split
from mlfolio.parts.recsys.ranking import best, beyond, coverage, judge
from mlfolio.parts.stats import mean_score, metric_score

from .card import CARD
from .data import MANY, Names, Watched, load_watched
from .model import MoviesModel
from .ratings import Ratings
from .recommenders import (
    Blend,
    Floats,
    ItemWeights,
    Popularity,
    UserNeighbours,
    levels,
    seen_and_loved,
)

K = 10  # places
HELD = 0.25  # of each user's films, in the tests of rankings
JUDGED = 2000  # users, drawn at random, that rankings are measured on
SYSTEM, TRIVIAL, STRONG = "this system", "popularity", "EASE"
NDCG, COVERAGE = f"nDCG@{K}", f"coverage@{K}"
FEW = 10  # users below whom a score says nothing
BIASES, MEAN = "user and film biases", "mean rating"
Answers = dict[str, Floats]  # what each rival got, one number a test item


class Movies(System):
    """Films for people, from what they liked."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = MoviesModel

    factors: int = Field(64, ge=4, le=128, description="length of the vectors of ALS")
    latent: int = Field(10, ge=2, le=32, description="length of the vectors that predict ratings")
    repeats: int = Field(3, ge=1, le=10, description="random splits that rankings are measured on")
    max_films: int = Field(MANY, ge=100, le=10_000, description="films that are kept at most")
    user: str = Field("", description="in your table, the column that says who")
    item: str = Field("", description="in your table, the column that says which film")
    rating: str = Field("", description="in your table, the column of ratings")
    time: str = Field("", description="in your table, the column that says when")

    def load(self, source: Source) -> Watched:
        """Who watched what, and how they rated it."""
        names = Names(self.user, self.item, self.rating, self.time)
        return load_watched(source, names, self.max_films)

    def fit(self, data: Watched, run: Run) -> MoviesModel:
        """Fits blend and ratings on all rows."""
        watched, good = data.matrix(), data.good
        with threadpool_limits(1):
            blend = Blend.fit(_levels(watched, good), self.factors, run.seed)
            ratings = None
            if data.rated:
                ratings = Ratings.fit(watched, data.facts, self.latent, seed=run.seed)
        usual = _usual(watched.data, good) if data.rated else (good, good)
        return MoviesModel(
            films=data.films, blend=blend, ratings=ratings, watched=watched, users=data.users,
            good=good, usual=usual,
        )  # fmt: skip

    def evaluate(self, model: MoviesModel, data: Watched, run: Run) -> Evaluation:
        """Repeats all of `fit` on the training part of each protocol."""
        with threadpool_limits(1):
            scores = self._random(data, run)
            scores[4:4] = self._new_users(data, run)
            if data.table["time"].notna().all():
                scores += self._by_time(data, run)
            if data.rated:
                scores += self._stars(data, run)
        return Evaluation(scores=tuple(scores))

    def _random(self, data: Watched, run: Run) -> list[Score]:
        """A quarter of each user's films held out, several times; users are the test items."""
        rows, found = _levels(data.matrix(), data.good), []
        for number in run.progress(range(self.repeats), "random split"):
            train, test = split(rows, HELD, run.seed + number)
            found.append(self._ranked(train, train, test, run, number))
            run.log(number, **{f"nDCG of {name}": float(np.nanmean(each[NDCG]))
                               for name, each in found[-1].items()})  # fmt: skip
        protocol = (
            f"{HELD:.0%} of each user's films held out at random, {self.repeats} times; ranked "
            f"among all others; mean of the {self.repeats}, interval over users"
        )
        together = {
            metric: {name: np.mean([each[name][metric] for each in found], axis=0)
                     for name in found[0]}
            for metric in found[0][SYSTEM]
        }  # fmt: skip
        _table("Rankings, random splits", together, run)
        scores = [
            self._mean(metric, together[metric], protocol, run)
            for metric in together if metric != COVERAGE
        ]  # fmt: skip
        means = {name: float(values[0]) for name, values in together[COVERAGE].items()}
        covered = Score(
            name=COVERAGE, value=means[SYSTEM], n=len(data.films), protocol=protocol,
            trivial=Baseline(name=TRIVIAL, value=means[TRIVIAL]),
            strong=Baseline(name=STRONG, value=means[STRONG]),
        )  # fmt: skip
        return [*scores, covered]

    def _new_users(self, data: Watched, run: Run) -> list[Score]:
        """A fifth of the users is left out of the fit, and then brings its films."""
        rows = _levels(data.matrix(), data.good)
        new = np.random.default_rng(run.seed).random(rows.shape[0]) < 0.2
        given, test = split(rows[new], HELD, run.seed)
        if (np.diff(test.indptr) > 0).sum() < FEW:
            return []
        found = self._ranked(rows[~new], given, test, run)
        protocol = (
            f"a fifth of the users left out of the fit; {HELD:.0%} of their films ranked from the "
            "others, without a new fit"
        )
        together = {metric: {name: each[metric] for name, each in found.items()}
                    for metric in found[SYSTEM]}  # fmt: skip
        _table("Rankings, new users", together, run)
        return [self._mean(NDCG, together[NDCG], protocol, run, f"{NDCG} of new users")]

    def _by_time(self, data: Watched, run: Run) -> list[Score]:
        """What came before a date tells what came after it."""
        times = data.table["time"]
        late = (times > times.quantile(1 - HELD / 2)).to_numpy()
        train, test = (_levels(data.matrix(data.table[part]), data.good) for part in (~late, late))
        both = (np.diff(train.indptr) > 0) & (np.diff(test.indptr) > 0)
        if both.sum() < FEW:
            return []
        found = self._ranked(train, train[both], test[both], run)
        protocol = f"the last {HELD / 2:.1%} of all rows held out by date; users on both sides"
        together = {metric: {name: each[metric] for name, each in found.items()}
                    for metric in found[SYSTEM]}  # fmt: skip
        _table("Rankings by time", together, run)
        return [self._mean(NDCG, together[NDCG], protocol, run, f"{NDCG} by time")]

    def _ranked(
        self, train: Sparse, given: Sparse, test: Sparse, run: Run, number: int = 0
    ) -> dict[str, Answers]:
        """What every rival, fitted on `train`, gets for people who bring `given`.

        The same people are judged whatever the number of the split, so that it can be averaged.
        """
        some = np.arange(given.shape[0])
        if len(some) > JUDGED:
            some = np.sort(np.random.default_rng(run.seed).choice(some, JUDGED, replace=False))
        given, test = given[some], test[some]
        asked = np.diff(test.indptr) > 0
        blend = Blend.fit(train, self.factors, run.seed + number)
        seen, brought = seen_and_loved(train)[0], seen_and_loved(given)[0]
        scores = {
            SYSTEM: blend.score(given),
            TRIVIAL: Popularity.fit(seen).score(brought),
            STRONG: ItemWeights.ease(seen, damp=0).score(brought),
            "ALS": blend.members[-2].score(brought),
            "item-based CF": ItemWeights.cosine(seen).score(brought),
            "user-based CF": UserNeighbours(seen).score(brought),
        }
        found: dict[str, Answers] = {}
        for name, each in scores.items():
            top = best(each, given, K)
            measured = judge(top, test) | beyond(top, seen)
            measured[COVERAGE] = np.full(len(asked), coverage(top, train.shape[1]))
            found[name] = {metric: values[asked] for metric, values in measured.items()}
        return found

    def _mean(
        self, metric: str, answers: Answers, protocol: str, run: Run, name: str = ""
    ) -> Score:
        return mean_score(name or metric, answers, SYSTEM, trivial=TRIVIAL, strong=STRONG,
                          protocol=protocol, seed=run.seed)  # fmt: skip

    def _stars(self, data: Watched, run: Run) -> list[Score]:
        """Ratings held out: how far off the predicted ones are, and the chances of a good one."""
        stars, good = data.matrix(), data.good
        if data.u1 is None:
            out = np.random.default_rng(run.seed).random(stars.nnz) < 0.2
            protocol = "a fifth of the ratings held out at random"
        else:
            out, protocol = data.u1, "MovieLens' own files u1.base and u1.test"
        train, test = keep(stars, ~out), keep(stars, out)
        model = Ratings.fit(train, data.facts, self.latent, seed=run.seed)
        users, wide = model.people(train)
        rows, films = test.tocoo().row, test.indices
        mean, deviation = model.expected(users[rows], wide[rows], films)
        guesses = {SYSTEM: mean, BIASES: _biases(train, rows, films),
                   MEAN: np.full(len(rows), train.data.mean())}  # fmt: skip
        liked = test.data >= good
        share = np.full(len(rows), (train.data >= good).mean())
        chances = {SYSTEM: model.chance(mean, deviation, good), "base rate": share}
        brier = mean_score(
            "Brier score", {name: (each - liked) ** 2 for name, each in chances.items()}, SYSTEM,
            trivial="base rate", protocol=f"{protocol}; the chance of a rating of {good:g} or more",
            direction="lower", seed=run.seed,
        )  # fmt: skip
        error = metric_score(
            "RMSE", root_mean_squared_error, test.data, guesses, SYSTEM, trivial=MEAN,
            strong=BIASES, protocol=protocol, direction="lower", seed=run.seed,
        )  # fmt: skip
        return [error, brier]


def _usual(stars: Floats, good: float) -> tuple[float, float]:
    """Ratings that stand for "liked" and "disliked"; means, whose last bit may lie outside."""
    liked, rest = stars[stars >= good], stars[stars < good]
    low = float(rest.mean()) if len(rest) else good
    return float(np.clip(liked.mean(), good, stars.max())), max(low, float(stars.min()))


def _levels(watched: Sparse, good: float) -> Sparse:
    """What a blend is fitted on: 1 for a film seen, 2 for one rated well."""
    rows = watched.copy()
    rows.data = levels(rows.data, good)
    return rows


def _biases(train: Sparse, rows: NDArray[np.int64], films: NDArray[np.int64]) -> Floats:
    """Mean, how kind the user is, how good the film is; both shrunk (Koren, 2010, section 2.1)."""
    mean, users, columns = train.data.mean(), train.tocoo().row, train.indices
    by_user, by_film = np.zeros(train.shape[0]), np.zeros(train.shape[1])

    def shrunk(which: NDArray[np.int64], rest: Floats, size: int) -> Floats:
        counts = np.bincount(which, minlength=size)
        return np.asarray(np.bincount(which, rest, size) / (5 + counts))

    for _ in range(10):
        by_film = shrunk(columns, train.data - mean - by_user[users], len(by_film))
        by_user = shrunk(users, train.data - mean - by_film[columns], len(by_user))
    return np.asarray(mean + by_user[rows] + by_film[films])


def _table(title: str, answers: dict[str, Answers], run: Run) -> None:
    """The means of all rivals, for the report."""
    means = pd.DataFrame({m: {name: np.nanmean(v) for name, v in each.items()}
                          for m, each in answers.items()})  # fmt: skip
    run.table(title, means.rename_axis("recommender").round(4))
