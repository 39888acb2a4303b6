"""The scores of spam: rates, ranking and calibration, with intervals over groups of copies.

Near-duplicates stand or fall together, so the bootstrap draws groups of them, not messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from mlfolio.core.score import Baseline, Score
from mlfolio.parts.stats import bootstrap_ci95

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Answers = Mapping[str, Floats]
SYSTEM, STRONG, BAYES = "this system", "characters 2-5 + linear SVM", "naive Bayes on words"
ALL, NONE = "all is spam", "nothing is spam"

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


def rate(
    name: str,
    truth: Ints,
    answers: Answers,
    group: Ints,
    protocol: str,
    seed: int,
    called: str = "",
) -> Score:
    """A rate of right and wrong answers beside its rivals.

    Args:
        name: A name in `RATES`.
        truth: 1 for spam, shape (n,).
        answers: For the system and its rival 1 for what each calls spam.
        group: Group of near-duplicates of each message.
        protocol: How it was measured.
        seed: Seed of the bootstrap.
        called: What to call it, if not by its name.
    """  # fmt: skip
    of = RATES[name]
    counts = {who: _counts(truth, answers[who], group) for who in (SYSTEM, STRONG)}
    trivial = NONE if name in ("accuracy", "false alarms per 1000 ham") else ALL
    dull = _counts(truth, np.full(len(truth), float(trivial == ALL)), group)

    def gain(*columns: Ints) -> float:
        return of(*_sums(columns[:4])) - of(*_sums(columns[4:]))

    return Score(
        name=called or name,
        value=float(of(*_sums(counts[SYSTEM]))),
        direction="lower" if name.startswith("false") else "higher",
        n=len(truth),
        ci95=bootstrap_ci95(lambda *columns: of(*_sums(columns)), *counts[SYSTEM], seed=seed),
        protocol=protocol,
        trivial=Baseline(name=trivial, value=float(of(*_sums(dull)))),
        strong=Baseline(
            name=STRONG,
            value=float(of(*_sums(counts[STRONG]))),
            gain_ci95=bootstrap_ci95(gain, *counts[SYSTEM], *counts[STRONG], seed=seed),
        ),
    )


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
    _, place = np.unique(group, return_inverse=True)
    size = np.bincount(place)
    errors = {
        who: np.bincount(place, (answers[who] - truth) ** 2)
        for who in ("chance", "bayes chance", "base rate")
    }
    mine, theirs = errors["chance"], errors["bayes chance"]
    value = {who: float(error.sum() / size.sum()) for who, error in errors.items()}
    return Score(
        name="Brier score",
        value=value["chance"],
        direction="lower",
        n=len(truth),
        ci95=bootstrap_ci95(lambda e, n: e.sum() / n.sum(), mine, size, seed=seed),
        protocol=protocol,
        trivial=Baseline(name="base rate", value=value["base rate"]),
        strong=Baseline(
            name=BAYES,
            value=value["bayes chance"],
            gain_ci95=bootstrap_ci95(
                lambda a, b, n: (a.sum() - b.sum()) / n.sum(), mine, theirs, size, seed=seed
            ),
        ),
    )


def _counts(truth: Ints, called: Floats, group: Ints) -> list[Ints]:
    """For each group its hits, alarms, misses and passes, four arrays of shape (groups,)."""
    _, place = np.unique(group, return_inverse=True)
    spam, yes = truth == 1, called == 1
    kinds = (spam & yes, ~spam & yes, spam & ~yes, ~spam & ~yes)
    return [np.bincount(place, kind).astype(np.int64) for kind in kinds]


def _sums(columns: list[Ints] | tuple[Ints, ...]) -> list[float]:
    return [float(column.sum()) for column in columns]
