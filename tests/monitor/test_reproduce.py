"""A run made again is the same bit for bit, or it is said what is not.

That each system's is, is in the contract.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mlfolio
from mlfolio.core.errors import UnknownNameError, UserError
from mlfolio.core.run import write_json
from mlfolio.data.versions import DataStore
from mlfolio.monitor.ingest import ingest
from mlfolio.monitor.reproduce import reproduce
from mlfolio.systems.titanic.data import generate
from tests.conftest import Cli


@pytest.fixture(scope="module")
def iris_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs' folder in which iris has run once."""
    folder = tmp_path_factory.mktemp("once") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(folder))
        mlfolio.run("iris", repeats=1, folds=2, neighbors=5, seed=3, register=False)
    return folder


@pytest.fixture
def run(home: Path, iris_runs: Path) -> Path:
    """The folder of a run of iris."""
    shutil.copytree(iris_runs, home / "runs", dirs_exist_ok=True)
    (folder,) = (home / "runs" / "iris").iterdir()
    return folder


@pytest.mark.slow
def test_a_run_is_made_again_bit_for_bit(run: Path, cli: Cli) -> None:
    outcome = cli("reproduce", f"iris/{run.name}")
    assert outcome.code == 0, outcome.out
    assert "bit for bit the same" in outcome.out
    found = json.loads(cli("reproduce", run, "--json").out)
    assert cli("reproduce", "iris").code == 0, "the latest run"
    assert (found["same"], found["files"], found["models"]) == (True, 3, [])
    again = json.loads((Path(found["again"]) / "scores.json").read_text())
    assert (again["seed"], again["knobs"]["neighbors"], again["version"]) == (3, 5, None)


def test_what_differs_is_named(run: Path, cli: Cli) -> None:
    path = run / "model" / "model.json"
    path.write_text(path.read_text() + " ")
    (run / "model" / "old.txt").write_text("")
    told = json.loads((run / "scores.json").read_text())
    told["scores"][0]["value"] -= 1e-12
    write_json(run / "scores.json", told)
    facts = json.loads((run / "environment.json").read_text())
    facts["packages"]["numpy"] = "1.0"
    facts["cpu"] = "an abacus"
    write_json(run / "environment.json", facts)
    outcome = cli("reproduce", f"iris/{run.name}")
    assert outcome.code == 1
    for words in ("not the same", "model.json differs", "old.txt is missing now", "accuracy: 0.",
                  "numpy: 1.0 then", "cpu: an abacus then"):  # fmt: skip
        assert words in outcome.out
    assert "hold-out" not in outcome.out


@pytest.mark.slow
def test_other_data_are_told_before_hours_are_spent(home: Path) -> None:
    ship = generate(200, seed=1)
    ship.to_csv(home / "own.csv", index=False)
    result = mlfolio.run("titanic", data="own.csv", folds=2, inner_folds=2, register=False)
    ship.head(190).to_csv(home / "own.csv", index=False)
    found = reproduce(f"titanic/{result.run}")
    assert not found.same
    assert found.again is None
    assert "train: 200 rows then, 190 now" in found.data


@pytest.mark.slow
def test_a_version_of_data_makes_its_run_again_after_later_batches(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the runs' folder was moved."""
    generate(200, seed=1).to_csv(home / "first.csv", index=False)
    (first,) = ingest("titanic", "first.csv")
    assert first.version is not None
    result = mlfolio.run("titanic", data=first.version.path, folds=2, inner_folds=2, register=False)
    generate(100, seed=2).assign(PassengerId=range(901, 1001)).to_csv("second.csv", index=False)
    (second,) = ingest("titanic", "second.csv")
    assert second.version is not None
    assert second.version.number == 2
    (home / "runs").rename(home / "moved")
    monkeypatch.setenv("MLFOLIO_RUNS", str(home / "moved"))
    assert DataStore("titanic").latest() is not None
    found = reproduce(f"titanic/{result.run}")
    assert found.same, found


def test_a_run_of_the_loop_is_made_again_after_the_runs_moved(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=60), "y": rng.normal(size=60)}).round(3)
    table["species"] = np.where(table["x"] > 0, "a", "b")
    train = DataStore("iris").folder / "splits" / "2-60" / "train.parquet"
    train.parent.mkdir(parents=True)
    table.to_parquet(train)
    result = mlfolio.run("iris", data=train, repeats=1, folds=2, register=False)
    (home / "runs").rename(home / "moved")
    monkeypatch.setenv("MLFOLIO_RUNS", str(home / "moved"))
    found = reproduce(f"iris/{result.run}")
    assert found.same, found


def test_a_run_that_is_none_is_told(run: Path) -> None:
    with pytest.raises(UnknownNameError, match="there is no run"):
        reproduce("iris/2020-01-01T00-00-00")
    with pytest.raises(UnknownNameError, match="there is no run"):
        reproduce("nothing")
    facts = json.loads((run / "run.json").read_text()) | {"status": "failed"}
    write_json(run / "run.json", facts)
    with pytest.raises(UserError, match="failed"):
        reproduce(run)
