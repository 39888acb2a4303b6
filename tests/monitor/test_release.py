"""Champion against challenger: models of real classifiers on the same rows, and the verbs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import Field
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import mlfolio
from mlfolio.core.errors import FileError, InputError, UserError
from mlfolio.core.model import Input, Output
from mlfolio.lifecycle import Predictor
from mlfolio.monitor.examples import Example, judged_rows, read_rows
from mlfolio.monitor.release import Gates, Trial, compare
from mlfolio.parts.tabular.model import TabularModel
from mlfolio.parts.tabular.schema import Schema
from mlfolio.systems.iris.card import CARD
from tests.conftest import Cli
from tests.serve.test_journal import entry

FEATURES = ["income", "age", "region"]
numbers = FunctionTransformer(lambda frame: frame[["income", "age"]].to_numpy())


def people(n: int, seed: int, flip: str = "") -> pd.DataFrame:
    """Who buys: by income and age, in one region the other way round if that is asked for."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"income": rng.normal(size=n), "age": rng.normal(size=n),
         "region": rng.choice(["north", "south", "east"], n)}
    )  # fmt: skip
    odds = 2 * frame["income"] - frame["age"]
    odds = np.where(frame["region"] == flip, -odds, odds)
    frame["buys"] = np.where(rng.random(n) < 1 / (1 + np.exp(-odds)), "yes", "no")
    return frame


def fitted(estimator: BaseEstimator, table: pd.DataFrame, version: int) -> Predictor:
    model = TabularModel(
        Schema.learn(table[FEATURES]),
        make_pipeline(numbers, estimator).fit(table[FEATURES], table["buys"]), ["no", "yes"],
    )  # fmt: skip
    return Predictor(CARD, model, version)


def rows_of(table: pd.DataFrame) -> list[Example]:
    return [Example({f: row[f] for f in FEATURES}, row["buys"]) for row in table.to_dict("records")]


@pytest.fixture(scope="module")
def good() -> Predictor:
    return fitted(LogisticRegression(), people(2000, 1), 2)


@pytest.fixture(scope="module")
def poor() -> Predictor:
    return fitted(DummyClassifier(), people(2000, 1), 1)


def gate(trial: Trial, name: str) -> Any:
    return next(check for check in trial.checks if check.gate == name)


def test_the_better_one_is_released_and_the_worse_is_not(good: Predictor, poor: Predictor) -> None:
    rows = rows_of(people(600, 2))
    up, down = compare(poor, good, rows, Gates(better=True)), compare(good, poor, rows)

    assert up.passed
    assert (up.champion, up.challenger, up.rows) == (1, 2, 600)
    assert [measure.name for measure in up.measures] == ["log loss", "wrong answers"]
    assert all(measure.p_value < 1e-6 for measure in up.measures)
    assert any("better beyond chance: log loss 0." in reason for reason in up.reasons)
    assert not down.passed
    assert any("may be worse by" in reason for reason in down.reasons)
    assert any("is worse where region" in reason for reason in down.reasons)
    assert Trial.model_validate_json(up.model_dump_json()) == up


def test_an_equal_one_is_no_worse_and_no_better(good: Predictor) -> None:
    again = fitted(LogisticRegression(), people(2000, 1), 3)
    rows = rows_of(people(400, 3))
    assert compare(good, again, rows).passed
    strict = compare(good, again, rows, Gates(better=True))
    assert not strict.passed
    assert "not better beyond chance" in strict.reasons[0]


def test_few_rows_release_nothing(good: Predictor, poor: Predictor) -> None:
    trial = compare(poor, good, rows_of(people(60, 4)))
    assert not trial.passed
    assert "50 of each are needed" in gate(trial, "rows").reason
    assert not compare(poor, good, rows_of(people(5, 4))).passed
    with pytest.raises(UserError, match="no labelled rows"):
        compare(poor, good, [])


def test_equals_are_taken_for_better_as_rarely_as_promised() -> None:
    """Two models of different halves of the same people, on new people: 5 % and no more."""
    rows = rows_of(people(250, 5))
    false = 0
    for seed in range(40):
        one = fitted(LogisticRegression(), people(1500, 100 + seed), 1)
        other = fitted(LogisticRegression(), people(1500, 200 + seed), 2)
        fresh = rows_of(people(250, 300 + seed)) if seed else rows
        false += compare(one, other, fresh, Gates(better=True)).passed
    assert false <= 4, "of 40"


