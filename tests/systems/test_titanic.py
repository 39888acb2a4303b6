"""Titanic: its features, its honesty, and other people's tables."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlfolio
from mlfolio.core.catalog import get_system
from mlfolio.core.errors import FileError, KnobError, UnknownNameError
from mlfolio.core.source import SAMPLE, Source
from mlfolio.parts.tabular.search import fit_best, make_pipeline, search, simplest_of_the_best
from mlfolio.systems.titanic.data import generate
from mlfolio.systems.titanic.features import (
    PartySurvival,
    PassengerFeatures,
    age_group,
    family_of,
    parties,
    passenger_steps,
    role_of,
    title_of,
)
from mlfolio.systems.titanic.system import Titanic
from tests.conftest import Cli

QUICK: dict[str, Any] = {"folds": 2, "inner_folds": 2}


@pytest.fixture(scope="module")
def ship() -> pd.DataFrame:
    return generate(300, seed=5)


@pytest.mark.parametrize(
    ("name", "sex", "title"),
    [
        ("Braund, Mr. Owen Harris", "male", "Mr"),
        ("Rothes, the Countess. of (Lucy)", "female", "Mrs"),
        ("Sagesser, Mlle. Emma", "female", "Miss"),
        ("Byles, Rev. Thomas", "male", "Mr"),
        ("Leader, Dr. Alice", "female", "Mrs"),
        ("Palsson, Master. Gosta", "male", "Master"),
        ("", "male", "Mr"),
        ("no comma and no title", "", "Mr"),
    ],
)
def test_titles(name: str, sex: str, title: str) -> None:
    assert title_of(name, sex) == title


def test_words_for_people() -> None:
    assert role_of("male", "Master") == "boy"
    assert [family_of(n) for n in (1, 2, 5)] == ["alone", "small", "large"]
    assert [age_group(a) for a in (0.4, 5, 15, 30, 70, float("nan"))] == [
        "baby", "child", "youth", "adult", "old", "unknown",
    ]  # fmt: skip


def test_a_passenger_never_sees_its_own_answer(ship: pd.DataFrame) -> None:
    """Turning one answer over changes the others of the party, never the row itself."""
    X, y = ship.drop(columns="Survived"), ship["Survived"].to_numpy()
    party = X["Ticket"].duplicated(keep=False).to_numpy()
    row = int(np.flatnonzero(party)[0])
    other = y.copy()
    other[row] = 1 - other[row]

    # The rates per role and class move a little with one answer; hold them still.
    before = PartySurvival().fit(X, y).transform(X)["PartySurvival"].to_numpy()
    after = PartySurvival().fit(X, other).transform(X)["PartySurvival"].to_numpy()

    mates = np.flatnonzero((X["Ticket"] == X["Ticket"].iloc[row]).to_numpy())
    assert abs(after[row] - before[row]) < 0.1
    assert all(abs(after[m] - before[m]) > 0.1 for m in mates if m != row)


def test_random_answers_cannot_be_learned(ship: pd.DataFrame) -> None:
    """The encoding of parties would show here if it leaked the label."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    X = ship.drop(columns="Survived")
    y = np.random.default_rng(0).integers(0, 2, len(X))
    pipeline = make_pipeline(LogisticRegression(), passenger_steps(X.columns))
    scores = cross_val_score(pipeline, X, y, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    assert abs(scores.mean() - 0.5) < 0.09  # three standard errors


def test_what_is_not_known_of_a_passenger_is_taken_as_usual(ship: pd.DataFrame) -> None:
    X, y = ship.drop(columns="Survived"), ship["Survived"]
    stranger = pd.DataFrame([dict.fromkeys(X.columns)])
    for column in ("Pclass", "Age", "SibSp", "Parch", "Fare", "PassengerId"):
        stranger[column] = np.nan

    features = PassengerFeatures().fit(X, y).transform(stranger)

    assert features["Family"].iloc[0] == "alone"
    men = X["Name"].str.contains(", Mr.", regex=False)
    assert features["Age"].iloc[0] == pytest.approx(X["Age"][men].mean())


def test_parties_share_nothing_that_the_party_feature_knows(ship: pd.DataFrame) -> None:
    X, y = ship.drop(columns="Survived"), ship["Survived"].to_numpy()
    party = parties(X)
    assert X.groupby(party).size().max() > 1
    one = party == party[np.flatnonzero(X["Ticket"].duplicated(keep=False))[0]]
    known = PartySurvival().fit(X[~one], y[~one]).transform(X[one])["PartySurvival"]
    assert (known == 0).all()
    relatives = pd.concat([X[:2], X[:1].assign(Ticket="another", Name="Stranger, Mr. X")])
    assert len(set(parties(relatives.assign(Ticket=["1", "1", "2"])))) == 2


def test_the_simplest_within_one_standard_error_is_chosen() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    results = {
        "split0_test_score": np.array([0.80, 0.82, 0.80]),
        "split1_test_score": np.array([0.70, 0.80, 0.90]),
        "split2_test_score": np.array([0.80, 0.80, 0.80]),
        "params": [
            {"model": LogisticRegression()},
            {"model": LogisticRegression()},
            {"model": SVC()},
        ],
    }
    assert simplest_of_the_best(results) == 1


def test_copies_of_a_row_cannot_be_learned_by_heart() -> None:
    """Every row twice with a random answer: whoever sees one copy knows the other."""
    rng = np.random.default_rng(0)
    X, y = pd.DataFrame(rng.normal(size=(100, 5))).add_prefix("x"), rng.integers(0, 2, 100)
    X, y = pd.concat([X, X], ignore_index=True), np.r_[y, y]
    found = search(X, y, 2, seed=0)
    assert found.cv_results_["mean_test_score"].max() < 0.65


@pytest.mark.slow
def test_large_tables_are_boosted_and_stored_without_row_numbers() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(5_001, 3)), columns=list("abc"))
    y = ((X["a"] * X["b"] > 0) ^ (rng.random(len(X)) < 0.1)).to_numpy(dtype=np.int64)
    model, found = fit_best(X, y, 2, seed=0)
    kinds = {type(parameters["model"]).__name__ for parameters in found.cv_results_["params"]}
    assert kinds == {"LogisticRegression", "LGBMClassifier"}
    small, _ = fit_best(X[:300], y[:300], 2, seed=0)
    assert small.get_params()["cv"] == 2
    assert ((model.predict_proba(X)[:, 1] > 0.5) == y).mean() > 0.85


