"""Tables: reading the user's files without surprises."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from mlfolio.core.errors import FileError, nearest
from mlfolio.data.versions import SUFFIX, read_version

MAX_MEGABYTES = 2048
_MAGIC = {
    b"PK\x03\x04": "a zip or Excel file",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
    b"SQLi": "an SQLite database",
    b"\x89PNG": "a picture",
}


def read_table(path: Path, target: str | None = None) -> pd.DataFrame:
    """Reads a CSV (comma, semicolon, tab or bar; decimal commas too), Parquet or `.version` file.

    Args:
        path: The file.
        target: The column to predict. Only its empty cells are missing: "None" and "N/A" may be
            classes.

    Raises:
        FileError: It may not be read, is empty, too large, no text, not UTF-8, cut off, or has
            rows of the wrong length.
    """
    try:
        return _read_table(path, target)
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror or error}", "check the path and who may read"
        ) from None


def read_any_table(path: Path) -> tuple[pd.DataFrame, str]:
    """The same, and a CSV in Windows-1252, as older versions of Excel write it.

    Returns:
        The table, and a sentence that says so; empty where it is UTF-8.

    Raises:
        FileError: As `read_table`.
    """
    try:
        return read_table(path), ""
    except FileError as error:
        if "is not UTF-8" not in error.message:
            raise
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_text(path.read_text("cp1252", "replace"), "utf-8")
        return read_table(copy), f"{path.name} is not UTF-8 and was read as Windows-1252"


def _read_table(path: Path, target: str | None) -> pd.DataFrame:
    if path.is_dir():
        found = sorted(entry.name for entry in path.iterdir())[:10]
        raise FileError(
            f"{path} is a folder, not a table", f"name a file in it: {', '.join(found)}"
        )
    if path.exists() and not path.is_file():
        raise FileError(f"{path} is a pipe or a device", "save the table as a file first")
    size = path.stat().st_size
    limit = int(os.environ.get("MLFOLIO_MAX_TABLE_MB", MAX_MEGABYTES))
    if size == 0:
        raise FileError(f"{path.name} is empty", "a CSV needs a line of column names and rows")
    if size > limit * 2**20:
        raise FileError(
            f"{path.name} has {size / 2**20:,.0f} MB; the limit is {limit:,} MB",
            "take a sample of it, or set MLFOLIO_MAX_TABLE_MB",
        )
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    if path.suffix == SUFFIX:
        return read_version(path)
    separator, decimal = _inspect(path)
    options: dict[str, Any] = {
        "sep": separator, "decimal": decimal, "encoding": "utf-8-sig", "low_memory": False,
    }  # fmt: skip
    try:
        table = _tidy(pd.read_csv(path, **options), path.name)
        if target is not None and target in table and table[target].isna().any():
            position = list(table.columns).index(target)
            options |= {"usecols": [position], "keep_default_na": False, "na_values": [""]}
            table[target] = _with_truths_as_text(pd.read_csv(path, **options)).iloc[:, 0]
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise FileError(
            f"{path.name} cannot be read as CSV: {str(error).strip()}",
            "check the quotes around that line; the file may be cut off",
        ) from None
    return table


def labelled_files(path: Path) -> tuple[Path, Path | None]:
    """The labelled table at `path`, and the rows to predict for that may lie beside it.

    A folder holds `train.csv` and perhaps `test.csv`, as Kaggle's do; naming `train.csv` itself
    is the same.

    Raises:
        FileError: It is a folder without `train.csv`.
    """
    folder = path if path.is_dir() else path.parent
    train, test = folder / "train.csv", folder / "test.csv"
    if path not in (folder, train):
        return path, None
    if not train.is_file():
        raise FileError(f"there is no train.csv in {path}", "name the file itself: --data FILE.csv")
    return train, test if test.is_file() else None


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


def _read_parquet(path: Path) -> pd.DataFrame:
    """The columns as a CSV would give them: numbers, truth values and text."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        return plain_frame(ParquetFile(path).read(), path.name)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise FileError(f"{path.name} cannot be read as Parquet: {error}") from None


def plain_frame(table: Any, name: str) -> pd.DataFrame:
    """An Arrow table, shape (n, columns), with the cells that a CSV would give.

    Args:
        table: All of a file, or a part.
        name: The file's name, for messages.

    Raises:
        FileError: Cells are no numbers, truth values or text.
        ValueError: pyarrow cannot convert them.
    """
    # Without pandas' own types, which are of many kinds where values are missing.
    return _tidy(plain_columns(table, name).to_pandas(ignore_metadata=True), name)


