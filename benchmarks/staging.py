"""What a version beside the champion costs, and how it goes: falsely, and where it is worse.

    python benchmarks/staging.py [--rounds 5] [--requests 200] [--canaries 2000]

The first table simulates canaries whose answers are judged, all of them, and looks at them as
`mlfolio serve` does: at 20, 40, 80, ... judged answers. The second is of one client that asks a
server of iris one row after the other, with nothing beside the champion, a shadow, and a canary of
10 %, in turn, so that all meet the same load of the machine; the time of the processor is the
server's, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import numpy as np
import psutil

import mlfolio
from mlfolio.monitor.live import ALPHA, FIRST_JUDGED, Stream, first_fall
from mlfolio.parts.stats import proportion_ci95
from mlfolio.track import releases

FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
WAYS = {"nothing": {}, "a shadow": {"shadow": True}, "a canary of 10 %": {"share": 0.1}}
WORSE = [(0.1, 0.1), (0.3, 0.3), (0.1, 0.15), (0.1, 0.2), (0.1, 0.3), (0.3, 0.5)]


@contextmanager
def serving() -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """A server of iris with a champion and a candidate: a client of it, and its process."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        os.environ["MLFOLIO_RUNS"] = folder
        for candidate in (False, True):
            mlfolio.run("iris", data="sample", repeats=1, folds=2, candidate=candidate)
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        probe.close()
        command = [sys.executable, "-m", "mlfolio", "serve", "iris", "--no-pages", "--port", port]
        with (
            subprocess.Popen(command, stderr=subprocess.DEVNULL) as process,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):
            try:
                for _ in range(600):
                    try:
                        if client.get("/ready").status_code == 200:
                            break
                    except httpx.TransportError:
                        time.sleep(0.2)
                yield client, psutil.Process(process.pid)
            finally:
                process.terminate()


def overhead(rounds: int, requests: int) -> None:
    """Prints how long answers take, in each way."""
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    worked = dict.fromkeys(WAYS, 0.0)
    with serving() as (client, process):
        for _ in range(rounds):
            for way, how in WAYS.items():
                releases.unstage("iris", "the next way")
                if how:
                    releases.stage("iris", 2, **how)  # type: ignore[arg-type]
                while (client.get("/v1/systems/iris").json()["tried"] is None) == bool(how):
                    time.sleep(0.1)
                time.sleep(1)  # what is loaded is loaded
                before = process.cpu_times()
                for _ in range(requests):
                    began = time.perf_counter()
                    client.post("/v1/systems/iris/predict", json={"inputs": [FLOWER]})
                    taken[way].append((time.perf_counter() - began) * 1000)
                time.sleep(0.5)  # a shadow may be at work still
                now = process.cpu_times()
                worked[way] += now.user + now.system - before.user - before.system
    print("\n| beside the champion | median ms | 95 % of answers within ms | CPU ms a request |")
    print("|---|---|---|---|")
    for way, times in taken.items():
        median, most = np.percentile(times, [50, 95])
        print(f"| {way} | {median:.1f} | {most:.1f} | {worked[way] / len(times) * 1000:.1f} |")


def simulated(canaries: int, judged: int = 2000, share: float = 0.1) -> None:
    """Prints how many of simulated canaries go, and at which look."""
    print(f"\n| wrong: champion | canary | gone of {canaries:,} | 95 % interval | median look |")
    print("|---|---|---|---|---|")
    for theirs, mine in WORSE:
        looks = []
        for seed in range(canaries):
            rng = np.random.default_rng(seed)
            n = int(judged * share)
            one = Stream.of(np.sort(rng.random(n)), (rng.random(n) < mine).astype(float))
            rest = judged - n
            other = Stream.of(np.sort(rng.random(rest)), (rng.random(rest) < theirs).astype(float))
            if fall := first_fall(one, other, FIRST_JUDGED, ALPHA / 2):
                looks.append(fall.mine.n)
        low, high = proportion_ci95(np.arange(canaries) < len(looks))
        when = f"{np.median(looks):.0f}" if looks else "–"
        gone = len(looks) / canaries
        print(f"| {theirs:.0%} | {mine:.0%} | {gone:.1%} | {low:.1%} to {high:.1%} | {when} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--canaries", type=int, default=2000)
    given = parser.parse_args()
    simulated(given.canaries)
    overhead(given.rounds, given.requests)
