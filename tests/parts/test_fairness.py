"""Whether groups are treated alike: gaps that are there are found, and chance is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlfolio.parts.stats import holm
from mlfolio.parts.tabular.fairness import by_group


def people(n: int = 2_000, seed: int = 0) -> tuple[pd.Series, pd.Series, np.ndarray, np.ndarray]:
    """Two columns of groups that say nothing, chances, and what happened by them."""
    rng = np.random.default_rng(seed)
    chances = rng.beta(2, 4, n)
    truth = (rng.random(n) < chances).astype(np.int64)
    sex = pd.Series(rng.choice(["f", "m"], n), name="sex")
    town = pd.Series(rng.choice(["a", "b", "c"], n), name="town")
    return sex, town, chances, truth


def test_groups_that_are_treated_alike_have_no_gaps() -> None:
    sex, town, chances, truth = people()
    rates, gaps = by_group([sex, town], chances, chances > 0.4, truth)

    assert list(rates.index) == ["sex = f", "sex = m", "town = a", "town = b", "town = c"]
    assert len(gaps) == 8
    assert (gaps["p (Holm)"] > 0.05).all()
    assert (gaps["p (Holm)"] >= gaps["p"]).all()
    assert ((gaps["low"] <= gaps["gap"]) & (gaps["gap"] <= gaps["high"])).all()


def test_a_group_that_is_chosen_more_often_is_found() -> None:
    sex, town, chances, truth = people()
    favoured = chances + 0.15 * (sex == "m").to_numpy()
    _, gaps = by_group([sex, town], favoured, favoured > 0.4, truth)

    for measure in ("selected", "true positives", "false positives", "calibration"):
        gap = gaps.loc[("sex", measure)]
        assert (gap["lowest"], gap["highest"]) == ("f", "m")
        assert gap["p (Holm)"] < 0.001
        assert gap["low"] > 0
    assert gaps.loc[("sex", "calibration"), "gap"] == pytest.approx(0.15, abs=0.05)
    assert (gaps.loc["town", "p (Holm)"] > 0.01).all()


def test_newcombes_interval_is_the_published_one() -> None:
    """Newcombe (1998), table II, (a), method 10: 56 of 70 and 48 of 80."""
    group = pd.Series(["one"] * 70 + ["other"] * 80, name="g")
    yes = np.array([True] * 56 + [False] * 14 + [True] * 48 + [False] * 32)
    _, gaps = by_group([group], np.full(150, 0.5), yes, np.ones(150, dtype=np.int64))

    gap = gaps.loc[("g", "selected")]
    assert [round(float(gap[end]), 4) for end in ("gap", "low", "high")] == [0.2, 0.0524, 0.3339]


def test_few_people_and_nobody_chosen_are_no_trouble() -> None:
    group = pd.Series(["many"] * 40 + ["few"] * 3 + ["some"] * 40, name="g")
    truth = np.array(([0] * 35 + [1] * 5 + [1] * 3) + [0, 1] * 20)
    rates, gaps = by_group([group], np.full(83, 0.1), np.zeros(83, dtype=bool), truth)

    assert list(rates.index) == ["g = many", "g = some"]
    assert "true positives" not in gaps.loc["g"].index  # of five people nothing can be said
    assert gaps.loc[("g", "selected"), "p"] == 1.0
    nothing = by_group([], np.zeros(3), np.zeros(3, dtype=bool), np.zeros(3, dtype=np.int64))
    assert all(table.empty for table in nothing)


def test_the_gap_of_a_pair_picked_after_looking_has_an_interval_that_knows_it() -> None:
    """Eight groups that are treated alike: one interval in twenty may leave out 0, not half."""
    wrong, tables = 0, 30
    for seed in range(tables):
        rng = np.random.default_rng(seed)
        group = pd.Series(rng.integers(0, 8, 1_600), name="g")
        yes, truth = rng.random(1_600) < 0.4, np.ones(1_600, dtype=np.int64)
        _, gaps = by_group([group], np.full(1_600, 0.4), yes, truth)
        wrong += int(gaps.loc[("g", "selected"), "low"] > 0)
    assert wrong <= tables * 0.1


def test_without_variation_nothing_is_known_of_calibration() -> None:
    group = pd.Series(["a"] * 30 + ["b"] * 30, name="g")
    chances = np.repeat([0.9, 0.1], 30)
    rates, gaps = by_group([group], chances, chances > 0.5, np.zeros(60, dtype=np.int64))

    gap = gaps.loc[("g", "calibration")]
    assert gap["gap"] == pytest.approx(0.8)
    assert gap[["low", "high", "p", "p (Holm)"]].isna().all()
    assert rates.loc["g = a", "calibration"] == "0.900 (–)"
    known = gaps.drop(index=("g", "calibration"))
    assert list(known["p (Holm)"]) == list(holm(known["p"]))


def test_holm() -> None:
    """The textbook's steps: times 4, 3, 2, 1, never falling, at most 1."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0
