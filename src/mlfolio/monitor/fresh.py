"""Labelled rows that a champion never saw: some for its challenger to learn from, some for both.

Which row goes where is told by the row itself, so the next training from the same data has the same
split, and copies of a row are never on both sides.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

from mlfolio.core.errors import FileError
from mlfolio.core.run import read_json, write_json
from mlfolio.data.fingerprint import row_hashes
from mlfolio.data.versions import SUFFIX, DataStore, DataVersion, read_manifest, read_version
from mlfolio.track.registry import Version

SPLITS, FACTS = "splits", "split.json"
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


def split(found: Unseen, target: str, newest: int, most_rows: int) -> Split:
    """Writes the files of a training; those of the same data are there already.

    Args:
        found: The data.
        target: The column to predict: it does not decide where a row goes.
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
    is_new = table.index >= len(table) - found.rows
    is_newest = table.index >= len(table) - min(found.rows, newest)
    digit = row_hashes(table.drop(columns=[target], errors="ignore")) % 10
    held = is_newest & (digit < HELD_OUT)
    # A copy of a row that the champion knows is nothing new to either.
    known = set(row_hashes(table[~is_new]).tolist())
    copied = [number in known for number in row_hashes(table[held]).tolist()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as part:
        made = Path(part) / name
        made.mkdir()
        table[~held].tail(most_rows).to_parquet(made / files.train.name, index=False)
        fresh = table[held][[not each for each in copied]]
        fresh.to_parquet(made / files.fresh.name, index=False)
        facts: dict[str, Any] = {"version": found.version.number, "held_out": len(fresh)}
        write_json(made / FACTS, facts)
        if not folder.is_dir():
            shutil.move(made, folder)
    return files


def _batches_seen(champion: Version) -> int:
    """How many batches of the living data a champion was fitted on."""
    try:
        path = read_json(champion.folder.parent / "data.json", "source")["source"]["path"]
        if path and Path(path).suffix == SUFFIX:
            return len(read_manifest(Path(path)).batches)
        facts = Path(path or "").with_name(FACTS)
        number = read_json(facts, "version")["version"]
    except (FileError, ValueError):
        return 0
    store = DataStore(champion.system)
    return next((len(v.batches) for v in store.versions() if v.number == number), 0)
