"""From a served system's log to an exit code."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlfolio.core.errors import NotTrainedError
from mlfolio.monitor.watching import look
from mlfolio.systems.titanic.data import generate
from tests.conftest import Cli
from tests.serve.conftest import Server, serving, titanic_alone, trained

__all__ = ["titanic_alone", "trained"]


@pytest.fixture
def own_runs(trained: Path, tmp_path: Path) -> Path:
    """A copy of trained models, elsewhere than the command line's own."""
    leave = shutil.ignore_patterns("predictions.db*")
    return Path(shutil.copytree(trained, tmp_path / "watched", ignore=leave))


@pytest.fixture
def passengers(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Passengers like those that titanic learned from, and none of them."""
    monkeypatch.setenv("MLFOLIO_RUNS", str(own_runs))
    (path,) = own_runs.glob("titanic/*/reference.jsonl")
    fields = json.loads(path.read_text("utf-8").partition("\n")[0])["input"]
    table = generate(400, seed=7)[list(fields)].sample(200, random_state=0).astype(object)
    return table.where(table.notna(), None).to_dict("records")


@pytest.fixture
def asked(own_runs: Path, passengers: list[dict[str, Any]]) -> Iterator[Server]:
    """A server that was asked of passengers like those, and told of some whether it was right."""
    with serving(own_runs) as server:
        answered = server.predict("titanic", *passengers[:200]).json()["predictions"]
        for found in answered[:20]:
            said = {"id": found["id"], "answer": found["answer"]}
            assert server.client.post("/v1/systems/titanic/feedback", json=said).status_code == 200
        yield server


def monitored(cli: Cli, runs: Path, monkeypatch: pytest.MonkeyPatch, *words: object) -> Any:
    monkeypatch.setenv("MLFOLIO_RUNS", str(runs))  # `cli` has its own
    return cli("monitor", *words)


@pytest.mark.slow
def test_a_served_system_is_watched_from_its_log(
    asked: Server, own_runs: Path, cli: Cli, passengers: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asked.stop()  # the log is written
    quiet = monitored(cli, own_runs, monkeypatch, "titanic")
    assert quiet.code == 0, quiet.out
    assert "no alarm" in quiet.out
    assert "200 answers" in quiet.out
    assert "20 answers are judged" in quiet.out

    with serving(own_runs) as server:
        older = [row | {"Age": 70.0 + at % 9} for at, row in enumerate(passengers[:150])]
        assert server.predict("titanic", *older).status_code == 200
    loud = monitored(cli, own_runs, monkeypatch, "titanic", "--last", 150, "--json")
    found = json.loads(loud.out)

    assert loud.code == 1
    assert ("input drift", "Age") in {(a["kind"], a["column"]) for a in found["alarms"]}
    assert found["rows"] == 150
    assert found["live"]["judged"] == 20
    assert found["live"]["delay_median_s"] >= 0
    assert found["reference"] == "the run's reference"
    every = monitored(cli, own_runs, monkeypatch, "--last", 150)
    assert every.code == 1
    assert "too few rows" in every.out  # iris, which nobody has asked
    assert "input drift" in every.out

    monkeypatch.setenv("MLFOLIO_RUNS", str(own_runs))
    with sqlite3.connect(own_runs / "predictions.db") as database:
        database.execute("update predictions set tenant = 'ACME'")
    assert look("titanic").rows == 0, "what tenants ask is left out"


@pytest.mark.slow
def test_without_a_reference_the_first_answers_stand_for_it(asked: Server, own_runs: Path) -> None:
    asked.stop()
    (path,) = own_runs.glob("titanic/*/reference.jsonl")
    path.unlink()
    found = look("titanic")
    assert (found.reference, found.before, found.rows) == ("its first answers", 200, 0)
    assert "kept no reference" in found.notes[0]
    assert found.alarms == ()


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
