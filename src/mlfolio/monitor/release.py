"""Whether a challenger may take the champion's place: both answer the same labelled rows.

A mean can be better by luck, so what is asked is whether the difference is beyond chance: the rows
are the same for both, and the tests are paired. By default a challenger has to be no worse by more
than a margin, at the far end of the interval, so that few rows release nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mlfolio.core.errors import InputError, UserError
from mlfolio.core.inputs import field_names, parse_inputs
from mlfolio.core.model import Input, Model
from mlfolio.lifecycle import Predictor, size_of
from mlfolio.monitor import losses
from mlfolio.monitor.examples import Example
from mlfolio.parts.stats import holm, mean_ci95, p_paired
from mlfolio.report.words import megabytes, number, signed

Floats = NDArray[np.float64]
FEW = 10  # values of a column, or classes, that are looked at one by one
ALPHA = 0.05
TIMED = 25  # answers, one at a time
MISSING = "(missing)"


class Gates(BaseModel):
    """What a challenger has to pass; every gate has a default that is safe."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    better: bool = Field(False, description="whether it must be better beyond chance")
    margin: float = Field(
        0.02, ge=0, le=1, description="how much worse it may be: of the wrong answers in shares "
        "of the rows, of other losses in shares of the champion's",
    )  # fmt: skip
    rows: int = Field(50, ge=10, le=100_000, description="rows of each class that are needed")
    slice_rows: int = Field(50, ge=10, le=100_000, description="rows of a slice, to look at it")
    slice_margin: float = Field(0.02, ge=0, le=1, description="likewise, in each slice")
    latency: float = Field(2.0, gt=0, le=100, description="times the champion's, at most")
    fast_ms: float = Field(5.0, ge=0, le=10_000, description="an answer that is always fast enough")
    size: float = Field(2.0, gt=0, le=1_000, description="times the champion's bytes, at most")


class PairedLoss(BaseModel):
    """One loss of both models on the same rows; lower is better.

    Attributes:
        name: `log loss`, `wrong answers` or `absolute error`.
        champion: Its mean.
        challenger: Its mean.
        gain_ci95: 95 % interval of (challenger - champion), below zero is better; None for fewer
            than ten rows.
        p_value: Two-sided: McNemar's exact test of wrong answers, else Wilcoxon's.
    """

    name: str
    champion: float
    challenger: float
    gain_ci95: tuple[float, float] | None
    p_value: float


class GateCheck(BaseModel):
    """A gate, and how the challenger came through."""

    gate: str
    passed: bool
    reason: str


