"""Churn: offers, drifting worlds, what is learned, whom to call, and other people's tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

import mlfolio
from mlfolio.core.errors import FileError, UnknownNameError, UserError
from mlfolio.core.run import runs_folder
from mlfolio.core.source import OFFICIAL, SAMPLE, Source
from mlfolio.parts.stats import roc_area
from mlfolio.parts.tabular.schema import Schema
from mlfolio.parts.tabular.search import make_pipeline, name_of, search
from mlfolio.systems.churn.data import COLUMNS, LEVERS, TODAY, World, choices, generate
from mlfolio.systems.churn.learning import Bends, CustomerFeatures, candidates, customer_steps
from mlfolio.systems.churn.model import ChurnModel
from mlfolio.systems.churn.offer import Offer
from mlfolio.systems.churn.system import Churn, by_folds

QUICK: dict[str, Any] = {"folds": 2, "inner_folds": 2}
OFFER = Offer(value=500, price=50, works=0.3)


def test_an_offer_pays_from_its_break_even() -> None:
    assert OFFER.break_even == pytest.approx(1 / 3)
    assert OFFER.gains(np.array([0.0, 1 / 3, 1.0])) == pytest.approx([-50, 0, 100])
    truth = np.array([1, 0, 1, 0])
    offered = np.array([True, True, False, False])
    assert OFFER.profits(truth, offered).tolist() == [100, -50, 0, 0]
    assert Offer(value=10, price=50, works=0.3).break_even > 1, "some never pay"


def test_the_best_threshold_is_where_most_was_earned() -> None:
    truth = np.array([1, 1, 0, 1, 0, 0, 0, 0])
    chances = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    found = OFFER.best_threshold(truth, chances)
    profits = {t: OFFER.profits(truth, chances >= t).sum() for t in chances}
    assert found == max(profits, key=lambda t: profits[t]) == 0.6
    assert OFFER.best_threshold(np.zeros(3, dtype=int), chances[:3]) == 1.0
    alike = np.full(4, 0.5)
    assert OFFER.best_threshold(np.array([1, 0, 0, 0]), alike) == 1.0, "all or nobody"


def test_worlds_drift_in_three_ways() -> None:
    """Other customers; more who leave; other reasons."""
    today = generate(4_000, seed=1)
    pd.testing.assert_frame_equal(today, generate(4_000, seed=1))
    assert set(today) == {*COLUMNS, "Churn"}
    leaving = (today["Churn"] == "Yes").mean()
    assert 0.2 < leaving < 0.35

    dearer = generate(4_000, seed=1, world=World(contracts=(0.9, 0.05, 0.05), prices=1.3))
    assert (dearer["Contract"] == "Month-to-month").mean() > 0.85
    ratio = dearer["MonthlyCharges"].mean() / today["MonthlyCharges"].mean()
    assert ratio == pytest.approx(1.3, abs=0.05)

    many = generate(2_000, seed=1, world=World(leaving=0.6))
    assert (many["Churn"] == "Yes").mean() == 0.6
    means = [t[t["Churn"] == "Yes"]["tenure"].mean() for t in (today, many)]
    assert means[0] == pytest.approx(means[1], rel=0.1), "each kind is as it was"

    other = generate(4_000, seed=1, world=World(reasons={**TODAY.reasons, "monthly": -1.3}))
    pd.testing.assert_frame_equal(other.drop(columns="Churn"), today.drop(columns="Churn"))
    rates = [t[t["Contract"] == "Month-to-month"]["Churn"].eq("Yes").mean() for t in (today, other)]
    assert rates[0] > 2 * rates[1]


def test_a_world_that_cannot_be_made_is_refused() -> None:
    """Few leave for these reasons, so there are no ninety leavers to draw."""
    rare = {**TODAY.reasons, "always": -6.0}
    assert len(generate(100, world=World(leaving=0.1, reasons=rare))) == 100
    with pytest.raises(UserError, match="90 leavers among 100"):
        generate(100, world=World(leaving=0.9, reasons=rare))
    with pytest.raises(UserError, match="leaving between 0 and 1"):
        generate(100, world=World(leaving=1.5))


def test_what_a_row_says_beyond_its_cells() -> None:
    row = generate(1).assign(
        tenure=10, MonthlyCharges=80.0, TotalCharges=700.0, OnlineBackup="Yes", StreamingTV="Yes",
        OnlineSecurity="No", DeviceProtection="No", TechSupport="No", StreamingMovies="No",
    )  # fmt: skip
    new = row.assign(tenure=0, TotalCharges=np.nan)
    made = CustomerFeatures().fit_transform(pd.concat([row, new]))
    assert made["LogTenure"].tolist() == pytest.approx([np.log(11), 0])
    assert made["ChargeRise"].tolist() == pytest.approx([10, 0])
    assert made["AddOns"].tolist() == [2, 2]
    assert customer_steps(["tenure", "Contract"]) == []


def test_a_linear_model_can_bend() -> None:
    x = np.linspace(-2, 2, 400)[:, None]
    y = (np.abs(x[:, 0]) > 1).astype(int)
    bent = Bends(knots=6).fit(x)
    straight = LogisticRegression().fit(x, y).score(x, y)
    assert straight < 0.6
    assert LogisticRegression(C=100).fit(bent.transform(x), y).score(bent.transform(x), y) > 0.97
    flag = np.array([[0.0], [1.0]] * 5)
    assert Bends().fit(flag).knots_ == [[]], "what has two values cannot bend"
    assert Bends().fit_transform(flag).shape == (10, 1)


def test_random_answers_cannot_be_learned() -> None:
    rows = generate(600, seed=2).drop(columns=["customerID", "Churn"])
    rows = Schema.learn(rows).conform(rows)
    y = np.random.default_rng(0).integers(0, 2, len(rows))
    model, _ = candidates(0)["mean of both"]
    pipeline = make_pipeline(model, customer_steps(rows.columns))
    chances = cross_val_predict(pipeline, rows, y, cv=5, method="predict_proba")[:, 1]
    assert abs(roc_auc_score(y, chances) - 0.5) < 0.08  # three standard errors


def test_candidates_of_ones_own_compete_by_log_loss() -> None:
    table = generate(200, seed=3)
    rows = table.drop(columns=["customerID", "Churn"])
    rows = Schema.learn(rows).conform(rows)
    y = (table["Churn"] == "Yes").to_numpy(dtype=np.int64)
    found = search(rows, y, 2, 0, customer_steps(rows.columns), candidates(0))
    assert found.scoring == "neg_log_loss"
    names = {name_of(each["model"], candidates(0)) for each in found.cv_results_["params"]}
    assert names == {"logistic regression", "lightgbm", "mean of both"}


def test_levers_are_what_a_company_can_choose() -> None:
    schema = Schema.learn(generate(300).drop(columns=["customerID", "Churn"]))
    found = choices(schema, ())
    assert tuple(found) == LEVERS
    assert set(found["OnlineSecurity"]) == {"Yes", "No"}, "no internet is no choice"
    assert set(choices(schema, ["Partner"])["Partner"]) == {"No", "Yes"}
    with pytest.raises(UnknownNameError, match="did you mean 'Contract'"):
        choices(schema, ["Contrakt"])
    with pytest.raises(UnknownNameError, match="tenure"):
        choices(schema, ["tenure"])


def test_ibms_file_may_have_either_name_and_no_other_content(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFOLIO_DATA", str(home))
    path = home / "telco-churn" / "WA_Fn-UseC_-Telco-Customer-Churn.csv"
    path.parent.mkdir()
    generate(100).to_csv(path, index=False)
    with pytest.raises(FileError, match="not the published file"):
        Churn().load(OFFICIAL)
    assert Churn().load(Source.own(path)).info.rows == {"train": 100, "test": 0}


@pytest.fixture(scope="module")
def sample_runs(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Path:
    """A folder of runs in which it has learned its sample."""
    (runs := tmp_path_factory.mktemp("trained") / "runs").mkdir()
    shutil.copy(database, runs / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(runs))
        mlfolio.run("churn", data="sample", **QUICK)
    return runs


@pytest.fixture
def sample(home: Path, sample_runs: Path) -> Path:
    """The folder of that run, in a folder of runs of our own."""
    shutil.copytree(sample_runs, home / "runs", dirs_exist_ok=True)
    (folder,) = [path for path in (home / "runs" / "churn").iterdir() if path.is_dir()]
    return folder


@pytest.mark.slow
def test_whom_to_call_first(sample: Path) -> None:
    """Those who stayed and for whom an offer pays, by what it gains."""
    table = pd.read_csv(sample / "actions.csv")
    assert list(table) == ["customerID", "chance", "gain", "reasons", "action", "chance after"]
    assert (table["gain"] > 0).all()
    assert table["gain"].is_monotonic_decreasing
    assert (table["chance"] >= OFFER.break_even - 1e-3).all()
    assert (table["chance after"].dropna() < table["chance"][table["chance after"].notna()]).all()
    truth = Churn().load(SAMPLE).train.set_index("customerID")["Churn"]
    assert (truth[table["customerID"]] == "No").all()
    report = (sample / "report.html").read_text("utf-8")
    for part in (
        "What offers bring", "How groups are treated", "Gaps between groups", "SeniorCitizen = 1",
        "What to offer", "threshold tuned in the folds", "mean of both",
    ):  # fmt: skip
        assert part in report
    assert "MADEUP" not in report, "whoever may ask the model may read the report"


@pytest.mark.slow
def test_the_reference_is_out_of_fold(sample: Path) -> None:
    text = (sample / "reference.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    data = Churn().load(SAMPLE)
    assert [line["truth"] for line in lines] == data.y.to_list()
    chances = [line["output"]["probabilities"]["Yes"] for line in lines]
    scores = json.loads((sample / "scores.json").read_text("utf-8"))["scores"]
    (brier,) = [score["value"] for score in scores if score["name"] == "Brier score"]
    left = (data.y == "Yes").to_numpy()
    assert ((np.array(chances) - left) ** 2).mean() == pytest.approx(brier)

    (table,) = (sample / "tables").glob("*-beside-its-baselines.csv")
    beside = pd.read_csv(table, index_col=0)
    assert list(beside) == ["accuracy, a yes from 0.333", "accuracy, a yes from 0.5"]
    for column, cut in zip(beside, (OFFER.break_even, 0.5), strict=True):
        right = ((np.array(chances) >= cut) == left).mean()
        assert beside.loc["this system", column] == pytest.approx(right)
        assert beside.loc["base rate", column] == pytest.approx(1 - left.mean()), "the same cut"


@pytest.mark.slow
def test_an_answer_says_what_to_do(sample: Path) -> None:
    model = mlfolio.load("churn").model
    assert isinstance(model, ChurnModel)
    assert model.threshold == model.offer.break_even == pytest.approx(1 / 3)
    row = generate(1, seed=8).drop(columns=["customerID", "Churn"]).to_dict("records")[0]
    risky = {**row, "Contract": "Month-to-month", "InternetService": "Fiber optic", "tenure": 1,
             "OnlineSecurity": "No", "PaymentMethod": "Electronic check", "MonthlyCharges": 90,
             "TotalCharges": 90}  # fmt: skip
    answer: Any = mlfolio.load("churn").predict(risky)
    assert answer.answer == "Yes"
    assert answer.gain == pytest.approx(500 * 0.3 * answer.probabilities["Yes"] - 50, abs=0.01)
    best = answer.changes[0]
    assert (best.column, best.value) == ("Contract", "Month-to-month")
    after: Any = mlfolio.load("churn").predict({**risky, "Contract": best.to})
    assert after.probabilities["Yes"] == pytest.approx(best.chance)
    assert [c.chance for c in answer.changes] == sorted(c.chance for c in answer.changes)
    assert len({change.column for change in answer.changes}) == len(answer.changes) <= 3
    offline: Any = mlfolio.load("churn").predict({**row, "OnlineSecurity": "No internet service"})
    assert "OnlineSecurity" not in {change.column for change in offline.changes}


def shop(rows: int = 200) -> pd.DataFrame:
    """A table of somebody else's customers."""
    rng = np.random.default_rng(0)
    months = rng.integers(1, 60, rows)
    plan = rng.choice(["basic", "gold"], rows)
    odds = 1.5 - 0.08 * months + 1.5 * (plan == "basic")
    return pd.DataFrame(
        {
            "customer_id": np.arange(rows) + 10_000,
            "months": months,
            "plan": plan,
            "region": rng.choice(["north", "south"], rows),
            "gone": np.where(rng.random(rows) < 1 / (1 + np.exp(-odds)), "yes", "no"),
        }
    )


