"""Prometheus' own tools, and a Prometheus process."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.postgres import free_port

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NO_PROMETHEUS = "there is no Prometheus here: apt-get install prometheus"


@pytest.fixture(scope="session")
def promtool() -> str:
    """The tool that checks what Prometheus reads."""
    return _tool("promtool")


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(NO_PROMETHEUS)
    return found


class Prometheus:
    """A running Prometheus."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API."""
        reply = self._client.get(path, params=parameters)
        assert reply.status_code == 200, reply.text
        return reply.json()["data"]

    def ask(self, query: str) -> dict[str, float]:
        """The values of a query by system, or "" where there is no such label."""
        found = self.get("/query", query=query)["result"]
        return {each["metric"].get("system", ""): float(each["value"][1]) for each in found}

    def wait_for(self, query: str, seconds: float = 60) -> dict[str, float]:
        """The values of a query once it has some."""
        until = time.monotonic() + seconds
        while not (found := self.ask(query)):
            assert time.monotonic() < until, f"nothing for {query}: {self.get('/targets')}"
            time.sleep(0.5)
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = self.get("/alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@contextmanager
def scraping(target: str, key: str, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus with our rules that looks at a server each second, and waits for nothing.

    Args:
        target: Host and port of the server.
        key: What it is asked with.
        folder: Where it may write.
    """
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    job = config["scrape_configs"][0]
    job["static_configs"][0]["targets"] = [target]
    job["authorization"]["credentials_file"] = str(folder / "key")
    (folder / "key").write_text(key, "utf-8")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    rules = (DEPLOY / "prometheus" / "rules.yml").read_text("utf-8")
    (folder / "rules.yml").write_text(re.sub(r"\bfor: \w+", "for: 1s", rules), "utf-8")
    port = free_port()
    command = [
        _tool("prometheus"), f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            until = time.monotonic() + 60
            while True:
                assert process.poll() is None, (folder / "log").read_text("utf-8")
                assert time.monotonic() < until, "Prometheus is not ready in a minute"
                with suppress(httpx.TransportError):
                    if httpx.get(f"http://127.0.0.1:{port}/-/ready").status_code == 200:
                        break
                time.sleep(0.2)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30) as client:
                yield Prometheus(client)
        finally:
            process.terminate()
            process.wait(30)
