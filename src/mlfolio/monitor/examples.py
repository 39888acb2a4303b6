"""Labelled rows that two models are compared on: of a file, of living data, or of users."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mlfolio.core.errors import FileError, nearest
from mlfolio.core.inputs import field_names
from mlfolio.core.model import Model
from mlfolio.parts.retrieval.json_lines import read_json_lines
from mlfolio.track import log


class Example(NamedTuple):
    """A labelled row.

    Attributes:
        input: By field; what a model does not ask for is left out.
        truth: The right answer.
    """

    input: Mapping[str, Any]
    truth: Any


def read_rows(model: Model, path: Path, target: str = "") -> list[Example]:
    """Labelled rows of a file, or of a version of living data.

    Args:
        model: The champion's, whose columns they have.
        path: A table (CSV, Parquet) with a column of the truth, or lines of JSON with `input` and
            `truth`, as runs keep them in `reference.jsonl`.
        target: Name of that column; `truth`, `answer` or `label` if it is left out. Rows without a
            truth are left out.

    Raises:
        FileError: It cannot be read, or has no such column.
    """
    if path.suffix == ".jsonl":
        return _read_lines(path)
    from mlfolio.data.tables import read_table

    table = read_table(path, target or None)
    columns = [str(column) for column in table]
    fields = field_names(model.input_type)
    names = [target] if target else ["truth", "answer", "label"]
    found = [name for name in names if name in columns]
    if not found:
        near = nearest(names[0], [column for column in columns if column not in fields])
        raise FileError(
            f"{path} has no column {names[0]!r} with the truth"
            + (f"; did you mean {near!r}?" if near else ""),
            f"name it: --target COLUMN, one of {', '.join(columns)}",
        )
    cells = table.astype(object)
    known = cells[cells[found[0]].notna()]
    truths = known.pop(found[0]).tolist()
    return [
        Example({str(k): v for k, v in row.items() if v == v and v is not None}, truth)
        for row, truth in zip(known.to_dict("records"), truths, strict=True)
    ]


def judged_rows(system: str, since: float, url: str | None = None) -> list[Example]:
    """What users asked, and later said the truth of; what a model has learned from is not in it.

    Args:
        system: Its name.
        since: Only of what the truth was told later than this: when the challenger was made.
        url: SQLAlchemy URL of the prediction log; None for the usual one.

    Raises:
        UserError: There is a log that cannot be read.
    """
    return [
        Example(judged.input, judged.truth)
        for judged in log.feedback(system, url)
        if judged.input is not None and judged.time > since
    ]


def _read_lines(path: Path) -> list[Example]:
    found: list[Example] = []

    def take(line: dict[str, Any]) -> None:
        found.append(Example(dict(line["input"]), line["truth"]))

    read_json_lines(path, take, "labelled row", '{"input": {...}, "truth": ...}')
    return [row for row in found if row.truth is not None]
