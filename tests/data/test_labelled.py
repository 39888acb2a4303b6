"""Labelled tables: what is left out is said, and nothing else is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlfolio.core.errors import FileError, KnobError, UnknownNameError
from mlfolio.core.source import OFFICIAL, SAMPLE, Source
from mlfolio.data.labelled import (
    TableSplit,
    choose_features,
    labelled_rows,
    require_classes,
    require_own,
)


def test_the_target_must_be_there_and_vary() -> None:
    with pytest.raises(FileError, match="did you mean 'churn'"):
        labelled_rows(pd.DataFrame({"churn": [1]}), "churned", "t.csv")
    with pytest.raises(FileError, match="1 different values"):
        require_classes(pd.Series([1, 1]), "t.csv", fewest=1)


def test_a_number_to_predict_is_no_class() -> None:
    answers = pd.Series(np.random.default_rng(0).normal(size=5_000), name="y")
    with pytest.raises(FileError, match="5,000 different values and of '") as caught:
        require_classes(answers, "t.csv", fewest=10)
    assert len(str(caught.value)) < 300


def test_rows_without_an_answer_are_left_out_and_counted() -> None:
    rows, (note,) = labelled_rows(pd.DataFrame({"y": [1, None, 0]}), "y", "t.csv")
    assert list(rows["y"]) == [1, 0]
    assert "1 of 3 rows have no 'y'" in note.message


def test_cells_that_are_no_numbers_are_counted() -> None:
    charge = [" " if i % 25 == 0 else f"{i}.5" for i in range(100)]
    rows, (note,) = labelled_rows(pd.DataFrame({"charge": charge, "y": 0}), "y", "t.csv")
    assert rows["charge"].isna().sum() == 4
    assert note.message == "4 cells of 'charge' are no numbers and count as missing: ' '"


@pytest.mark.parametrize("cells", [["1,234", "12,000", "7"], ["1.234,5", "0,5"], ["-1,234.50"]])
def test_numbers_with_commas_are_warned_of(cells: list[str]) -> None:
    rows, (finding,) = labelled_rows(pd.DataFrame({"paid": cells, "y": 1}), "y", "t.csv")
    assert finding.level == "warning"
    assert f"column 'paid' looks like numbers with ',' and is read as text: '{cells[0]}'" in (
        finding.message
    )
    assert list(rows["paid"]) == cells


def test_words_with_commas_are_words() -> None:
    table = pd.DataFrame({"name": ["Braund, Mr. Owen", "1,2,x"], "when": "May 4, 1912", "y": 1})
    assert labelled_rows(table, "y", "t.csv")[1] == []


def test_an_infinite_number_is_refused_with_its_place() -> None:
    table = pd.DataFrame({"a": [1.0, np.inf], "y": [0, 1]})
    with pytest.raises(FileError, match="column 'a' is infinite in row 2"):
        labelled_rows(table, "y", "t.csv")


@pytest.mark.parametrize(
    ("answers", "classes"),
    [
        ([0.5, 1.5], ["0.5", "1.5"]),
        ([0.0, 1.0], [0, 1]),
        ([1, 2], [1, 2]),
        (["b", "a"], ["a", "b"]),
    ],
)
def test_classes_are_whole_numbers_or_text(answers: list[object], classes: list[object]) -> None:
    table = pd.DataFrame({"a": [1, 2], "y": require_classes(pd.Series(answers), "t", fewest=1)})
    split = TableSplit(SAMPLE, "t", "none", "y", ("a",), table, table.iloc[:0])
    assert split.classes == classes
    assert [type(v) for v in split.classes] == [type(v) for v in classes]


def test_only_what_says_nothing_is_left_out() -> None:
    rng = np.random.default_rng(0)
    n = 300
    rows = pd.DataFrame(
        {
            "income": rng.permutation(n) * 3 + 1000,
            "amount_paid": rng.permutation(n) * 2,
            "humid": rng.normal(size=n),
            "bid": rng.permutation(n) + 0.5,
            "flag": np.where(np.arange(n) % 2, "yes", None),
            "PassengerId": rng.permutation(n) * 7,
            "customerID": [f"C{i}" for i in range(n)],
            "row": rng.permutation(n) + 1,
            "same": 1,
            "note": [f"called on day {i}" for i in range(n)],
            "unloved": rng.normal(size=n),
            "y": np.arange(n) % 2,
        }
    )

    features, notes = choose_features(rows, "y", "t.csv", drop=["unloved"])

    assert features == ("income", "amount_paid", "humid", "bid", "flag")
    said = {note.message.split("'")[1]: note.message for note in notes}
    assert list(said) == ["PassengerId", "customerID", "row", "same", "note"]
    assert "identifier" in said["PassengerId"]
    assert "numbers the rows" in said["row"]
    assert "free text (300 different values)" in said["note"]
    assert "note" in choose_features(rows, "y", "t.csv", texts=["note"])[0]
    with pytest.raises(UnknownNameError, match="did you mean 'income'"):
        choose_features(rows, "y", "t.csv", drop=["incom"])


def test_only_own_data_have_another_target() -> None:
    require_own(Source(kind="own"), "churned", "y")
    require_own(OFFICIAL, "y", "y")
    for source in (OFFICIAL, SAMPLE):
        with pytest.raises(KnobError, match="always 'y'"):
            require_own(source, "other", "y")


def test_a_score_of_cross_validation_is_measured_on_every_row() -> None:
    table = pd.DataFrame({"a": range(10), "y": [0, 1] * 5})
    prints = [
        TableSplit(SAMPLE, "t", "none", "y", ("a",), train, table[8:]).info.test_fingerprint
        for train in (table[:8], table[:8].assign(a=1))
    ]
    assert prints[0] != prints[1]
