"""A folder with trained models, and a server process over it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import mlfolio


class Server:
    """A running `mlfolio serve`, and a client of it."""

    def __init__(self, process: subprocess.Popen[str], url: str, runs: Path) -> None:
        self.process = process
        self.url = url
        self.runs = runs
        self.client = httpx.Client(base_url=url, timeout=60)

    def predict(self, system: str, *rows: object) -> httpx.Response:
        return self.client.post(f"/v1/systems/{system}/predict", json={"inputs": list(rows)})

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


Serve = Callable[..., Server]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Path:
    """Runs of iris and titanic on their samples, as quick as they go."""
    runs = tmp_path_factory.mktemp("trained") / "runs"
    runs.mkdir()
    shutil.copy(database, runs / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(runs))
        mlfolio.run("iris", data="sample", repeats=1, folds=2)
        mlfolio.run("titanic", data="sample", folds=2, inner_folds=2)
    return runs


@contextmanager
def serving(
    runs: Path, *options: str, host: str = "127.0.0.1", pages: bool = False, **environment: str
) -> Iterator[Server]:
    """A server process that is ready, and gone afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "mlfolio", "serve", "--port", str(port), "--host", host]
    around = {**os.environ, "MLFOLIO_RUNS": str(runs), **environment}
    with subprocess.Popen(
        [*command, "--pages" if pages else "--no-pages", *options], env=around, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        server = Server(process, f"http://127.0.0.1:{port}", runs)
        try:
            until = time.monotonic() + 90
            while True:
                assert process.poll() is None, process.stdout.read() if process.stdout else ""
                assert time.monotonic() < until, "the server was not ready in 90 s"
                try:
                    if server.client.get("/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield server
        finally:
            server.client.close()
            process.kill()


@contextmanager
def serving_sample(system: str, folder: Path, database: Path, *options: str) -> Iterator[Server]:
    """A server of one system, trained on its sample."""
    runs = folder / "runs"
    runs.mkdir()
    shutil.copy(database, runs / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(runs))
        mlfolio.run(system, data="sample")
    with serving(runs, *options) as server:
        yield server


@pytest.fixture(scope="session")
def server(trained: Path) -> Iterator[Server]:
    """One server that tests share which leave it as it was."""
    with serving(trained) as running:
        yield running


@pytest.fixture
def own_runs(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained models that a test may change."""
    leave = shutil.ignore_patterns("predictions.db*", "keys.json")
    return Path(shutil.copytree(trained, tmp_path / "runs", ignore=leave))
