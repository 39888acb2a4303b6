"""Tables of texts and labels: columns by their usual names, other encodings, what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlfolio.core.errors import FileError
from mlfolio.data.texts import read_texts


def test_columns_are_found_by_their_names_and_rows_without_a_label_are_told(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("Category,id,Message\ngood,1,fine\n,2,lost\nbad,3,\n", "utf-8")
    found = read_texts(path)
    assert (found.texts, found.labels) == (["fine", ""], ["good", "bad"])
    assert [note.message for note in found.notes] == ["1 rows without label"]
    assert read_texts(path, text="ID").texts == ["1", "3"]


def test_windows_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_bytes("text,label\n5 £ für Käse,1\n".encode("cp1252"))
    found = read_texts(path)
    assert found.texts == ["5 £ für Käse"]
    assert "Windows-1252" in found.notes[0].message


@pytest.mark.parametrize(
    ("knobs", "said"),
    [({"text": "massage"}, "did you mean 'message'"), ({}, "no column of labels")],
)
def test_columns_that_are_not_there_are_explained(
    tmp_path: Path, knobs: dict[str, str], said: str
) -> None:
    (tmp_path / "my.csv").write_text("message,kind\nhi,ham\n", "utf-8")
    with pytest.raises(FileError) as caught:
        read_texts(tmp_path / "my.csv", **knobs)
    assert said in str(caught.value)