@pytest.mark.slow
def test_any_table_with_two_classes_and_whom_to_call_of_new_customers(home: Path) -> None:
    (home / "own").mkdir()
    shop()[:150].to_csv(home / "own" / "train.csv", index=False)
    shop()[150:].drop(columns="gone").to_csv(home / "own" / "test.csv", index=False)

    result = mlfolio.run(
        "churn", data=home / "own", target="gone", levers="plan", people="region", kept_value=900,
        **QUICK,
    )  # fmt: skip

    assert result.scores[0].value > 0.6
    listed = pd.read_csv(result.folder / "actions.csv")
    assert set(listed["customer_id"]) <= set(range(10_150, 10_200))
    assert set(listed["action"]) <= {"plan: gold", "plan: basic", "none known"}
    answers = pd.read_csv(result.folder / "submission.csv")
    assert list(answers) == ["customer_id", "gone"]
    report = (result.folder / "report.html").read_text("utf-8")
    assert "region = north" in report
    assert "plan = gold" not in report
    assert runs_folder() == home / "runs"


@pytest.mark.slow
def test_an_offer_that_never_pays_is_made_to_nobody(home: Path) -> None:
    shop().to_csv(home / "my.csv", index=False)
    result = mlfolio.run("churn", data="my.csv", target="gone", offer_price=400, **QUICK)
    profit = next(s for s in result.scores if s.name == "profit per customer")
    assert profit.value == 0
    assert pd.read_csv(result.folder / "actions.csv").empty
    assert mlfolio.load("churn").predict({"months": 1, "plan": "basic"}).answer == "no"


def test_scores_of_different_models_are_not_ranked_together() -> None:
    """Two folds, each in perfect order, one with chances above all of the other's."""
    known = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    assert roc_auc_score(known[:, 0], scores) == 0.75
    assert by_folds(roc_area)(known, scores) == 1.0
    assert np.isnan(by_folds(roc_area)(known[[0, 1, 2]], scores[:3])), "a fold of one class"


def test_people_must_be_columns(home: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'gender'"):
        mlfolio.run("churn", data="sample", people="gander", **QUICK)
