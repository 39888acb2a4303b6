"""What a Ray cluster costs and gives: its start, a task, a megabyte, runs, trainings, large files.

    python benchmarks/many_machines.py                     everything
    python benchmarks/many_machines.py overhead titanic    some of it

The cluster has two machines of one core each, both of them this one, so it has as many cores as the
program has without it: what is measured is what the way there costs, not what more machines would
give. With RAY_ADDRESS it is the cluster of that name. The official data have to be there; titanic
and house-prices run with their defaults, digits with one epoch, and the file has a million rows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 1_000_000
TASKS = 1_000
MEGABYTES = 200
PARTS = ("overhead", "titanic", "house-prices", "digits", "file")


def main() -> None:
    """Measures each part here and on the cluster, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rows", type=int, default=ROWS)
    asked = parser.parse_args()
    print("| | here s | cluster s | here / cluster | what came of it |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, _two_machines():
        os.environ["MLFOLIO_RUNS"] = folder
        if "overhead" in asked.parts:
            _overhead()
        for system, knobs in {"titanic": {}, "house-prices": {}, "digits": {"epochs": 1}}.items():
            if system in asked.parts:
                _run(system, knobs)
        if "file" in asked.parts:
            _file(Path(folder), asked.rows)


@contextmanager
def _two_machines() -> Iterator[None]:
    """A cluster, unless there is one."""
    if "RAY_ADDRESS" in os.environ:
        yield
        return
    from ray.cluster_utils import Cluster

    memory = 500 * 2**20
    started = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1, "object_store_memory": memory, "include_dashboard": False,
        },
    )  # fmt: skip
    started.add_node(num_cpus=1, object_store_memory=memory)
    os.environ["RAY_ADDRESS"] = started.address
    try:
        yield
    finally:
        started.shutdown()


def _overhead() -> None:
    from mlfolio.parts.cluster import workers_on

    started = 0.0
    alone = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    for number, place in enumerate(("local", "ray")):
        program = f"from mlfolio.parts.cluster import workers_on\nwith workers_on('{place}'): pass"
        command = [sys.executable, "-c", program]
        found = _seconds(partial(subprocess.run, command, check=True, env=alone))
        started = found - started if number else found
    print(f"| to start Ray on one machine, and to end it | 0 | {started:.1f} | | |", flush=True)
    begun = time.perf_counter()
    with workers_on("ray") as workers:
        joined = time.perf_counter() - begun
        print(f"| to join a cluster | 0 | {joined:.1f} | | |", flush=True)
        first = _seconds(lambda: list(workers.map(abs, [1, 2])))
        print(f"| its first two tasks | 0 | {first:.1f} | | |", flush=True)
        each = _seconds(lambda: list(workers.map(abs, range(TASKS)))) / TASKS
        print(f"| a task | 0 | {each:.4f} | | |", flush=True)
        held = np.random.default_rng(0).random(MEGABYTES * 2**17)
        each = _seconds(lambda: list(workers.map(partial(_last, held), [0, 0]))) / MEGABYTES
        print(f"| a megabyte that two tasks need | 0 | {each:.4f} | | |", flush=True)


def _last(held: np.ndarray, item: int) -> float:
    time.sleep(0.5)  # so that each machine takes one
    return float(held[-1])


def _run(system: str, knobs: dict[str, Any]) -> None:
    import mlfolio

    seconds, scores = [], []
    for on in ("local", "ray"):
        begun = time.perf_counter()
        result = mlfolio.run(system, data="official", register=False, on=on, **knobs)
        seconds.append(time.perf_counter() - begun)
        scores.append(result.scores)
    same = "the same scores" if scores[0] == scores[1] else " and ".join(
        f"{each[0].name} {each[0].value:.4f}" for each in scores
    )  # fmt: skip
    _line(f"mlfolio run {system}", *seconds, same)


def _file(folder: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    import mlfolio
    from mlfolio.bulk import answer_file
    from mlfolio.parts.cluster import workers_on

    mlfolio.run("titanic", data="official", folds=2, inner_folds=2)
    model = mlfolio.load("titanic").model
    some = [row.model_dump(by_alias=True) for row in model.examples()]
    table = pa.Table.from_pylist([some[place % len(some)] for place in range(rows)])
    pq.write_table(table, folder / "rows.parquet", row_group_size=100_000)
    found = {}
    for on in ("local", "ray"):
        with workers_on(on) as workers:
            work = partial(
                answer_file, model, folder / "rows.parquet", folder / f"{on}.parquet", workers
            )
            found[on] = _seconds(work)
    here, there = (pq.read_table(folder / f"{on}.parquet") for on in found)
    rates = " and ".join(f"{rows / seconds:,.0f}" for seconds in found.values())
    said = f"{rates} rows/s, {'the same answers' if here.equals(there) else 'other answers'}"
    _line(f"mlfolio predict titanic, {rows:,} rows", *found.values(), said)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _line(what: str, here: float, cluster: float, said: str) -> None:
    print(f"| {what} | {here:.1f} | {cluster:.1f} | {here / cluster:.2f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
