"""A probability from a few signals, and the least of it that is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

KEPT = 0.9  # share of what holds that the threshold lets pass
PENALTY = 1e3  # scikit-learn's C: hardly any, for there are few numbers to fit
Signals = Sequence[float]


@dataclass(frozen=True, slots=True)
class Logistic:
    """A logistic model of some signals.

    Attributes:
        bias: Constant.
        weights: Of each signal.
        threshold: Below it what the probability is of counts as untrue.
    """

    bias: float
    weights: tuple[float, ...]
    threshold: float

    @classmethod
    def fit(cls, true: Sequence[Signals], untrue: Sequence[Signals]) -> Logistic:
        """The model that tells two kinds apart, and lets 90 % of the first pass.

        Args:
            true: Signals of what holds.
            untrue: Of what does not.
        """
        bias, *weights = _fitted(true, untrue)
        return cls(bias, tuple(weights), 0.5).keeping(true)

    def scaled(self, true: Sequence[Signals], untrue: Sequence[Signals]) -> Logistic:
        """The same where signals lie higher or lower: for another encoder, say.

        Its log-odds are stretched and shifted (Platt, 1999, Probabilistic outputs for support
        vector machines): two numbers to fit, so few signals do, and their order stays.

        Args:
            true: Signals of what holds.
            untrue: Of what does not.
        """
        odds = [[[self.log_odds(each)] for each in kind] for kind in (true, untrue)]
        shift, stretch = _fitted(*odds)
        if stretch <= 0:  # they tell nothing apart
            return self
        weights = tuple(stretch * weight for weight in self.weights)
        return Logistic(stretch * self.bias + shift, weights, 0.5).keeping(true)

    def keeping(self, true: Sequence[Signals]) -> Logistic:
        """The same with the threshold that 90 % of some signals pass."""
        passed = np.quantile([self(each) for each in true], 1 - KEPT)
        return replace(self, threshold=float(passed))

    def log_odds(self, signals: Signals) -> float:
        """Of what the probability is of."""
        return self.bias + sum(w * s for w, s in zip(self.weights, signals, strict=True))

    def __call__(self, signals: Signals) -> float:
        """The probability, 0 to 1."""
        return float(expit(self.log_odds(signals)))


def _fitted(true: Sequence[Signals], untrue: Sequence[Signals]) -> list[float]:
    """Constant and weights."""
    from sklearn.linear_model import LogisticRegression

    truth = [True] * len(true) + [False] * len(untrue)
    model = LogisticRegression(C=PENALTY, max_iter=1000).fit([*true, *untrue], truth)
    return [float(model.intercept_[0]), *map(float, model.coef_[0])]
