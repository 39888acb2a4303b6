"""Runs that learn from questions and are killed, crossed by another, or short of disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("lancedb")

import mlfolio
from mlfolio.core.run import status
from mlfolio.systems.documents.answers import DocumentAnswer
from tests.small_bert import small_bert

from .test_documents_ranking import CODES, fill

pytestmark = pytest.mark.slow
ASKED = "When does the glacier of hall 3 open?"
LEARNS = {"tuned": True}
# Says how it ended. Dies in a training, or finds that no file may be large.
PROGRAM = """
import json, os, resource, sys
import mlfolio
from mlfolio.core.errors import MlfolioError
from mlfolio.core.run import Run

data, bert, knobs, dies_in, most = sys.argv[1:]
log = Run.log

def dying(self, step, **metrics):
    log(self, step, **metrics)
    if step == 2 and f"{dies_in} loss" in metrics:
        os.kill(os.getpid(), 9)

Run.log = dying
if int(most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
try:
    knobs = {"chunk_tokens": 32, "threshold": 0, **json.loads(knobs)}
    done = mlfolio.run("documents", data=data, encoder=bert, say=print, **knobs)
except MlfolioError as error:
    sys.exit(f"{type(error).__name__}: {error}")
print("version", done.version)
"""


@dataclass(frozen=True)
class House:
    """Documents with questions to learn from, and a champion that has not learned from them."""

    runs: Path
    files: Path
    bert: Path

    def start(
        self, knobs: dict[str, object], dies_in: str = "", most: int = 0
    ) -> subprocess.Popen[str]:
        words = [self.files, self.bert, json.dumps(knobs), dies_in, most]
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "MLFOLIO_RUNS": str(self.runs)},
        )  # fmt: skip

    def run(
        self, knobs: dict[str, object], dies_in: str = "", most: int = 0
    ) -> tuple[int, str, str]:
        with self.start(knobs, dies_in, most) as process:
            said, wrong = process.communicate()
        return process.returncode, said, wrong

    def last(self) -> Path:
        """The folder of the last run."""
        return max((self.runs / "documents").iterdir(), key=lambda path: path.stat().st_ctime_ns)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, database: Path) -> House:
    folder = tmp_path_factory.mktemp("house")
    (folder / "runs").mkdir()
    shutil.copy(database, folder / "runs" / "mlflow.db")
    files = fill(folder / "files", 150, CODES, halls=16)
    made = House(folder / "runs", files, small_bert(folder / "bert"))
    code, said, wrong = made.run({"tuned": False})
    assert code == 0, wrong
    assert "version 1" in said
    return made


@pytest.fixture
def house(built: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    runs = shutil.copytree(built.runs, tmp_path / "runs")
    monkeypatch.setenv("MLFOLIO_RUNS", str(runs))
    return replace(built, runs=runs)


def champion() -> int:
    """The version that answers, after it has answered."""
    found = mlfolio.load("documents")
    answer = found.predict({"question": ASKED})
    assert isinstance(answer, DocumentAnswer)
    assert answer.sources
    assert found.version is not None
    return found.version


def test_a_run_that_is_killed_while_it_learns(house: House) -> None:
    code, _, _ = house.run(LEARNS, dies_in="encoder")

    killed = house.last()
    assert code == -signal.SIGKILL
    assert status(killed) == "interrupted"
    assert not (killed / "model").exists()
    assert champion() == 1

    code, said, wrong = house.run(LEARNS)
    assert code == 0, wrong
    assert f"going on with what {killed.name} has trained" in said
    assert "version 2" in said
    assert champion() in (1, 2)
    assert not list(house.last().glob(".index-*")), "what it worked with is gone"


def test_two_runs_that_learn_at_once(house: House) -> None:
    both = [house.start(LEARNS) for _ in range(2)]
    ended = [process.communicate() for process in both]

    assert [process.returncode for process in both] == [0, 0], ended
    assert {said.split()[-1] for said, _ in ended} == {"2", "3"}
    assert champion() in (1, 2, 3)


@pytest.mark.parametrize("most", [8_000, 100_000], ids=["index", "encoder"])
def test_a_disk_that_is_full_while_it_is_written_to(house: House, most: int) -> None:
    code, _, wrong = house.run({"tuned": True, "chunk_tokens": 33}, most=most)

    assert code == 1
    assert "FullDiskError: the run ended, for there is no room for it" in wrong, wrong
    assert "fix: make room" in wrong
    failed = house.last()
    assert status(failed) == "failed"
    assert not (failed / "model").exists()
    assert not list(failed.glob(".index-*"))
    assert champion() == 1
