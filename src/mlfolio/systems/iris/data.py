"""Fisher's flowers as scikit-learn bundles them, or a table of the user's own measurements."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mlfolio.core.errors import FileError
from mlfolio.core.source import Source
from mlfolio.core.system import Finding
from mlfolio.data.datasets import get_dataset
from mlfolio.data.labelled import (
    TableSplit,
    choose_features,
    labelled_rows,
    require_classes,
    require_own,
)
from mlfolio.data.splits import holdout
from mlfolio.data.tables import read_table

TARGET = "species"
FEWEST = 10  # rows of each class
SPLIT_SEED = 0  # the test part stays the same whatever the run's seed
TEST_SHARE = 0.2


def load_flowers(source: Source, target: str, drop: Sequence[str] = ()) -> TableSplit:
    """The flowers, 80 % to train on and 20 % to test on, stratified by species.

    Args:
        source: The bundled data (official and sample alike) or the user's CSV.
        target: Column with the species.
        drop: Columns to leave out.

    Raises:
        UserError: The table has no two columns of numbers, or too few rows of a species, or a
            knob names a column that is not there.
    """
    require_own(source, target, TARGET)
    record = get_dataset("iris")
    if source.path is None:
        table, name, licence = _bundled(), record.title, record.licence
    else:
        name, licence = source.path.name, "the user's own"
        table = read_table(source.path, target)
    rows, notes = labelled_rows(table, target, name)
    features, left_out = choose_features(rows, target, name, drop=drop)
    numbers = [c for c in features if pd.api.types.is_numeric_dtype(rows[c])]
    if len(numbers) < 2:
        raise FileError(
            f"{name} has {len(numbers)} columns of numbers beside {target!r}; iris needs two",
            "mlfolio run titanic --data FILE target=COLUMN takes tables of any kind",
        )
    complete = rows.dropna(subset=numbers).reset_index(drop=True)
    complete[target] = require_classes(complete[target], name, fewest=FEWEST)
    train, test = holdout(complete[numbers], complete[target], TEST_SHARE, SPLIT_SEED)
    return TableSplit(
        source=source,
        dataset=name,
        licence=licence,
        target=target,
        features=tuple(numbers),
        train=complete.iloc[train].reset_index(drop=True),
        test=complete.iloc[test].reset_index(drop=True),
        notes=(*notes, *left_out, *_left_out(features, numbers, len(rows), len(complete))),
    )


def _left_out(
    features: Sequence[str], numbers: Sequence[str], n_rows: int, n_complete: int
) -> list[Finding]:
    """What iris cannot use: columns that are no numbers, rows that lack a measurement."""
    messages = [f"column {c!r} is left out: it is no number" for c in features if c not in numbers]
    if n_complete < n_rows:
        lacking = f"{n_rows - n_complete:,} of {n_rows:,} rows lack a measurement"
        messages.append(f"{lacking} and are left out")
    return [Finding(level="note", check="left out", message=message) for message in messages]


def _bundled() -> pd.DataFrame:
    """The 150 flowers with columns as people write them: `petal_length`, in cm."""
    from sklearn.datasets import load_iris

    flowers = load_iris(as_frame=True)
    table: pd.DataFrame = flowers.data.rename(
        columns=lambda c: c.replace(" (cm)", "").replace(" ", "_")
    )
    table[TARGET] = flowers.target_names[flowers.target]
    return table
