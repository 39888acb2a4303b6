"""Tables: reading the user's files without surprises, and the split every table system uses."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pandas as pd

from mlfolio.core.errors import FileError, nearest
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo, Finding
from mlfolio.data.doctor import check_table
from mlfolio.data.fingerprint import fingerprint

MAX_MEGABYTES = 2048
_MAGIC = {
    b"PK\x03\x04": "a zip or Excel file",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
    b"SQLi": "an SQLite database",
    b"\x89PNG": "a picture",
}


@dataclass(frozen=True)
class TableSplit:
    """A table with a column to predict, split once.

    Attributes:
        source: Where it came from.
        dataset: Name of the data set, or of the user's file.
        licence: As its publisher states it.
        target: Name of the column to predict.
        features: Names of the columns that a model may use.
        train: Training rows, target included.
        test: Test rows, target included; empty where the protocol is cross-validation.
        extra: Rows without the target to predict for (Kaggle's test.csv), if there are any.
    """

    source: Source
    dataset: str
    licence: str
    target: str
    features: tuple[str, ...]
    train: pd.DataFrame
    test: pd.DataFrame
    extra: pd.DataFrame | None = None

    @cached_property
    def info(self) -> DataInfo:
        """What identifies these data."""
        measured = self.test if len(self.test) else self.train
        return DataInfo(
            source=self.source,
            dataset=self.dataset,
            licence=self.licence,
            fingerprint=fingerprint(self.target, self.train, self.test),
            test_fingerprint=fingerprint(self.target, measured),
            rows={"train": len(self.train), "test": len(self.test)},
        )

    @property
    def X(self) -> pd.DataFrame:  # noqa: N802 - the field's name for features
        """Features of the training rows, shape (n, columns)."""
        return self.train[list(self.features)]

    @property
    def y(self) -> pd.Series:
        """Answers of the training rows, shape (n,)."""
        return self.train[self.target]

    def everything(self) -> pd.DataFrame:
        """All labelled rows, for protocols that make their own splits."""
        return pd.concat([self.train, self.test], ignore_index=True)

    def check(self) -> list[Finding]:
        """What the data doctor has to say."""
        test = self.test if len(self.test) else None
        return check_table(self.train, test, self.target, self.features)

    def without_test(self) -> Self:
        """The same data with no test rows."""
        return replace(self, test=self.test.iloc[:0])


def read_table(path: Path) -> pd.DataFrame:
    """Reads a CSV (comma, semicolon, tab or bar) or Parquet file.

    Raises:
        FileError: It is empty, too large, no text, not UTF-8, cut off, or has rows of the wrong
            length.
    """
    if path.is_dir():
        found = sorted(entry.name for entry in path.iterdir())[:10]
        raise FileError(
            f"{path} is a folder, not a table", f"name a file in it: {', '.join(found)}"
        )
    size = path.stat().st_size
    limit = int(os.environ.get("MLFOLIO_MAX_TABLE_MB", MAX_MEGABYTES))
    if size == 0:
        raise FileError(f"{path.name} is empty", "a CSV needs a line of column names and rows")
    if size > limit * 2**20:
        raise FileError(
            f"{path.name} has {size / 2**20:,.0f} MB; the limit is {limit:,} MB",
            "take a sample of it, or set MLFOLIO_MAX_TABLE_MB",
        )
    if path.suffix == ".parquet":
        return _read_parquet(path)
    separator = _inspect(path)
    try:
        table = pd.read_csv(path, sep=separator, encoding="utf-8-sig", low_memory=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise FileError(
            f"{path.name} cannot be read as CSV: {str(error).strip()}",
            "check the quotes around that line; the file may be cut off",
        ) from None
    return _tidy(table, path.name)


def require_columns(table: pd.DataFrame, needed: list[str], name: str) -> None:
    """Checks that a table has the columns it needs.

    Raises:
        FileError: Columns are missing; each with the nearest that is there.
    """
    missing = [column for column in needed if column not in table]
    if not missing:
        return
    lines = []
    for column in missing:
        near = nearest(column, map(str, table.columns))
        lines.append(f"{column!r}" + (f" (did you mean {near!r}?)" if near else ""))
    raise FileError(
        f"{name} lacks {len(missing)} of the columns it needs: {', '.join(lines)}",
        f"its columns are: {', '.join(map(str, table.columns))}",
    )


def require_target(table: pd.DataFrame, target: str, name: str) -> pd.DataFrame:
    """The rows of a table in which the column to predict is known.

    Raises:
        FileError: There is no such column, or it has one value only.
    """
    if target not in table:
        near = nearest(target, map(str, table.columns))
        raise FileError(
            f"{name} has no column {target!r} to predict"
            + (f"; did you mean {near!r}?" if near else ""),
            f"name it: target=COLUMN, one of {', '.join(map(str, table.columns))}",
        )
    labelled = table[table[target].notna()].reset_index(drop=True)
    if labelled[target].nunique() < 2:
        raise FileError(
            f"column {target!r} of {name} has {labelled[target].nunique()} different values",
            "name the column to predict: target=COLUMN",
        )
    return labelled


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return _tidy(pd.read_parquet(path), path.name)
    except (OSError, ValueError) as error:
        raise FileError(f"{path.name} cannot be read as Parquet: {error}") from None


def _inspect(path: Path) -> str:
    """Reads the file once as text: what separates its columns, and whether it is whole."""
    with path.open("rb") as raw:
        head = raw.read(65536)
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise FileError(f"{path.name} is {what}, not a CSV", "export the table as CSV (UTF-8)")
    if b"\x00" in head:
        raise FileError(f"{path.name} is no text file", "export the table as CSV (UTF-8)")
    separator = _separator(head)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            _check_lengths(csv.reader(file, delimiter=separator), path)
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path.name} is not UTF-8: byte {error.object[error.start]:#04x} is no valid text",
            "save it as UTF-8, or: iconv -f latin1 -t utf-8 FILE > NEW",
        ) from None
    except csv.Error as error:
        raise FileError(f"{path.name} cannot be read as CSV: {error}", "check its quotes") from None
    return separator


def _separator(head: bytes) -> str:
    """The separator that the first line has most of."""
    first = head.split(b"\n", 1)[0].decode("utf-8", "replace")
    return max(",;\t|", key=first.count)


def _check_lengths(rows: Any, path: Path) -> None:
    """Every row must have as many cells as there are column names."""
    width, last, n_rows = 0, 0, 0
    for row in rows:
        if not row:
            continue
        if not width:
            width = len(row)
            _check_names(row, path.name)
            continue
        n_rows += 1
        last = len(row)
        if last != width:
            at_end = not path.read_bytes().endswith((b"\n", b"\r")) and next(rows, None) is None
            raise FileError(
                f"{path.name}, line {rows.line_num}: {last} cells, but {width} column names",
                "the file is cut off there" if at_end else "quote cells that hold the separator",
            )
    if not n_rows:
        raise FileError(f"{path.name} has column names and no rows", "add rows")


def _check_names(names: list[str], file: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileError(f"{file} has columns of the same name: {', '.join(twice)}", "rename them")


def _tidy(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Names as text, and truth values as text: they are categories, not numbers."""
    names = [str(column).strip() for column in table.columns]
    _check_names(names, name)
    table.columns = pd.Index(names)
    truths = table.select_dtypes("bool").columns
    return table.astype(dict.fromkeys(truths, str)) if len(truths) else table
