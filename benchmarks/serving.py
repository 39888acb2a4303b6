"""One-row answers over HTTP: `mlfolio serve` beside `mlflow models serve` of the same model.

    python benchmarks/serving.py [SYSTEM] [--seconds 10] [--connections 8] [--workers 1]

Needs wrk (Debian's package) and a champion of the system (default titanic). Both servers run one
after the other on this machine, each with one worker process and the same load: so many connections
that ask one row after the other, after two seconds of warming up. Ours validates, logs every
prediction into SQLite and counts metrics meanwhile; MLflow's does neither.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlfolio
from mlfolio.core.run import runs_folder


@contextmanager
def running(command: list[str], url: str, **environment: str) -> Iterator[None]:
    """A server process that answers at `url`, and is gone afterwards."""
    around = {**os.environ, **environment}
    with subprocess.Popen(
        command, env=around, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            wait_for(process, url)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def wait_for(process: subprocess.Popen[bytes], url: str) -> None:
    """Returns when the server answers.

    Raises:
        RuntimeError: It ends, or does not answer within two minutes.
    """
    for _ in range(1200):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


def load(url: str, body: Any, seconds: int, connections: int) -> dict[str, float]:
    """Requests a second, and milliseconds at the median and the 99th percentile, as wrk sees them.

    Raises:
        RuntimeError: Some requests failed.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
            f"wrk.body = [==[{json.dumps(body)}]==]\n"
        )
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", "--latency", "-s", script.name]
        subprocess.run([*command, "-d2s", url], capture_output=True, check=True)
        said = subprocess.run(
            [*command, f"-d{seconds}s", url], capture_output=True, text=True, check=True
        ).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    times = dict(re.findall(r"^\s+(50|99)%\s+([\d.]+\w+)", said, re.MULTILINE))
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert rate is not None
    return {"rate": float(rate.group(1)), "p50": _ms(times["50"]), "p99": _ms(times["99"])}


def _ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Runs both and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("system", nargs="?", default="titanic")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not here: apt-get install wrk")
    predictor = mlfolio.load(arguments.system)
    row = predictor.model.examples()[0].model_dump(mode="json", by_alias=True)
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    bin_folder = Path(sys.executable).parent
    load_options = (arguments.seconds, arguments.connections)
    found = {}
    serve = [sys.executable, "-m", "mlfolio", "serve", arguments.system, "--port", str(port),
             "--workers", str(arguments.workers), "--no-pages"]  # fmt: skip
    with running(serve, f"{base}/ready"):
        url = f"{base}/v1/systems/{arguments.system}/predict"
        found["mlfolio serve"] = load(url, {"inputs": [row]}, *load_options)
    time.sleep(3)
    peer = [str(bin_folder / "mlflow"), "models", "serve", "-m",
            f"models:/{arguments.system}@champion", "-p", str(port), "--env-manager", "local",
            "--workers", str(arguments.workers)]  # fmt: skip
    address = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{runs_folder() / 'mlflow.db'}")
    path = os.pathsep.join([str(bin_folder), os.environ["PATH"]])
    with running(peer, f"{base}/ping", MLFLOW_TRACKING_URI=address, PATH=path):
        body = {"dataframe_records": [row]}
        found["mlflow models serve"] = load(f"{base}/invocations", body, *load_options)
    print(f"{arguments.system}, {arguments.connections} connections, {arguments.workers} worker(s)")
    print(f"{'':22}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}")
    for name, said in found.items():
        print(f"{name:22}{said['rate']:12,.0f}{said['p50']:9.1f}{said['p99']:9.1f}")
    ratio = found["mlfolio serve"]["rate"] / found["mlflow models serve"]["rate"]
    print(f"{ratio:.1f} times the requests per second")


if __name__ == "__main__":
    main()
