"""What Prometheus is told, counted right over several worker processes.

With several workers `PROMETHEUS_MULTIPROC_DIR` has to name an empty folder before this module is
imported; `server.py` sees to that. Every worker then answers for all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
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
from prometheus_client.multiprocess import MultiProcessCollector

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
ERRORS = Counter("mlfolio_model_errors", "Predictions that failed", ["system"])
PREDICTIONS = Counter("mlfolio_predictions", "Answers given", ["system", "version", "answer"])
CONFIDENCE = Histogram(
    "mlfolio_confidence", "How sure the answers were", ["system"],
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
)  # fmt: skip

_classes: dict[str, set[str]] = {}


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


def exposition() -> tuple[bytes, str]:
    """The metrics of all workers, and their content type."""
    registry = REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
