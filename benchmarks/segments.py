"""Segments beside what a notebook does: the same customers, the same machine, one run.

    python benchmarks/segments.py Mall_Customers.csv     which k, how good, how stable, how fast
    python benchmarks/segments.py 100000 1000000         made-up customers by the number: cost
    python benchmarks/segments.py rules                  rules for k, on crowds whose k is known

The peers are scikit-learn's own, so no second environment is needed: the loop of tutorials (k-means
for k of 2 to 10, the best silhouette wins), Ward's tree and Gaussian mixtures chosen likewise (by
silhouette and by BIC), and HDBSCAN, which needs no k.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from mlfolio.core.run import Run
from mlfolio.core.source import Source
from mlfolio.systems.segments.choose import evidence
from mlfolio.systems.segments.clusters import Scale, draws, k_means, nearest
from mlfolio.systems.segments.data import generate, load_customers
from mlfolio.systems.segments.purchases import Names
from mlfolio.systems.segments.system import Segments

RANGE = range(2, 11)
SAMPLES = 50
Cluster = Callable[[np.ndarray], np.ndarray]  # points to labels


def main() -> None:
    """Compares on a file, or measures the cost of numbers of customers."""
    threadpool_limits(1)  # threads do harm on tables this small
    for argument in sys.argv[1:]:
        if argument.isdigit():
            cost(int(argument))
        elif argument == "rules":
            rules()
        elif argument.startswith("only:"):
            _, who, path = argument.split(":", 2)
            {"mlfolio": system, "notebook": notebook_on}[who](Path(path))
        else:
            compare(Path(argument))


def compare(path: Path) -> None:
    """Number of segments, silhouette, stability and seconds of each way."""
    values = load_customers(Source.own(path), (), Names()).X.to_numpy(dtype=float)
    points = Scale.learn(values).apply(values)
    print(f"{'':24}{'k':>4}{'silhouette':>12}{'stability':>11}{'seconds':>9}")
    for name, cluster in {
        "mlfolio": mlfolio,
        "notebook: k-means": notebook,
        "Ward": ward,
        "Gaussian mixture, BIC": mixture,
        "HDBSCAN": HDBSCAN(min_cluster_size=max(5, len(points) // 50), copy=True).fit_predict,
    }.items():
        started = time.perf_counter()
        labels = cluster(points)
        seconds = time.perf_counter() - started
        kept = labels >= 0  # HDBSCAN leaves some out
        score = silhouette_score(points[kept], labels[kept]) if len(set(labels[kept])) > 1 else 0.0
        left = f"  ({1 - kept.mean():.0%} in no segment)" * bool(not kept.all())
        print(f"{name:24}{len(set(labels[kept])):4}{score:12.4f}"
              f"{stability(points, labels, cluster):11.3f}{seconds:9.2f}{left}")  # fmt: skip


def rules(repeats: int = 50, customers: int = 200) -> None:
    """How often each rule names the k that a crowd was made with; 1 is a crowd without groups."""
    rng, lines = np.random.default_rng(0), []
    for k, dimensions, apart in [(1, 2, 0), (1, 4, 0), *product((2, 3, 5, 7), (2, 4), (4, 6))]:
        for _ in range(repeats):
            found = evidence(Scale.learn(made := crowd(rng, customers, k, dimensions, apart))
                             .apply(made), 10, seed=0)  # fmt: skip
            named = {"the rule": found.k, **found.votes}
            right = {name: vote == k for name, vote in named.items()} if k > 1 else {}
            lines.append({"k": k, "columns": dimensions, "apart": apart,
                          "groups seen": found.grouped, **right})  # fmt: skip
    table = pd.DataFrame(lines).groupby(["k", "columns", "apart"]).mean().astype(float)
    print(table.round(2).to_string())
    print(table.loc[2:].mean().round(3).to_string())


def crowd(
    rng: np.random.Generator, customers: int, k: int, dimensions: int, apart: float
) -> np.ndarray:
    """Points of k Gaussians of unequal sizes and spreads (0.7 to 1.3), at least `apart` apart.

    A single one is uniform in a box or Gaussian, by chance.
    """
    if k == 1:
        shape = (customers, dimensions)
        return rng.uniform(size=shape) if rng.random() < 0.5 else rng.normal(size=shape)
    centres = np.zeros((k, dimensions))
    while pdist(centres).min() < apart:
        centres = rng.uniform(-1, 1, (k, dimensions)) * apart * k ** (1 / dimensions)
    kind = rng.choice(k, customers, p=rng.dirichlet(np.full(k, 5.0)))
    spread = rng.uniform(0.7, 1.3, k)[kind, None]
    return centres[kind] + spread * rng.normal(size=(customers, dimensions))


def stability(points: np.ndarray, labels: np.ndarray, cluster: Cluster) -> float:
    """Mean adjusted Rand index with bootstrap samples, on the customers that each left out.

    The whole way is repeated, its choice of k included; a customer who was left out joins the
    nearest who was not, for Ward and HDBSCAN have no centres.
    """
    found = []
    for drawn in draws(len(points), SAMPLES, seed=0):
        rest = np.setdiff1d(np.arange(len(points)), drawn)
        near = KNeighborsClassifier(1).fit(points[drawn], cluster(points[drawn]))
        found.append(adjusted_rand_score(labels[rest], near.predict(points[rest])))
    return float(np.mean(found))


def mlfolio(points: np.ndarray) -> np.ndarray:
    """The system's choice of k and its centres."""
    return nearest(points, k_means(points, evidence(points, 10, seed=0).k, seed=0))[0]


