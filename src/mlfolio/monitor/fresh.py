"""Labelled rows that a champion never saw: some for its challenger to learn from, some for both.

Which row goes where is told by the row itself, so the next training from the same data has the same
split, and copies of a row are never on both sides.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from mlfolio.core.run import read_json, write_json
from mlfolio.data.fingerprint import row_hashes
from mlfolio.data.versions import (
    SPLITS,
    SUFFIX,
    DataStore,
    DataVersion,
    read_manifest,
    read_version,
)
from mlfolio.track.registry import Version

FACTS: Final = "split.json"
HELD_OUT: Final = 4  # of ten new rows


class Unseen(NamedTuple):
    """What came after a champion's data.

    Attributes:
        version: The newest version of the data.
        rows: How many of its rows, the last ones, the champion was not fitted on.
    """

    version: DataVersion
    rows: int


class Split(NamedTuple):
    """The files of a training.

    Attributes:
        train: What the challenger is fitted on: old rows, and most of the new ones.
        fresh: New rows that neither of the two was fitted on.
    """

    train: Path
    fresh: Path


def unseen(champion: Version) -> Unseen | None:
    """What came after a champion's data; None where nothing was ever ingested.

    A champion that was fitted on data of another place has seen none of it.
    """
    newest = DataStore(champion.system).latest()
    if newest is None:
        return None
    seen = _batches_seen(champion)
    return Unseen(newest, sum(batch.rows for batch in newest.batches[seen:]))


def split(found: Unseen, fields: Collection[str], newest: int, most_rows: int) -> Split:
    """Writes the files of a training; those of the same data are there already.

    Args:
        found: The data.
        fields: The columns that a model is asked by, which decide where a row goes: neither its
            label nor an identifier does.
        newest: Of so many rows, the last ones, some are kept for the comparison. What came before
            them may be of another time, of which nobody will ask again.
        most_rows: Of all rows the last so many are learned from.

    Raises:
        FileError: A batch is damaged.
    """
    store = DataStore(found.version.system)
    name = f"{found.version.number}-{found.rows}-{newest}-{most_rows}"
    folder = store.folder / SPLITS / name
    files = Split(folder / "train.parquet", folder / "fresh.parquet")
    if folder.is_dir():
        return files
    table = read_version(found.version.path)
    is_newest = table.index >= len(table) - min(found.rows, newest)
    hashes = row_hashes(table[[name for name in table if name in fields]])
    held = is_newest & (hashes % 10 < HELD_OUT)
    # A copy of an older row is nothing new: the champion or the challenger has learned from it.
    copied = np.isin(hashes[held], hashes[~is_newest])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as part:
        made = Path(part) / name
        made.mkdir()
        table[~held].tail(most_rows).to_parquet(made / files.train.name, index=False)
        fresh = table[held][~copied]
        fresh.to_parquet(made / files.fresh.name, index=False)
        facts: dict[str, Any] = {"version": found.version.number, "held_out": len(fresh)}
        write_json(made / FACTS, facts)
        if not folder.is_dir():
            shutil.move(made, folder)
    return files


def _batches_seen(champion: Version) -> int:
    """How many batches of the living data a champion was fitted on.

    Raises:
        FileError: It was fitted on living data that are not here: nobody knows what it has seen.
    """
    store = DataStore(champion.system)
    told = read_json(champion.folder.parent / "data.json", "source")["source"]["path"]
    path = store.where(Path(told or ""))
    if path.suffix == SUFFIX:
        return len(read_manifest(path).batches)
    if path.parent.parent.name != SPLITS:  # data of another place
        return 0
    number = read_json(path.with_name(FACTS), "version")["version"]
    return len(read_manifest(store.manifest(number)).batches)
