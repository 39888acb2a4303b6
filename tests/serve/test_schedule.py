"""The loop again and again: beside a server, told to Prometheus, and on its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout

from mlfolio.monitor import story
from tests.deploy.test_prometheus import WATCHED
from tests.serve.conftest import Server, serving

pytestmark = pytest.mark.slow
SHORT = "0.1"  # minutes, the least
FIELDS = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def until(met: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end
        time.sleep(0.2)


def scrape(server: Server) -> set[str]:
    return set(server.client.get("/metrics").text.splitlines())


def looks(system: str) -> int:
    return sum(step.what == "looked" for step in story.steps(system))


@contextmanager
def watching(rules: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`mlfolio watch`, ended at last."""
    command = [sys.executable, "-m", "mlfolio", "watch", *words, "--policy", str(rules)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def is_watched(folder: Path) -> bool:
    """Whether a look at a system is under way."""
    try:
        with FileLock(folder / ".watch.lock", timeout=0):
            return False
    except Timeout:
        return True


def test_systems_are_watched_again_and_again(
    own_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFOLIO_RUNS", str(own_runs))
    story.tell("digits", "looked", kinds=["latency"], drifted=0, quality=0.875, measure="accuracy")
    story.tell("digits", "training")
    story.tell("digits", "failed", "the disk is full")
    (beside := tmp_path / "beside.yaml").write_text("iris:\n", "utf-8")
    (alone := tmp_path / "alone.yaml").write_text("titanic:\n", "utf-8")

    with (
        watching(alone, "--every", SHORT) as watch,
        serving(own_runs, "--watch", str(beside), "--watch-minutes", SHORT) as server,
    ):
        told = {line for line in scrape(server) if 'system="digits"' in line}
        assert {line.partition("{")[0] for line in told} == WATCHED
        assert told > {
            'mlfolio_live_quality{measure="accuracy",system="digits"} 0.875',
            'mlfolio_alarm{kind="latency",system="digits"} 1.0',
            'mlfolio_alarm{kind="input drift",system="digits"} 0.0',
            'mlfolio_retrainings_total{outcome="failed",system="digits"} 1.0',
            'mlfolio_retrainings_total{outcome="passed",system="digits"} 0.0',
        }
        large = np.random.default_rng(0).normal(20, 1, (120, 4)).tolist()
        flowers = [dict(zip(FIELDS, flower, strict=True)) for flower in large]
        assert server.predict("iris", *flowers).status_code == 200
        seen = {
            'mlfolio_alarm{kind="input drift",system="iris"} 1.0',
            'mlfolio_drifted_columns{system="iris"} 4.0',
        }
        until(lambda: seen < scrape(server))

        until(lambda: is_watched(own_runs / "iris"))
        assert server.stop() == 128 + signal.SIGTERM
        with pytest.raises(ProcessLookupError):  # the look has ended with the server
            os.killpg(server.process.pid, 0)
        assert "Traceback" not in server.said()

        until(lambda: looks("titanic") >= 2)
        assert watch.poll() is None