@pytest.mark.slow
def test_outer_folds_are_not_seen_by_the_search(
    ship: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers of held-out rows do not change what is predicted for them; nor do more processes."""
    X, y = ship.drop(columns=["Survived", "PassengerId"]), ship["Survived"].to_numpy()
    train, test = np.arange(200), np.arange(200, 300)
    steps = passenger_steps(X.columns)
    honest, _ = fit_best(X.iloc[train], y[train], 2, seed=0, before=steps)
    turned = y.copy()
    turned[test] = 1 - turned[test]
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    again, _ = fit_best(X.iloc[train], turned[train], 2, seed=0, before=steps)
    assert np.array_equal(honest.predict_proba(X.iloc[test]), again.predict_proba(X.iloc[test]))


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Kaggle's download, with passengers of our own."""
    folder = tmp_path_factory.mktemp("titanic")
    table = generate(340, seed=9)
    table[:240].to_csv(folder / "train.csv", index=False)
    table[240:].drop(columns="Survived").to_csv(folder / "test.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def trained_runs(kaggle: Path, tmp_path_factory: pytest.TempPathFactory, database: Path) -> Path:
    """A runs' folder in which it has learned them."""
    (runs := tmp_path_factory.mktemp("trained") / "runs").mkdir()
    shutil.copy(database, runs / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(runs))
        mlfolio.run("titanic", data=kaggle / "train.csv", **QUICK)
    return runs


@pytest.fixture
def trained(cli: Cli, home: Path, trained_runs: Path) -> Cli:
    """The command line, in a folder where it has run."""
    shutil.copytree(trained_runs, home / "runs", dirs_exist_ok=True)
    return cli


@pytest.mark.slow
def test_kaggles_folder_gives_a_submission(trained: Cli, home: Path) -> None:
    (folder,) = (home / "runs" / "titanic").iterdir()
    with (folder / "submission.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["PassengerId", "Survived"]
    assert [int(row["PassengerId"]) for row in rows] == list(range(241, 341))
    assert {row["Survived"] for row in rows} <= {"0", "1"}
    report = (folder / "report.html").read_text("utf-8")
    for part in (
        "By group",
        "Sex = female",
        "Thresholds",
        "women survive",
        "Importance",
        "strangers",
    ):
        assert part in report


@pytest.mark.slow
def test_a_passenger_by_hand_and_a_file_of_them(trained: Cli, home: Path, kaggle: Path) -> None:
    answer = json.loads(trained("predict", "titanic", "sex=female", "age=29", "--json").out)
    assert answer["answer"] in (0, 1)
    assert "Pclass = " in answer["warnings"][0]
    assert answer["warnings"][1] == "not given: Name, Ticket"
    assert {"Pclass", "Fare"}.isdisjoint(reason["feature"] for reason in answer["reasons"])
    assert answer["reasons"][0]["feature"] in {"Sex", "Age", "Pclass", "Name", "Fare"}
    old = trained("predict", "titanic", "sex=male", "age=929", "embarked=Atlantis").out
    assert "Age = 929 is outside the training range" in old
    assert "Embarked = 'Atlantis' was never seen" in old
    assert "Age = 'old'" in trained("predict", "titanic", "age=old").err

    outcome = trained("predict", "titanic", "--input", kaggle / "test.csv", "--output", "a.csv")
    assert outcome.code == 0, outcome.err
    assert len((home / "a.csv").read_text("utf-8").splitlines()) == 101


def churn(rows: int = 160) -> pd.DataFrame:
    """A table that has nothing to do with ships."""
    rng = np.random.default_rng(0)
    months = rng.integers(1, 60, rows)
    plan = rng.choice(["basic", "gold, with extras"], rows)
    chance = 1 / (1 + np.exp(0.1 * (months - 20)))
    return pd.DataFrame(
        {
            "customer_id": np.arange(rows) + 10_000,
            "months": months,
            "plan": plan,
            "charge": [" " if i % 40 == 0 else f"{i * 0.7:.2f}" for i in range(rows)],
            "note": [f"called on day {i}" for i in range(rows)],
            "churned": np.where(rng.random(rows) < chance, "yes", "no"),
        }
    )


@pytest.mark.slow
def test_any_table_with_two_classes(home: Path) -> None:
    churn().to_csv(home / "my.csv", index=False, sep=";")

    result = mlfolio.run("titanic", data="my.csv", target="churned", **QUICK)

    assert result.scores[0].value > result.scores[0].trivial.value  # type: ignore[union-attr]
    model = mlfolio.load("titanic")
    answer = model.predict({"months": 2, "plan": "basic"})
    assert answer.answer in ("yes", "no")
    assert set(answer.probabilities) == {"yes", "no"}  # type: ignore[attr-defined]
    assert "customer_id" not in model.model.schema.names  # type: ignore[attr-defined]
    charge = next(c for c in model.model.schema.columns if c.name == "charge")  # type: ignore[attr-defined]
    assert charge.kind == "number"
    assert any("4 cells of 'charge'" in finding.message for finding in result.findings)
    with_blanks = churn().drop(columns="note").head(41).to_dict("records")
    for row in with_blanks:
        del row["customer_id"], row["churned"]
    assert len(model.predict(with_blanks)) == 41, "what it was trained on it also answers"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="churned"), "no column 'churned'"),
        (lambda t: t.assign(churned="yes"), "1 different values"),
        (lambda t: t.assign(churned=t["months"]), "needs exactly 2"),
        (lambda t: t[:30], "at least 20 of each class"),
        (lambda t: t[["customer_id", "churned"]], "no column to predict"),
    ],
)
def test_tables_that_cannot_be_used_are_explained(home: Path, change: object, said: str) -> None:
    change(churn()).to_csv(home / "my.csv", index=False)  # type: ignore[operator]
    with pytest.raises(FileError) as caught:
        Titanic(target="churned").load(Source.own("my.csv"))
    assert said in str(caught.value)


