"""Tables of texts and their labels: the columns found by their names, whatever wrote the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import pandas as pd

from mlfolio.core.errors import FileError, nearest
from mlfolio.core.system import Finding
from mlfolio.data.tables import read_table

TEXTS: Final = (
    "text", "message", "v2", "body", "sms", "content", "email", "utterance", "query", "question",
    "sentence", "review",
)  # fmt: skip
LABELS: Final = (
    "intent", "label", "v1", "class", "category", "type", "target", "spam", "sentiment",
)  # fmt: skip


class LabelledTexts(NamedTuple):
    """Texts as they were read, the empty string where there was none.

    Attributes:
        texts: The texts.
        labels: The label of each, as it is written.
        notes: What was left out.
        columns: Of the table, that of the texts first.
    """

    texts: list[str]
    labels: list[str]
    notes: list[Finding]
    columns: tuple[str, ...]


def read_texts(path: Path, text: str = "", label: str = "", knob: str = "label") -> LabelledTexts:
    """The labelled texts of a CSV or Parquet file, in UTF-8 or else in Windows-1252.

    Args:
        path: The file.
        text: Column of the texts; found by its name if empty.
        label: Column of the labels, likewise.
        knob: What the labels are called, and the knob that names their column.

    Raises:
        FileError: The file cannot be read, or has no such column.
    """
    table, notes = _read(path)
    names = [str(column) for column in table]
    column = _column("text", text, TEXTS, names, path.name)
    texts = table[column]
    labels = table[_column(knob, label, LABELS, names, path.name)]
    known = labels.notna()
    if not known.all():
        message = f"{(~known).sum():,} rows without {knob}"
        notes.append(Finding(level="note", check="rows left out", message=message))
    return LabelledTexts(
        texts[known].fillna("").astype(str).to_list(), labels[known].astype(str).to_list(), notes,
        (column, *(name for name in names if name != column)),
    )  # fmt: skip


def _read(path: Path) -> tuple[pd.DataFrame, list[Finding]]:
    try:
        return read_table(path), []
    except FileError as error:
        if "is not UTF-8" not in error.message:
            raise
    message = f"{path.name} is not UTF-8 and was read as Windows-1252"
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_text(path.read_text("cp1252", "replace"), "utf-8")
        return read_table(copy), [Finding(level="note", check="encoding", message=message)]


def _column(knob: str, asked: str, usual: Sequence[str], names: Sequence[str], file: str) -> str:
    """The column that was asked for, or the first with a usual name."""
    by_lower = {name.lower(): name for name in reversed(names)}
    found = by_lower.get(asked.lower()) if asked else next(
        (by_lower[name] for name in usual if name in by_lower), None
    )  # fmt: skip
    if found is None:
        near = nearest(asked, names) if asked else None
        raise FileError(
            f"{file} has no column {asked!r}" if asked else f"{file} has no column of {knob}s",
            (f"did you mean {near!r}? " if near else "")
            + f"name it: {knob}=COLUMN, one of {', '.join(names)}",
        )
    return found