def test_a_slice_that_gets_worse_is_seen_behind_a_better_mean() -> None:
    """Learned where the south is like the rest; now it is the other way round there."""
    old = fitted(LogisticRegression(C=1e-3), people(300, 6), 1)
    new = fitted(LogisticRegression(), people(3000, 6), 2)
    trial = compare(old, new, rows_of(people(900, 7, flip="south")), Gates(margin=1))
    assert not gate(trial, "slices").passed
    assert "region = south" in gate(trial, "slices").reason
    assert "region = north" not in gate(trial, "slices").reason


class Slow(TabularModel):
    """It takes its time."""

    def predict(self, inputs: Sequence[Input]) -> list[Output]:
        time.sleep(0.02)
        return super().predict(inputs)


def test_a_slow_one_and_a_large_one_are_not_released(good: Predictor, tmp_path: Path) -> None:
    model: Any = good.model
    slow = Predictor(CARD, Slow(model.schema, model.estimator, model.classes), 2)
    for name, size in (("a", 10), ("b", 1000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").write_bytes(b" " * size)
    good_, slow.folder = Predictor(CARD, model, 1, folder=tmp_path / "a"), tmp_path / "b"

    trial = compare(good_, slow, rows_of(people(300, 8)), Gates(fast_ms=0))

    assert not gate(trial, "latency").passed
    assert "at most 2 times as long" in gate(trial, "latency").reason
    assert not gate(trial, "size").passed
    assert gate(trial, "wrong answers").passed
    lenient = Gates(fast_ms=1000, size=1000)
    assert compare(good_, slow, rows_of(people(300, 8)), lenient).passed


def test_one_that_wants_other_columns_is_told_so(good: Predictor, poor: Predictor) -> None:
    table = people(300, 9).assign(debts=1.0)
    model: Any = good.model
    schema = Schema.learn(table[[*FEATURES, "debts"]], complete=True)
    other = Predictor(CARD, TabularModel(schema, model.estimator, model.classes), 3)

    trial = compare(good, other, rows_of(table))

    assert not trial.passed
    assert "refuses rows that the champion takes: row 1, debts" in trial.reasons[0]
    with pytest.raises(InputError, match="debts"):
        compare(other, good, rows_of(table))


def test_a_class_that_nobody_met_of_late_is_the_rarest(good: Predictor) -> None:
    """What knows "yes" has to be asked of it, however many rows are "no"."""
    rows = [row for row in rows_of(people(600, 12)) if row.truth == "no"]
    trial = compare(good, good, rows)
    assert len(rows) > 200
    assert not trial.passed
    assert "0 of them 'yes'; 50 of each are needed" in gate(trial, "rows").reason


class Price(Output):
    answer: float


class DatedPrice(Price):
    """As stocks answers: the chances are not of the answer."""

    probabilities: dict[str, float] = Field({"up": 0.5, "not up": 0.5})


class Guess:
    """A model of numbers: the income, and how far it is off."""

    def __init__(self, off: float, kind: type[Price] = Price) -> None:
        self.off = off
        self.input_type = Schema.learn(people(100, 1)[FEATURES]).row_type()
        self.output_type = kind

    def predict(self, inputs: Sequence[Any]) -> list[Output]:
        return [self.output_type(answer=row.column_0 + self.off) for row in inputs]


@pytest.mark.parametrize("kind", [Price, DatedPrice])
def test_numbers_are_compared_by_their_errors(kind: type[Price]) -> None:
    far, near = (
        Predictor(CARD, Guess(off, kind), 1)  # type: ignore[arg-type]
        for off in (1.0, 0.5)
    )
    rows = [row._replace(truth=row.input["income"]) for row in rows_of(people(200, 10))]
    up, down = compare(far, near, rows, Gates(better=True)), compare(near, far, rows)
    assert up.passed
    assert [(m.name, m.champion, round(m.challenger, 6)) for m in up.measures] == [
        ("absolute error", 1.0, 0.5)
    ]
    assert not down.passed
    with pytest.raises(UserError, match="the truth 'yes' is no number"):
        compare(far, near, [rows[0]._replace(truth="yes")])


class Reply(Output):
    """As a chatbot answers: a text, and what was meant."""

    answer: str
    probabilities: dict[str, float] = Field({"greet": 0.9, "leave": 0.1})


class Talker:
    """A model of texts: it says so to the young, and so to the old."""

    output_type = Reply

    def __init__(self, young: str, old: str) -> None:
        self.says = (young, old)
        self.input_type = Schema.learn(people(100, 1)[FEATURES]).row_type()

    def predict(self, inputs: Sequence[Any]) -> list[Output]:
        return [Reply(answer=self.says[row.column_1 > 0]) for row in inputs]


def test_chances_of_something_else_than_the_answer_decide_nothing() -> None:
    """A perfect one beside one that is never right is better, whatever it knows of intents."""
    mute, right = (
        Predictor(CARD, Talker(*said), 1)  # type: ignore[arg-type]
        for said in (("?", "?"), ("Hello", "Good day"))
    )
    rows = [
        row._replace(truth="Good day" if row.input["age"] > 0 else "Hello")
        for row in rows_of(people(300, 13))
    ]
    trial = compare(mute, right, rows, Gates(better=True))
    assert trial.passed, trial.reasons
    assert [measure.name for measure in trial.measures] == ["wrong answers"]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_rows_come_from_files(good: Predictor, tmp_path: Path, ending: str) -> None:
    table, path = people(30, 11), tmp_path / f"rows.{ending}"
    table.loc[3, "buys"] = None
    if ending == "csv":
        table.to_csv(path)
    elif ending == "parquet":
        table.to_parquet(path)
    else:
        lines = [
            json.dumps({"input": {f: r[f] for f in FEATURES}, "output": {}, "truth": r["buys"]})
            for r in table.to_dict("records")
        ]
        path.write_text("\n".join(lines), "utf-8")

    rows = read_rows(good.model, path, "buys")

    assert len(rows) == 29, "one has no truth"
    assert rows[0].truth == table["buys"][0]
    compare(good, good, rows)
    if ending == "csv":
        with pytest.raises(FileError, match=r"no column 'buy' .*did you mean 'buys'"):
            read_rows(good.model, path, "buy")


@pytest.mark.slow
def test_the_verbs(cli: Cli, home: Path) -> None:
    from sklearn.datasets import load_iris

    flowers = load_iris(as_frame=True)
    table = flowers.frame.drop(columns="target")
    table.columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    table.assign(species=[flowers.target_names[t] for t in flowers.target]).to_csv("f.csv")
    assert cli("history", "iris").code == 2, "it has no champion yet"
    assert cli("run", "iris", "repeats=1", "folds=2").code == 0
    assert "no challenger" in cli("release", "iris").err
    assert (
        "challenger: a candidate" in cli("run", "iris", "repeats=1", "folds=2", "--candidate").out
    )

    nobody = cli("release", "iris")
    assert nobody.code == 2
    assert "nobody has told the truth" in nobody.err
    strict = cli("release", "iris", "--on", "f.csv", "--gate", "better=yes", "--json")
    assert strict.code == 1
    told = json.loads(strict.out)
    assert (told["released"], told["trial"]["passed"]) == (False, False)
    assert "did you mean 'margin'" in cli("release", "iris", "--gate", "magrin=1").err
    assert "gate margin = '7'" in cli("release", "iris", "--gate", "margin=7").err
    assert "ok" in cli("release", "iris", "--on", "f.csv", "--dry-run").out
    assert mlfolio.load("iris").version == 1

    assert "version 2 as a shadow" in cli("release", "iris", "--shadow").out
    assert "canary of 10%" in cli("release", "iris", "--on", "f.csv", "--canary", "0.1").out
    assert cli("rollback", "iris", "--staged").code == 0
    assert "version 2 is champion" in cli("release", "iris", "--on", "f.csv").out
    assert mlfolio.load("iris").version == 2
    assert "version 1 is champion" in cli("rollback", "iris", "--reason", "it sulks").out
    nothing = cli("rollback", "iris")
    assert nothing.code == 2
    assert "no champion before version 1" in nothing.err

    shown = cli("history", "iris").out
    assert "it sulks" in shown
    assert "champion: version 1" in shown
    actions = [event["action"] for event in json.loads(cli("history", "iris", "--json").out)]
    assert actions == ["run", "stage", "stage", "unstage", "release", "rollback"]


def test_only_what_was_told_later_counts(home: Path, logged_iris: Callable[[], float]) -> None:
    since = logged_iris()
    assert [row.truth for row in judged_rows("toy", since)] == ["later"]
    assert judged_rows("iris", 0) == []


@pytest.fixture
def logged_iris(home: Path) -> Callable[[], float]:
    """A log with one truth told before a time, one after, and one of a shadow's answer."""
    import asyncio

    from mlfolio.serve.journal import Journal
    from mlfolio.track.log import database_url

    async def main() -> float:
        journal = Journal(database_url())
        journal.start()
        first, second = entry(1), entry(2)
        shadow = entry(3)._replace(shadow_of=second.id, version=2)
        await journal.add([first, second, shadow])
        assert await journal.judge(first.id, "toy", '"sooner"', "ann")
        since = time.time()
        assert await journal.judge(second.id, "toy", '"later"', "ann")
        assert not await journal.judge(shadow.id, "toy", '"never"', "ann")
        await journal.close()
        return since

    return lambda: asyncio.run(main())
