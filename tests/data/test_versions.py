"""Versions of data: what is kept stays as it is, whatever comes later or goes wrong."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlfolio.core.errors import FileError, MlfolioError
from mlfolio.core.source import Source
from mlfolio.data.fingerprint import fingerprint, fingerprint_of_parts
from mlfolio.data.tables import read_table
from mlfolio.data.versions import DataStore, DataVersion, Staging


def text(frame: pd.DataFrame) -> pd.DataFrame:
    """As the cells of a CSV stand there."""
    return frame.astype(str).astype(object).where(frame.notna(), None)


def keep(frame: pd.DataFrame, source: str = "s", system: str = "iris") -> DataVersion:
    store = DataStore(system)
    with store.writing() as part:
        staged = Staging(part, list(frame), ())
        staged.add(text(frame))
        return store.add(staged, origin="a test", source=source, quarantined=0)


FLOWERS = pd.DataFrame({"size": [1.5, 2.25], "petals": [4, 5], "kind": ["a", "b"]})


def test_a_version_reads_like_the_csv_of_its_rows(home: Path) -> None:
    table = pd.DataFrame(
        {"whole": [1, 2, 3], "part": [0.1, None, 1e-7], "word": ["x", None, "y,z"],
         "truth": ["True", "False", "True"], "empty": [None, None, None],
         "excel": ["TRUE", "false", "True"], "unsure": ["TRUE", None, "FALSE"],
         "perhaps": ["TRUE", "maybe", "FALSE"], "mixed": ["1", "b", "2.5"],
         "long": ["12345678901234567890", "2", "3"], "zeros": ["0042", "7", "8"]}
    )  # fmt: skip
    table.to_csv("own.csv", index=False)
    kept = read_table(keep(table).path)
    kept = kept.where(kept.notna(), np.nan)  # missing is None or NaN
    ids = ["long", "zeros"]
    pd.testing.assert_frame_equal(
        kept.drop(columns=ids), read_table(Path("own.csv")).drop(columns=ids)
    )
    assert kept["excel"].to_list() == ["True", "False", "True"]
    assert kept["long"].iloc[0] == "12345678901234567890", "as a float it would be another id"
    assert kept["zeros"].to_list() == ["0042", "7", "8"], "and as a whole number too"


def test_later_batches_change_no_version(home: Path) -> None:
    first = keep(FLOWERS)
    before = first.path.read_bytes()
    second = keep(FLOWERS.assign(petals=["many", "few"], colour="red"), "t")
    assert (first.number, second.number, first.rows, second.rows) == (1, 2, 2, 4)
    assert first.path.read_bytes() == before
    assert len(read_table(first.path)) == 2
    both = read_table(second.path)
    assert both["petals"].to_list() == ["4", "5", "many", "few"], "text in one, text in all"
    assert both["colour"].to_list()[2:] == ["red", "red"]
    assert both["colour"].isna().sum() == 2
    assert DataStore("iris").latest() == second
    assert [v.number for v in DataStore("iris").versions()] == [1, 2]


def test_a_damaged_old_manifest_stops_nothing(home: Path) -> None:
    first = keep(FLOWERS)
    for number in range(2, 11):
        last = keep(FLOWERS.assign(petals=number), str(number))
    first.path.write_text("{}")
    assert DataStore("iris").latest() == last
    assert last.number == 10
    assert keep(FLOWERS.assign(petals=11), "11").rows == 22


def test_a_batch_has_the_fingerprint_of_its_rows(home: Path) -> None:
    version = keep(FLOWERS)
    assert version.batches[0].fingerprint == fingerprint(FLOWERS)
    assert fingerprint_of_parts([FLOWERS[:1], FLOWERS[1:]]) == fingerprint(FLOWERS)
    assert keep(FLOWERS[::-1], system="titanic").fingerprint != version.fingerprint


@pytest.mark.parametrize("what", ["a changed cell", "no file", "no Parquet"])
def test_a_batch_that_is_not_what_it_was_is_not_read(home: Path, what: str) -> None:
    version = keep(FLOWERS)
    path = DataStore("iris").folder / "batches" / version.batches[0].file
    if what == "a changed cell":
        FLOWERS.assign(size=[1.5, 2.5]).to_parquet(path)
    elif what == "no file":
        path.unlink()
    else:
        path.write_text("PAR1")
    with pytest.raises(FileError, match="bring the file back"):
        read_table(version.path)


def test_what_is_no_version_is_told(home: Path) -> None:
    (home / "my.version").write_text("{}")
    with pytest.raises(FileError, match=r"my\.version is no version of data"):
        read_table(home / "my.version")


def test_data_that_moved_with_the_runs_are_found(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = keep(FLOWERS).path
    train = version.parent / "splits" / "1-2" / "train.parquet"
    train.parent.mkdir(parents=True)
    FLOWERS.to_parquet(train)
    own = home / "own.csv"
    assert [DataStore("iris").where(path) for path in (version, train)] == [version, train]
    (home / "runs").rename(home / "moved")
    monkeypatch.setenv("MLFOLIO_RUNS", str(home / "moved"))
    store = DataStore("iris")
    assert store.where(version) == home / "moved" / "data" / "iris" / "iris-1.version"
    assert store.where(train) == store.folder / "splits" / "1-2" / "train.parquet"
    assert store.where(train).is_file()
    assert store.where(own) == own, "it was never in the store"


def test_a_system_trains_on_a_version(home: Path) -> None:
    import mlfolio

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=60), "y": rng.normal(size=60)}).round(3)
    table["species"] = np.where(table["x"] > 0, "a", "b")
    version = keep(table)
    table.to_csv("own.csv", index=False)
    result = mlfolio.run("iris", data=Source.own(version.path), repeats=1, register=False)
    other = mlfolio.run("iris", data="own.csv", repeats=1, register=False)
    assert result.fingerprint == other.fingerprint
    said = json.loads((result.folder / "data.json").read_text())
    assert (said["dataset"], said["source"]["path"]) == ("iris-1.version", str(version.path))


def _add(number: int) -> None:
    keep(FLOWERS.assign(petals=number), str(number))


def test_two_writers_at_once_lose_nothing(home: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_add, range(6))
    latest = DataStore("iris").latest()
    assert latest is not None
    assert (latest.number, latest.rows) == (6, 12)
    assert sorted(read_table(latest.path)["petals"].unique()) == list(range(6))


KILLED = """
import time, tests.data.test_versions as t
store = t.DataStore("iris")
with store.writing() as part:
    staged = t.Staging(part, list(t.FLOWERS), ())
    staged.add(t.text(t.FLOWERS))
    staged.finish(store.folder / "batches" / "0002.parquet")
    print("written", flush=True)
    time.sleep(60)
