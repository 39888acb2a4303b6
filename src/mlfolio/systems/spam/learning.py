"""How the filter is learned: candidates, the choice among them, calibration and threshold.

Every candidate is linear in the same features, so that each can be stored as one row of weights
and explains itself. All choices are made on out-of-fold scores of the training rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import expit
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC

from mlfolio.data.splits import folds
from mlfolio.parts.text.linear import Linear
from mlfolio.parts.text.tfidf import Counted, Grams, TfidfEncoder

from .model import CLASSES, features

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Weights = tuple[Floats, float]  # of the features, and the bias
Learner = Callable[[csr_array, Ints, Floats, int], Weights]
SURE = 0.85  # that the threshold keeps the precision
REPEATS = 3  # of the inner folds for the threshold, which hangs on a handful of false alarms
INNER_SEED = 1000  # added to the run's seed, so that inner folds are not the outer ones
KINDS = (
    # Words once seen only are names and numbers: they would tell of people, and help nobody.
    Grams(analyzer="word", shortest=1, longest=2, min_df=2, word=r"\w+|[^\w\s]"),
    Grams(analyzer="char_wb", shortest=2, longest=5, min_df=2),
)


@dataclass(frozen=True)
class Rows:
    """Messages ready to learn from; nothing in it was learned.

    Attributes:
        counted: Their n-grams.
        form: What their form says, shape (n, signs).
        spam: 1 for spam, 0 for ham, shape (n,).
        group: Number of the group of near-duplicates, shape (n,).
        weight: How many messages each counts for, shape (n,).
        judged: Whether scores are measured on it: on one of equal messages, and on no correction.
    """

    counted: Counted
    form: Floats
    spam: Ints
    group: Ints
    weight: Floats
    judged: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.spam)

    def __getitem__(self, at: Ints) -> Rows:
        return Rows(
            self.counted[at], self.form[at], self.spam[at], self.group[at], self.weight[at],
            self.judged[at],
        )  # fmt: skip

    def folds(self, n_folds: int, seed: int) -> list[tuple[Ints, Ints]]:
        """Stratified folds; a group of near-duplicates is in one of them."""
        return folds(pd.DataFrame({"group": self.group}), self.spam, n_folds, seed)


def naive_bayes(X: csr_array, y: Ints, weight: Floats, seed: int, alpha: float = 0.1) -> Weights:
    """Multinomial naive Bayes, whose log-odds are linear."""
    fitted = MultinomialNB(alpha=alpha).fit(X, y, weight)
    ham, spam = fitted.feature_log_prob_
    prior = fitted.class_log_prior_
    return spam - ham, float(prior[1] - prior[0])


def logistic(X: csr_array, y: Ints, weight: Floats, seed: int, C: float = 10.0) -> Weights:
    """Logistic regression."""
    model = LogisticRegression(C=C, solver="liblinear", max_iter=1000, random_state=seed)
    return _of(model.fit(X, y, weight))


def svm(X: csr_array, y: Ints, weight: Floats, seed: int, C: float = 0.3) -> Weights:
    """A linear support vector machine."""
    return _of(LinearSVC(C=C, random_state=seed).fit(X, y, weight))


def blend(X: csr_array, y: Ints, weight: Floats, seed: int) -> Weights:
    """An SVM and a third of naive Bayes, each scaled to scores of unit deviation."""
    weights, bias = np.zeros(X.shape[1]), 0.0
    for learner, part in ((partial(svm, C=1.0), 1.0), (partial(naive_bayes, alpha=0.01), 0.3)):
        theirs, shift = learner(X, y, weight, seed)
        scale = part / float(np.std(X @ theirs))
        weights, bias = weights + scale * theirs, bias + scale * shift
    return weights, bias


CANDIDATES: dict[str, Learner] = {
    "naive Bayes": naive_bayes,
    "logistic regression, C 10": logistic,
    "logistic regression, C 100": partial(logistic, C=100.0),
    "SVM, C 0.3": svm,
    "SVM, C 1": partial(svm, C=1.0),
    "SVM + naive Bayes": blend,
}


def _of(fitted: LinearSVC | LogisticRegression) -> Weights:
    return fitted.coef_[0], float(fitted.intercept_[0])


class Learned(NamedTuple):
    """What was learned from rows.

    Attributes:
        encoder: Makes the n-grams' features.
        linear: Scores in log-odds of spam.
        threshold: Probability from which a message is called spam.
        chosen: Name of the candidate.
        found: Average precision of each candidate, out of fold.
        safe: Whether the precision that was asked for could be shown out of fold.
    """

    encoder: TfidfEncoder
    linear: Linear
    threshold: float
    chosen: str
    found: dict[str, float]
    safe: bool

    def chances(self, rows: Rows) -> Floats:
        """Probability of spam, shape (n,)."""
        X = features(self.encoder, rows.counted, rows.form)
        return np.asarray(expit(self.linear.scores(X)[:, 0]))


def learn(rows: Rows, n_folds: int, precision: float, seed: int) -> Learned:
    """Chooses a candidate, its calibration and its threshold, then fits it on all rows.

    The candidate with the greatest average precision out of fold is chosen. Its out-of-fold scores,
    from folds shuffled `REPEATS` times, give the sigmoid that makes probabilities of scores (Platt,
    1999), and the threshold.

    Args:
        rows: The training rows.
        n_folds: Inner folds.
        precision: Least precision that the threshold should keep.
        seed: Seed of folds and learners.
    """
    judged, truth = rows.judged, rows.spam[rows.judged]
    first = _out_of_fold(rows, CANDIDATES, n_folds, seed)
    found = {
        name: float(average_precision_score(truth, scores[judged]))
        for name, scores in first.items()
    }
    chosen = max(found, key=lambda name: found[name])
    learner = {chosen: CANDIDATES[chosen]}
    runs = [first, *(_out_of_fold(rows, learner, n_folds, seed + i) for i in range(1, REPEATS))]
    scores = np.concatenate([run[chosen][judged] for run in runs])
    truths = np.tile(truth, REPEATS)
    slope, shift = _platt(scores, truths)
    chances = expit(slope * scores + shift)
    threshold, safe = cautious_threshold(truths, chances, precision, REPEATS)
    encoder = TfidfEncoder(KINDS).fit(rows.counted)
    X = features(encoder, rows.counted, rows.form)
    weights, bias = CANDIDATES[chosen](X, rows.spam, rows.weight, seed)
    linear = Linear(
        weights=(slope * weights)[:, None], bias=np.array([slope * bias + shift]), classes=CLASSES
    )
    return Learned(encoder, linear, threshold, chosen, found, safe)


def cautious_threshold(
    truth: Ints, chances: Floats, precision: float, repeats: int = 1
) -> tuple[float, bool]:
    """The threshold with the best F1 among those that keep a precision, with some confidence.

    A threshold keeps it if the lower bound of its precision does: Clopper and Pearson's (1934),
    which is too high in three cases of twenty. Where no threshold has shown that much, for want of
    messages, those count that have kept it so far, and if there are none that with the best bound.

    Args:
        truth: 1 for spam, shape (n,), with some of both.
        chances: Probability of spam of each, out of fold.
        precision: What is to be kept.
        repeats: How often each message is among them; it still counts once.

    Returns:
        The threshold, half-way between two messages, and whether it keeps the precision.
    """
    order = np.argsort(-chances, kind="stable")
    ends = np.append(np.diff(chances[order]) != 0, True)  # ties are on one side
    hits = np.cumsum(truth[order])[ends] / repeats
    alarms = np.cumsum(1 - truth[order])[ends] / repeats
    bounds = np.where(hits > 0, beta.ppf(1 - SURE, np.maximum(hits, 1e-9), alarms + 1), 0.0)
    f1 = 2 * hits / (hits + alarms + truth.sum() / repeats)
    safe = bounds >= precision
    kept = safe if safe.any() else hits >= precision * (hits + alarms)
    best = int(np.where(kept, f1, -1.0).argmax() if kept.any() else bounds.argmax())
    steps = np.append(chances[order][ends], 0.0)
    return float((steps[best] + steps[best + 1]) / 2), bool(safe.any())


def _out_of_fold(
    rows: Rows, learners: Mapping[str, Learner], n_folds: int, seed: int
) -> dict[str, Floats]:
    """For each learner the score of each row by a fit that did not see its group."""
    scores = {name: np.zeros(len(rows)) for name in learners}
    for train, test in rows.folds(n_folds, seed + INNER_SEED):
        seen, unseen = rows[train], rows[test]
        encoder = TfidfEncoder(KINDS).fit(seen.counted)
        X = features(encoder, seen.counted, seen.form)
        Z = features(encoder, unseen.counted, unseen.form)
        for name, learner in learners.items():
            weights, bias = learner(X, seen.spam, seen.weight, seed)
            scores[name][test] = Z @ weights + bias
    return scores


def _platt(scores: Floats, truth: Ints) -> tuple[float, float]:
    """Slope and shift of the sigmoid that turns scores into probabilities."""
    unit = float(np.std(scores)) or 1.0
    fitted = LogisticRegression(C=1e4).fit(scores[:, None] / unit, truth)
    return float(fitted.coef_[0, 0]) / unit, float(fitted.intercept_[0])
