"""The quality of what comes in, of what goes out, and how fast.

Data quality asks of each column how often it is missing, unknown or beyond what the reference has,
compared with how often a row of the reference is so among the others: a new row may be the largest
of all without anything being wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats

from mlfolio.monitor import losses
from mlfolio.monitor.checks import FEWEST, FEWEST_BEFORE, Check, more_often
from mlfolio.monitor.columns import Column, Floats, numbers
from mlfolio.monitor.rows import Row
from mlfolio.parts.stats import Bounds, proportion_ci95

STRANGE: Final = 0.02  # more of the rows, from which missing and strange values matter
WORSE: Final = 0.05  # less accuracy, or fewer thumbs up, from which that matters
SURER: Final = 0.02  # Brier score more, likewise
FAILING: Final = 0.01  # share of requests that fail, from which it matters
FARTHER: Final = 0.1  # 2 AUC - 1 by which errors are larger, likewise
SLOW: Final = 10.0  # times what the run measured, from which an answer is slow
SLOW_MS: Final = 250.0  # and at least this


class Measure(BaseModel):
    """How good answers were, now and in the reference.

    Attributes:
        name: `accuracy`, `Brier score`, `absolute error` or `judged good`.
        value: Of now.
        ci95: Its 95 % interval; None where there is none.
        n: Answers of now that it is of.
        before: Of the reference; None where that has none.
        before_ci95: Likewise.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    ci95: Bounds | None
    n: int
    before: float | None = None
    before_ci95: Bounds | None = None


class Live(BaseModel):
    """What is known of how good the answers were.

    Attributes:
        judged: Answers of which the truth, or a verdict, is known.
        waiting: Share of the answers looked at of which nothing is known yet.
        delay_median_s: How long it took until somebody told; None where nobody did.
        delay_p90_s: Nine of ten came sooner.
        measures: What can be measured.
    """

    model_config = ConfigDict(frozen=True)

    judged: int
    waiting: float
    delay_median_s: float | None = None
    delay_p90_s: float | None = None
    measures: tuple[Measure, ...] = ()


class Latency(BaseModel):
    """How long answers took, in ms.

    Attributes:
        p50: Median.
        p95: Nineteen of twenty took less.
        measured: What the run measured of one answer; None where that is not known.
    """

    model_config = ConfigDict(frozen=True)

    p50: float
    p95: float
    measured: float | None


def check_column(column: Column) -> Iterator[Check]:
    """What is wrong with a column's values, if anything; nothing if there are too few."""
    if len(column.now) < FEWEST or len(column.before) < FEWEST_BEFORE:
        return
    name, (before, now) = column.name, column.known
    missing = (len(column.now) - len(now), len(column.before) - len(before))
    yield _more(f"{name}: missing", column, *missing, len(column.now), len(column.before))
    if not before or not now:
        return
    if column.kind == "category":
        seen = Counter(map(str, before))
        unseen = Counter(value for value in map(str, now) if value not in seen)
        alone = sum(count == 1 for count in seen.values())
        which = f", such as {unseen.most_common(1)[0][0]!r:.40}" if unseen else ""
        words = f"{name}: never seen before{which}"
        yield _more(words, column, unseen.total(), alone, len(now), len(before))
    if column.kind == "number":
        old, new = numbers(before), numbers(now)
        low, high = old.min(), old.max()
        beyond = int(((new < low) | (new > high)).sum())
        alone = int((old == low).sum() == 1) + int((old == high).sum() == 1)
        words = f"{name}: outside {low:.4g} to {high:.4g}"
        yield _more(words, column, beyond, alone, len(new), len(old))
    if column.kind in ("number", "category") and len(set(map(str, now))) == 1:
        yield _stuck(column, before, now)


def _more(words: str, column: Column, k: int, k_before: int, n: int, n_before: int) -> Check:
    """Whether more rows are so than were."""
    share, before = k / n, k_before / n_before
    return Check(
        kind="data quality", column=column.name, n=n, effect=max(0.0, share - before),
        least=STRANGE, p_value=more_often(k, n, k_before, n_before),
        message=f"{words}: {before:.1%} → {share:.1%} of rows",
    )  # fmt: skip


def _stuck(column: Column, before: Sequence[Any], now: Sequence[Any]) -> Check:
    """A column that has but one value now: as likely as that value is, so many times."""
    often = sum(losses.name_of(value) == losses.name_of(now[0]) for value in before)
    share = (often + 1) / (len(before) + 1)
    return Check(
        kind="data quality", column=column.name, n=len(now), least=STRANGE, effect=1 - share,
        p_value=float(share ** len(now)),
        message=f"{column.name}: always {now[0]!r:.40} now, {often / len(before):.0%} before",
    )  # fmt: skip


def live_quality(
    before: Sequence[Row], now: Sequence[Row], judged: Sequence[Row]
) -> tuple[Live, list[Check]]:
    """How good the judged answers were, beside the reference's.

    Args:
        before: The reference.
        now: The last answers, judged or not.
        judged: The last answers of which something is known; they may be older, since truth comes
            late.
    """
    delays = [
        row.told - row.time for row in judged if row.told is not None and row.time is not None
    ]
    median, p90 = np.quantile(delays, [0.5, 0.9]).tolist() if delays else (None, None)
    found = [
        _measure(name, old, new)
        for name, old, new in _marks(before, judged)
        if len(new)
    ]  # fmt: skip
    live = Live(
        judged=len(judged),
        waiting=1 - sum(row.is_judged for row in now) / len(now) if now else 0.0,
        delay_median_s=median, delay_p90_s=p90,
        measures=tuple(measure for measure, _ in found),
    )  # fmt: skip
    return live, [check for _, check in found if check is not None]


