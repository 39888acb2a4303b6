"""Releases: a history, the way back, and what a crash, a full disk or a lost server leave."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

import mlfolio
from mlfolio.core.errors import MlfolioError, UnknownNameError, UserError
from mlfolio.core.run import runs_folder, status
from mlfolio.track import connection, registry, releases
from mlfolio.track.history import Event, line
from tests.postgres import free_port
from tests.serve.conftest import serving

FLOWER = {"sepal_length": 5.0, "sepal_width": 3.4, "petal_length": 1.5, "petal_width": 0.2}
QUICK = {"repeats": 1, "folds": 2}
RUN = "import mlfolio; mlfolio.run('iris', data='sample', repeats=1, folds=2, candidate=True)"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Path:
    """Runs in which iris has a champion, 1, and two candidates."""
    (runs := tmp_path_factory.mktemp("three") / "runs").mkdir()
    shutil.copy(database, runs / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(runs))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for candidate in (False, True, True):
            mlfolio.run("iris", data="sample", candidate=candidate, **QUICK)
    return runs


@pytest.fixture
def runs(three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them."""
    copied = Path(shutil.copytree(three, tmp_path / "runs"))
    monkeypatch.setenv("MLFOLIO_RUNS", str(copied))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return copied


def champion() -> int | None:
    found = registry.champion("iris")
    return found.number if found else None


def story() -> list[tuple[str, int]]:
    return [(event.action, event.version) for event in releases.history_of("iris")]


def python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_a_candidate_is_never_champion_by_itself(runs: Path) -> None:
    assert champion() == 1
    assert releases.challenger("iris").number == 3  # type: ignore[union-attr]
    assert story() == [("run", 1)]


def test_there_is_a_way_back_and_it_ends(runs: Path) -> None:
    releases.promote("iris", 2, "better")
    releases.promote("iris", 3, "better still")
    assert releases.challenger("iris") is None
    assert releases.rollback("iris", "it sulks").number == 2
    assert releases.rollback("iris", "so does this").number == 1
    with pytest.raises(UserError, match="no champion before version 1"):
        releases.rollback("iris", "and now?")

    assert mlfolio.load("iris").version == 1
    assert story() == [("run", 1), ("release", 2), ("release", 3), ("rollback", 2), ("rollback", 1)]
    last = releases.history_of("iris")[-1]
    assert (last.before, last.reason) == (2, "so does this")
    assert last.time == pytest.approx(time.time(), abs=300)


def test_what_was_gone_back_from_is_not_gone_back_to() -> None:
    def events(*steps: tuple[str, int, int | None]) -> list[Event]:
        return [Event(action=a, version=v, before=b, reason="") for a, v, b in steps]  # type: ignore[arg-type]

    assert line(events(("run", 1, None), ("release", 2, 1), ("rollback", 1, 2))) == [1]
    assert line(
        events(("run", 1, None), ("release", 2, 1), ("rollback", 1, 2), ("release", 3, 1))
    ) == [1, 3]
    assert line(events(("release", 5, 4), ("stage", 6, 5))) == [4, 5], "a champion of before"


def test_a_registry_without_history_has_one_from_now_on(runs: Path) -> None:
    with connection.open_client() as client:
        for tag in client.get_registered_model("iris").tags:
            client.delete_registered_model_tag("iris", tag)
    (known,) = releases.history_of("iris")
    assert (known.version, known.time) == (1, None)
    releases.promote("iris", 2, "better")
    assert releases.rollback("iris", "worse").number == 1


def test_an_alias_that_somebody_else_has_set_counts(runs: Path) -> None:
    with connection.open_client() as client:
        client.set_registered_model_alias("iris", "champion", "3")
    assert story() == [("run", 1), ("release", 3)]
    assert releases.rollback("iris", "by hand, too").number == 1


def test_a_rollback_goes_to_another_version_than_that_which_is(runs: Path) -> None:
    releases.promote("iris", 2, "better")
    releases.promote("iris", 1, "better after all")
    shutil.rmtree(registry.version("iris", 2).folder.parent)
    with connection.open_client() as client:
        client.delete_model_version("iris", "2")
    with pytest.raises(UserError, match="no champion before version 1"):
        releases.rollback("iris", "by hand")


def test_a_former_champion_that_is_gone_is_passed_over(runs: Path) -> None:
    releases.promote("iris", 2, "better")
    releases.promote("iris", 3, "better still")
    shutil.rmtree(registry.version("iris", 2).folder.parent)
    with connection.open_client() as client:
        client.delete_model_version("iris", "2")
    assert releases.rollback("iris", "it sulks").number == 1
    assert "past version 2" in releases.history_of("iris")[-1].reason


def test_what_is_tried_ends_with_its_champion(runs: Path) -> None:
    releases.stage("iris", 2, share=0.1)
    releases.stage("iris", 3, shadow=True)
    assert str(releases.staged("iris")) == "version 3 as a shadow"
    assert not releases.unstage("iris", "of another", 2)
    releases.promote("iris", 2, "better")
    assert releases.staged("iris") is None
    releases.stage("iris", 3, share=0.25)
    releases.promote("iris", 3, "it did well")
    assert releases.staged("iris") is None
    assert not releases.unstage("iris", "it is champion")


