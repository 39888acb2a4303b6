"""Tables: schemas, encoding, explanations, and stored models that cannot run code."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mlfolio.core.errors import FileError, InputError
from mlfolio.core.inputs import parse_inputs
from mlfolio.parts.tabular.encoder import TabularEncoder
from mlfolio.parts.tabular.model import TabularModel, decide
from mlfolio.parts.tabular.schema import Schema
from mlfolio.parts.tabular.search import name_of, search


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "row id": np.arange(200) + 1,
            "class": rng.choice(["gold", "tin"], 200),
            "n": np.where(rng.random(200) < 0.1, np.nan, rng.normal(size=200)),
            "blank": [np.nan if i % 50 == 0 else i % 7 for i in range(200)],
            "constant": 3,
            "note": [f"text {i}" for i in range(200)],
        }
    )


@pytest.fixture
def model(table: pd.DataFrame) -> TabularModel:
    answers = (table["class"] == "gold") ^ (np.random.default_rng(1).random(200) < 0.2)
    schema = Schema.learn(table)
    estimator = make_pipeline(TabularEncoder(), LogisticRegression())
    estimator.fit(schema.conform(table), answers)
    return TabularModel(schema, estimator, ["no", "yes"])


def test_columns_are_what_people_would_say(table: pd.DataFrame) -> None:
    schema = Schema.learn(table)
    kinds = {column.name: column.kind for column in schema.columns}
    assert kinds == {
        "row id": "number", "class": "category", "n": "number", "blank": "number",
        "constant": "number", "note": "text",
    }  # fmt: skip
    assert Schema.model_validate_json(schema.model_dump_json()) == schema


def test_encoder_ignores_what_says_nothing(table: pd.DataFrame) -> None:
    encoder = TabularEncoder().fit(Schema.learn(table).conform(table))
    names = list(encoder.get_feature_names_out())
    assert names == [
        "row id", "n", "n missing", "blank", "blank missing", "class=gold", "class=tin",
    ]  # fmt: skip
    unknown = pd.DataFrame([{"row id": 7, "class": "lead", "n": 1e12, "blank": math.nan}])
    row = encoder.transform(unknown)[0]
    assert row[5:].tolist() == [0, 0]
    assert row[1] < 5, "numbers far outside are clipped to the bulk"
    assert np.isfinite(row).all()


def test_a_table_without_features_has_none() -> None:
    assert TabularEncoder().fit(pd.DataFrame({"a": [1, 1]})).transform(
        pd.DataFrame({"a": [1]})
    ).shape == (1, 0)


def test_rows_are_read_as_they_come(model: TabularModel) -> None:
    rows = [
        {"class": "tin", "N": "0.5", "blank": 3, "row id": 7, "note": "x", "constant": 3},
        {"class": True},
        {},
    ]
    answers = model.predict(parse_inputs(model, rows))
    assert answers[0].warnings == []
    assert "class = 'True' was never seen" in " ".join(answers[1].warnings)
    assert answers[2].warnings == [
        "not given, so typical values are assumed: row id = 100.5, class = tin, constant = 3",
        "not given: note",
    ]
    with pytest.raises(InputError, match="row 1, class"):
        parse_inputs(model, [{"class": "x" * 20_000}])


def test_what_is_not_given_is_answered_as_the_typical_value(model: TabularModel) -> None:
    """Where training never lacked a value; where it did, missing is a state of its own."""
    typical = {"class": "tin", "row id": 100.5, "constant": 3}
    rows = parse_inputs(model, [{"n": 1}, {"n": 1, **typical}, {"n": 1, "class": "gold"}])
    chances = model.probabilities(rows)[:, 1]
    assert chances[0] == chances[1] != chances[2]
    reasons = {reason.feature: reason.value for reason in model.explain(rows[:1])[0]}
    assert reasons == {"n": "1", "blank": "missing"}
    from_file = model.schema.conform(pd.DataFrame([{**dict.fromkeys(model.schema.names), "n": 1}]))
    assert from_file.equals(model.schema.frame(rows[:1]))


@pytest.mark.parametrize("cell", ["", " ", "-", "?", "n/a", "NA"])
def test_blank_cells_of_numbers_are_missing(model: TabularModel, cell: str) -> None:
    given, none = parse_inputs(model, [{"blank": cell}, {}])
    assert model.schema.values(given) == model.schema.values(none)
    with pytest.raises(InputError, match="blank = 'x'"):
        parse_inputs(model, [{"blank": "x"}])


def test_one_rule_decides() -> None:
    assert decide(np.array([[0.5, 0.5], [0.6, 0.4]])).tolist() == [1, 0]
    assert decide(np.array([[0.6, 0.4]]), threshold=0.4).tolist() == [1]
    assert decide(np.array([[0.4, 0.3, 0.3], [0.2, 0.4, 0.4]])).tolist() == [0, 1]


def test_a_complete_schema_needs_every_field(table: pd.DataFrame) -> None:
    kind = Schema.learn(table[["class", "constant"]], complete=True).row_type()
    with pytest.raises(ValueError, match="required"):
        kind.model_validate({"class": "tin"})


def test_shares_add_up_to_the_difference_in_log_odds(model: TabularModel) -> None:
    row = {"class": "gold", "n": 1.5, "blank": 2, "note": "x", "constant": 3, "row id": 5}
    given = parse_inputs(model, [row])
    typical = parse_inputs(model, [{c.name: c.typical for c in model.schema.columns}])

    def odds(rows: list[Any]) -> float:
        p = model.probabilities(rows)[0, 1]
        return math.log(p / (1 - p))

    (reasons,) = model.explain(given)
    sign = 1 if model.predict(given)[0].answer == "yes" else -1
    total = sum(reason.effect for reason in reasons)
    assert total == pytest.approx(sign * (odds(given) - odds(typical)), abs=1e-3)
    assert reasons == sorted(reasons, key=lambda r: -abs(r.effect))
    assert model.explain(typical) == [[]]


@pytest.fixture
def wide() -> tuple[TabularModel, pd.DataFrame]:
    """A model of 300 numbers of which two matter."""
    rows = pd.DataFrame(
        np.random.default_rng(0).normal(size=(120, 300)), columns=[f"c{i}" for i in range(300)]
    )
    schema = Schema.learn(rows)
    estimator = make_pipeline(TabularEncoder(), LogisticRegression(C=0.01))
    estimator.fit(rows, rows["c7"] + rows["c250"] > 0)
    return TabularModel(schema, estimator, ["no", "yes"]), rows


def test_of_very_many_columns_those_that_matter_are_explained(
    wide: tuple[TabularModel, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rows = wide
    asked: list[int] = []
    predict = model.estimator.predict_proba
    monkeypatch.setattr(
        model.estimator, "predict_proba", lambda X: (asked.append(len(X)), predict(X))[1]
    )
    given = rows.iloc[[3]]
    answer = int(predict(given)[0].argmax())

    (reasons,) = model.explain(parse_inputs(model, given.to_dict("records")))

    assert len(reasons) == 60
    assert {"c7", "c250"} <= {reason.feature for reason in reasons}
    typical = {c.name: c.typical for c in model.schema.columns}
    without = given.assign(**{r.feature: typical[r.feature] for r in reasons})
    ends = [math.log(p / (1 - p)) for p in (predict(X)[0, answer] for X in (given, without))]
    assert sum(r.effect for r in reasons) == pytest.approx(ends[0] - ends[1], abs=1e-2)
    assert max(asked) * 300 <= 1_000_000, "so many cells at once"


@pytest.mark.slow
def test_slow_candidates_stay_out_of_wide_tables() -> None:
    X = pd.DataFrame(0.0, index=range(60), columns=[f"c{i}" for i in range(501)])
    X["c3"] = np.random.default_rng(0).normal(size=60)
    found = search(X, (X["c3"] > 0).to_numpy().astype(np.int64), n_folds=2, seed=0)
    compared = {name_of(settings["model"]) for settings in found.cv_results_["params"]}
    assert compared == {"logistic regression", "svm", "lightgbm"}


def test_a_model_with_foreign_types_is_refused(model: TabularModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files["schema.json"])
    schema["__class__"], schema["__module__"] = "system", "os"
    files["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)

    with pytest.raises(FileError, match=r"os\.system"):
        TabularModel.load(tmp_path)


def test_what_cannot_be_read_back_is_not_written(model: TabularModel, tmp_path: Path) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    rows = np.random.default_rng(0).normal(size=(50, 2))
    strange = KNeighborsClassifier(algorithm="kd_tree").fit(rows, rows[:, 0] > 0)
    with pytest.raises(FileError, match="KDTree"):
        TabularModel(model.schema, strange, ["no", "yes"]).save(tmp_path)


def test_numbers_say_their_steps_and_few_whole_ones_are_choices() -> None:
    n = 40
    table = pd.DataFrame(
        {
            "class": [1 + i % 3 for i in range(n)],
            "count": [float(i) if i else math.nan for i in range(n)],
            "tenths": [i / 10 for i in range(n)],
            "any": [math.pi * i for i in range(n)],
        }
    )
    schema = Schema.learn(table)
    hints = {column.name: (column.step, column.choices) for column in schema.columns}

    assert hints == {
        "class": (1, [1, 2, 3]), "count": (1, []), "tenths": (0.1, []), "any": (None, []),
    }  # fmt: skip
    fields = schema.row_type().model_json_schema(by_alias=True)["properties"]
    assert fields["class"]["choices"] == [1, 2, 3]
    assert "step" not in fields["any"]


def test_examples_are_spread_over_a_sorted_table() -> None:
    table = pd.DataFrame({"kind": ["a"] * 20 + ["b"] * 20 + ["c"] * 20, "n": range(60)})
    assert {row["kind"] for row in Schema.learn(table).example} == {"a", "b", "c"}
    assert len(Schema.learn(table.head(3)).example) == 3


def test_a_model_stored_before_there_were_steps_is_read() -> None:
    old = {"name": "n", "kind": "number", "minimum": 0.0, "maximum": 1.0}
    schema = Schema.model_validate({"columns": [old]})
    assert schema.columns[0].hints == {"seen": [0.0, 1.0]}
