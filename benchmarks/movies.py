"""Film recommendations beside `implicit`, on the same splits in the same run.

    python -m venv PEER && PEER/bin/pip install implicit
    MLFOLIO_DATA=FOLDER python benchmarks/movies.py PEER/bin/python [--splits 3]

Each split's training part of MovieLens 100K goes to both; all films that are not in it are ranked,
and the same code counts nDCG@10. implicit has the settings that did best of a grid on films held
out of the first training part: 15 of ALS, four numbers of neighbours of cosine and BM25. One thread
each. Prints scores, seconds of a fit, milliseconds of a recommendation, and their ratios.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

PEERS = ("ALS", "cosine", "BM25")
ASKED = 100  # users, one by one, for the milliseconds


def main() -> None:
    """Fits and asks everything on every split, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("python", help="the peer's")
    parser.add_argument("--splits", type=int, default=3)
    asked = parser.parse_args()
    from threadpoolctl import threadpool_limits

    from mlfolio.core.source import OFFICIAL
    from mlfolio.parts.recsys.interactions import split
    from mlfolio.parts.recsys.ranking import best, judge
    from mlfolio.systems.movies.recommenders import Blend, seen_and_loved
    from mlfolio.systems.movies.system import Movies, _levels

    data = Movies().load(OFFICIAL)
    rows = _levels(data.matrix(), data.good)
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(asked.splits):
        train, test = split(rows, 0.25, seed)
        with threadpool_limits(1):
            started = time.perf_counter()
            blend = Blend.fit(train, seed=seed)
            fitted = time.perf_counter() - started
            started = time.perf_counter()
            for user in range(ASKED):
                best(blend.score(train[user]), train[user], 10)
            each = (time.perf_counter() - started) / ASKED * 1000
            tops = {"mlfolio": (best(blend.score(train), train, 10), fitted, each)}
        tops |= _ask_peer(asked.python, seen_and_loved(train)[0], seed)
        for name, (top, seconds, ms) in tops.items():
            score = float(np.nanmean(judge(top, test)["nDCG@10"]))
            found.setdefault(name, []).append((score, seconds, ms))
        print(f"split {seed + 1} of {asked.splits}", file=sys.stderr, flush=True)
    ours = np.mean(found["mlfolio"], axis=0)
    for name, each_split in found.items():
        score, seconds, ms = mean = np.mean(each_split, axis=0)
        ratios = ", ".join(f"{ratio:.2f}" for ratio in mean / ours)
        print(f"{name:16} nDCG@10 {score:.4f}, fitted in {seconds:.1f} s, {ms:.2f} ms; "
              f"ratios to ours {ratios}")  # fmt: skip


def _ask_peer(python: str, train: Any, seed: int) -> dict[str, tuple[Any, float, float]]:
    """What implicit recommends, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        sp.save_npz(Path(folder) / "train.npz", train.astype(np.float32))
        command = [python, __file__, "--peer", folder, str(seed)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answers = json.loads(done.stdout.splitlines()[-1])
    return {f"implicit {name}": (np.array(top), s, ms) for name, (top, s, ms) in answers.items()}


def _peer(folder: str, seed: str) -> None:
    """What runs in the peer's environment: implicit as its documentation writes it."""
    from implicit.als import AlternatingLeastSquares
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender

    train = sp.load_npz(Path(folder) / "train.npz").tocsr()
    made = {
        "ALS": AlternatingLeastSquares(
            factors=64, regularization=40.0, alpha=6.0, iterations=15, num_threads=1,
            random_state=int(seed),
        ),
        "cosine": CosineRecommender(K=20, num_threads=1),
        "BM25": BM25Recommender(K=300, num_threads=1),
    }  # fmt: skip
    answers = {}
    for name in PEERS:
        started = time.perf_counter()
        made[name].fit(train, show_progress=False)
        seconds = time.perf_counter() - started
        everybody = np.arange(train.shape[0])
        tops, _ = made[name].recommend(everybody, train, N=10)
        started = time.perf_counter()
        for user in range(ASKED):
            made[name].recommend(user, train[user], N=10, recalculate_user=name == "ALS")
        answers[name] = (tops.tolist(), seconds, (time.perf_counter() - started) / ASKED * 1000)
    print(json.dumps(answers))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        _peer(*sys.argv[2:])
    else:
        main()
