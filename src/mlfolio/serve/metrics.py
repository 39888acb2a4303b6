"""What Prometheus is told, counted right over several worker processes.

With several workers `PROMETHEUS_MULTIPROC_DIR` has to name an empty folder before this module is
imported; `server.py` sees to that. Every worker then answers for all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.types import Scope

from mlfolio.core.trace import Spent
from mlfolio.parts.llm.usage import cost
from mlfolio.serve.batcher import Told
from mlfolio.serve.loop_metrics import OfLoop

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
MAX_CLASSES = 50  # of one system; further answers are counted together
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS = Counter("mlfolio_requests", "Requests answered", ["route", "method", "status"])
SECONDS = Histogram("mlfolio_request_seconds", "Time to answer", ["route"], buckets=_SECONDS)
IN_FLIGHT = Gauge("mlfolio_requests_in_flight", "Being answered", multiprocess_mode="livesum")
BATCH = Histogram(
    "mlfolio_batch_size", "Inputs the model got at once", ["system"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
)  # fmt: skip
QUEUE = Gauge("mlfolio_queue", "Inputs waiting", ["system"], multiprocess_mode="livesum")
ERRORS = Counter("mlfolio_model_errors", "Calls of the model that failed", ["system"])
CHAMPION = Gauge(
    "mlfolio_champion_version", "The version that is served", ["system"],
    multiprocess_mode="mostrecent",
)  # fmt: skip
PREDICTIONS = Counter("mlfolio_predictions", "Answers given", ["system", "version", "answer"])
CANARY = Counter(  # roles: champion, canary, shadow; failed and dropped are no answers
    "mlfolio_canary_answers", "Requests while a version is tried", ["system", "version", "role"]
)
CONFIDENCE = Histogram(
    "mlfolio_confidence", "How sure the answers were", ["system"],
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
)  # fmt: skip
STAGES = Histogram(
    "mlfolio_stage_seconds", "Time of a stage, with those in it", ["system", "stage"],
    buckets=_SECONDS,
)  # fmt: skip
TOKENS = Counter(
    "mlfolio_llm_tokens", "Tokens of language models", ["system", "model", "direction"]
)
DOLLARS = Counter("mlfolio_llm_dollars", "What they cost, by the prices", ["system", "model"])
LOG_FAILING = Gauge(
    "mlfolio_log_failing", "1 while predictions cannot be logged", multiprocess_mode="livemax"
)
LOG_WAITING = Gauge(
    "mlfolio_log_waiting", "Predictions that wait to be logged", multiprocess_mode="livesum"
)


class OfModel(Told):
    """Counts what the queue before a system's model does."""

    def __init__(self, system: str) -> None:
        self._batch = BATCH.labels(system)
        self._queue = QUEUE.labels(system)
        self._errors = ERRORS.labels(system)

    def batch(self, size: int) -> None:
        """So many inputs go to the model."""
        self._batch.observe(size)

    def waiting(self, change: int) -> None:
        """So many more inputs wait, or fewer."""
        self._queue.inc(change)

    def failed(self) -> None:
        """The model has raised an error."""
        self._errors.inc()


_classes: dict[str, set[str]] = {}


def route_of(scope: Scope) -> str:
    """The route that answered a request, without what stands in its place: one of few."""
    return str(scope.get("route_path") or getattr(scope.get("route"), "path", "(none)"))


def observe(system: str, version: int | None, outputs: Sequence[Any]) -> None:
    """Counts answers; those that are no class (numbers, texts) are counted together."""
    known = _classes.setdefault(system, set())
    for output in outputs:
        name = "other"
        if hasattr(output, "probabilities"):
            name = str(output.answer)[:40]
            if name not in known and len(known) >= MAX_CLASSES:
                name = "other"
            known.add(name)
        PREDICTIONS.labels(system, str(version), name).inc()
        if output.confidence is not None:
            CONFIDENCE.labels(system).observe(output.confidence)


def observe_spent(system: str, spent: Spent) -> None:
    """Counts what an answer took; dollars only of models whose prices are known."""
    for stage, seconds in spent.stages:
        STAGES.labels(system, stage).observe(seconds)
    for call in spent.calls:
        TOKENS.labels(system, call.model, "input").inc(call.input_tokens or 0)
        TOKENS.labels(system, call.model, "output").inc(call.output_tokens or 0)
        if (dollars := cost(call)) is not None:
            DOLLARS.labels(system, call.model).inc(dollars)


def exposition() -> tuple[bytes, str]:
    """The metrics of all workers, and their content type."""
    registry = REGISTRY
    if FOLDER in os.environ:
        _forget_the_dead(Path(os.environ[FOLDER]))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    of_loop = CollectorRegistry()
    of_loop.register(OfLoop())
    return generate_latest(registry) + generate_latest(of_loop), CONTENT_TYPE_LATEST


def _forget_the_dead(folder: Path) -> None:
    """What a worker that was killed had in flight, is in flight no more."""
    for file in folder.glob("gauge_live*_*.db"):
        found = re.search(r"_(\d+)\.db$", file.name)
        if found and not _is_alive(int(found[1])):
            mark_process_dead(int(found[1]))  # type: ignore[no-untyped-call]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
