"""Fisher's flowers as scikit-learn bundles them, or a table of the user's own measurements."""

from __future__ import annotations

import pandas as pd

from mlfolio.core.errors import FileError
from mlfolio.core.source import Source
from mlfolio.data.datasets import get_dataset
from mlfolio.data.splits import holdout
from mlfolio.data.tables import TableSplit, read_table, require_target

SPLIT_SEED = 0  # the test part stays the same whatever the run's seed
TEST_SHARE = 0.2


def load_flowers(source: Source, target: str) -> TableSplit:
    """The flowers, 80 % to train on and 20 % to test on, stratified by species.

    Args:
        source: The bundled data (official and sample alike) or the user's CSV.
        target: Column with the species.

    Raises:
        FileError: The user's table has no two columns of numbers, or too few rows of a species.
    """
    record = get_dataset("iris")
    if source.path is None:
        table, name, licence = _bundled(target), record.title, record.licence
    else:
        name, licence = source.path.name, "the user's own"
        table = require_target(read_table(source.path), target, name)
    numbers = [str(c) for c in table.select_dtypes("number") if c != target]
    table = table[[*numbers, target]].dropna().reset_index(drop=True)
    if len(numbers) < 2:
        raise FileError(
            f"{name} has {len(numbers)} columns of numbers beside {target!r}; iris needs two",
            "mlfolio run titanic --data FILE target=COLUMN takes tables of any kind",
        )
    rarest = table[target].value_counts()
    if len(rarest) < 2 or rarest.iloc[-1] < 10:
        raise FileError(
            f"{name}: {dict(rarest)} complete rows; every class needs at least 10",
            "add rows, or merge rare classes",
        )
    train, test = holdout(table[numbers], table[target], TEST_SHARE, SPLIT_SEED)
    return TableSplit(
        source=source,
        dataset=name,
        licence=licence,
        target=target,
        features=tuple(numbers),
        train=table.iloc[train].reset_index(drop=True),
        test=table.iloc[test].reset_index(drop=True),
    )


def _bundled(target: str) -> pd.DataFrame:
    """The 150 flowers with columns as people write them: `petal_length`, in cm."""
    from sklearn.datasets import load_iris

    flowers = load_iris(as_frame=True)
    table: pd.DataFrame = flowers.data.rename(
        columns=lambda c: c.replace(" (cm)", "").replace(" ", "_")
    )
    table[target] = flowers.target_names[flowers.target]
    return table
