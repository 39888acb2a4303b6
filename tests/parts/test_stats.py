"""Intervals cover what they say they cover."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from mlfolio.parts.stats import (
    bootstrap_ci95,
    grouped_score,
    mean_ci95,
    mean_score,
    metric_score,
    p_paired,
    proportion_ci95,
    resampled_ci95,
    roc_area,
)


def test_shares_have_wilson_intervals() -> None:
    low, high = proportion_ci95([True] * 30)
    assert (low, high) == (pytest.approx(0.8865, abs=1e-3), 1.0)
    low, high = proportion_ci95([True] * 50 + [False] * 50)
    assert low == pytest.approx(0.4038, abs=1e-3)


def test_bootstrap_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(0)
    covered = [
        bounds[0] <= 1 <= bounds[1]
        for bounds in (mean_ci95(rng.exponential(1, 200), seed) for seed in range(100))
        if bounds is not None
    ]
    assert 88 <= sum(covered) <= 100


@pytest.mark.parametrize("losses", [[0.5], [0.1, 0.9], [0.5] * 100], ids=len)
def test_where_drawing_again_says_nothing_there_is_no_interval(losses: list[float]) -> None:
    rivals = {"model": losses, "chance": [1.0] * len(losses)}
    score = mean_score("loss", rivals, "model", trivial="chance", protocol="a test")

    assert score.ci95 is None
    assert score.trivial is not None
    assert (score.trivial.gain_ci95 is None) == (len(losses) < 10)


def test_few_shares_have_an_interval() -> None:
    rivals = {"model": [True, True], "chance": [False, False]}
    score = mean_score("accuracy", rivals, "model", trivial="chance", protocol="a test")

    assert score.ci95 == (pytest.approx(0.342, abs=1e-3), 1.0)


def test_the_interval_of_folds_holds_what_a_share_can_be() -> None:
    bounds = resampled_ci95([0.96, 1.0, 1.0, 1.0, 0.99], 0.25)
    assert bounds is not None
    assert 0.9 < bounds[0] < bounds[1] == 1
    assert resampled_ci95([1.0] * 5, 0.25) is None, "folds that agree are not sure"


def test_any_statistic_of_pairs() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 300)
    scores = truth + rng.normal(size=300)
    low, high = bootstrap_ci95(roc_auc_score, truth, scores)
    assert low < roc_auc_score(truth, scores) < high


def test_a_bootstrap_draws_one_at_a_time() -> None:
    values = np.arange(30_000) % 2
    tracemalloc.start()
    bootstrap_ci95(lambda drawn: float(drawn.mean()), values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 8 * len(values), "not the thousand draws at once"


def test_repeated_folds_are_not_independent() -> None:
    """Ten times the repetitions must not make the interval much narrower."""
    rng = np.random.default_rng(0)
    few, many = rng.normal(0.9, 0.03, 10), rng.normal(0.9, 0.03, 1000)
    (low, high), (lower, higher) = (resampled_ci95(v, 0.25) or (0, 0) for v in (few, many))
    naive = 2 * 1.96 * many.std() / np.sqrt(len(many))
    assert higher - lower > 10 * naive
    assert higher - lower > (high - low) / 3


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
    losses = {"model": (1 - truth) / 2, "majority": np.ones(400)}
    loss = mean_score(
        "loss", losses, "model", trivial="majority", protocol="a test", direction="lower"
    )
    assert loss.better_than(0.2)
    assert loss.ci95 == mean_ci95(losses["model"])


def test_a_metric_stands_beside_that_of_its_rivals() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    answers = {
        "ours": truth + rng.normal(0, 0.1, 200),
        "theirs": truth + rng.normal(0, 0.3, 200),
        "mean": np.zeros(200),
    }
    score = metric_score(
        "R2", r2_score, truth, answers, "ours", trivial="mean", strong="theirs", protocol="p"
    )
    assert score.value == pytest.approx(r2_score(truth, answers["ours"]))
    assert score.ci95 is not None
    assert score.ci95[0] < score.value < score.ci95[1]
    assert score.strong is not None
    assert score.strong.gain_ci95 is not None
    assert score.strong.gain_ci95[0] > 0


def test_copies_are_drawn_together() -> None:
    """Each item there ten times tells no more than once."""
    right = np.random.default_rng(0).integers(0, 2, 60).astype(float)

    def width(copies: int, group: np.ndarray) -> float:
        columns = {
            who: [np.repeat(hits, copies), np.ones(60 * copies)]
            for who, hits in {"ours": right, "theirs": right * 0.5, "none": right * 0}.items()
        }
        score = grouped_score(
            "accuracy", lambda hits, n: hits / n, columns, "ours", group, trivial="none",
            strong="theirs", protocol="p",
        )  # fmt: skip
        assert score.value == pytest.approx(right.mean())
        assert score.ci95 is not None
        return score.ci95[1] - score.ci95[0]

    once = width(1, np.arange(60))
    assert width(10, np.repeat(np.arange(60), 10)) == pytest.approx(once)
    assert width(10, np.arange(600)) < once / 2


def test_the_area_by_ranks_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(500) < 0.3
    for scores in (rng.random(500) + truth, rng.integers(0, 4, 500) + truth, np.zeros(500)):
        assert roc_area(truth, scores) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert np.isnan(roc_area(np.ones(5), np.arange(5)))


def test_paired_differences_are_tested_by_their_kind() -> None:
    """Nine of ten that differ are worse: 11 of 1,024 ways, twice that on both sides."""
    wrong = np.array([1] * 9 + [-1] + [0] * 80)
    assert p_paired(wrong) == pytest.approx(11 / 1024)
    assert p_paired(wrong, "two-sided") == pytest.approx(22 / 1024)
    assert p_paired(np.arange(1, 9) / 8) == pytest.approx(1 / 2**8), "all ranks on one side"
    assert p_paired(np.zeros(50)) == 1.0
    few = np.array([0.5] * 5 + [0.0] * 40)
    assert p_paired(few, "two-sided") == pytest.approx(2 / 2**5), "exact, ties or not"
