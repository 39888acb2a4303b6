"""Runs, trainings and answers on a cluster of two machines: what comes of them is as on one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from torch import Generator, Tensor, nn

import mlfolio
from mlfolio import bulk
from mlfolio.core.catalog import get_system
from mlfolio.core.errors import InputError, MlfolioError, UnknownNameError
from mlfolio.core.run import Run, status
from mlfolio.lifecycle import Result
from mlfolio.parts.cluster import Cluster, workers_on
from mlfolio.parts.torch.across import train_across
from mlfolio.parts.torch.training import Recipe, shuffled, train
from tests.conftest import Cli, SampleOf, quick

MEMORY = 100 * 2**20  # bytes that a machine keeps for what it is sent
pytestmark = [
    pytest.mark.xdist_group("cluster"),
    # Ray opens sockets and files that it leaves to the collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of itself
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of two machines with one core each, both of them this one."""
    ray = pytest.importorskip("ray.cluster_utils")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        started = ray.Cluster()
        for _ in range(2):
            add(started, 1)
        patch.setenv("RAY_ADDRESS", started.address)
        yield started
        started.shutdown()


def add(cluster: Any, cores: int) -> Any:
    """A machine more; Ray gives each half a minute to start, which a busy one may not keep."""
    facts = {"num_cpus": cores, "object_store_memory": MEMORY, "include_dashboard": False}
    for last in (False, False, True):
        try:
            return cluster.add_node(**facts)
        except Exception as error:
            if last or "timed out during startup" not in str(error):
                raise
            if cluster.head_node is None:
                cluster.shutdown()
    return None


def test_a_run_is_here_on_ray_or_at_an_address(cli: Cli) -> None:
    outcome = cli("run", "iris", "--on", "spark")
    assert outcome.code == 2
    assert "a run cannot be on 'spark'" in outcome.err
    assert "ray://HOST:PORT" in outcome.err
    assert "--on ray" in cli("run", "iris", "on=ray").err


def test_without_ray_the_extra_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    outcome = cli("run", "iris", "--on", "ray")
    assert outcome.code == 2
    assert "needs the extra 'ray'" in outcome.err


def place_of(seconds: float, item: int) -> tuple[int, int]:
    time.sleep(seconds)
    return item, os.getpid()


def refuse(item: int) -> int:
    if item == 2:
        raise UnknownNameError("column", "Aeg", ["Age", "Sex"])
    return item


@pytest.mark.slow
@pytest.mark.alone
def test_items_are_done_by_both_machines_in_their_order(machines: Any) -> None:
    with workers_on("ray") as workers:
        assert isinstance(workers, Cluster)
        assert len(workers.machines) == 2
        found = list(workers.map(partial(place_of, 0.3), range(8)))
    assert [item for item, _ in found] == list(range(8))
    assert len({process for _, process in found} - {os.getpid()}) >= 2


@pytest.mark.slow
@pytest.mark.alone
def test_errors_come_as_they_were_raised(machines: Any) -> None:
    with (
        workers_on("ray") as workers,
        pytest.raises(UnknownNameError, match="did you mean 'Age'") as caught,
    ):
        list(workers.map(refuse, range(4)))
    assert caught.value.message == "there is no column 'Aeg'"


@pytest.mark.slow
@pytest.mark.alone
def test_what_a_lost_machine_did_is_done_by_another(machines: Any) -> None:
    third = add(machines, 2)
    with workers_on("ray") as workers:
        doing = workers.map(partial(place_of, 1.0), range(8))
        first = next(doing)
        machines.remove_node(third, allow_graceful=False)
        assert [item for item, _ in (first, *doing)] == list(range(8))
        until = time.monotonic() + 60
        while sum(each["Resources"]["CPU"] for each in workers.machines) > 2:
            assert time.monotonic() < until, "Ray counts on a machine that is gone"
            time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("system", ["titanic", "house-prices"])
def test_a_run_is_the_same_to_the_last_bit(home: Path, machines: Any, system: str) -> None:
    knobs = {**quick(get_system(system)), "folds": 3}
    found = {}
    for on in ("local", "ray"):
        result = mlfolio.run(system, data="sample", register=False, on=on, **knobs)
        found[on] = (result.scores, *_said(result))
    assert found["local"] == found["ray"]


