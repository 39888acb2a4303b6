"""A PostgreSQL of our own, for tests that want a real one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_postgres(tools: Path, folder: Path) -> Iterator[str]:
    """The address of a server that runs, on a port of its own, and is gone afterwards.

    Args:
        tools: Where `initdb` and `pg_ctl` are.
        folder: Where it may write; as root, whom it refuses to run as, it is a folder of the
            user postgres instead.
    """
    port, drop = free_port(), list[str]()
    if os.geteuid() == 0:
        if shutil.which("runuser") is None:
            pytest.skip("PostgreSQL does not run as root, and there is no runuser")
        drop = ["runuser", "-u", "postgres", "--"]
        folder = Path(f"/tmp/mlfolio-postgres-{os.getpid()}-{port}")
        folder.mkdir()
        shutil.chown(folder, "postgres")
    data = str(folder / "data")

    def run(*command: str) -> None:
        subprocess.run([*drop, *command], check=True, capture_output=True, cwd="/")

    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        run(str(tools / "initdb"), "-D", data, "-A", "trust", "-U", "tester", "-E", "UTF8")
        run(str(tools / "pg_ctl"), "-D", data, "-w", "-o", options,
            "-l", str(folder / "log"), "start")  # fmt: skip
        yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        run(str(tools / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
