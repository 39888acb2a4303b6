"""The report that evidently draws: every column then and now, in one HTML file of its own.

It is for looking; what is an alarm is decided in `watching`, where many tests are counted as many.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlfolio.core.errors import FileError, MissingExtraError, UserError
from mlfolio.monitor.checks import FEWEST, FEWEST_BEFORE
from mlfolio.monitor.columns import Column, columns_of
from mlfolio.monitor.rows import Row, inputs_of, outputs_of
from mlfolio.monitor.watching import Gathered

if TYPE_CHECKING:
    from pandas import DataFrame

SILENT: Final = "DO_NOT_TRACK"  # what evidently reads before it would tell anybody anything
DRAWN: Final = ("number", "category")


def write_report(gathered: Gathered, path: Path) -> None:
    """Writes evidently's drift report of a look; nothing in it is fetched, nothing is sent.

    Args:
        gathered: The rows.
        path: Of the HTML file.

    Raises:
        UserError: There are too few rows, or no columns of numbers or categories.
        MissingExtraError: evidently is not installed.
        FileError: The file cannot be written.
    """
    before, now = gathered.reference, gathered.rows
    if len(before) < FEWEST_BEFORE or len(now) < FEWEST:
        raise UserError(
            f"{len(now):,} answers beside {len(before):,} are too few for a report",
            f"it takes {FEWEST} answers, and {FEWEST_BEFORE} to compare them with",
        )
    columns = _columns(before, now)
    if not columns:
        raise UserError("there are no numbers and no categories", "leave --html out")
    html = _draw(columns)
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise FileError(
            f"{path} cannot be written: {error.strerror}", "name another file"
        ) from None


def _columns(before: Sequence[Row], now: Sequence[Row]) -> list[Column]:
    """What is drawn: inputs, where both sides have kept them, then answer and confidence."""
    answered = [
        column._replace(name=f"output: {column.name}")
        for column in columns_of(outputs_of(before), outputs_of(now))
        if column.name in ("answer", "confidence")
    ]
    asked = columns_of(inputs_of(before), inputs_of(now))
    return [each for each in (*asked, *answered) if each.kind in DRAWN and all(each.known)]


def _draw(columns: Sequence[Column]) -> str:
    os.environ[SILENT] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # evidently's own, of libraries beneath it
        try:
            from evidently import DataDefinition, Dataset, Report
            from evidently.presets import DataDriftPreset
        except ImportError as error:
            raise MissingExtraError("the HTML report", "monitor", error.name or "") from None
        definition = DataDefinition(
            numerical_columns=[each.name for each in columns if each.kind == "number"],
            categorical_columns=[each.name for each in columns if each.kind == "category"],
        )
        frames = [_frame(columns, "before"), _frame(columns, "now")]
        then, now = (Dataset.from_pandas(each, data_definition=definition) for each in frames)
        found: str = Report([DataDriftPreset()]).run(now, then).get_html_str(as_iframe=False)
        return found


def _frame(columns: Sequence[Column], side: str) -> DataFrame:
    """One side of the columns; they differ in length where inputs are not kept of all answers."""
    import pandas as pd

    cells = {each.name: pd.Series(getattr(each, side), dtype=object) for each in columns}
    frame = pd.DataFrame(cells)
    for each in columns:
        if each.kind == "number":
            frame[each.name] = pd.to_numeric(frame[each.name])
        else:
            known = frame[each.name].notna()
            frame[each.name] = frame[each.name].where(~known, frame[each.name].astype(str))
    return frame
