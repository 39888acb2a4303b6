"""How soon `mlfolio monitor` sees what goes wrong, and how often it cries wolf.

    python benchmarks/drift.py tables [telco-churn bank-marketing]
    python benchmarks/drift.py served [titanic house-prices spam churn]
    python benchmarks/drift.py vectors

Months of answers are simulated. Each answer is a row of the data set, drawn with its out-of-fold
answer, so that without a change the rows of now come from where the reference comes from. A look
is taken every 200 answers, at the last 1,000; after 1,000 good ones something changes. The truth of
every second answer is told, 500 answers later. `vectors` draws texts (SMS) and pictures (MNIST),
which are told from a reference of 500. `served` simulates nothing: a system is trained on half of
its data, and asked of 1,000 rows of the other half.

The thresholds (`monitor/checks.py`, `drift.py`, `quality.py`) are conventions, tried on
credit-default and on no other data before.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from scipy import stats
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

import mlfolio
from mlfolio.core.source import OFFICIAL
from mlfolio.data.datasets import data_folder
from mlfolio.monitor.checks import alarms
from mlfolio.monitor.drift import compare_vectors
from mlfolio.monitor.embedding import SIDE
from mlfolio.monitor.rows import Row, read_reference
from mlfolio.monitor.watching import Watched, watch
from mlfolio.parts.text.embed import get_encoder
from mlfolio.parts.vision.backbone import SMALL, get_backbone
from mlfolio.parts.vision.nets import features_of
from mlfolio.systems.digits.system import Digits

REFERENCE, WINDOW, STEP, MONTH = 2_000, 1_000, 200, 3_000
DELAY, TOLD = 500, 0.5
MONTHS, QUIET_MONTHS, LOOKS, TRAINED = 10, 40, 20, 10
YES, NO = "yes", "no"
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """A data set, and what is done to it.

    Attributes:
        features: Its columns, shape (n, columns).
        truth: 1 for a yes, shape (n,).
        shifted: Column along which rows become more frequent.
        unit: Column of numbers that comes in another unit.
        renamed: Column of categories, the most frequent of which gets another name.
    """

    features: pd.DataFrame
    truth: Ints
    shifted: str
    unit: str
    renamed: str


def read(name: str) -> Table:
    """A data set by its name."""
    folder = data_folder() / name
    if name == "telco-churn":
        frame = pd.read_csv(next(folder.glob("*.csv")), na_values=" ").drop(columns="customerID")
        truth = frame.pop("Churn") == "Yes"
        return Table(frame, truth.to_numpy(int), "tenure", "MonthlyCharges", "Contract")
    if name == "bank-marketing":
        frame = pd.read_csv(folder / "bank-full.csv", sep=";")
        truth = frame.pop("y") == "yes"
        return Table(frame, truth.to_numpy(int), "age", "duration", "contact")
    frame = pd.read_csv(folder / "UCI_Credit_Card.csv").drop(columns="ID")
    truth = frame.pop("default.payment.next.month")
    for column in ("SEX", "EDUCATION", "MARRIAGE"):
        frame[column] = frame[column].astype(str)
    return Table(frame, truth.to_numpy(int), "AGE", "LIMIT_BAL", "EDUCATION")


class Answers:
    """Models that have each not seen a fifth of the rows, and answer those."""

    def __init__(self, table: Table) -> None:
        self.kinds = {
            column: pd.CategoricalDtype(list(table.features[column].unique()))
            for column in table.features.select_dtypes("object")
        }
        X = table.features.astype(self.kinds)
        splits = StratifiedKFold(5, shuffle=True, random_state=0).split(X, table.truth)
        self.parts = [
            (
                LGBMClassifier(n_estimators=60, verbose=-1, n_jobs=1).fit(
                    X.iloc[a], table.truth[a]
                ),
                b,
            )
            for a, b in splits
        ]

    def rows(self, features: pd.DataFrame, truth: Ints) -> list[Row]:
        """Every row with its answer."""
        X, chances = features.astype(self.kinds), np.zeros(len(features))
        for model, unseen in self.parts:
            chances[unseen] = model.predict_proba(X.iloc[unseen])[:, 1]
        cells = features.astype(object).where(features.notna(), None).to_dict("records")
        return [
            Row(row, _output(chance), YES if yes else NO)
            for row, chance, yes in zip(cells, chances.tolist(), truth, strict=True)
        ]


def _output(chance: float) -> dict[str, Any]:
    return {
        "answer": YES if chance >= 0.5 else NO, "confidence": max(chance, 1 - chance),
        "probabilities": {NO: 1 - chance, YES: chance},
    }  # fmt: skip


Change = Callable[[Table, np.random.Generator], tuple[pd.DataFrame, Ints, NDArray[np.float64]]]


def _weighted(by: Callable[[Table], Any]) -> Change:
    """Some rows become more frequent."""
    return lambda table, draw: (table.features, table.truth, np.asarray(by(table), float))


def _broken(change: Callable[[Table, pd.DataFrame], None]) -> Change:
    """A column comes in wrong."""

    def make(table: Table, draw: np.random.Generator) -> tuple[pd.DataFrame, Ints, Any]:
        features = table.features.copy()
        change(table, features)
        return features, table.truth, np.ones(len(features))

    return make


def _along(strength: float) -> Change:
    return _weighted(lambda t: np.exp(strength * stats.zscore(t.features[t.shifted])))


def _flipped(share: float) -> Change:
    """The truth of some rows, whatever they are, is another than it was."""

    def make(table: Table, draw: np.random.Generator) -> tuple[pd.DataFrame, Ints, Any]:
        flip = draw.random(len(table.truth)) < share
        return table.features, np.where(flip, 1 - table.truth, table.truth), np.ones(len(flip))

    return make


def _times_hundred(table: Table, features: pd.DataFrame) -> None:
    features[table.unit] = features[table.unit] * 100


def _stuck(table: Table, features: pd.DataFrame) -> None:
    features[table.unit] = features[table.unit].mode()[0]


def _missing(table: Table, features: pd.DataFrame) -> None:
    features[table.unit] = np.nan


def _renamed(table: Table, features: pd.DataFrame) -> None:
    usual = features[table.renamed].mode()[0]
    features[table.renamed] = features[table.renamed].replace(usual, "another name")


CHANGES: Final[Mapping[str, Change]] = {
    "covariate shift, small": _along(0.25),
    "covariate shift, large": _along(0.8),
    "label shift, odds of yes x 2": _weighted(lambda t: 1 + t.truth),
    "concept drift, 10 % of truths": _flipped(0.1),
    "concept drift, 25 % of truths": _flipped(0.25),
    "broken: another unit (x 100)": _broken(_times_hundred),
    "broken: stuck at one value": _broken(_stuck),
    "broken: all missing": _broken(_missing),
    "broken: a category renamed": _broken(_renamed),
}


def looks(before: list[Row], after: list[Row], chances: Any, seed: int) -> Iterator[Watched]:
    """A month: a look after every 200 answers, the first 200 after the change."""
    draw = np.random.default_rng(seed)
    reference = _drawn(before, None, REFERENCE, draw)
    stream = _drawn(before, None, WINDOW + DELAY, draw) + _drawn(after, chances, MONTH, draw)
    told = draw.random(len(stream)) < TOLD
    bare = [row._replace(truth=None) for row in stream]
    for end in range(WINDOW + DELAY + STEP, len(stream) + 1, STEP):
        known = [stream[at] for at in range(end - DELAY) if told[at]][-WINDOW:]
        yield watch("simulated", reference, bare[end - WINDOW : end], known)


def _drawn(rows: list[Row], chances: Any, n: int, draw: np.random.Generator) -> list[Row]:
    p = None if chances is None else chances / chances.sum()
    return [rows[at] for at in draw.choice(len(rows), n, p=p)]


def quiet(name: str, rows: list[Row]) -> None:
    """How often there is an alarm although nothing has changed."""
    alarmed = [
        [bool(found.alarms) for found in looks(rows, rows, None, seed)]
        for seed in range(QUIET_MONTHS)
    ]
    each, ever = np.array(alarmed), np.array(alarmed).any(axis=1)
    print(f"| {name} | {each.size:,} | {_share(each.ravel())} | {len(ever)} | {_share(ever)} |")


def _share(hits: NDArray[np.bool_]) -> str:
    found = stats.binomtest(int(hits.sum()), hits.size).proportion_ci(method="wilson")
    return f"{hits.mean():.1%} ({found.low:.1%} to {found.high:.1%})"


def changed(name: str, change: str, table: Table, answers: Answers, before: list[Row]) -> None:
    """After how many rows a change is seen, and as what."""
    soon, kinds = [], Counter[str]()
    features, truth, chances = CHANGES[change](table, np.random.default_rng(0))
    after = answers.rows(features, truth)
    for seed in range(MONTHS):
        seen = None
        for number, found in enumerate(looks(before, after, chances, 1_000 + seed), start=1):
            if found.alarms:
                seen = number * STEP
                kinds.update({alarm.kind for alarm in found.alarms})
                break
        soon.append(np.inf if seen is None else seen)
    low, median, high = np.quantile(soon, [0.05, 0.5, 0.95], method="nearest")
    said = ", ".join(f"{kind} {count / MONTHS:.0%}" for kind, count in kinds.most_common())
    missed = np.isinf(soon).mean()
    rows = f"{_rows(median)} ({_rows(low)} to {_rows(high)})"
    print(f"| {name} | {change} | {said or 'none'} | {rows} | {missed:.0%} |", flush=True)


def _rows(count: float) -> str:
    return "never" if np.isinf(count) else f"{count:,.0f}"


def tables(names: list[str]) -> None:
    """Prints both tables of some data sets."""
    known = {}
    for name in names:
        table = read(name)
        answers = Answers(table)
        known[name] = (table, answers, answers.rows(table.features, table.truth))
    print("| no change | looks | with an alarm | months of 15 looks | with any |")
    print("|---|---|---|---|---|")
    for name, (_, _, rows) in known.items():
        quiet(name, rows)
    print("\n| data | change | first alarm | rows until it: median (5 % to 95 %) | missed |")
    print("|---|---|---|---|---|")
    for name, (table, answers, rows) in known.items():
        for change in CHANGES:
            changed(name, change, table, answers, rows)


def served(names: list[str]) -> None:
    """Prints how often a system that was trained on half of its data alarms on the other half."""
    print("| system | trained | with an alarm | which |\n|---|---|---|---|")
    for name in names:
        table, knobs = _whole(name)
        kinds, hits = Counter[str](), []
        for seed in range(TRAINED):
            mixed = table.sample(frac=1, random_state=seed)
            half = len(mixed) // 2
            found = _serve(name, mixed[:half], mixed[half : half + WINDOW], knobs)
            kinds.update(f"{alarm.kind}: {alarm.message}" for alarm in found.alarms)
            hits.append(bool(found.alarms))
        said = ", ".join(kinds) or "none"
        print(f"| {name} | {len(hits)} | {_share(np.array(hits))} | {said} |", flush=True)


def _whole(name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The data of a system, and knobs that make its runs quick."""
    folder = data_folder()
    if name == "spam":
        path = folder / "sms-spam" / "SMSSpamCollection"
        lines = [line.split("\t", 1) for line in path.read_text("utf-8").splitlines()]
        return pd.DataFrame(lines, columns=["label", "text"]), {"folds": 2, "inner_folds": 2}
    if name == "churn":
        frame = pd.read_csv(next((folder / "telco-churn").glob("*.csv")), na_values=" ")
        return frame, {"folds": 2, "inner_folds": 2, "target": "Churn"}
    return pd.read_csv(folder / name / "train.csv"), {"folds": 2}


