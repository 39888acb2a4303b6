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
from mlfolio.parts.tabular.explain import typical_row
from mlfolio.parts.tabular.model import TabularModel
from mlfolio.parts.tabular.schema import Schema


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "row id": np.arange(200) + 1,
            "class": rng.choice(["gold", "tin"], 200),
            "n": np.where(rng.random(200) < 0.1, np.nan, rng.normal(size=200)),
            "blank": [" " if i % 50 == 0 else str(i % 7) for i in range(200)],
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
    return TabularModel(schema, estimator, ["no", "yes"], typical=typical_row(schema, table))


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
    assert names == ["n", "n missing", "blank", "blank missing", "class=gold", "class=tin"]
    unknown = pd.DataFrame([{"class": "lead", "n": 1e12, "blank": math.nan}])
    row = encoder.transform(unknown)[0]
    assert row[4:].tolist() == [0, 0]
    assert row[0] < 5, "numbers far outside are clipped to the bulk"
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
    assert "not given" in answers[2].warnings[0]
    with pytest.raises(InputError, match="row 0, class"):
        parse_inputs(model, [{"class": "x" * 20_000}])


def test_a_complete_schema_needs_every_field(table: pd.DataFrame) -> None:
    kind = Schema.learn(table[["class", "constant"]], complete=True).row_type()
    with pytest.raises(ValueError, match="required"):
        kind.model_validate({"class": "tin"})


def test_shares_add_up_to_the_difference_in_log_odds(model: TabularModel) -> None:
    row = {"class": "gold", "n": 1.5, "blank": 2, "note": "x", "constant": 3, "row id": 5}
    given = parse_inputs(model, [row])
    typical = [model.input_type.model_validate(model.typical)]

    def odds(rows: list[Any]) -> float:
        p = model.probabilities(rows)[0, 1]
        return math.log(p / (1 - p))

    (reasons,) = model.explain(given)
    sign = 1 if model.predict(given)[0].answer == "yes" else -1
    total = sum(reason.effect for reason in reasons)
    assert total == pytest.approx(sign * (odds(given) - odds(typical)), abs=1e-3)
    assert reasons == sorted(reasons, key=lambda r: -abs(r.effect))
    assert model.explain(typical) == [[]]


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
