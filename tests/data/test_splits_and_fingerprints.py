"""Splits keep copies together; fingerprints tell data apart and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlfolio.data.fingerprint import fingerprint
from mlfolio.data.splits import copies, folds, holdout


@given(values=st.lists(st.integers(0, 6), min_size=40, max_size=80), seed=st.integers(0, 1000))
@settings(max_examples=30)
def test_folds_cover_everything_once_and_keep_copies_together(values: list[int], seed: int) -> None:
    features = pd.DataFrame({"a": values})
    target = pd.Series([value % 2 for value in values])
    assume(min(features["a"].groupby(target).nunique()) >= 3)

    splits = folds(features, target, 3, seed)

    tested = np.concatenate([test for _, test in splits])
    assert sorted(tested) == list(range(len(values)))
    for train, test in splits:
        assert not set(features["a"].iloc[train]) & set(features["a"].iloc[test])


def test_folds_without_copies_are_stratified() -> None:
    features = pd.DataFrame({"a": range(100)})
    target = pd.Series([0] * 80 + [1] * 20)
    for _, test in folds(features, target, 5, 0):
        assert target.iloc[test].sum() == 4


def test_missing_values_make_copies_too() -> None:
    features = pd.DataFrame({"a": [None, None, 1.0], "b": ["x", "x", "x"]})
    groups = copies(features)
    assert groups[0] == groups[1] != groups[2]


def test_holdout_takes_the_share_that_was_asked_for() -> None:
    features = pd.DataFrame({"a": range(50)})
    train, test = holdout(features, pd.Series([0, 1] * 25), 0.2, 0)
    assert (len(train), len(test)) == (40, 10)


def test_fingerprints_change_with_the_data_only() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    same = fingerprint(frame)
    assert same == fingerprint(frame.copy())
    assert same == fingerprint(frame.set_index(pd.Index([7, 8])))
    assert same == fingerprint(frame.astype({"a": float}))
    for other in (
        frame.rename(columns={"a": "c"}),
        frame.iloc[::-1],
        frame.assign(a=[1, 3]),
        frame.iloc[:1],
    ):
        assert fingerprint(other) != same
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint(np.zeros(4)) != fingerprint(np.zeros((2, 2)))
    assert fingerprint(None, b"x", frame["a"]) == fingerprint(None, b"x", frame["a"])


def test_what_has_no_fingerprint_is_refused() -> None:
    with pytest.raises(TypeError, match="dict"):
        fingerprint({})


def test_a_class_of_few_rows_is_split_without_a_word() -> None:
    """Warnings are errors here; scikit-learn has one for classes with fewer rows than folds."""
    part, rest = holdout(pd.DataFrame({"x": range(23)}), [0] * 20 + [1] * 3, 0.1, seed=0)
    assert len(part) + len(rest) == 23
