"""When a model is trained anew, and how it is released: rules that people write, and what they say.

```yaml
churn:
  mode: act               # or suggest: say what would be done, and do nothing
  retrain:
    every: 30             # days; leave a rule out, and it does not count
    labels: 1000          # so many newly labelled rows
    drift: yes            # columns or answers that are no longer what they were
    quality: yes          # live quality that fell
    apart: 1              # days at least between two trainings
  release:
    way: canary           # or shadow, or champion (at once)
    share: 0.1
    requests: 500         # that a canary or shadow answers before it is released
```
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, RootModel

from mlfolio.core.catalog import catalog
from mlfolio.core.errors import UnknownNameError
from mlfolio.data.strict_yaml import Part, read_yaml
from mlfolio.monitor.checks import Alarm
from mlfolio.monitor.release import Gates

DAY = 86_400.0
DRIFT = ("input drift", "prediction drift")


class Retrain(Part):
    """What makes a training worth its while; a rule that is left out does not count."""

    every: float | None = Field(None, gt=0, description="days since the champion was trained")
    labels: int | None = Field(None, ge=1, description="labelled rows that the champion never saw")
    drift: bool = Field(False, description="an alarm of drift")
    quality: bool = Field(False, description="an alarm of live quality")
    apart: float = Field(1, ge=0, description="days at least between two trainings")
    fewest: int = Field(200, ge=20, description="labelled rows since the last training, at least")
    broken: float = Field(
        0.5, gt=0, le=1, description="share of a column that is missing, unknown or out of "
        "range, from which something upstream is broken and nothing is trained",
    )  # fmt: skip
    newest: int = Field(2_000, ge=50, description="rows of which four of ten are compared on")
    most_rows: int = Field(200_000, ge=100, description="of all labelled rows the last so many")


class Release(Part):
    """How a challenger that has passed its gates takes over."""

    way: Literal["champion", "canary", "shadow"] = "champion"
    share: float = Field(0.1, gt=0, lt=1, description="of the requests, that a canary answers")
    requests: int = Field(500, ge=20, description="that it answers before it is released")
    probation: float = Field(
        7, ge=0, description="days in which a fall of live quality brings the former champion back"
    )
    gates: Gates = Gates()


class Policy(Part):
    """The rules of one system."""

    mode: Literal["act", "suggest"] = "suggest"
    retrain: Retrain = Retrain()
    release: Release = Release()


class Policies(RootModel[dict[str, Policy | None]]):
    """The content of a policy file: the rules of each system, by its name."""


class Facts(NamedTuple):
    """What a decision stands on.

    Attributes:
        now: Seconds since 1970, as all times.
        trained: When the champion was.
        tried: When the last training began, whatever came of it; None if there was none.
        labels: Labelled rows that the champion never saw.
        untried: Those of them that no training since has seen either.
        alarms: What watching has found.
    """

    now: float
    trained: float
    tried: float | None
    labels: int
    untried: int
    alarms: Sequence[Alarm]


class Decision(NamedTuple):
    """Whether to train anew.

    Attributes:
        retrain: Whether.
        reasons: Why, or why not, in plain words.
    """

    retrain: bool
    reasons: tuple[str, ...]


def read_policies(path: Path) -> dict[str, Policy]:
    """The rules of each system in a policy file.

    Raises:
        FileError: It cannot be read, or breaks a rule; with the line.
        UnknownNameError: It names a system that does not exist.
    """
    policies = {name: rules or Policy() for name, rules in read_yaml(path, Policies).root.items()}
    for name in policies:
        if name not in catalog():
            raise UnknownNameError("system", name, catalog())
    return policies


def decide(rules: Retrain, facts: Facts) -> Decision:
    """Whether the rules want a training now.

    What is broken upstream holds every training up: it would only learn the fault.
    """
    wanted = list(_wanted(rules, facts))
    if not wanted:
        return Decision(False, ("no rule asks for a training", *_far(rules, facts)))
    against = list(_against(rules, facts))
    if against:
        return Decision(False, (*wanted, *against))
    return Decision(True, tuple(wanted))


def _wanted(rules: Retrain, facts: Facts) -> Iterator[str]:
    """The rules that ask for a training."""
    age = (facts.now - facts.trained) / DAY
    if rules.every is not None and age >= rules.every:
        yield f"the champion is {age:.1f} days old, and the rule is every {rules.every:g} days"
    if rules.labels is not None and facts.labels >= rules.labels:
        yield f"{facts.labels:,} new labelled rows, and the rule is {rules.labels:,}"
    for alarm in facts.alarms:
        if (rules.drift and alarm.kind in DRIFT) or (
            rules.quality and alarm.kind == "live quality"
        ):
            yield f"{alarm.kind}: {alarm.message}"


def _against(rules: Retrain, facts: Facts) -> Iterator[str]:
    """What stands against one that is wanted."""
    for alarm in facts.alarms:
        if alarm.kind == "data quality" and alarm.effect >= rules.broken:
            yield f"not now: {alarm.message}; mend that first, a training would learn the fault"
    if facts.tried is not None and (facts.now - facts.tried) / DAY < rules.apart:
        ago = (facts.now - facts.tried) / DAY
        yield f"not now: the last training was {ago:.2f} days ago, and {rules.apart:g} lie between"
    if facts.untried < rules.fewest:
        yield (
            f"not now: {facts.untried:,} labelled rows since the last training, and "
            f"{rules.fewest:,} are needed to learn from and to compare on (mlfolio ingest)"
        )


def _far(rules: Retrain, facts: Facts) -> Iterator[str]:
    """How far the rules of time and number are from asking."""
    if rules.every is not None:
        age = (facts.now - facts.trained) / DAY
        yield f"the champion is {age:.1f} of {rules.every:g} days old"
    if rules.labels is not None:
        yield f"{facts.labels:,} of {rules.labels:,} new labelled rows"