"""


def test_a_writer_that_is_killed_leaves_the_versions_of_before(home: Path) -> None:
    """Even with its batch in place: it is not in a version, and the next one takes its name."""
    first = keep(FLOWERS)
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, "-c", KILLED],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert DataStore("iris").latest() == first
    second = keep(FLOWERS.assign(petals=9), "t")
    assert len(read_table(second.path)) == 4
    assert not (DataStore("iris").folder / ".part").exists()


FULL = """
import resource, sys
import numpy as np, pandas as pd, tests.data.test_versions as t
from mlfolio.core.errors import MlfolioError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    t.keep(pd.DataFrame({"x": np.random.default_rng(0).normal(size=100_000)}), "big")
except MlfolioError as error:
    print(error.message)
"""


def test_a_full_disk_leaves_the_versions_of_before(home: Path) -> None:
    first = keep(FLOWERS)
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", FULL], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert "the batch could not be kept" in done.stdout, done.stderr
    folder = DataStore("iris").folder
    assert DataStore("iris").latest() == first
    assert [path.name for path in (folder / "batches").iterdir()] == ["0001.parquet"]
    assert not (folder / ".part").exists()


def test_a_folder_that_may_not_be_written_is_told(home: Path) -> None:
    (home / "runs" / "data").write_text("a file")
    with pytest.raises(MlfolioError, match="could not be kept"):
        keep(FLOWERS)
