"""House prices: what columns mean, intervals that hold, and other people's numbers."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlfolio
from mlfolio.core.errors import FileError, LeakError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.source import Source
from mlfolio.lifecycle import Predictor, Result
from mlfolio.systems.house_prices.blend import Blend, prefers_log
from mlfolio.systems.house_prices.data import generate
from mlfolio.systems.house_prices.features import GRADES, HouseFeatures, unfinished_giants
from mlfolio.systems.house_prices.model import PriceModel
from mlfolio.systems.house_prices.system import HousePrices
from tests.conftest import Cli

QUICK: dict[str, Any] = {"folds": 2, "inner_folds": 2}


@pytest.fixture(scope="module")
def houses() -> pd.DataFrame:
    return generate(200, seed=5)


def test_na_is_none_where_there_is_none_and_typical_where_there_is(houses: pd.DataFrame) -> None:
    features = HouseFeatures().fit(houses)
    row = houses[houses["TotalBsmtSF"] > 0].head(1)

    def grade(**cells: object) -> float:
        return float(features.transform(row.assign(**cells))["BsmtQual"].iloc[0])

    typical = GRADES["BsmtQual"].index(houses["BsmtQual"].mode()[0]) + 1
    assert grade(BsmtQual=None, TotalBsmtSF=0) == 0
    assert grade(BsmtQual=None, TotalBsmtSF=900) == typical
    assert grade(BsmtQual="NA", TotalBsmtSF=900) == typical
    assert grade(BsmtQual="Ex") > grade(BsmtQual="Gd") > grade(BsmtQual="Fa") > 0
    assert features.transform(row.assign(Alley=None))["Alley"].iloc[0] == 0
    kinds = features.transform(row.assign(GarageType=None, GarageArea=0))["GarageType"]
    assert list(kinds) == ["none"]


def test_a_house_is_seen_beside_its_neighbours(houses: pd.DataFrame) -> None:
    features = HouseFeatures().fit(houses)
    one = houses.head(1).assign(OverallQual=10, GrLivArea=9_000)
    fine = features.transform(one)
    assert fine["Finer"].iloc[0] > 0
    assert fine["Overbuilt"].iloc[0] > 0
    stranger = features.transform(one.assign(Neighborhood="nowhere"))
    assert np.isfinite(stranger["AroundOverallQual"]).all()


def test_parts_add_up_where_only_the_whole_is_given(houses: pd.DataFrame) -> None:
    whole = houses.assign(LowQualFinSF=0)
    features = HouseFeatures().fit(whole)
    row = whole[(whole["GarageCars"] > 0) & (whole["2ndFlrSF"] > 0)].head(1)
    made = features.transform(row.assign(GrLivArea=2 * row["GrLivArea"], GarageCars=0))
    assert np.expm1(made["2ndFlrSF"].iloc[0]) == pytest.approx(2 * row["2ndFlrSF"].iloc[0])
    assert made["GarageArea"].iloc[0] == 0
    assert made["GarageType"].iloc[0] == "none"
    as_it_is = features.transform(whole)
    assert np.allclose(np.expm1(as_it_is["1stFlrSF"]), whole["1stFlrSF"])


def test_columns_of_ames_may_be_absent(houses: pd.DataFrame) -> None:
    few = houses[
        ["GrLivArea", "TotalBsmtSF", "OverallQual", "OverallCond", "YearBuilt", "YrSold",
         "Neighborhood"]
    ].assign(Solar=1.5)  # fmt: skip
    made = HouseFeatures().fit(few).transform(few)
    assert (made["Solar"] == 1.5).all()
    assert made.drop(columns="Solar").select_dtypes("number").notna().all(axis=None)


@pytest.mark.parametrize(
    ("answers", "log"),
    [
        (np.exp(np.linspace(0, 9, 50)), True),
        (np.linspace(100, 200, 50), False),
        (np.exp(np.linspace(0, 9, 50)) - 1, False),  # a nought has no logarithm
        (-np.exp(np.linspace(0, 9, 50)), False),
    ],
)
def test_the_rule_for_logarithms(answers: Any, log: bool) -> None:
    assert prefers_log(answers) == log


def test_numbers_without_reason_are_not_learned() -> None:
    """Weights from answers that members gave to their own rows would show here."""
    rng = np.random.default_rng(0)
    X, y = pd.DataFrame(rng.normal(size=(300, 8))).add_prefix("x"), rng.normal(size=300)
    blend = Blend(n_folds=3).fit(X[:200], y[:200])
    assert np.mean((blend.predict(X[200:]) - y[200:]) ** 2) < 1.1 * np.var(y[200:])
    assert blend.scores_["blend"] > 0.95


def test_weights_are_for_members_that_help() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 3))).add_prefix("x")
    blend = Blend(n_folds=3).fit(X, X["x0"] * 3 - X["x1"])
    assert blend.weights_["lightgbm"] < 0.1
    assert sum(blend.weights_.values()) == pytest.approx(1, abs=0.05)
    assert not blend.log_


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Kaggle's download, with houses of our own and a giant among them."""
    folder = tmp_path_factory.mktemp("houses")
    table = generate(220, seed=9)
    table.loc[3, ["GrLivArea", "SaleCondition", "SalePrice"]] = [5_000, "Partial", 90_000]
    table[:160].to_csv(folder / "train.csv", index=False)
    table[160:].drop(columns="SalePrice").to_csv(folder / "test.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def trained(kaggle: Path, tmp_path_factory: pytest.TempPathFactory, database: Path) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(tmp_path_factory.mktemp("runs")))
        return mlfolio.run("house-prices", data=kaggle, register=False, **QUICK)


@pytest.fixture(scope="module")
def predictor(trained: Result) -> Predictor:
    return Predictor(HousePrices.card, PriceModel.load(trained.folder / "model"))


@pytest.mark.slow
def test_kaggles_folder_gives_a_submission(trained: Result) -> None:
    with (trained.folder / "submission.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["Id", "SalePrice"]
    assert [int(row["Id"]) for row in rows] == list(range(161, 221))
    assert all(10_000 < float(row["SalePrice"]) < 2_000_000 for row in rows)
    report = (trained.folder / "report.html").read_text("utf-8")
    for part in ("elastic net", "lightgbm", "Intervals", "Importance"):
        assert part in report


@pytest.mark.slow
def test_outliers_are_told_and_never_left_out_of_the_score(trained: Result) -> None:
    scores = {score.name: score for score in trained.scores}
    (finding,) = (f for f in trained.findings if f.check == "outliers")
    assert "Id 4" in finding.message
    assert scores["RMSLE"].n == scores["R2"].n == 160
    assert scores["RMSLE"].strong.gain_ci95 is not None  # type: ignore[union-attr]
    assert scores["interval coverage"].protocol.endswith("80% asked")
    assert 0.6 < scores["interval coverage"].value < 0.95
    width, trivial = (scores["mean relative interval width"].value, 1.0)
    assert width < trivial


def test_giants_need_their_columns(houses: pd.DataFrame) -> None:
    assert not unfinished_giants(houses[["GrLivArea"]]).any()
    assert not unfinished_giants(houses).any()


@pytest.mark.slow
def test_an_answer_has_an_interval_and_warnings(predictor: Predictor, kaggle: Path) -> None:
    answer: Any = predictor.predict({"GrLivArea": 2_000, "overallqual": 8, "BsmtQual": "NA"})
    assert answer.low < answer.answer < answer.high
    assert isinstance(answer.answer, int)
    assert answer.answer % 10 == 0, "no more digits than it is worth"
    assert answer.confidence is None
    assert answer.level == 0.8
    (warning,) = answer.warnings
    assert "typical values are assumed" in warning
    assert warning.endswith("more"), "a page of names helps nobody"
    strange: Any = predictor.predict({"GrLivArea": 90_000, "Neighborhood": "Atlantis"})
    assert any("outside the training range" in text for text in strange.warnings)
    assert any("'Atlantis' was never seen" in text for text in strange.warnings)


@pytest.mark.slow
def test_reasons_add_up_in_the_unit_of_the_answer(predictor: Predictor) -> None:
    model: Any = predictor.model
    given = parse_inputs(model, [{"GrLivArea": 2_300, "OverallQual": 9, "Fireplaces": 1}])
    typical = parse_inputs(model, [{c.name: c.typical for c in model.schema.columns}])
    (reasons,) = model.explain(given)
    ends = [model.estimator.predict(model.schema.frame(rows))[0] for rows in (given, typical)]
    assert sum(reason.effect for reason in reasons) == pytest.approx(ends[0] - ends[1], abs=30)
    assert {reason.unit for reason in reasons} == {"SalePrice"}
    assert reasons[0].effect > 1_000
    assert model.explain(typical) == [[]]


@pytest.mark.slow
def test_a_thousand_rows_are_quick(predictor: Predictor) -> None:
    rows = [row.model_dump(by_alias=True) for row in predictor.model.examples()] * 200
    started = time.process_time()
    assert len(predictor.predict(rows)) == 1_000
    assert time.process_time() - started < 5


@pytest.mark.slow
def test_the_form_asks_for_what_matters_and_folds_the_rest(predictor: Predictor) -> None:
    gr = pytest.importorskip("gradio")
    from mlfolio.app.form import fields_of
    from mlfolio.systems.house_prices.page import FIRST, NAMES

    fields = fields_of(predictor.model, NAMES, FIRST)
    asked = [field for field in fields if not field.folded]

    assert {field.label for field in asked} == {FIRST[field.name] for field in asked}
    assert 7 < len(asked) < len(fields) / 2
    widgets = {field.name: field.widget() for field in fields}
    assert all(widgets[field.name].value is not None for field in asked)
    folded = [widgets[field.name] for field in fields if field.folded]
    assert not any(widget.value for widget in folded), "what is folded away is not given"
    assert not any(isinstance(widget, gr.Slider | gr.Radio) for widget in folded)
    assert not any(field.folded for field in fields_of(predictor.model, NAMES))


def rent(rows: int = 120) -> pd.DataFrame:
    """A table that has nothing to do with Ames."""
    rng = np.random.default_rng(0)
    rooms = rng.integers(1, 7, rows)
    town = rng.choice(["north", "south"], rows)
    return pd.DataFrame(
        {
            "flat_id": np.arange(rows) + 10_000,
            "rooms": rooms,
            "town": town,
            "profit": 12.5 * rooms - 40 + 8 * (town == "north") + rng.normal(0, 4, rows),
        }
    )


@pytest.mark.slow
def test_any_table_with_a_number(home: Path) -> None:
    """Answers below nought, a semicolon, cells that are no numbers, rows to answer beside them."""
    table = rent().astype({"profit": object})
    table.loc[:1, "profit"] = ["-", "unknown"]
    (home / "rents").mkdir()
    table.to_csv(home / "rents" / "train.csv", index=False, sep=";")
    rent(9).drop(columns="profit").to_csv(home / "rents" / "test.csv", index=False)

    result = mlfolio.run("house-prices", data="rents", target="profit", **QUICK)

    scores = {score.name: score for score in result.scores}
    assert next(iter(scores)) == "RMSE"
    assert "RMSLE" not in scores, "a negative number has no logarithm"
    assert scores["R2"].value > 0.85
    assert any("2 cells of 'profit' are no numbers" in f.message for f in result.findings)
    model = mlfolio.load("house-prices")
    poor: Any = model.predict({"rooms": 1, "town": "south"})
    assert poor.low < poor.answer < 0
    assert poor.answer != round(poor.answer), "small numbers keep their decimals"
    rows = (result.folder / "submission.csv").read_text("utf-8").splitlines()
    assert rows[0] == "flat_id,profit"
    assert len(rows) == 10


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="profit"), "no column 'profit'"),
        (lambda t: t.assign(profit=t["town"]), "mlfolio run titanic"),
        (lambda t: t.assign(profit=t["rooms"] > 3), "mlfolio run titanic"),
        (lambda t: t.assign(profit=(t["rooms"] > 3).astype(int)), "mlfolio run titanic"),
        (lambda t: t.assign(profit=7), "1 different values"),
        (lambda t: t.assign(profit=[f"{i},5" for i in range(len(t))]), "written 1234.5"),
        (lambda t: t.assign(profit=[np.inf, *t["profit"][1:]]), "is infinite in row 1"),
        (lambda t: t[:30], "at least 50"),
        (lambda t: t[["flat_id", "profit"]], "no column to predict"),
    ],
)
def test_tables_that_cannot_be_used_are_explained(home: Path, change: Any, said: str) -> None:
    change(rent()).to_csv(home / "my.csv", index=False)
    with pytest.raises(FileError) as caught:
        HousePrices(target="profit").load(Source.own("my.csv"))
    assert said in str(caught.value)


