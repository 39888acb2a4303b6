"""Leaks: each with a fixture that is broken on purpose, and one that is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mlfolio
from mlfolio.core.errors import LeakError
from mlfolio.core.run import runs_folder, status
from mlfolio.data.doctor import (
    check_table,
    find_copies,
    find_empty_columns,
    find_imbalance,
    find_leaks,
    find_new_columns,
    find_shared,
)


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=400)
    return pd.DataFrame(
        {
            "signal": signal,
            "noise": rng.normal(size=400),
            "group": rng.choice(list("abc"), 400),
            "y": (signal + rng.normal(size=400) > 0).astype(int),
        }
    )


def test_honest_data_have_no_leak(table: pd.DataFrame) -> None:
    findings = check_table(table[:300], table[300:], "y", ["signal", "noise", "group"])
    assert [f for f in findings if f.level != "note"] == []


def test_rows_on_both_sides_are_a_leak(table: pd.DataFrame) -> None:
    (finding,) = find_shared(table[:300], table[200:])
    assert finding.level == "leak"
    assert "100 of 200" in finding.message


def test_a_few_shared_rows_are_a_warning(table: pd.DataFrame) -> None:
    (finding,) = find_shared(table[:201], table[200:])
    assert finding.level == "warning"


@pytest.mark.parametrize(
    "leak",
    [
        lambda y: y,
        lambda y: 1 - y,
        lambda y: y * 3.5 + 2,
        lambda y: y.map({0: "stayed", 1: "left"}),
        lambda y: y.where(y == 1),
    ],
    ids=["copy", "inverse", "scaled", "as words", "missing unless true"],
)
def test_the_target_in_disguise_is_a_leak(table: pd.DataFrame, leak: object) -> None:
    table["disguise"] = leak(table["y"])  # type: ignore[operator]
    (finding,) = find_leaks(table[["signal", "group", "disguise"]], table["y"])
    assert finding.level == "leak"
    assert "'disguise'" in finding.message


def test_what_tells_the_classes_apart_is_no_leak_but_warned_of() -> None:
    """The petals of two iris species do not overlap: the measurement is very good, not a copy."""
    rng = np.random.default_rng(0)
    petals = pd.DataFrame({"petal": np.r_[rng.normal(1.5, 0.1, 50), rng.normal(5.5, 0.5, 50)]})
    (finding,) = find_leaks(petals, pd.Series([0, 1] * 50, name="y").sort_values())
    assert finding.level == "warning"
    assert "'petal' alone predicts 'y'" in finding.message
    assert "drop=petal" in finding.fix


def test_shared_rows_are_found_whatever_the_type_of_their_numbers(table: pd.DataFrame) -> None:
    """A missing value elsewhere makes floats of the test part's whole numbers."""
    train, test = table[["y", "group"]], table[["y", "group"]].astype({"y": float})
    (finding,) = find_shared(train, test)
    assert "400 of 400" in finding.message


def test_a_name_for_every_row_is_no_leak(table: pd.DataFrame) -> None:
    table["name"] = [f"row {i}" for i in range(len(table))]
    assert find_leaks(table[["name"]], table["y"]) == []


def test_too_little_to_judge_is_no_leak() -> None:
    assert find_leaks(pd.DataFrame({"a": [0, 1]}), pd.Series([0, 1], name="y")) == []
    lonely = pd.Series([0] * 30 + [1], name="y")
    assert find_leaks(pd.DataFrame({"a": range(31)}), lonely) == []


def test_copies_and_empty_columns_are_noted(table: pd.DataFrame) -> None:
    twice = pd.concat([table, table[:10]])
    assert "10 of 410 rows" in find_copies(twice, "rows")[0].message
    table["constant"], table["empty"] = 1, None
    table["mostly"] = table["signal"].where(table.index < 100)
    found = {f.message.split("'")[1] for f in find_empty_columns(table)}
    assert found == {"constant", "empty", "mostly"}


def test_rare_classes_are_warned_of() -> None:
    assert "'rare' 1.0%" in find_imbalance(pd.Series(["often"] * 99 + ["rare"]))[0].message
    assert find_imbalance(pd.Series(list("aabb"))) == []
    assert find_imbalance(np.arange(1000) % 50) == []


def test_a_column_that_changes_is_warned_of(table: pd.DataFrame) -> None:
    other = table.drop(columns="noise").assign(signal="high", new=1)
    messages = " ".join(f.message for f in find_new_columns(table, other))
    for name in (
        "'noise' is in the training part only",
        "'new' is in the test part only",
        "'signal'",
    ):
        assert name in messages


def test_a_leak_stops_the_run_unless_forced(home: Path, table: pd.DataFrame) -> None:
    pd.concat([table, table]).rename(columns={"y": "species"}).assign(
        copy=lambda t: t["species"]
    ).to_csv(home / "leaky.csv", index=False)

    with pytest.raises(LeakError, match="'copy' is 'species' under other names"):
        mlfolio.run("iris", data=home / "leaky.csv", repeats=1)

    (folder,) = (runs_folder() / "iris").iterdir()
    assert status(folder) == "failed"
    assert not (folder / "model").exists()
    with pytest.raises(mlfolio.core.errors.NotTrainedError):
        mlfolio.load("iris")
    forced = mlfolio.run("iris", data=home / "leaky.csv", repeats=1, force=True)
    assert forced.scores[0].value > 0.99
    assert any(f.level == "leak" for f in forced.findings)


def test_a_scaler_fitted_on_everything_is_caught() -> None:
    """With more columns than rows, choosing columns before the folds invents skill from noise."""
    from sklearn.feature_selection import SelectKBest
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2000)), np.arange(60) % 2
    inside = make_pipeline(StandardScaler(), SelectKBest(k=20), LogisticRegression())
    before = make_pipeline(StandardScaler(), SelectKBest(k=20)).fit_transform(X, y)

    honest = cross_val_score(inside, X, y, cv=5).mean()
    broken = cross_val_score(LogisticRegression(), before, y, cv=5).mean()

    assert abs(honest - 0.5) < 0.15
    assert broken > 0.85
