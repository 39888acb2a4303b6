"""Reading the user's files: every way a CSV goes wrong is said in words."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from mlfolio.core.errors import FileError
from mlfolio.data.tables import read_table, require_columns, require_target


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


def test_missing_columns_name_the_nearest() -> None:
    with pytest.raises(FileError, match=r"'Survived' \(did you mean 'survived'\?\)"):
        require_columns(pd.DataFrame({"survived": [1]}), ["Survived"], "t.csv")


def test_the_target_must_be_there_and_vary() -> None:
    with pytest.raises(FileError, match="did you mean 'churn'"):
        require_target(pd.DataFrame({"churn": [1]}), "churned", "t.csv")
    with pytest.raises(FileError, match="1 different values"):
        require_target(pd.DataFrame({"y": [1, 1, None]}), "y", "t.csv")


def test_rows_without_an_answer_are_left_out() -> None:
    table = require_target(pd.DataFrame({"y": [1, None, 0]}), "y", "t.csv")
    assert list(table["y"]) == [1, 0]