def test_the_number_in_another_unit_is_a_leak(home: Path) -> None:
    rent().assign(cents=lambda t: t["profit"] * 100).to_csv(home / "my.csv", index=False)
    with pytest.raises(LeakError, match="column 'cents' is 'profit' under other names"):
        mlfolio.run("house-prices", data="my.csv", target="profit", **QUICK)


def test_what_orders_a_number_alone_is_warned_of_and_noise_is_not(home: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 1.5, 120)
    rent().assign(near=lambda t: t["profit"] + noise).to_csv(home / "my.csv", index=False)
    checks = HousePrices(target="profit").load(Source.own("my.csv")).check()
    told = [finding for finding in checks if finding.check == "target leak"]
    assert [finding.level for finding in told] == ["warning"]
    assert "'near' alone orders 'profit'" in told[0].message


@pytest.mark.slow
def test_a_house_on_the_command_line(cli: Cli, kaggle: Path, home: Path) -> None:
    assert cli("run", "house-prices", "folds=2", "inner_folds=2", "--data", kaggle).code == 0
    shown = cli("predict", "house-prices", "GrLivArea=2000", "OverallQual=8").out
    assert "low: " in shown
    assert "(shares in SalePrice)" in shown
    answer = json.loads(cli("predict", "house-prices", "GrLivArea=2000", "--json").out)
    assert answer["low"] < answer["answer"] < answer["high"]
    outcome = cli(
        "predict", "house-prices", "--input", kaggle / "test.csv", "--output", "answers.csv"
    )
    assert outcome.code == 0, outcome.err
    lines = (home / "answers.csv").read_text("utf-8").splitlines()
    assert lines[0] == "Id,answer,confidence,warnings,low,high,level"
    assert len(lines) == 61