def test_wrong_wishes_are_explained(runs: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no iris version '9'\n.*1, 2, 3"):
        releases.promote("iris", 9, "")
    with pytest.raises(UserError, match="is the champion already"):
        releases.promote("iris", 1, "")
    with pytest.raises(UserError, match="is the champion already"):
        releases.stage("iris", 1, shadow=True)
    for share in (0.0, 1.0, -0.1, 7.0):
        with pytest.raises(UserError, match="above 0 and below 1"):
            releases.stage("iris", 2, share=share)
    with pytest.raises(UserError, match="above 0 and below 1"):
        releases.stage("iris", 2, share=0.1, shadow=True)


def test_what_is_gone_is_not_released(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    def fail(*args: object, **facts: object) -> None:
        raise OSError("no such file")

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", fail)
    shutil.rmtree(registry.version("iris", 3).folder.parent)
    with pytest.raises(MlfolioError, match="version 3 is gone"):
        releases.promote("iris", 3, "")
    with pytest.raises(MlfolioError, match="version 3 is gone"):
        releases.stage("iris", 3, shadow=True)
    assert champion() == 1


@pytest.mark.slow
def test_two_candidates_at_once_are_both_challengers(runs: Path) -> None:
    both = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", RUN]) for _ in range(2)]
    assert [one.wait(900) for one in both] == [0, 0]
    assert champion() == 1
    assert releases.challenger("iris").number == 5  # type: ignore[union-attr]
    assert {registry.version("iris", number).number for number in (4, 5)} == {4, 5}


@pytest.mark.slow
@pytest.mark.parametrize("place", ["fit", "save_model", "create_model_version"])
def test_a_retraining_that_is_killed_leaves_the_champion(runs: Path, place: str) -> None:
    """While it fits, while its files go to MLflow, while it is registered."""
    whose = {
        "fit": "from mlfolio.systems.iris.system import Iris as owner",
        "save_model": "import mlfolio.track.loader as owner",
        "create_model_version": "from mlflow import MlflowClient as owner",
    }[place]
    kill = "lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)"
    program = f"import os, signal\n{whose}\nowner.{place} = {kill}\n{RUN}"

    assert python(program).returncode == -signal.SIGKILL

    assert champion() == 1
    assert mlfolio.load("iris").predict(FLOWER).answer == "setosa"
    newest = max((runs / "iris").iterdir(), key=lambda folder: folder.stat().st_mtime)
    assert status(newest) == ("interrupted" if place == "fit" else "done")
    after = mlfolio.run("iris", data="sample", candidate=True, **QUICK)  # no lock is left behind
    assert after.version == releases.challenger("iris").number  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_release_that_is_killed_has_not_happened(runs: Path) -> None:
    program = (
        "import os, signal\nfrom mlflow import MlflowClient\n"
        "MlflowClient.set_registered_model_alias = "
        "lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from mlfolio.track import releases\nreleases.promote('iris', 2, 'lost')"
    )
    assert python(program).returncode == -signal.SIGKILL

    assert champion() == 1
    assert story() == [("run", 1)], "what was written of it does not count"
    releases.promote("iris", 3, "better")
    assert story() == [("run", 1), ("release", 3)], "and the next takes its place"
    assert releases.rollback("iris", "worse").number == 1


@pytest.mark.slow
def test_a_full_disk_leaves_the_champion(runs: Path) -> None:
    """No file may be written beyond its first bytes: not even SQLite's journal."""
    limit = 1000
    program = (
        "import resource, signal\nfrom mlfolio.track import releases\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "releases.promote('iris', 2, 'x' * 2000)"
    )
    done = python(program)

    assert done.returncode != 0
    assert "cannot be used" in done.stderr
    assert champion() == 1
    assert story() == [("run", 1)]
    releases.promote("iris", 2, "there is room again")
    assert champion() == 2


@contextmanager
def tracking(folder: Path) -> Iterator[tuple[str, int]]:
    """A tracking server of MLflow's own: its address, and its group of processes."""
    port = free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'server.db'}",
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            until = time.monotonic() + 180
            while True:
                assert process.poll() is None
                assert time.monotonic() < until
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_tracking_server_keeps_the_history_and_may_vanish(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "server").mkdir()
    with tracking(home / "server") as (url, group):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        for candidate in (False, True):
            mlfolio.run("iris", data="sample", candidate=candidate, **QUICK)
        releases.promote("iris", 2, "better")
        releases.rollback("iris", "worse")
        releases.stage("iris", 2, share=0.5)
        assert story() == [("run", 1), ("release", 2), ("rollback", 1), ("stage", 2)]
        with serving(runs_folder(), "iris") as server:
            os.killpg(group, signal.SIGKILL)
            end = time.monotonic() + 15  # beyond two looks of the fleet
            versions = set()
            while time.monotonic() < end:
                reply = server.predict("iris", FLOWER)
                assert reply.status_code == 200
                versions.add(reply.json()["version"])
                time.sleep(0.2)
            assert versions == {1, 2}
            with pytest.raises(MlfolioError, match="cannot be used"):
                releases.rollback("iris", "nobody hears it")
            assert server.predict("iris", FLOWER).status_code == 200