def _serve(
    name: str, known: pd.DataFrame, asked: pd.DataFrame, knobs: Mapping[str, Any]
) -> Watched:
    """A run on some rows, and a look at its answers to others."""
    with tempfile.TemporaryDirectory() as place, mock.patch.dict(os.environ, MLFOLIO_RUNS=place):
        known.to_csv(file := Path(place) / "known.csv", index=False)
        result = mlfolio.run(name, data=file, **knobs)
        model = mlfolio.load(name)
        fields = {*model.model.input_type.model_json_schema()["properties"]}
        cells = asked[[name for name in asked if name in fields]].astype(object)
        rows = cells.where(cells.notna(), None).to_dict("records")
        answers = [answer.model_dump(mode="json") for answer in model.predict(rows)]
        now = [Row(row, answer) for row, answer in zip(rows, answers, strict=True)]
        return watch(name, read_reference(result.folder), now)


def vectors() -> None:
    """Prints how often texts and pictures are told from a reference of 500."""
    draw = np.random.default_rng(0)
    print("| what | change | rows of now | looks with an alarm |\n|---|---|---|---|")
    for what, changes in {"SMS": _texts(draw), "MNIST": _digits(draw)}.items():
        usual = changes["none"]
        for change, after in changes.items():
            for n in (100, 500):
                hits = [_is_told(usual, after, n, draw) for _ in range(LOOKS)]
                print(f"| {what} | {change} | {n} | {_share(np.array(hits))} |", flush=True)


