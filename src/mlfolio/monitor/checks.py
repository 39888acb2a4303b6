"""One comparison of what is with what was, and which of many comparisons are an alarm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

from pydantic import BaseModel, ConfigDict
from scipy import stats

from mlfolio.parts.stats import holm

Kind = Literal[
    "input drift", "prediction drift", "data quality", "live quality", "latency", "errors"
]
ALPHA: Final = 0.01  # chance of any false alarm in one look, if rows are drawn independently
FEWEST: Final = 100  # rows now below which nothing is said
FEWEST_BEFORE: Final = 30  # rows of the reference, likewise


class Alarm(BaseModel):
    """Something that has changed, surely and by enough to matter.

    Attributes:
        kind: What kind of thing it is.
        column: Of which column, output or measure.
        message: What has changed, in words and numbers.
        n: Rows of now that it is seen in.
        p_value: Chance of such a change where there is none, all comparisons of the look counted.
        effect: How large it is; what it is measured in depends on the comparison.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    column: str
    message: str
    n: int
    p_value: float
    effect: float


class Check(Alarm):
    """A comparison. It is an alarm only together with the others of its look (see `alarms`).

    Attributes:
        p_value: Of this comparison alone.
        least: Effect from which it matters.
    """

    least: float


def alarms(checks: Sequence[Check], alpha: float = ALPHA) -> tuple[Alarm, ...]:
    """The comparisons that are alarms: as sure as is asked of many, and large enough.

    Args:
        checks: All comparisons of one look.
        alpha: Chance that any of them is an alarm although nothing has changed (Holm, 1979, A
            simple sequentially rejective multiple test procedure).

    Returns:
        Alarms with their p-values among many, the largest effects first, a kind at a time.
    """
    among = holm([check.p_value for check in checks]).tolist()
    found = [
        Alarm(**check.model_dump(exclude={"least", "p_value"}), p_value=p)
        for check, p in zip(checks, among, strict=True)
        if p <= alpha and check.effect >= check.least
    ]
    order = get_args(Kind)
    return tuple(sorted(found, key=lambda alarm: (order.index(alarm.kind), -alarm.effect)))


def more_often(k: int, n: int, before: int, n_before: int) -> float:
    """P-value of k of n being more than `before` of `n_before` is: Fisher's exact test."""
    return float(stats.hypergeom.sf(k - 1, n + n_before, k + before, n))
