"""The scores of spam: rates, ranking and calibration, with intervals over groups of copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from mlfolio.core.score import Baseline, Score
from mlfolio.parts.stats import bootstrap_ci95, grouped_score

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Answers = Mapping[str, Floats]
SYSTEM, STRONG, BAYES = "this system", "characters 2-5 + linear SVM", "naive Bayes on words"
ALL, NONE, BASE = "all is spam", "nothing is spam", "base rate"

# From the numbers of spam found, of false alarms, of spam missed and of ham let through.
RATES: Final[dict[str, Callable[..., float]]] = {
    "F1 of spam": lambda hits, alarms, misses, passed: 2 * hits / (2 * hits + alarms + misses),
    "precision": lambda hits, alarms, misses, passed: hits / max(hits + alarms, 1),
    "recall": lambda hits, alarms, misses, passed: hits / (hits + misses),
    "accuracy": lambda hits, alarms, misses, passed: (
        (hits + passed) / (hits + alarms + misses + passed)
    ),
    "false alarms per 1000 ham": lambda hits, alarms, misses, passed: (
        1000 * alarms / (alarms + passed)
    ),
}


def rates(truth: Ints, answers: Answers, group: Ints, protocol: str, seed: int) -> dict[str, Score]:
    """Rates of right and wrong answers beside those of their rivals, by the names of `RATES`.

    Args:
        truth: 1 for spam, shape (n,).
        answers: For the system and its rival 1 for what each calls spam.
        group: Group of near-duplicates of each message.
        protocol: How it was measured.
        seed: Seed of the bootstrap.
    """
    called = {SYSTEM: answers[SYSTEM], STRONG: answers[STRONG]}
    called |= {ALL: np.ones(len(truth)), NONE: np.zeros(len(truth))}
    counts = {who: outcomes(truth, yes) for who, yes in called.items()}
    return {
        name: grouped_score(
            name, of, counts, SYSTEM, group, strong=STRONG, protocol=protocol, seed=seed,
            trivial=NONE if name in ("accuracy", "false alarms per 1000 ham") else ALL,
            direction="lower" if name.startswith("false") else "higher",
        )
        for name, of in RATES.items()
    }  # fmt: skip


def outcomes(truth: Ints, called: Floats) -> list[NDArray[np.bool_]]:
    """Which messages are hits, false alarms, misses and passes, each of shape (n,)."""
    spam, yes = truth == 1, called == 1
    return [spam & yes, ~spam & yes, spam & ~yes, ~spam & ~yes]


def ranking(truth: Ints, answers: Answers, group: Ints, protocol: str, seed: int) -> Score:
    """Average precision of the probabilities: how well spam is put before ham, at any threshold."""
    groups, place = np.unique(group, return_inverse=True)

    def of(drawn: Ints, who: str) -> float:
        weight = np.bincount(drawn, minlength=len(groups))[place]
        return float(average_precision_score(truth, answers[who], sample_weight=weight))

    every = np.arange(len(groups))
    return Score(
        name="average precision",
        value=of(every, "chance"),
        n=len(truth),
        ci95=bootstrap_ci95(lambda drawn: of(drawn, "chance"), every, seed=seed),
        protocol=protocol,
        trivial=Baseline(name="chance", value=float(truth.mean())),
        strong=Baseline(name=STRONG, value=of(every, "margin")),
    )


def brier(truth: Ints, answers: Answers, group: Ints, protocol: str, seed: int) -> Score:
    """Mean squared error of the probabilities."""
    chances = {SYSTEM: answers["chance"], BAYES: answers["bayes chance"], BASE: answers[BASE]}
    columns = {who: [(said - truth) ** 2, np.ones(len(truth))] for who, said in chances.items()}
    return grouped_score(
        "Brier score", lambda error, n: error / n, columns, SYSTEM, group, trivial=BASE,
        strong=BAYES, protocol=protocol, direction="lower", seed=seed,
    )  # fmt: skip