def notebook(points: np.ndarray, most: int | None = None) -> np.ndarray:
    """K-means for each k, the best silhouette wins."""
    found = [KMeans(k, n_init=10, random_state=42).fit_predict(points) for k in RANGE]
    return best(points, found, most)


def ward(points: np.ndarray) -> np.ndarray:
    """Ward's tree cut at each k, the best silhouette wins."""
    return best(points, [AgglomerativeClustering(k).fit_predict(points) for k in RANGE], None)


def mixture(points: np.ndarray) -> np.ndarray:
    """Gaussian mixtures with each k, the least BIC wins."""
    found = [GaussianMixture(k, random_state=42).fit(points) for k in RANGE]
    return min(found, key=lambda each: each.bic(points)).predict(points)


def best(points: np.ndarray, found: list[np.ndarray], most: int | None) -> np.ndarray:
    """The labels with the best silhouette, on `most` customers at random."""
    scores = [
        silhouette_score(points, labels, sample_size=most, random_state=42) for labels in found
    ]
    return found[int(np.argmax(scores))]


def cost(customers: int) -> None:
    """Seconds and memory of the system and of the notebook, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "customers.parquet"
        generate(customers).to_parquet(path)
        for who in ("mlfolio", "notebook"):
            subprocess.run([sys.executable, __file__, f"only:{who}:{path}"], check=True)


def system(path: Path) -> None:
    """The whole system: load, fit with figures and `segments.csv`, evaluate."""
    started = time.perf_counter()
    data = Segments().load(Source.own(path))
    loaded = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = Run("segments", Path(folder))
        model = Segments().fit(data, run)
        fitted = time.perf_counter()
        scores = Segments().evaluate(model, data, run)
    said = f"load {loaded - started:.1f}, fit {fitted - loaded:.1f}, evaluate "
    said += f"{time.perf_counter() - fitted:.1f}"
    report("mlfolio", len(data.known), len(model.centres), scores["silhouette"].value, said)


def notebook_on(path: Path) -> None:
    """The loop of a notebook, its silhouettes on 10,000 customers: all pairs need terabytes."""
    started = time.perf_counter()
    table = pd.read_parquet(path).select_dtypes("number").drop(columns="customer_id")
    points = ((table - table.mean()) / table.std()).to_numpy()
    labels = notebook(points, 10_000)
    score = silhouette_score(points, labels, sample_size=5000, random_state=0)
    said = f"all {time.perf_counter() - started:.1f}"
    report("notebook", len(points), len(set(labels)), score, said)


def report(who: str, customers: int, k: int, score: float, seconds: str) -> None:
    """One line: what came out, and what it took."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{who:9} {customers:>9,} customers: k {k}, silhouette {score:.4f}, seconds: {seconds}; "
          f"peak memory {peak:.1f} GiB", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