def plain_columns(table: Any, name: str) -> Any:
    """An Arrow table with numbers, truth values and text, and without what pandas calls an index.

    Raises:
        FileError: A column holds lists or bytes.
    """
    import pyarrow as pa

    indices = [n for n in table.column_names if re.fullmatch(r"__index_level_\d+__", n)]
    table = table.drop_columns(indices)
    for position, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind):
            raise FileError(
                f"{name}: a cell of column {field.name!r} is a {kind}",
                "leave the column out, or make numbers or text of it",
            )
        if pa.types.is_decimal(kind):
            kind = pa.float64()
        elif pa.types.is_temporal(kind):
            kind = pa.string()
        if kind != field.type:
            table = table.set_column(position, field.name, table.column(position).cast(kind))
    return table


def _inspect(path: Path) -> tuple[str, str]:
    """Reads the file once as text: its separator, its decimal sign, and whether it is whole."""
    separator, decimal = sniff(path)
    with csv_rows(path, separator) as rows:
        _check_lengths(rows, path)
    return separator, decimal


def sniff(path: Path) -> tuple[str, str]:
    """The separator of a CSV and its decimal sign, by how it begins.

    Raises:
        FileError: It is no text.
    """
    with path.open("rb") as raw:
        head = raw.read(65536)
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise FileError(f"{path.name} is {what}, not a CSV", "export the table as CSV (UTF-8)")
    if b"\x00" in head:
        raise FileError(f"{path.name} is no text file", "export the table as CSV (UTF-8)")
    separator = _separator(head)
    return separator, _decimal(head, separator)


@contextmanager
def csv_rows(path: Path, separator: str) -> Iterator[Any]:
    """The rows of a CSV as a `csv.reader`, whose troubles while it is read are told.

    Raises:
        FileError: It is not UTF-8, or a cell has no end.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=separator)
            yield rows
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path.name} is not UTF-8: byte {error.object[error.start]:#04x} is no valid text",
            "save it as UTF-8, or: iconv -f latin1 -t utf-8 FILE > NEW",
        ) from None
    except csv.Error as error:
        line, longest = rows.line_num, csv.field_size_limit()
        too_long = "field limit" in str(error)
        raise FileError(
            f"{path.name}, line {line}: "
            + (f"a cell has more than {longest:,} characters" if too_long else str(error)),
            "close the quote that opens before it" + (", or shorten the text" if too_long else ""),
        ) from None


def _separator(head: bytes) -> str:
    """The separator that the first line has most of."""
    first = head.split(b"\n", 1)[0].decode("utf-8", "replace")
    return max(",;\t|", key=first.count)


def _decimal(head: bytes, separator: str) -> str:
    """A comma where numbers are written with one; "1,234" alone may also mean thousands."""
    if separator == ",":
        return "."
    rows = csv.reader(head.decode("utf-8", "replace").splitlines(), delimiter=separator)
    cells = [cell.strip() for row in rows for cell in row]
    commas = [cell for cell in cells if re.fullmatch(r"-?\d+,\d+", cell)]
    points = any(re.fullmatch(r"-?\d+\.\d+", cell) for cell in cells)
    fractions = any(not re.fullmatch(r"-?[1-9]\d{0,2},\d{3}", cell) for cell in commas)
    return "," if fractions and not points else "."


def _check_lengths(rows: Any, path: Path) -> None:
    """Every row must have as many cells as there are column names."""
    width, last, n_rows = 0, 0, 0
    for row in rows:
        if not row:
            continue
        if not width:
            width = len(row)
            check_names(row, path.name)
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


def check_names(names: Sequence[str], file: str) -> None:
    """Checks that no two columns have one name.

    Raises:
        FileError: Some have.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileError(f"{file} has columns of the same name: {', '.join(twice)}", "rename them")


def _tidy(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Names as text, and truth values as text: they are categories, not numbers."""
    names = [str(column).strip() for column in table.columns]
    check_names(names, name)
    table.columns = pd.Index(names)
    return _with_truths_as_text(table)


def _with_truths_as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Truth values as text, also where some are missing."""
    for column in table:
        if pd.api.types.infer_dtype(table[column], skipna=True) == "boolean":
            table[column] = table[column].map(str, na_action="ignore")
    return table
