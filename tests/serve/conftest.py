"""A folder with trained models, and a server process over it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

import mlfolio
from mlfolio.serve.journal import Journal
from tests.conftest import Sample
from tests.postgres import free_port, running_postgres


class Server:
    """A running `mlfolio serve`, and a client of it."""

    def __init__(self, process: subprocess.Popen[str], url: str, runs: Path, log: IO[str]) -> None:
        self.process = process
        self._log = log
        self.url = url
        self.runs = runs
        self.client = httpx.Client(base_url=url, timeout=60)

    def predict(self, system: str, *rows: object) -> httpx.Response:
        return self.client.post(f"/v1/systems/{system}/predict", json={"inputs": list(rows)})

    def said(self) -> str:
        """What it has written so far."""
        self._log.seek(0)
        return self._log.read()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def titanic_alone(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Path:
    """A run of titanic on its sample, as quick as it goes."""
    (runs := tmp_path_factory.mktemp("alone") / "runs").mkdir()
    shutil.copy(database, runs / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(runs))
        mlfolio.run("titanic", data="sample", folds=2, inner_folds=2)
    return runs


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, titanic_alone: Path) -> Path:
    """The same, and a run of iris."""
    runs = Path(shutil.copytree(titanic_alone, tmp_path_factory.mktemp("trained") / "runs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(runs))
        mlfolio.run("iris", data="sample", repeats=1, folds=2)
    return runs


@contextmanager
def serving(
    runs: Path, *options: str, host: str = "127.0.0.1", pages: bool = False, **environment: str
) -> Iterator[Server]:
    """A server process that is ready, and gone afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "mlfolio", "serve", "--port", str(port), "--host", host]
    around = {**os.environ, "MLFOLIO_RUNS": str(runs), **environment}
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            [*command, "--pages" if pages else "--no-pages", *options], env=around, text=True,
            stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        server = Server(process, f"http://127.0.0.1:{port}", runs, said)
        try:
            until = time.monotonic() + 90
            while True:
                assert process.poll() is None, server.said()
                assert time.monotonic() < until, f"not ready in 90 s: {server.said()}"
                try:
                    if server.client.get("/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield server
        finally:
            server.client.close()
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its workers too


@contextmanager
def serving_sample(sample: Sample, folder: Path, *options: str) -> Iterator[Server]:
    """A server of one system, trained on its sample."""
    with serving(Path(shutil.copytree(sample.runs, folder / "runs")), *options) as server:
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


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of Debian's package, of our own, on a port of its own."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) + [
        Path(place).parent for place in filter(None, [shutil.which("initdb")])
    ]
    if not found:
        pytest.skip("there is no PostgreSQL here: apt-get install postgresql")
    with running_postgres(found[-1], tmp_path_factory.mktemp("postgres")) as url:
        yield url


def logged(url: str, system: str) -> list[dict[str, Any]]:
    """Everything that the log has of a system, read by somebody else."""

    async def main() -> list[dict[str, Any]]:
        journal = Journal(url)
        try:
            return journal.read(system, limit=9999)
        finally:
            await journal.close()

    return asyncio.run(main())