def _is_told(usual: NDArray[Any], after: NDArray[Any], n: int, draw: np.random.Generator) -> bool:
    order = draw.permutation(len(usual))
    before = usual[order[:500]]
    rest = order[500:] if len(after) == len(usual) else np.arange(len(after))
    check, _ = compare_vectors("it", before, after[draw.choice(rest, n, replace=False)])
    return bool(alarms([check]))


def _texts(draw: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Vectors of messages, as they were and as they come now."""
    path = data_folder() / "sms-spam" / "SMSSpamCollection"
    lines = [line.split("\t", 1) for line in path.read_text("utf-8").splitlines()]
    some = [lines[at] for at in draw.permutation(len(lines))[:1_100]]
    texts = [text for _, text in some]
    usual = get_encoder().encode(texts)
    spam = np.flatnonzero([label == "spam" for label, _ in some])
    more = np.concatenate([np.arange(len(texts)), np.repeat(spam, 2)])
    new = texts[:550]
    return {
        "none": usual,
        "three times the spam": usual[more],
        "cut at 20 characters": get_encoder().encode([text[:20] for text in new]),
        "all capitals": get_encoder().encode([text.upper() for text in new]),
        "in HTML": get_encoder().encode([f"<p class='m'>{text}</p>" for text in new]),
    }


def _digits(draw: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Vectors of digits, likewise."""
    import cv2

    split = Digits().load(OFFICIAL)
    chosen = draw.permutation(len(split.test))[:1_500]
    grey, digits = split.test.pixels[chosen], split.test.digits[chosen]
    backbone = get_backbone(SMALL, 0)

    def seen(pictures: NDArray[np.uint8]) -> NDArray[Any]:
        large = [cv2.resize(each, (SIDE, SIDE)) for each in pictures]
        return features_of(backbone, np.repeat(np.stack(large)[..., None], 3, axis=3))

    usual = seen(grey)
    turn = cv2.getRotationMatrix2D((13.5, 13.5), 15, 1.0)
    return {
        "none": usual,
        "no sevens any more": usual[digits != 7],
        "turned by 15 degrees": seen(np.stack([cv2.warpAffine(g, turn, (28, 28)) for g in grey])),
        "blurred": seen(np.stack([cv2.GaussianBlur(g, (5, 5), 1.0) for g in grey])),
        "black on white": seen(255 - grey),
    }


def main() -> None:
    """Prints the tables that were asked for."""
    what, *names = sys.argv[1:] or ["tables"]
    with threadpool_limits(1):
        if what == "tables":
            tables(names or ["telco-churn", "bank-marketing"])
        elif what == "served":
            served(names or ["titanic", "house-prices", "spam", "churn"])
        else:
            vectors()


if __name__ == "__main__":
    main()