def test_columns_can_be_dropped(home: Path) -> None:
    churn().to_csv(home / "my.csv", index=False)
    data = Titanic.with_knobs({"target": "churned", "drop": "months, plan"}).load(
        Source.own("my.csv")
    )
    assert data.features == ("charge",)
    assert Titanic(drop=("plan",)).model_dump(mode="json")["drop"] == "plan"
    with pytest.raises(UnknownNameError, match="did you mean 'months'"):
        Titanic(target="churned", drop=("monts",)).load(Source.own("my.csv"))


def test_classes_may_be_called_none_or_be_fractions(home: Path) -> None:
    named = churn().assign(churned=lambda t: t["churned"].map({"yes": "None", "no": "N/A"}))
    named.to_csv(home / "my.csv", index=False)
    assert Titanic(target="churned").load(Source.own("my.csv")).classes == ["N/A", "None"]
    churn().assign(churned=lambda t: t["churned"].map({"yes": 0.5, "no": 1.5})).to_csv(
        home / "my.csv", index=False
    )
    assert Titanic(target="churned").load(Source.own("my.csv")).classes == ["0.5", "1.5"]


@pytest.mark.parametrize(("system", "target"), [("titanic", "Sex"), ("iris", "petal_length")])
def test_official_data_and_samples_keep_their_target(home: Path, system: str, target: str) -> None:
    with pytest.raises(KnobError, match=f"target = '{target}'"):
        mlfolio.run(system, data="sample", target=target)


def test_iris_says_what_it_leaves_out(home: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(40, 2)), columns=["long", "wide"])
    table.loc[3, "long"] = np.nan
    table["leaf"], table["kind"] = "green", ["a", "b"] * 20
    table.loc[0, "leaf"] = "red"
    table.to_csv(home / "my.csv", index=False)
    data = get_system("iris")(target="kind").load(Source.own("my.csv"))
    messages = " ".join(finding.message for finding in data.check())
    assert "column 'leaf' is left out: it is no number" in messages
    assert "1 of 40 rows lack a measurement" in messages
    assert set(data.ignored) == {"leaf", "kind"}


def test_a_folder_without_train_csv_is_explained(home: Path) -> None:
    with pytest.raises(FileError, match=r"no train\.csv"):
        Titanic().load(Source.own(home))


def test_the_sample_is_like_the_ship() -> None:
    data = Titanic().load(SAMPLE)
    rates = data.train.groupby("Sex")["Survived"].mean()
    assert rates["female"] > rates["male"] + 0.2
    assert data.train["Cabin"].isna().mean() > 0.5
    assert not data.train["Name"].duplicated().all()
