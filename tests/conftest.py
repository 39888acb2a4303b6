"""What tests share: a place for runs that is nobody else's, and the command line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
from filelock import FileLock

TESTS = Path(__file__).parent
ALONE = ("docs", "test_scaffold.py")  # tests of minutes that share nothing: they are begun first
TOGETHER = ("serve", "systems")  # a file's tests share its models and servers
REPEATED = ("folds", "inner_folds", "repeats", "resamples", "epochs")

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("untimed")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does; see there
if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker has its share of the cores: more processes and threads get in each other's way.
    _cores = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    for _name in ("LOKY_MAX_CPU_COUNT", "OMP_NUM_THREADS"):
        os.environ.setdefault(_name, str(max(1, _cores)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sends tests that share a model or a server to one worker (`--dist loadgroup`)."""
    for item in items:
        place = item.path.relative_to(TESTS).parts
        if "fitted" in getattr(item, "fixturenames", ()):
            group = item.callspec.params["fitted"]  # type: ignore[attr-defined]
        elif place[0] == "browser":
            group = "browser"  # one site for all
        elif place[0] in TOGETHER:
            group = place[-1]
        else:
            continue
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.path.relative_to(TESTS).parts[0] not in ALONE)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Some versions of pytest and xdist do not go together: nothing is grouped, all is slower."""
    grouped = [item for item in session.items if item.get_closest_marker("xdist_group")]
    if getattr(session.config.option, "loadgroup", False) and grouped:
        assert "@" in grouped[0].nodeid, "this pytest-xdist does not group tests under this pytest"


def quick(kind: Any) -> dict[str, int]:
    """A system's knobs that say how often something is done again, at the least they allow.

    What a run takes its minutes for; what it does is the same. With its defaults each system is
    run once, by `sample_of`.
    """
    return {
        name: next(bound.ge for bound in field.metadata if hasattr(bound, "ge"))
        for name, field in kind.model_fields.items()
        if name in REPEATED
    }


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database with nothing in it: making one takes MLflow seconds."""
    from mlfolio.track import connection

    folder = tmp_path_factory.mktemp("database")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with connection.open_client() as client:
            client.search_experiments()
    return folder / "mlflow.db"


class Sample(NamedTuple):
    """A run of a system on its sample with its defaults.

    Attributes:
        runs: The folder of runs, with its registry. Whoever would change it takes a copy.
        result: What the run ended with.
    """

    runs: Path
    result: Any


SampleOf = Callable[[str], Sample]


@pytest.fixture(scope="session")
def sample_of(tmp_path_factory: pytest.TempPathFactory, database: Path) -> SampleOf:
    """Runs systems on their samples, each once for all workers."""
    import mlfolio
    from mlfolio.lifecycle import Result

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "samples"
    folder.mkdir(exist_ok=True)

    def get(system: str) -> Sample:
        runs, said = folder / system, folder / f"{system}.json"
        with FileLock(folder / f"{system}.lock"):
            if not said.exists():
                shutil.rmtree(runs, ignore_errors=True)
                runs.mkdir()
                shutil.copy(database, runs / "mlflow.db")
                with pytest.MonkeyPatch.context() as patch:
                    patch.setenv("MLFOLIO_RUNS", str(runs))
                    patch.setenv("MLFOLIO_DATA", str(folder / "none"))
                    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
                    said.write_text(mlfolio.run(system, data="sample").model_dump_json(), "utf-8")
        return Sample(runs, Result.model_validate_json(said.read_text("utf-8")))

    return get


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Path) -> Path:
    """An empty working folder with its own runs and no official data."""
    (tmp_path / "runs").mkdir()
    shutil.copy(database, tmp_path / "runs" / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFOLIO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MLFOLIO_DATA", str(tmp_path / "data"))
    for name in ("MLFLOW_TRACKING_URI", "MLFOLIO_LLM"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def cli(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs `mlfolio ...` in this process, in the folder `home`."""
    from mlfolio.cli import main

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["mlfolio", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Outcome(code, *capsys.readouterr())

    return call
