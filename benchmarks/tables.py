"""A table's system beside FLAML, an AutoML library, on the same folds in the same run.

    python -m venv PEER && PEER/bin/pip install "flaml[automl]"
    python benchmarks/tables.py house-prices PEER/bin/python
    python benchmarks/tables.py titanic PEER/bin/python --folds 5 --seconds 60

Each fold's training part is fitted by both, from the same raw columns, and its test part answered
by both: ours in this process with one thread, as `mlfolio run` does, FLAML in its own environment
with two threads and so many seconds a fold. Prices are learned and measured in logarithms by both.
The official data have to be there. Prints scores, seconds, and their ratios. On a machine that
others use too compare CPU seconds; FLAML then gets through less in its time, which says how much it
is to be given.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def main() -> None:
    """Runs both on every fold and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("system", choices=("house-prices", "titanic"))
    parser.add_argument("python", help="the peer's")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # the CPU time of workers that live on is not told
    from mlfolio.core.catalog import get_system
    from mlfolio.core.source import OFFICIAL
    from mlfolio.data.splits import folds
    from mlfolio.parts.tabular.schema import Schema

    data = get_system(asked.system)().load(OFFICIAL)
    rows, prices = Schema.learn(data.X).conform(data.X), asked.system == "house-prices"
    truth = np.log(data.y.to_numpy()) if prices else data.y.to_numpy()
    classes = np.zeros(len(rows)) if prices else truth
    answers = {name: np.zeros(len(rows)) for name in ("mlfolio", "FLAML")}
    wall, cpu = dict.fromkeys(answers, 0.0), dict.fromkeys(answers, 0.0)
    for number, (train, test) in enumerate(folds(rows, classes, asked.folds, asked.seed), 1):
        part = (rows.iloc[train], truth[train], rows.iloc[test])
        task = "regression" if prices else "classification"
        for name, found in {
            "mlfolio": _timed(_price if prices else _fate, part, asked.seed),
            "FLAML": _ask_peer(asked.python, part, task, asked),
        }.items():
            answers[name][test] = found["answers"]
            wall[name] += found["wall"]
            cpu[name] += found["cpu"]
        print(f"fold {number} of {asked.folds}: {found['model']}", file=sys.stderr, flush=True)
    _report(answers, truth, wall, cpu, prices)


def _timed(fit: Callable[..., Any], part: Any, seed: int) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), _cpu()
    answers = fit(*part, seed)
    return {"answers": answers, "wall": time.perf_counter() - wall, "cpu": _cpu() - cpu}


def _cpu() -> float:
    """CPU seconds of this process and of those that it started and that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _price(X: pd.DataFrame, y: Any, unseen: pd.DataFrame, seed: int) -> Any:
    from threadpoolctl import threadpool_limits

    from mlfolio.systems.house_prices.blend import Blend

    with threadpool_limits(1):
        return np.log(Blend(5, seed + 1000).fit(X, np.exp(y)).predict(unseen))


def _fate(X: pd.DataFrame, y: Any, unseen: pd.DataFrame, seed: int) -> Any:
    from threadpoolctl import threadpool_limits

    from mlfolio.parts.tabular.search import fit_best
    from mlfolio.systems.titanic.features import passenger_steps

    with threadpool_limits(1):
        return fit_best(X, y, 5, seed + 1000, passenger_steps(X.columns))[0].predict(unseen)


def _ask_peer(python: str, part: Any, task: str, asked: argparse.Namespace) -> dict[str, Any]:
    """FLAML's answers to the unseen rows, from a process of its own."""
    X, y, unseen = part
    with tempfile.TemporaryDirectory() as folder:
        X.assign(answer=y).to_csv(Path(folder) / "train.csv", index=False)
        unseen.to_csv(Path(folder) / "test.csv", index=False)
        command = [python, __file__, "--peer", folder, task, str(asked.seconds), str(asked.seed)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _peer(folder: str, task: str, seconds: str, seed: str) -> None:
    """What runs in the peer's environment: FLAML as its documentation writes it."""
    from flaml import AutoML

    train, unseen = (pd.read_csv(Path(folder) / name) for name in ("train.csv", "test.csv"))
    wall, cpu = time.perf_counter(), _cpu()
    machine = AutoML()
    machine.fit(
        train.drop(columns="answer"), train["answer"], task=task, time_budget=int(seconds),
        metric="rmse" if task == "regression" else "accuracy", n_jobs=2, seed=int(seed), verbose=0,
    )  # fmt: skip
    spent = {"wall": time.perf_counter() - wall, "cpu": _cpu() - cpu}
    answers = machine.predict(unseen).tolist()
    print(json.dumps({"answers": answers, "model": machine.best_estimator, **spent}))


def _report(
    answers: dict[str, Any], truth: Any, wall: dict[str, float], cpu: dict[str, float], prices: bool
) -> None:
    from sklearn.metrics import accuracy_score, r2_score, root_mean_squared_error

    for name, guess in answers.items():
        if prices:
            scores = (
                f"RMSLE {root_mean_squared_error(truth, guess):.4f}, "
                f"R2 {r2_score(np.exp(truth), np.exp(guess)):.4f}"
            )
        else:
            scores = f"accuracy {accuracy_score(truth, guess):.4f}"
        print(f"{name:8}  {scores}, fitted in {wall[name]:.0f} s, {cpu[name]:.0f} CPU s")
    measure = root_mean_squared_error if prices else accuracy_score
    ours, theirs = (measure(truth, answers[name]) for name in ("mlfolio", "FLAML"))
    what = "error" if prices else "accuracy"
    spent = f"time {wall['FLAML'] / wall['mlfolio']:.2f}, CPU {cpu['FLAML'] / cpu['mlfolio']:.2f}"
    print(f"FLAML / mlfolio: {what} {theirs / ours:.3f}, {spent}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        _peer(*sys.argv[2:])
    else:
        main()