def _said(result: Result) -> list[str]:
    """What a run wrote down: each fold's metrics, and every table, but for how long it took."""
    lines = (result.folder / "log.jsonl").read_text("utf-8").splitlines()
    without_time = [line.split('"time"')[0] + line.split(",", 2)[2] for line in lines]
    tables = map(pd.read_csv, sorted((result.folder / "tables").glob("*.csv")))
    return [
        *without_time,
        *(t.drop(columns="fit seconds", errors="ignore").to_csv() for t in tables),
    ]


@pytest.mark.slow
@pytest.mark.alone
def test_an_interrupted_run_says_so_and_leaves_no_cluster(home: Path) -> None:
    command = [sys.executable, "-m", "mlfolio", "run", "house-prices", "--data", "sample"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*command, "--on", "ray"], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    lines = []
    while "evaluating" not in (line := process.stderr.readline()):
        lines.append(line)
        if "Ray did not start" in line:
            process.communicate()
            pytest.skip("Ray gives itself half a minute to start, and this machine is too busy")
        assert line, "".join(lines)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    (folder,) = (home / "runs" / "house-prices").iterdir()
    assert status(folder) == "interrupted"


POINTS = torch.randn(
    96, 4, generator=Generator().manual_seed(0)
).double()  # bfloat16 rounds coarsely


def make_net() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2)).double()


def training(net: nn.Module, folder: Path, workers: Any = None, rate: float = 0.02) -> Any:
    """Trains a net to tell points apart, and how that went; nothing in it is random."""
    labels = (POINTS.sum(dim=1) > 0).long()

    def loss(rows: Tensor, rng: Generator) -> Tensor:
        return nn.functional.cross_entropy(net(POINTS[rows]), labels[rows]) * (
            1 if rate < 1 else torch.nan
        )

    folder.mkdir()
    run = Run("toy", folder)
    if workers is None:
        return train(net, shuffled(96, 33, 0), loss, Recipe(6, rate), run)
    run.workers = workers
    return train_across(net, shuffled(96, 33, 0), loss, Recipe(6, rate), run)


@pytest.mark.slow
@pytest.mark.alone
def test_a_net_trained_on_two_machines_is_that_of_one(machines: Any, tmp_path: Path) -> None:
    """Up to the order in which gradients are added; shares are of 17 and 16 rows."""
    alone, shared = make_net(), make_net()
    history = training(alone, tmp_path / "alone")
    with workers_on("ray") as workers:
        other = training(shared, tmp_path / "shared", workers)
        with pytest.raises(MlfolioError, match="diverged"):
            training(make_net(), tmp_path / "diverged", workers, rate=1.0)

    assert history.losses[-1] < 0.6 * history.losses[0]
    np.testing.assert_allclose(other.losses, history.losses, rtol=1e-4)
    for one, two in zip(alone.parameters(), shared.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)
    assert "2 machines" in (tmp_path / "shared" / "exhibits.jsonl").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.alone
def test_files_are_answered_alike_here_and_on_a_cluster(
    machines: Any, sample_of: SampleOf, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFOLIO_RUNS", str(sample_of("titanic").runs))
    model = mlfolio.load("titanic").model
    rows = [row.model_dump(by_alias=True) for row in model.examples()] * 3_000
    _write(home / "rows.parquet", rows)
    with workers_on("ray") as workers:
        for name, who in (("here", None), ("there", workers)):
            told: list[int] = []
            target = home / f"{name}.parquet"
            assert bulk.answer_file(model, home / "rows.parquet", target, who, told.append) == 15000
            assert sum(told) == 15_000
        here, there = (pq.read_table(home / f"{name}.parquet") for name in ("here", "there"))
        assert here.equals(there)
        assert here["row"].to_pylist() == list(range(1, 15_001))

        rows[12_345] = {**rows[0], "Age": 1e200, "Fare": "much"}
        _write(home / "rows.parquet", [{k: str(v) for k, v in row.items()} for row in rows])
        with pytest.raises(InputError, match="row 12346, Fare") as refused:
            bulk.answer_file(model, home / "rows.parquet", home / "none.parquet", workers)
        with pytest.raises(InputError) as alike:
            bulk.answer_file(model, home / "rows.parquet", home / "none.parquet")
        assert refused.value.problems == alike.value.problems
    assert not list(home.glob("*none*"))


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa

    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7_000)
