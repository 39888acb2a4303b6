"""Whether groups of people are treated alike: what is decided about them, and how rightly.

Four measures, which cannot all be equal where groups differ in truth (Chouldechova, 2017, Fair
prediction with disparate impact): how many are chosen, how many of those who should be are (true
positive rate), how many of those who should not be (false positive rate), and how far chances are
above what happens (calibration).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mlfolio.parts.stats import Bounds, holm, proportion_ci95
from mlfolio.parts.tabular.encoder import Floats
from mlfolio.report.words import interval, number

Groups = Sequence[pd.Series]
FEWEST: Final = 10  # people below whom a rate says nothing
MEASURES: Final = ("selected", "true positives", "false positives", "calibration")


@dataclass(frozen=True)
class Rate:
    """A measure of one group.

    Attributes:
        each: What it is the mean of, shape (n,), n >= 10.
        share: Whether that is 1 or 0 of each.
    """

    each: NDArray[np.float64]
    share: bool

    @property
    def value(self) -> float:
        """The mean."""
        return float(self.each.mean())

    def ci95(self, together: int = 1) -> Bounds | None:
        """Wilson's interval of a share, Student's of other numbers; None where those are all alike.

        Args:
            together: How many such intervals are to hold at once with 95 % (Bonferroni).
        """
        if self.share:
            return proportion_ci95(self.each, together)
        if np.ptp(self.each) == 0:
            return None
        error = self.each.std(ddof=1) / np.sqrt(len(self.each))
        reach = float(stats.t.ppf(1 - 0.025 / together, len(self.each) - 1) * error)
        return self.value - reach, self.value + reach

    def __str__(self) -> str:
        return f"{number(self.value, 3)} ({interval(self.ci95())})"


def by_group(
    groups: Groups, chances: Floats, yes: NDArray[np.bool_], truth: NDArray[np.int64]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The measures of each group, and the gaps between groups.

    Args:
        groups: Columns whose values are the groups, each of shape (n,).
        chances: Calibrated probability of a yes, shape (n,).
        yes: Who was chosen, shape (n,).
        truth: 1 for who should have been, shape (n,).

    Returns:
        For each group its measures with intervals, as text; and for each column and measure the
        groups where it is lowest and highest, the gap with its interval (Newcombe, 1998), the
        probability of such differences if there were none (chi-squared, or Alexander and Govern's
        test for calibration), and the same corrected for how many were tested (Holm, 1979).
        The two groups were picked after looking at all, so the interval is so wide that those
        of every pair of the column's k groups would hold together: 1 - 0.05 / (k (k - 1) / 2)
        each (Bonferroni). NaN where a group's numbers do not vary, so that nothing is known.
    """
    lines, gaps = [], []
    for column in groups:
        found = {
            str(name): _measure(chances[inside], yes[inside], truth[inside])
            for name in sorted(column.dropna().unique(), key=str)
            if (inside := (column == name).to_numpy()).sum() >= FEWEST
        }
        for name, rates in found.items():
            line = {"group": f"{column.name} = {name}", "n": len(rates["selected"].each)}
            lines.append(line | {measure: str(rate) for measure, rate in rates.items()})
        for measure in MEASURES:
            known = {name: rates[measure] for name, rates in found.items() if measure in rates}
            if len(known) > 1:
                gaps.append({"column": str(column.name), **_gap(measure, known)})
    table = pd.DataFrame(lines, columns=["group", "n", *MEASURES]).set_index("group")
    return table, _corrected(pd.DataFrame(gaps))


def _measure(chances: Floats, yes: NDArray[np.bool_], truth: NDArray[np.int64]) -> dict[str, Rate]:
    """The measures of one group; without those that too few people have a part in."""
    chosen = yes.astype(np.float64)
    values = {
        "selected": chosen,
        "true positives": chosen[truth == 1],
        "false positives": chosen[truth == 0],
        "calibration": chances - truth,
    }
    return {
        name: Rate(part, share=name != "calibration")
        for name, part in values.items()
        if len(part) >= FEWEST
    }


def _gap(measure: str, rates: dict[str, Rate]) -> dict[str, object]:
    least, most = (pick(rates, key=lambda g: rates[g].value) for pick in (min, max))
    low, high = _difference(rates[most], rates[least], math.comb(len(rates), 2))
    return {
        "measure": measure,
        "lowest": least,
        "highest": most,
        "gap": rates[most].value - rates[least].value,
        "low": low,
        "high": high,
        "p": _p_value(measure, [rate.each for rate in rates.values()]),
    }


def _difference(one: Rate, other: Rate, pairs: int) -> Bounds:
    """The interval of how far one rate is above another, being one of so many pairs."""
    bounds, others = one.ci95(pairs), other.ci95(pairs)
    if bounds is None or others is None:
        return math.nan, math.nan
    gap = one.value - other.value
    low = gap - math.hypot(one.value - bounds[0], others[1] - other.value)
    return low, gap + math.hypot(bounds[1] - one.value, other.value - others[0])


def _p_value(measure: str, groups: list[NDArray[np.float64]]) -> float:
    if measure == "calibration":
        varies = all(np.ptp(group) > 0 for group in groups)  # without, there is no test
        return float(stats.alexandergovern(*groups).pvalue) if varies else math.nan
    counts = np.array([[group.sum(), len(group) - group.sum()] for group in groups])
    if (counts.sum(axis=0) == 0).any():  # all chosen, or nobody: the groups are the same
        return 1.0
    return float(stats.chi2_contingency(counts, correction=False).pvalue)


def _corrected(gaps: pd.DataFrame) -> pd.DataFrame:
    if gaps.empty:
        return gaps
    tested = gaps["p"].dropna()
    corrected = pd.Series(holm(tested), tested.index, dtype=float)
    return gaps.assign(**{"p (Holm)": corrected}).set_index(["column", "measure"])
