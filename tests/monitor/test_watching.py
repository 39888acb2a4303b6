"""From a served system's log to an exit code."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlfolio.core.errors import NotTrainedError
from mlfolio.monitor.watching import look
from tests.conftest import Cli
from tests.serve.conftest import Server, serving, titanic_alone, trained

__all__ = ["titanic_alone", "trained"]


@pytest.fixture
def own_runs(trained: Path, tmp_path: Path) -> Path:
    """A copy of trained models, elsewhere than the command line's own."""
    leave = shutil.ignore_patterns("predictions.db*")
    return Path(shutil.copytree(trained, tmp_path / "watched", ignore=leave))


@pytest.fixture
def flowers(own_runs: Path) -> list[dict[str, float]]:
    """Flowers like those that iris learned from, and none of them."""
    (path,) = own_runs.glob("iris/*/reference.jsonl")
    seen = [json.loads(line)["input"] for line in path.read_text("utf-8").splitlines()]
    rng = np.random.default_rng(0)
    return [
        {name: round(max(0.1, cm + rng.normal(0, 0.05)), 2) for name, cm in flower.items()}
        for flower in rng.permutation(np.array(seen + seen[:50]))
    ]


@pytest.fixture
def asked(own_runs: Path, flowers: list[dict[str, float]]) -> Iterator[Server]:
    """A server that was asked of flowers like those, and told of some whether it was right."""
    with serving(own_runs) as server:
        answered = server.predict("iris", *flowers).json()["predictions"]
        for found in answered[:20]:
            said = {"id": found["id"], "answer": found["answer"]}
            assert server.client.post("/v1/systems/iris/feedback", json=said).status_code == 200
        yield server


def monitored(cli: Cli, runs: Path, monkeypatch: pytest.MonkeyPatch, *words: object) -> Any:
    monkeypatch.setenv("MLFOLIO_RUNS", str(runs))  # `cli` has its own
    return cli("monitor", *words)


@pytest.mark.slow
def test_a_served_system_is_watched_from_its_log(
    asked: Server, own_runs: Path, cli: Cli, flowers: list[dict[str, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asked.stop()  # the log is written
    quiet = monitored(cli, own_runs, monkeypatch, "iris")
    assert quiet.code == 0, quiet.out
    assert "no alarm" in quiet.out
    assert "200 answers" in quiet.out
    assert "20 answers are judged" in quiet.out

    wide = "petal_width"
    with serving(own_runs) as server:
        wider = [flower | {wide: flower[wide] + 1} for flower in flowers[:150]]
        assert server.predict("iris", *wider).status_code == 200
    loud = monitored(cli, own_runs, monkeypatch, "iris", "--last", 150, "--json")
    found = json.loads(loud.out)

    assert loud.code == 1
    assert ("input drift", wide) in {(a["kind"], a["column"]) for a in found["alarms"]}
    assert found["rows"] == 150
    assert found["live"]["judged"] == 20
    assert found["live"]["delay_median_s"] >= 0
    assert found["reference"] == "the run's reference"
    every = monitored(cli, own_runs, monkeypatch, "--last", 150)
    assert every.code == 1
    assert "too few rows" in every.out  # titanic, which nobody has asked
    assert "input drift" in every.out

    monkeypatch.setenv("MLFOLIO_RUNS", str(own_runs))
    next(own_runs.glob("iris/*/reference.jsonl")).unlink()
    first = look("iris")  # without a reference the first answers stand for it
    assert (first.reference, first.before, first.rows) == ("its first answers", 350, 0)
    assert "kept no reference" in first.notes[0]
    assert first.alarms == ()
    with sqlite3.connect(own_runs / "predictions.db") as database:
        database.execute("update predictions set tenant = 'ACME'")
    assert look("iris").rows == 0, "what tenants ask is left out"


def test_who_cannot_be_watched_is_told_why(cli: Cli) -> None:
    with pytest.raises(NotTrainedError):
        look("titanic")
    assert cli("monitor", "titanc").code == 2
    assert "titanic" in cli("monitor", "titanc").err
    assert cli("monitor", "titanic").code == 2
    assert "90m, 24h" in cli("monitor", "titanic", "--since", "soon").err
    assert cli("monitor", "--html", "x.html").code == 2
    nothing = cli("monitor")
    assert nothing.code == 0
    assert "nothing is served yet" in nothing.out
