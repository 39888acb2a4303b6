"""Whether groups of people are treated alike: what is decided about them, and how rightly.

Four measures, which cannot all be equal where groups differ in truth (Chouldechova, 2017, Fair
prediction with disparate impact): how many are chosen, how many of those who should be are (true
positive rate), how many of those who should not be (false positive rate), and how far chances are
above what happens (calibration).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mlfolio.parts.stats import holm, proportion_ci95
from mlfolio.parts.tabular.encoder import Floats
from mlfolio.report.words import interval, number

Groups = Sequence[pd.Series]
FEWEST: Final = 10  # people below whom a rate says nothing
MEASURES: Final = ("selected", "true positives", "false positives", "calibration")


@dataclass(frozen=True)
class Rate:
    """A measure of one group.

    Attributes:
        each: What it is the mean of.
        value: That mean.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    each: NDArray[np.float64]
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.float64], share: bool) -> Rate:
        """The mean with its interval: Wilson's of a share, Student's of other numbers."""
        mean = float(values.mean())
        if share:
            return cls(values, mean, *proportion_ci95(values))
        reach = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
        return cls(values, mean, mean - float(reach), mean + float(reach))

    def __str__(self) -> str:
        return f"{number(self.value, 3)} ({interval((self.low, self.high))})"


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
        name: Rate.of(part, share=name != "calibration")
        for name, part in values.items()
        if len(part) >= FEWEST
    }


def _gap(measure: str, rates: dict[str, Rate]) -> dict[str, object]:
    least, most = (pick(rates, key=lambda g: rates[g].value) for pick in (min, max))
    one, other = rates[least], rates[most]
    return {
        "measure": measure,
        "lowest": least,
        "highest": most,
        "gap": other.value - one.value,
        "low": other.value - one.value - np.hypot(other.value - other.low, one.high - one.value),
        "high": other.value - one.value + np.hypot(other.high - other.value, one.value - one.low),
        "p": _p_value(measure, [rate.each for rate in rates.values()]),
    }


def _p_value(measure: str, groups: list[NDArray[np.float64]]) -> float:
    if measure == "calibration":
        varies = all(np.ptp(group) > 0 for group in groups)  # without, there is no test
        return float(stats.alexandergovern(*groups).pvalue) if varies else 1.0
    counts = np.array([[group.sum(), len(group) - group.sum()] for group in groups])
    if (counts.sum(axis=0) == 0).any():  # all chosen, or nobody
        return 1.0
    return float(stats.chi2_contingency(counts, correction=False).pvalue)


def _corrected(gaps: pd.DataFrame) -> pd.DataFrame:
    if gaps.empty:
        return gaps
    return gaps.assign(**{"p (Holm)": holm(gaps["p"])}).set_index(["column", "measure"])
