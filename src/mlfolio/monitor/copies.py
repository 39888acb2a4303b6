"""Rows that are there already: in the batch that comes, or in an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlfolio.core.errors import Problem
from mlfolio.data.fingerprint import row_hashes
from mlfolio.data.versions import PREDICTION
from mlfolio.monitor.rules import Rules, as_compared

if TYPE_CHECKING:
    from pandas import DataFrame

AGAIN: Final = "an id again, with other values"
CORRECTED: Final = "the answer was corrected after it was taken in; the first one stays"


class Places:
    """Where each of many hashes was met first; one takes sixteen bytes."""

    def __init__(self) -> None:
        self._hashes = np.empty(0, np.uint64)  # in order
        self._places = np.empty(0, np.int64)

    def add(self, hashes: NDArray[np.uint64], places: NDArray[np.int64]) -> None:
        """Takes hashes with their places, none of which is 0; of those that are there, none."""
        hashes, first = np.unique(hashes, return_index=True)
        new = self.find(hashes) == 0
        at = np.searchsorted(self._hashes, hashes[new])
        self._hashes = np.insert(self._hashes, at, hashes[new])
        self._places = np.insert(self._places, at, places[first][new])

    def find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The place of each; 0 of those that are not there."""
        if not len(self._hashes):
            return np.zeros(len(hashes), np.int64)
        at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        return np.where(self._hashes[at] == hashes, self._places[at], 0)


class Found(NamedTuple):
    """What was found in some rows.

    Attributes:
        known: Which of them an earlier batch has, shape (n,).
        problems: What is wrong with others, by their position.
    """

    known: NDArray[np.bool_]
    problems: dict[int, Problem]


class Copies:
    """The rows that are there already, by what is the same in them.

    A row is held against those of an earlier batch by the columns that both batches have, so it is
    known again without its id (a question of the log) or with a column more. What the rules need
    is always compared: it counts as missing where an earlier batch lacks it.

    Args:
        columns: Of the batch that comes.
        rules: What a row must be.
        id: The column that tells rows apart, if there is one; empty ones tell nothing.
        within: Whether a row may be only once in the batch that comes.
    """

    def __init__(self, columns: Sequence[str], rules: Rules, id: str | None, within: bool) -> None:
        self.columns, self.rules, self.id, self.within = columns, rules, id, within
        # Places are the numbers of rows from 1, or of earlier batches, negative.
        self._earlier: dict[tuple[str, ...], Places] = {}  # by the columns that are compared
        self._here, self._ids = Places(), Places()

    def remember(self, frame: DataFrame, batch: int) -> None:
        """Takes rows of an earlier batch, whose number counts from 1."""
        needed = {*self.rules.fields, self.rules.target}
        shared = tuple(c for c in self.columns if c in frame or c in needed)
        same = self._compared(frame.reindex(columns=list(shared)))
        place = np.full(len(same), -batch)
        self._earlier.setdefault(shared, Places()).add(row_hashes(same), place)
        if self.id in shared:
            hashes, told = self._id_hashes(same)
            self._ids.add(hashes[told], place[told])

    def look(self, frame: DataFrame, numbers: NDArray[np.int64]) -> Found:
        """Looks at rows of the batch that comes, which later ones are then held against too.

        Args:
            frame: The rows.
            numbers: Their numbers in the batch, from 0, shape (n,).
        """
        same, mine = self._compared(frame), numbers + 1
        known = np.zeros(len(same), bool)
        for shared, places in self._earlier.items():
            known |= places.find(row_hashes(same[list(shared)])) != 0
        rows, (ids, told) = row_hashes(same), self._id_hashes(same)
        if self.within:
            self._here.add(rows[~known], mine[~known])
            self._ids.add(ids[told & ~known], mine[told & ~known])
        first = np.where(known, 0, self._here.find(rows))
        owner = np.where(known | ~told, 0, self._ids.find(ids))
        problems = {}
        for at in np.flatnonzero((first != 0) & (first != mine)):
            number = int(numbers[at])
            problems[int(at)] = Problem(number, "(row)", "the same row again", _place(first[at]))
        for at in np.flatnonzero((owner != 0) & (owner != mine)):
            shown = f"{frame[self.id].iloc[at]!r}, in {_place(owner[at])} too"
            rule = CORRECTED if self.id == PREDICTION else AGAIN
            problems.setdefault(int(at), Problem(int(numbers[at]), str(self.id), rule, shown))
        return Found(known, problems)

    def _compared(self, frame: DataFrame) -> DataFrame:
        """Rows in the one form in which they are compared."""
        import pandas as pd

        same = frame.copy(deep=False)
        for column, values in frame.items():
            if column in self.rules.numbers:
                same[column] = pd.to_numeric(values, errors="coerce").astype(float)
            else:
                forms = {cell: as_compared(cell) for cell in values.dropna().unique()}
                same[column] = values.map(forms).astype(object)
        return same

    def _id_hashes(self, frame: DataFrame) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """The ids' hashes, and which of them are there."""
        if self.id is None:
            return np.zeros(len(frame), np.uint64), np.zeros(len(frame), bool)
        return row_hashes(frame[[self.id]]), frame[self.id].notna().to_numpy()


def _place(where: int) -> str:
    return f"row {where}" if where > 0 else f"batch {-where}"
