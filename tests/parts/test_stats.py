"""Intervals cover what they say they cover."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mlfolio.parts.stats import (
    bootstrap_ci95,
    mean_ci95,
    mean_score,
    proportion_ci95,
    resampled_ci95,
)


def test_shares_have_wilson_intervals() -> None:
    low, high = proportion_ci95([True] * 30)
    assert (low, high) == (pytest.approx(0.8865, abs=1e-3), 1.0)
    low, high = proportion_ci95([True] * 50 + [False] * 50)
    assert low == pytest.approx(0.4038, abs=1e-3)


def test_bootstrap_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(0)
    covered = [
        low <= 1 <= high
        for low, high in (mean_ci95(rng.exponential(1, 200), seed) for seed in range(100))
    ]
    assert 88 <= sum(covered) <= 100


def test_a_mean_without_spread_is_sure() -> None:
    assert mean_ci95([0.5, 0.5]) == (0.5, 0.5)


def test_any_statistic_of_pairs() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 300)
    scores = truth + rng.normal(size=300)
    low, high = bootstrap_ci95(roc_auc_score, truth, scores)
    assert low < roc_auc_score(truth, scores) < high


def test_repeated_folds_are_not_independent() -> None:
    """Ten times the repetitions must not make the interval much narrower."""
    rng = np.random.default_rng(0)
    few, many = rng.normal(0.9, 0.03, 10), rng.normal(0.9, 0.03, 1000)
    width = [high - low for low, high in (resampled_ci95(v, 0.25) for v in (few, many))]
    naive = 2 * 1.96 * many.std() / np.sqrt(len(many))
    assert width[1] > 10 * naive
    assert width[1] > width[0] / 3


def test_a_score_stands_beside_its_rivals_on_the_same_items() -> None:
    truth = np.arange(400) % 10 < 9  # right in nine of ten
    rivals = {"model": truth, "majority": np.zeros(400), "twin": truth}
    score = mean_score(
        "accuracy", rivals, "model", trivial="majority", strong="twin", protocol="a test"
    )

    assert (score.value, score.n, score.ci95) == (0.9, 400, proportion_ci95(truth))
    assert score.trivial is not None
    assert score.strong is not None
    assert score.trivial.value == 0
    assert score.trivial.differs
    assert score.strong.gain_ci95 == (0, 0), "paired: equal answers differ in nothing"
    losses = {"model": 1 - truth.astype(float), "majority": np.ones(400)}
    loss = mean_score(
        "loss", losses, "model", trivial="majority", protocol="a test", direction="lower"
    )
    assert loss.better_than(0.2)
    assert loss.ci95 == mean_ci95(losses["model"])