def _marks(before: Sequence[Row], judged: Sequence[Row]) -> Iterator[tuple[str, Floats, Floats]]:
    """Each measure's name, and what every answer got, before and now."""
    old, new = ([row for row in rows if row.truth is not None] for rows in (before, judged))
    known = new or old
    marks: dict[str, Callable[[Mapping[str, Any], Any], float]] = {}
    if known and losses.is_amount(known[0].output):
        marks["absolute error"] = losses.error
    elif known:
        marks["accuracy"] = lambda output, truth: 1 - losses.error(output, truth)
        if losses.classes_of([row.output for row in known], [row.truth for row in known]):
            marks["Brier score"] = losses.brier
    for name, mark in marks.items():
        then, now = ([mark(row.output, row.truth) for row in rows] for rows in (old, new))
        yield name, np.array(then, float), np.array(now, float)
    old, new = ([row for row in rows if row.good is not None] for rows in (before, judged))
    yield (
        "judged good",
        np.array([r.good for r in old], float),
        np.array([r.good for r in new], float),
    )


def _measure(name: str, old: Floats, new: Floats) -> tuple[Measure, Check | None]:
    is_share = name in ("accuracy", "judged good")
    interval = proportion_ci95 if is_share else _mean_ci95
    value, known = float(new.mean()), len(old) >= FEWEST_BEFORE
    before = float(old.mean()) if known else None
    measure = Measure(
        name=name, value=value, ci95=interval(new), n=len(new), before=before,
        before_ci95=interval(old) if known else None,
    )  # fmt: skip
    if before is None or len(new) < FEWEST:
        return measure, None
    if is_share:
        p, effect, least = _less_often(old, new), before - value, WORSE
        words = f"{name}: {before:.1%} → {value:.1%}"
    elif name == "Brier score":
        p = _larger(new, old)
        effect, least, words = value - before, SURER, f"{name}: {before:.3f} → {value:.3f}"
    else:
        area = stats.mannwhitneyu(new, old, alternative="greater")
        effect = 2 * float(area.statistic) / (len(new) * len(old)) - 1
        p, least, words = float(area.pvalue), FARTHER, f"{name}: mean {before:.4g} → {value:.4g}"
    return measure, Check(
        kind="live quality", column=name, message=f"{words} of {len(new):,} judged answers",
        n=len(new), p_value=p, effect=effect, least=least,
    )  # fmt: skip


def _mean_ci95(values: Floats) -> Bounds | None:
    """Student's interval: there may be 50,000 rows, of which a bootstrap would take seconds."""
    if len(values) < FEWEST_BEFORE or not np.ptp(values):
        return None
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return float(low), float(high)


def _larger(new: Floats, old: Floats) -> float:
    """P-value of Welch's test for a larger mean; 1 where all values are the same."""
    facts = [each for of in (new, old) for each in (of.mean(), of.std(ddof=1), len(of))]
    with np.errstate(all="ignore"):
        p = stats.ttest_ind_from_stats(*facts, equal_var=False, alternative="greater").pvalue
    return 1.0 if np.isnan(p) else float(p)


def _less_often(old: Floats, new: Floats) -> float:
    wrong, wrong_before = int((new == 0).sum()), int((old == 0).sum())
    return more_often(wrong, len(new), wrong_before, len(old))


def latency(rows: Sequence[Row], measured: float | None) -> tuple[Latency | None, list[Check]]:
    """How long the answers took, and whether most are slow beside what the run measured.

    Args:
        rows: The answers.
        measured: Of one answer, in the run, in ms.
    """
    times = np.array([row.latency_ms for row in rows if row.latency_ms is not None])
    if not len(times):
        return None, []
    p50, p95 = np.quantile(times, [0.5, 0.95]).tolist()
    found = Latency(p50=p50, p95=p95, measured=measured)
    if measured is None or len(times) < FEWEST:
        return found, []
    limit = max(SLOW * measured, SLOW_MS)
    slow = int((times > limit).sum())
    return found, [
        Check(
            kind="latency", column="latency_ms", n=len(times), effect=p50 / limit, least=1.0,
            p_value=float(stats.binomtest(slow, len(times), 0.5, alternative="greater").pvalue),
            message=f"half of the answers take over {p50:,.0f} ms; the run took {measured:,.1f} ms "
            f"for one, and {limit:,.0f} ms are slow",
        )
    ]  # fmt: skip


def errors(asked: int, failed: int) -> list[Check]:
    """Whether more than one of a hundred requests fails.

    Args:
        asked: Requests to the model; one may have many rows.
        failed: Those of them that got no answer from it.
    """
    if asked < FEWEST:
        return []
    found = stats.binomtest(failed, asked, FAILING, alternative="greater")
    return [
        Check(
            kind="errors", column="requests", n=asked, effect=failed / asked, least=FAILING,
            p_value=float(found.pvalue), message=f"{failed:,} of {asked:,} requests failed",
        )
    ]  # fmt: skip
