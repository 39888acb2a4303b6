"""What Prometheus is told of the loop: read from its story, for it runs in processes of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mlfolio.core.catalog import catalog
from mlfolio.monitor import story
from mlfolio.monitor.checks import Kind
from mlfolio.monitor.story import Step

OUTCOMES = ("passed", "refused", "failed")


class OfLoop(Collector):
    """What the loop has seen and done last, read from its story: it runs in other processes."""

    def collect(self) -> Iterator[Metric]:
        """The numbers of every system that is watched."""
        alarm = GaugeMetricFamily(
            "mlfolio_alarm", "Whether watching has found it (1)", labels=["system", "kind"]
        )
        drifted = GaugeMetricFamily(
            "mlfolio_drifted_columns", "Columns that have drifted", labels=["system"]
        )
        quality = GaugeMetricFamily(
            "mlfolio_live_quality", "By what users told, as the measure says",
            labels=["system", "measure"],
        )  # fmt: skip
        looked = GaugeMetricFamily(
            "mlfolio_looked_timestamp_seconds", "When it was looked at last", labels=["system"]
        )
        trained = CounterMetricFamily(
            "mlfolio_retrainings", "Trainings of the loop", labels=["system", "outcome"]
        )
        for system in catalog():
            steps = story.steps(system)
            look = next((step for step in reversed(steps) if step.what == "looked"), None)
            if look is None:
                continue
            looked.add_metric([system], look.time)
            count = _trainings(steps)
            for outcome in OUTCOMES:  # from nought on, or the first would not be seen
                trained.add_metric([system, outcome], count[outcome])
            for kind in get_args(Kind):
                alarm.add_metric([system, kind], float(kind in look.facts.get("kinds", ())))
            drifted.add_metric([system], look.facts.get("drifted", 0))
            if (value := look.facts.get("quality")) is not None:
                quality.add_metric([system, str(look.facts.get("measure"))], value)
        yield from (alarm, drifted, quality, looked, trained)


def _trainings(steps: Iterable[Step]) -> Counter[str]:
    """What trainings came to; one that nothing was heard of until the next look was killed."""
    count = Counter[str]()
    is_training = False
    for step in steps:
        if step.what == "compared":
            count["passed" if step.facts.get("passed") else "refused"] += 1
        elif is_training and step.what in ("failed", "looked", "training"):
            count["failed"] += 1
        is_training = step.what in ("training", "trained")
    return count
