"""Tables of texts and their labels: the columns found by their names, whatever wrote the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from mlfolio.core.errors import FileError, nearest
from mlfolio.core.system import Finding
from mlfolio.data.tables import read_any_table

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
    table, said = read_any_table(path)
    notes = [Finding(level="note", check="encoding", message=said)] if said else []
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
