"""Labelled tables: the rows that can be learned from, the columns that may be used, the split."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Self

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, PlainSerializer

from mlfolio.core.errors import FileError, KnobError, UnknownNameError, nearest
from mlfolio.core.run import Run
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo, Finding
from mlfolio.data.datasets import Dataset, get_dataset, place
from mlfolio.data.doctor import check_table
from mlfolio.data.fingerprint import fingerprint
from mlfolio.data.tables import labelled_files, read_table, require_columns

MAX_CATEGORIES: Final = 50  # a text column with more values is free text
NUMBERS: Final = 0.95  # share of a column's cells that must be numbers for it to hold numbers
GREATEST: Final = 1e100  # whose square is a number too
_COMMAS: Final = r"\s*[-+]?[\d.]+(,\d+)+(\.\d+)?\s*"  # 1,234 or 1.234,5: which is which?
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _split(names: Any) -> Any:
    """`duration,age`, as it is typed in a shell."""
    return [name.strip() for name in names.split(",") if name.strip()] if isinstance(
        names, str
    ) else names  # fmt: skip


ColumnNames = Annotated[
    tuple[str, ...], BeforeValidator(_split), PlainSerializer(",".join, return_type=str)
]
"""A knob that holds names of columns."""
Sample = Callable[[], pd.DataFrame]


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
        notes: What was noticed on the way here: rows, columns and cells left out.
    """

    source: Source
    dataset: str
    licence: str
    target: str
    features: tuple[str, ...]
    train: pd.DataFrame
    test: pd.DataFrame
    extra: pd.DataFrame | None = None
    notes: tuple[Finding, ...] = ()

    @cached_property
    def info(self) -> DataInfo:
        """What identifies these data; cross-validation measures on every row of them."""
        everything = fingerprint(self.target, self.train, self.test)
        return DataInfo(
            source=self.source,
            dataset=self.dataset,
            licence=self.licence,
            fingerprint=everything,
            test_fingerprint=everything,
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

    @property
    def classes(self) -> list[int | str]:
        """The different answers, in order."""
        return [v.item() if hasattr(v, "item") else v for v in sorted(self.y.unique())]

    @property
    def ignored(self) -> list[str]:
        """Columns that are no features: the target, identifiers, and others left out."""
        return [str(column) for column in self.train if column not in self.features]

    def everything(self) -> pd.DataFrame:
        """All labelled rows, for protocols that make their own splits."""
        return pd.concat([self.train, self.test], ignore_index=True)

    def check(self) -> list[Finding]:
        """What the data doctor has to say."""
        test = self.test if len(self.test) else None
        return [*self.notes, *check_table(self.train, test, self.target, self.features)]

    def without_test(self) -> Self:
        """The same data with no test rows."""
        return replace(self, test=self.test.iloc[:0])

    @classmethod
    def whole(
        cls,
        source: Source,
        read: Labelled,
        target: str,
        rows: pd.DataFrame,
        features: tuple[str, ...],
        notes: Iterable[Finding],
    ) -> Self:
        """All rows for training, where the protocol is cross-validation.

        Args:
            source: Where they came from.
            read: The table that they were in.
            target: Column to predict.
            rows: Those that can be learned from.
            features: Columns that may be used.
            notes: What was left out.

        Raises:
            FileError: The rows to predict for lack a feature.
        """
        if read.extra is not None:
            require_columns(read.extra, list(features), "test.csv")
        return cls(
            source=source,
            dataset=read.name,
            licence=read.licence,
            target=target,
            features=features,
            train=rows,
            test=rows.iloc[:0],
            extra=read.extra,
            notes=tuple(notes),
        )

    def submit(self, answer: Callable[[pd.DataFrame], Any], run: Run) -> None:
        """Writes `submission.csv` for the rows to predict for, if there are any, as Kaggle's.

        Args:
            answer: Gives an answer to each of them.
            run: Has the folder.
        """
        if self.extra is None:
            return
        names = [c for c in self.ignored if c in self.extra and self.extra[c].is_unique]
        table = self.extra[names[:1]].assign(**{self.target: answer(self.extra)})
        table.to_csv(run.folder / "submission.csv", index=False)
        run.note(f"submission.csv: answers to the {len(table):,} rows of test.csv.")


class Labelled(NamedTuple):
    """A labelled table as it was read.

    Attributes:
        table: Its rows.
        extra: Rows to predict for that lie beside it, if there are any.
        name: Name of the data set, or of the user's file.
        licence: As its publisher states it.
    """

    table: pd.DataFrame
    extra: pd.DataFrame | None
    name: str
    licence: str


def read_labelled(
    source: Source, dataset: str, needed: Sequence[str], target: str, generate: Sample
) -> Labelled:
    """The official files, the user's CSV or folder with `train.csv`, or made-up rows.

    Args:
        source: Which of them.
        dataset: Name of the official data set, the first of whose files is the labelled one.
        needed: The columns that its files have beside the target.
        target: Column to predict.
        generate: Makes the sample.

    Raises:
        DataUnavailableError: The official files are not here.
        FileError: A file cannot be read, or lacks columns.
    """
    record = get_dataset(dataset)
    if source.kind == "sample":
        return Labelled(generate(), None, f"made-up rows for {dataset}", "Apache-2.0")
    path, extra_path = labelled_files(source.path or _first_file(record))
    table = read_table(path, target)
    if source.path is None:
        require_columns(table, [*needed, target], str(path))
    extra = read_table(extra_path) if extra_path else None
    if source.path is None:
        return Labelled(table, extra, record.title, record.licence)
    return Labelled(table, extra, path.name, "the user's own")


def _first_file(record: Dataset) -> Path:
    """The labelled table of an official data set, in whichever form it is here."""
    folder = place(record.name)
    paths = [folder / file.name for file in (*record.files, *record.instead)]
    return next(path for path in paths if path.is_file())


def require_own(source: Source, target: str, usual: str) -> None:
    """Only the user's own data have another column to predict than the usual one.

    Raises:
        KnobError: Another one is named for official data or the sample.
    """
    if source.kind != "own" and target != usual:
        raise KnobError(
            f"target = {target!r}: in the {source} it is always {usual!r}",
            "name your own data beside it: --data FILE",
        )


def labelled_rows(
    table: pd.DataFrame, target: str, name: str
) -> tuple[pd.DataFrame, list[Finding]]:
    """The rows whose answer is known, with what holds numbers as numbers.

    Returns:
        The rows, and what was left out.

    Raises:
        FileError: There is no column `target`, or a number is infinite.
    """
    if target not in table:
        near = nearest(target, map(str, table.columns))
        raise FileError(
            f"{name} has no column {target!r} to predict"
            + (f"; did you mean {near!r}?" if near else ""),
            f"name it: target=COLUMN, one of {', '.join(map(str, table.columns))}",
        )
    rows = table[table[target].notna()].reset_index(drop=True)
    findings = []
    if len(rows) < len(table):
        missing = f"{len(table) - len(rows):,} of {len(table):,} rows have no {target!r}"
        findings.append(_note("rows left out", f"{missing} and are left out"))
    return rows, findings + read_numbers(rows, rows.columns.drop(target), name)


def read_numbers(rows: pd.DataFrame, columns: Iterable[str], name: str) -> list[Finding]:
    """Makes numbers, in place, of columns that hold numbers beside a few blanks or dashes.

    Returns:
        Which cells count as missing, and which columns stay text although they look like numbers.

    Raises:
        FileError: A number is infinite, or so large that its square is.
    """
    findings = []
    for column in columns:
        rows[column], note = _as_numbers(rows[column])
        findings += note
        _require_finite(rows[column], name)
    return findings


def require_classes(
    answers: pd.Series, name: str, *, fewest: int, exactly: int | None = None
) -> pd.Series:
    """The answers as classes, which are whole numbers or text.

    Args:
        answers: The column to predict, nothing missing.
        name: What to call the table in errors.
        fewest: Rows that each class must have.
        exactly: How many classes there must be; None for two or more.

    Raises:
        FileError: There are too few rows of a class, or another number of classes.
    """
    counts = answers.value_counts()
    if len(counts) < 2 or exactly not in (None, len(counts)):
        shown = ", ".join(map(str, counts.index[:5])) + (", ..." if len(counts) > 5 else "")
        needed = f"exactly {exactly}" if exactly else "two or more"
        raise FileError(
            f"column {answers.name!r} of {name} has {len(counts)} different values ({shown}); "
            f"this system needs {needed}",
            "name the column to predict: target=COLUMN",
        )
    if counts.min() < fewest:
        raise FileError(
            f"column {answers.name!r} of {name} has {len(counts):,} different values and of "
            f"{str(counts.idxmin())!r} only {counts.min()} rows; at least {fewest} of each class "
            "are needed",
            "add rows, merge rare classes, or name a column of classes: target=COLUMN",
        )
    if pd.api.types.is_numeric_dtype(answers) and (answers % 1 == 0).all():
        return answers.astype(np.int64)
    return answers.astype(str)


def choose_features(
    rows: pd.DataFrame,
    target: str,
    name: str,
    *,
    drop: Sequence[str] = (),
    texts: Collection[str] = (),
) -> tuple[tuple[str, ...], list[Finding]]:
    """The columns that a model may use, decided once on all rows and without the answers.

    Args:
        rows: The labelled rows.
        target: The column to predict.
        name: What to call the table in errors.
        drop: Columns that the user does not want.
        texts: Columns to keep although they are free text.

    Returns:
        Their names, and for each other column why it is left out.

    Raises:
        UnknownNameError: A column to drop does not exist.
        FileError: No column is left.
    """
    columns = [str(column) for column in rows.columns.drop(target)]
    for column in drop:
        if column not in columns:
            raise UnknownNameError("column", column, columns)
    wanted = [column for column in columns if column not in drop]
    reasons = {column: why_left_out(rows[column], texts) for column in wanted}
    features = tuple(column for column, reason in reasons.items() if not reason)
    if not features:
        raise FileError(f"{name} has no column to predict {target!r} from", "add columns")
    return features, [
        _note("column left out", f"column {column!r} is left out: {reason}")
        for column, reason in reasons.items()
        if reason
    ]


def is_category(values: pd.Series) -> bool:
    """Whether a column of text has few values, which repeat."""
    distinct = values.nunique()
    return bool(distinct <= MAX_CATEGORIES and distinct <= max(2, values.notna().sum() / 2))


def _as_numbers(values: pd.Series) -> tuple[pd.Series, list[Finding]]:
    """A column of numbers some of whose cells are blanks or dashes, as numbers."""
    if pd.api.types.is_numeric_dtype(values):
        return values, []
    numbers = pd.to_numeric(values, errors="coerce")
    known = int(values.notna().sum())
    if not known or numbers.notna().sum() < NUMBERS * known:
        return values, _find_commas(values, numbers)
    others = values[values.notna() & numbers.isna()]
    if others.empty:
        return numbers, []
    count = "1 cell" if len(others) == 1 else f"{len(others):,} cells"
    shown = ", ".join(map(repr, others.unique()[:5]))
    message = f"{count} of {values.name!r} are no numbers and count as missing: {shown}"
    return numbers, [_note("cells left out", message)]


def _find_commas(values: pd.Series, numbers: pd.Series) -> list[Finding]:
    """Numbers with commas, which may part thousands or fractions, so they stay text."""
    texts = values.dropna().astype(str)
    commas = texts[texts.str.fullmatch(_COMMAS)]
    if commas.empty or len(commas) + numbers.notna().sum() < NUMBERS * len(texts):
        return []
    message = f"column {values.name!r} looks like numbers with ',' and is read as text"
    return [
        Finding(
            level="warning",
            check="numbers as text",
            message=f"{message}: {', '.join(map(repr, commas.unique()[:3]))}",
            fix="write 1234 or 1234.5, without separators of thousands",
        )
    ]


def _require_finite(values: pd.Series, name: str) -> None:
    """Numbers are such that their squares are numbers too."""
    if not pd.api.types.is_numeric_dtype(values):
        return
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    beyond = np.flatnonzero(np.abs(numbers) > GREATEST)
    if len(beyond):
        row = int(beyond[0])
        shown = "infinite" if np.isinf(numbers[row]) else f"{numbers[row]:g}"
        raise FileError(
            f"{name}: column {values.name!r} is {shown} in row {row + 1}",
            f"write a number there, at most {GREATEST:g}, or leave the cell empty",
        )


def why_left_out(values: pd.Series, texts: Collection[str] = ()) -> str:
    """Why a column is no feature; empty if it is one.

    Args:
        values: The column.
        texts: Names of columns to keep although they are free text.
    """
    distinct = values.nunique(dropna=False)
    if distinct < 2:
        return "it has one value only"
    if distinct == len(values) and values.dtype.kind != "f":
        if is_called_identifier(str(values.name)):
            return "it is an identifier, different in each row"
        if values.dtype.kind in "iu" and values.max() - values.min() == len(values) - 1:
            return "it numbers the rows"
    if not pd.api.types.is_numeric_dtype(values) and values.name not in texts:
        return "" if is_category(values) else f"it is free text ({distinct:,} different values)"
    return ""


def is_called_identifier(name: str) -> bool:
    """Whether the words of a name say so: PassengerId, customer_id, row no, Unnamed: 0."""
    words = [word.lower() for word in _WORDS.findall(name)] or [""]
    return words[-1] in ("id", "no", "number", "index") or words[0] in ("id", "unnamed")


def _note(check: str, message: str) -> Finding:
    return Finding(level="note", check=check, message=message)