class Trial(BaseModel):
    """What came of a comparison.

    Attributes:
        champion: Version of the champion.
        challenger: Version of the challenger.
        rows: How many both have answered.
        measures: Their losses, the one that decides first.
        checks: The gates.
    """

    champion: int | None
    challenger: int | None
    rows: int
    measures: tuple[PairedLoss, ...] = ()
    checks: tuple[GateCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether it came through all gates."""
        return all(check.passed for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is to be released, or what stands against it."""
        return tuple(check.reason for check in self.checks if check.passed == self.passed)


def compare(
    champion: Predictor, challenger: Predictor, rows: Sequence[Example], gates: Gates | None = None
) -> Trial:
    """Lets both models answer the same rows, which neither has learned from.

    Args:
        champion: What answers now.
        challenger: What is to take its place.
        rows: With their truth.
        gates: What it has to pass.

    Raises:
        InputError: Rows that the champion refuses.
        UserError: There are none, or their answers are of no kind that can be compared.
    """
    gates = gates or Gates()
    if not rows:
        raise UserError("there are no labelled rows to compare on", "name a file of them: --on")
    asked = _asked(champion.model, rows)
    try:
        same = _asked(challenger.model, rows)
    except InputError as error:
        reason = f"it refuses rows that the champion takes: {error.problems[0]}"
        return _trial(champion, challenger, rows, (), [_check("inputs", False, reason)])
    outputs = [
        [output.model_dump(mode="json") for output in each.model.predict(inputs)]
        for each, inputs in ((champion, asked), (challenger, same))
    ]
    truths = [row.truth for row in rows]
    tables = _losses(outputs[0], outputs[1], truths)
    measures = tuple(map(_measure, tables))
    checks = [
        _enough(outputs[0], truths, gates.rows),
        *(_no_worse(*each, gates.margin) for each in zip(measures, tables, strict=True)),
        *([_better(measures[0])] if gates.better else []),
        _slices(rows, tables[0], gates),
        _latency(champion.model, challenger.model, asked, same, gates),
    ]
    if champion.folder and challenger.folder:
        checks.append(_size(champion.folder, challenger.folder, gates))
    return _trial(champion, challenger, rows, measures, checks)


def _asked(model: Model, rows: Sequence[Example]) -> list[Input]:
    """The rows as a model is asked them: columns that it does not know are none of its business."""
    fields = {name.lower() for name in field_names(model.input_type)}
    return parse_inputs(
        model, [{k: v for k, v in row.input.items() if k.lower() in fields} for row in rows]
    )


@dataclass(frozen=True)
class _Losses:
    """One loss of both models for each row, shape (n,), and what a margin of 1 is of it."""

    name: str
    champion: Floats
    challenger: Floats
    unit: float

    @property
    def gains(self) -> Floats:
        """Challenger - champion, shape (n,)."""
        return self.challenger - self.champion


def _losses(
    champion: list[dict[str, Any]], challenger: list[dict[str, Any]], truths: Sequence[Any]
) -> list[_Losses]:
    """The losses that suit the answers, the one that decides first.

    Raises:
        UserError: None does.
    """
    example = champion[0]
    if not isinstance(example["answer"], str | int | float):
        raise UserError(
            "answers that are no class and no number cannot be compared with a truth",
            "--shadow or --canary tries it, and --force releases it without a comparison",
        )

    def table(name: str, loss: Callable[..., float], unit: float | None = None) -> _Losses:
        one, other = (
            np.array([loss(o, t) for o, t in zip(outputs, truths, strict=True)], dtype=float)
            for outputs in (champion, challenger)
        )
        return _Losses(name, one, other, unit or float(one.mean()))

    if losses.is_amount(example):
        strange = [truth for truth in truths if not isinstance(truth, int | float)]
        if strange:
            raise UserError(
                f"the truth {strange[0]!r} is no number, and the answers are",
                "name its column: --target",
            )
        return [table("absolute error", losses.error)]
    found = [table("wrong answers", losses.error, 1.0)]
    if all(losses.classes_of(outputs, truths) for outputs in (champion, challenger)):
        found.insert(0, table("log loss", losses.surprise))
    return found


def _trial(
    champion: Predictor, challenger: Predictor, rows: Sequence[Example],
    measures: tuple[PairedLoss, ...], checks: Sequence[GateCheck],
) -> Trial:  # fmt: skip
    return Trial(
        champion=champion.version, challenger=challenger.version, rows=len(rows),
        measures=measures, checks=tuple(checks),
    )  # fmt: skip


def _check(gate: str, passed: bool, reason: str) -> GateCheck:
    return GateCheck(gate=gate, passed=bool(passed), reason=reason)


def _measure(table: _Losses) -> PairedLoss:
    return PairedLoss(
        name=table.name,
        champion=float(table.champion.mean()),
        challenger=float(table.challenger.mean()),
        gain_ci95=mean_ci95(table.gains),
        p_value=p_paired(table.gains, "two-sided"),
    )


def _enough(outputs: Sequence[dict[str, Any]], truths: Sequence[Any], needed: int) -> GateCheck:
    """Whether there are rows enough: of amounts in all, else of the rarest class.

    That may be one that the champion knows and nobody has met of late.
    """
    n = len(truths)
    if losses.is_amount(outputs[0]):
        return _check("rows", n >= needed, f"{n:,} rows, {needed:,} are needed")
    counts = Counter(dict.fromkeys(losses.classes_of(outputs, truths), 0))
    counts.update(map(losses.name_of, truths))
    if len(counts) > FEW:  # the rarest of a hundred says little of the whole
        reason = f"{n:,} rows of {len(counts)} classes, {needed * FEW:,} are needed"
        return _check("rows", n >= needed * FEW, reason)
    name, rarest = counts.most_common()[-1]
    reason = f"{n:,} rows, {rarest:,} of them {name!r}; {needed:,} of each are needed"
    return _check("rows", rarest >= needed, reason)


def _no_worse(measure: PairedLoss, table: _Losses, margin: float) -> GateCheck:
    """Whether it is not worse by more than a margin, also at the far end of the interval."""
    if measure.gain_ci95 is None:
        return _check(table.name, False, f"{table.name}: fewer than ten rows tell no difference")
    far, allowed = measure.gain_ci95[1], margin * table.unit
    if far <= allowed:
        return _check(
            table.name, True, f"{_apart(measure)}; at most {number(allowed)} worse is allowed"
        )
    reason = f"{_apart(measure)} may be worse by {number(far)}; {number(allowed)} is allowed"
    return _check(table.name, False, reason)


def _better(measure: PairedLoss) -> GateCheck:
    better = measure.gain_ci95 is not None and measure.gain_ci95[1] < 0
    word = "better beyond chance" if better else "not better beyond chance"
    return _check("better", better, f"{word}: {_apart(measure)}")


def _apart(measure: PairedLoss) -> str:
    """Both means and their difference, in words."""
    low, high = measure.gain_ci95 or (float("nan"),) * 2
    return (
        f"{measure.name} {number(measure.challenger)}, the champion's {number(measure.champion)} "
        f"(difference {signed(low)} to {signed(high)}, p = {measure.p_value:.2g})"
    )


def _slices(rows: Sequence[Example], table: _Losses, gates: Gates) -> GateCheck:
    """Whether it is worse among none of the rows that share a value, beyond chance (Holm)."""
    slices = {
        name: table.gains[members]
        for name, members in _members(rows).items()
        if members.sum() >= gates.slice_rows
    }
    if not slices:
        return _check("slices", True, f"no slice has {gates.slice_rows} rows")
    p_values = {name: p_paired(gains, "greater") for name, gains in slices.items()}
    allowed = gates.slice_margin * table.unit
    worse = [
        f"{name} ({number(slices[name].mean())} worse in {len(slices[name]):,} rows)"
        for name in _surely(p_values)
        if slices[name].mean() > allowed
    ]
    if worse:
        return _check("slices", False, f"its {table.name} is worse where {', '.join(worse)}")
    reason = f"its {table.name} is worse in none of {len(slices)} slices, beyond chance"
    return _check("slices", True, reason)


def _members(rows: Sequence[Example]) -> dict[str, NDArray[np.bool_]]:
    """Which rows share a value of a column with few of them, by `column = value`.

    Not of the truth: where classes have become more or less frequent, a model that has learned it
    has to be worse in one of them.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    for column in dict.fromkeys(name for row in rows for name in row.input):
        cells = [row.input.get(column) for row in rows]
        values = np.array([MISSING if cell is None else str(cell)[:80] for cell in cells])
        known = np.unique(values)
        if 1 < len(known) <= FEW:
            found |= {f"{column} = {value}": values == value for value in known.tolist()}
    return found


def _surely(p_values: Mapping[str, float]) -> list[str]:
    """The names whose p-values are significant, all together, the surest first."""
    among = dict(zip(p_values, holm(list(p_values.values())).tolist(), strict=True))
    return [name for name in sorted(among, key=among.__getitem__) if among[name] <= ALPHA]


def _latency(
    champion: Model, challenger: Model, asked: Sequence[Input], same: Sequence[Input], gates: Gates
) -> GateCheck:
    """Whether one answer takes not much longer; asked in turn, so that both meet the same load."""
    times: tuple[list[float], list[float]] = ([], [])
    for at in range(min(TIMED, len(asked))):
        for model, inputs, taken in zip((champion, challenger), (asked, same), times, strict=True):
            started = time.perf_counter()
            model.predict([inputs[at]])
            taken.append((time.perf_counter() - started) * 1000)
    theirs, mine = (float(np.median(taken)) for taken in times)
    reason = f"an answer takes {mine:.1f} ms, the champion's {theirs:.1f}"
    if mine <= gates.fast_ms:
        return _check("latency", True, reason)
    limit = f"at most {gates.latency:g} times as long is allowed"
    return _check("latency", mine <= gates.latency * theirs, f"{reason}; {limit}")


def _size(champion: Path, challenger: Path, gates: Gates) -> GateCheck:
    theirs, mine = size_of(champion), size_of(challenger)
    reason = (
        f"it takes {megabytes(mine)}, the champion {megabytes(theirs)}; at most {gates.size:g} "
        "times as much is allowed"
    )
    return _check("size", mine <= gates.size * theirs, reason)
