"""Reading the user's files: every way a CSV goes wrong is said in words."""

from __future__ import annotations

import gzip
import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from mlfolio.core.errors import FileError
from mlfolio.data.tables import labelled_files, read_table, require_columns


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found(tmp_path: Path, separator: str) -> None:
    path = write(tmp_path / "a.csv", f"a{separator}b\n1{separator}x\n2{separator}y\n")
    assert read_table(path).to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}


def test_quotes_byte_order_mark_and_carriage_returns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'\xef\xbb\xbfname,n\r\n"Braund, Mr. ""O""",1\r\n\r\n')
    assert read_table(path).to_dict("list") == {"name": ['Braund, Mr. "O"'], "n": [1]}


def test_truth_values_are_categories(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "a.csv", "a,b\nTrue,1\nFalse,2\n"))
    assert list(table["a"]) == ["True", "False"]


def test_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    assert list(read_table(tmp_path / "a.parquet")) == ["a"]
    with pytest.raises(FileError, match="cannot be read as Parquet"):
        read_table(write(tmp_path / "b.parquet", b"nonsense"))


def test_parquet_gives_what_a_csv_gives(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame(
        {
            "whole": pd.array([1, None], dtype="Int64"),
            "true": pd.array([True, None], dtype="boolean"),
            "word": pd.array(["a", None], dtype="string"),
            "kind": pd.Categorical(["b", None]),
            "day": pd.to_datetime(["2020-01-02", None]),
            "price": [Decimal("1.50"), None],
        },
        index=[7, 9],
    ).to_parquet(path)

    table = read_table(path)

    assert table.iloc[0].to_dict() == {
        "whole": 1.0, "true": "True", "word": "a", "kind": "b", "day": table["day"][0],
        "price": 1.5,
    }  # fmt: skip
    assert datetime.fromisoformat(table["day"][0]) == datetime(2020, 1, 2)
    assert table.iloc[1].isna().all()
    assert {dtype.kind for dtype in table.dtypes} == {"f", "O"}


@pytest.mark.parametrize("cell", [[1, 2], {"a": 1}, b"raw"])
def test_what_is_no_cell_of_a_table_is_refused(tmp_path: Path, cell: object) -> None:
    pd.DataFrame({"n": [1], "odd": [cell]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(FileError, match="column 'odd' is a"):
        read_table(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1,2\n3", "line 3: 1 cells, but 2 column names"),
        (b"a,b\n1,2\n3", "cut off there"),
        (b"a,b\n1,2,3\n4,5\n", "line 2: 3 cells"),
        (b"a,a\n1,2\n", "same name: a"),
        ("a,b\nRenée,1\n".encode("latin-1"), "not UTF-8: byte 0xe9"),
        (b"PK\x03\x04rest", "a zip or Excel file"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "a gzip file"),
        (b"%PDF-1.4", "a PDF"),
        (b"a,b\n\x00\x00,1\n", "no text file"),
        (b'a,b\n"1,2\n3,4\n', "a.csv"),
        (b"a,b\n1,2\n1," + b"x" * 140_000, "line 3: a cell has more than 131,072 characters"),
    ],
)
def test_what_cannot_be_read_is_explained(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(FileError) as caught:
        read_table(write(tmp_path / "a.csv", content))
    assert said in str(caught.value)


def test_huge_files_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFOLIO_MAX_TABLE_MB", "1")
    with pytest.raises(FileError, match="the limit is 1 MB"):
        read_table(write(tmp_path / "a.csv", b"a,b\n" + b"1,2\n" * 300_000))


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    write(tmp_path / "inside.csv", "a,b\n1,2\n")
    with pytest.raises(FileError, match=r"inside\.csv"):
        read_table(tmp_path)


def test_what_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="pipe or a device"):
        read_table(tmp_path / "pipe")
    with pytest.raises(FileError, match="No such file"):
        read_table(tmp_path / "nowhere.csv")
    path = write(tmp_path / "a.csv", "a,b\n1,2\n")

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # not by chmod: root may read everything
    with pytest.raises(FileError, match="cannot be read: Permission denied"):
        read_table(path)


def test_missing_columns_name_the_nearest() -> None:
    with pytest.raises(FileError, match=r"'Survived' \(did you mean 'survived'\?\)"):
        require_columns(pd.DataFrame({"survived": [1]}), ["Survived"], "t.csv")


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["1,5", "20,25"], [1.5, 20.25]),
        (["1,500", "2,250"], ["1,500", "2,250"]),  # thousands: as text, not as 1.5
        (["0,891", "1,196"], [0.891, 1.196]),
        (["1.5", "2,5"], ["1.5", "2,5"]),
    ],
)
def test_decimal_commas_are_found(tmp_path: Path, cells: list[str], read: list[object]) -> None:
    table = read_table(write(tmp_path / "a.csv", "a;b\n" + "".join(f"{c};x\n" for c in cells)))
    assert list(table["a"]) == read


def test_words_for_nothing_may_be_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "n, y\nNA,None\n2,N/A\n3,\n\n4,some\n")
    table = read_table(path, target="y")
    assert list(table["y"].fillna("(missing)")) == ["None", "N/A", "(missing)", "some"]
    assert table["n"].isna().sum() == 1


def test_the_rows_to_predict_for_lie_beside_train_csv(tmp_path: Path) -> None:
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    with pytest.raises(FileError, match=r"no train\.csv"):
        labelled_files(tmp_path)
    write(train, "a\n1\n")
    assert labelled_files(tmp_path) == (train, None)
    write(test, "a\n1\n")
    assert labelled_files(tmp_path) == labelled_files(train) == (train, test)
    assert labelled_files(tmp_path / "mine.csv") == (tmp_path / "mine.csv", None)
