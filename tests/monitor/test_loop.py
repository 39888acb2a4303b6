"""The loop: what it decides, trains and releases, and that a champion outlives whatever fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from sqlalchemy import insert

import mlfolio
from mlfolio.data.versions import DataStore
from mlfolio.monitor import story
from mlfolio.monitor.fresh import split, unseen
from mlfolio.monitor.ingest import ingest
from mlfolio.monitor.loop import Outcome, step
from mlfolio.monitor.policy import Policy
from mlfolio.track import registry, releases
from mlfolio.track.log import (
    FEEDBACK,
    PREDICTIONS,
    TABLES,
    TALLIES,
    connect,
    database_url,
    make_tables,
)
from tests.conftest import Cli

CENTRES = {
    "setosa": (5.0, 3.4, 1.5, 0.2), "versicolor": (5.9, 2.8, 4.3, 1.3),
    "virginica": (6.6, 3.0, 5.6, 2.0),
}  # fmt: skip
FIELDS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
ACT: dict[str, Any] = {
    "mode": "act",
    "retrain": {"labels": 200, "apart": 0, "fewest": 100, "most_rows": 300},
    "release": {"gates": {"rows": 10}},
}


def flowers(n: int, seed: int, swapped: bool = False) -> pd.DataFrame:
    """Irises; swapped, two of the names have changed their meaning."""
    rng = np.random.default_rng(seed)
    names = rng.choice(list(CENTRES), n)
    rows = np.array([CENTRES[name] for name in names]) + rng.normal(0, 0.25, (n, 4))
    other = {"versicolor": "virginica", "virginica": "versicolor"}
    said = [other.get(name, name) if swapped else name for name in names]
    return pd.DataFrame(rows.round(3), columns=FIELDS).assign(species=said)


def brought(folder: Path, table: pd.DataFrame, name: str) -> None:
    path = folder / f"{name}.csv"
    table.to_csv(path, index=False)
    ingest("iris", path, target="species")


@pytest.fixture(scope="module")
def iris_runs(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Path:
    """Iris with a champion that was fitted on living data."""
    home = tmp_path_factory.mktemp("loop")
    (home / "runs").mkdir()
    shutil.copy(database, home / "runs" / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(home / "runs"))
        brought(home, flowers(200, 0), "first")
        version = DataStore("iris").latest()
        assert version is not None
        mlfolio.run("iris", data=version.path, repeats=1, folds=2, target="species")
    return home / "runs"


@pytest.fixture
def iris(home: Path, iris_runs: Path) -> Path:
    """The same in another place: what the champion was fitted on is found there, too."""
    shutil.copytree(iris_runs, home / "runs", dirs_exist_ok=True)
    return home


def policy(**changed: Any) -> Policy:
    return Policy.model_validate({**ACT, **changed})


def champion() -> int:
    found = registry.champion("iris")
    assert found is not None
    return found.number


def whats() -> list[str]:
    return [each.what for each in story.steps("iris")]


def test_a_system_without_a_champion_is_left_alone(home: Path) -> None:
    assert "no champion" in step("iris", policy()).what


def test_what_the_champion_never_saw_is_split_by_the_rows_themselves(iris: Path) -> None:
    first = registry.champion("iris")
    assert first is not None
    known = unseen(first)
    assert known is not None
    assert known.rows == 0
    table = flowers(300, 1)
    brought(iris, pd.concat([table, flowers(200, 0).head(20)]), "second")
    found = unseen(first)
    assert found is not None
    files = split(found, FIELDS, 1000, 1000)
    train, fresh = pd.read_parquet(files.train), pd.read_parquet(files.fresh)
    sides = [set(map(tuple, each[FIELDS].to_numpy().tolist())) for each in (train, fresh)]
    assert not sides[0] & sides[1]
    assert 80 < len(fresh) < 160
    assert sides[1] < set(map(tuple, table[FIELDS].to_numpy().tolist())), "nothing that is known"
    assert split(found, FIELDS, 1000, 1000) == files


def test_what_is_compared_on_was_learned_from_by_neither_whatever_its_label(iris: Path) -> None:
    """Also where some of what is new is not among the newest."""
    table = flowers(300, 1)
    brought(iris, table, "second")
    relabelled = table.head(100).assign(species="setosa", field="north")
    brought(iris, pd.concat([relabelled, flowers(100, 4).assign(field="south")]), "third")
    first = registry.champion("iris")
    assert first is not None
    found = unseen(first)
    assert found is not None
    files = split(found, FIELDS, 200, 1000)
    train, fresh = (
        set(map(tuple, pd.read_parquet(each)[FIELDS].to_numpy().tolist())) for each in files
    )
    assert not train & fresh
    assert 20 < len(fresh) < 80


def test_where_nobody_knows_what_a_champion_has_seen_nothing_is_trained(iris: Path) -> None:
    brought(iris, flowers(300, 1), "second")
    (path,) = (iris / "runs" / "iris").glob("*/data.json")
    facts = json.loads(path.read_text("utf-8"))
    facts["source"]["path"] = "/elsewhere/iris-9.version"
    path.write_text(json.dumps(facts), "utf-8")
    outcome = step("iris", policy())
    assert outcome.what == "no training"
    assert "nobody knows which rows the champion has seen" in outcome.reasons[-1]


def test_no_rule_no_training(iris: Path) -> None:
    outcome = step("iris", policy())
    assert outcome.what == "no training"
    assert "0 of 200 new labelled rows" in " ".join(outcome.reasons)
    assert whats() == ["looked"]


def test_a_suggestion_does_nothing(iris: Path) -> None:
    brought(iris, flowers(300, 1), "second")
    outcome = step("iris", policy(mode="suggest"))
    assert outcome.what == "a training is suggested"
    assert "300 new labelled rows" in outcome.reasons[0]
    assert (champion(), whats()) == (1, ["looked"])


def test_a_better_challenger_is_trained_compared_and_released(iris: Path) -> None:
    brought(iris, flowers(600, 2, swapped=True), "second")
    outcome = step("iris", policy(release={"gates": {"rows": 10, "better": True}}))

    assert outcome.what == "version 2 is champion", outcome.reasons
    assert champion() == 2
    assert whats() == ["looked", "training", "trained", "compared"]
    assert releases.history_of("iris")[-1].action == "release"
    assert "log loss" in releases.history_of("iris")[-1].reason
    again = step("iris", policy())
    assert again.what == "no training"
    assert "0 of 200" in " ".join(again.reasons)
    assert releases.rollback("iris", "for a test").number == 1


def test_one_that_is_no_better_is_kept_and_not_tried_again_on_the_same_rows(iris: Path) -> None:
    brought(iris, flowers(300, 3), "second")
    strict = policy(release={"gates": {"rows": 10, "better": True}})
    outcome = step("iris", strict)
    assert "is not released" in outcome.what, outcome.reasons
    assert any("not better beyond chance" in reason for reason in outcome.reasons)
    assert champion() == 1
    assert releases.challenger("iris") is not None
    again = step("iris", strict)
    assert again.what == "no training"
    assert "0 labelled rows since the last training" in " ".join(again.reasons)


def test_what_fails_leaves_the_champion_and_says_why(iris: Path) -> None:
    brought(iris, flowers(300, 1), "second")
    batch = max((iris / "runs" / "data" / "iris" / "batches").iterdir())
    batch.write_bytes(batch.read_bytes()[:200])
    outcome = step("iris", policy())
    assert outcome.failed
    assert batch.name in outcome.reasons[0]
    assert (champion(), whats()[-1]) == (1, "failed")


def test_a_look_that_fails_is_told_and_the_next_system_has_its_turn(iris: Path, cli: Cli) -> None:
    (path,) = (iris / "runs" / "iris").glob("*/reference.jsonl")
    path.write_text("{", "utf-8")
    rules = iris / "rules.yaml"
    rules.write_text("iris:\ntitanic:\n", "utf-8")
    done = cli("watch", "--once", "--policy", rules)
    assert done.code == 1
    assert "iris: failed" in done.out
    assert "titanic: nothing" in done.out
    assert whats() == ["failed"]


def test_a_second_watch_waits_for_nobody(iris: Path) -> None:
    with FileLock(iris / "runs" / "iris" / ".watch.lock"):
        assert "another watch" in step("iris", policy()).what


def test_a_canary_is_tried_and_released_when_it_has_answered_enough(iris: Path) -> None:
    brought(iris, flowers(600, 2, swapped=True), "second")
    rules = policy(release={"way": "canary", "share": 0.5, "requests": 40, "gates": {"rows": 10}})
    assert step("iris", rules).what == "version 2 is tried as canary"
    staged = releases.staged("iris")
    assert staged is not None
    assert (staged.number, staged.share) == (2, 0.5)
    assert step("iris", rules).what == "version 2 is tried"
    tallied({1: (30, 0), 2: (30, 0)})
    assert step("iris", rules).reasons == ("30 of 40 requests",)
    tallied({1: (30, 0), 2: (30, 0)})
    assert step("iris", rules).what == "version 2 is champion"
    assert (champion(), releases.staged("iris")) == (2, None)


def test_a_canary_that_fails_is_taken_away(iris: Path) -> None:
    brought(iris, flowers(600, 2, swapped=True), "second")
    rules = policy(release={"way": "canary", "share": 0.5, "requests": 40, "gates": {"rows": 10}})
    step("iris", rules)
    tallied({1: (40, 0), 2: (40, 30)})
    outcome = step("iris", rules)
    assert outcome.what == "version 2 is taken away"
    assert "it failed 30 of 40 requests" in outcome.reasons[0]
    assert champion() == 1


def test_what_somebody_tries_without_its_gates_is_left_to_him(iris: Path) -> None:
    mlfolio.run("iris", repeats=1, folds=2, candidate=True)
    releases.stage("iris", 2, shadow=True)
    tallied({1: (900, 0), 2: (900, 0)})
    outcome = step("iris", policy())
    assert outcome.what == "version 2 is tried"
    assert "gates were passed over" in outcome.reasons[0]
    assert champion() == 1


def test_a_release_whose_live_quality_falls_is_taken_back(iris: Path) -> None:
    brought(iris, flowers(600, 2, swapped=True), "second")  # names that nobody else uses
    assert step("iris", policy()).what == "version 2 is champion"
    judged(version=2, n=200, right=60, kept=False)
    assert step("iris", policy()).what == "no training", "nobody can ask the former champion"
    judged(version=2, n=200, right=60)
    suggested = step("iris", policy(mode="suggest"))
    assert suggested.what == "a rollback is suggested"
    outcome = step("iris", policy())
    assert outcome.what == "version 1 is champion again", outcome
    assert "accuracy" in outcome.reasons[0]
    assert champion() == 1


def test_a_release_is_not_taken_back_where_the_former_champion_is_no_better(iris: Path) -> None:
    brought(iris, flowers(600, 2), "second")
    lenient = policy(release={"gates": {"rows": 10, "margin": 1, "slice_margin": 1}})
    assert step("iris", lenient).what == "version 2 is champion"
    judged(version=2, n=200, right=60)
    assert step("iris", policy()).what == "no training"
    assert champion() == 2


def tallied(counts: dict[int, tuple[int, int]]) -> None:
    """Requests that versions were asked and have failed, in the log."""
    rows = [
        {"id": uuid4().hex, "time": time.time(), "system": "iris", "version": version,
         "asked": asked, "failed": failed}
        for version, (asked, failed) in counts.items()
    ]  # fmt: skip
    engine = connect(database_url())
    make_tables(engine, TABLES)
    with engine.begin() as connection:
        connection.execute(insert(TALLIES).values(rows))
    engine.dispose()


def judged(version: int, n: int, right: int, kept: bool = True) -> None:
    """Answers of a version, and what was true, in the log; inputs if they are kept."""
    table = flowers(n, 9)
    answers, truths = [], []
    for at, row in enumerate(table.to_dict("records")):
        key, truth = uuid4().hex, row.pop("species")
        said = truth if at < right else "setosa" if truth != "setosa" else "virginica"
        chances = {name: 0.9 if name == said else 0.05 for name in CENTRES}
        output = {"answer": said, "confidence": 0.9, "warnings": [], "probabilities": chances}
        answers.append(
            {"id": key, "time": time.time(), "system": "iris", "version": version,
             "input": json.dumps(row) if kept else None, "output": json.dumps(output),
             "latency_ms": 1.0, "client": "local"}
        )  # fmt: skip
        truths.append(
            {"prediction": key, "time": time.time(), "answer": json.dumps(truth), "client": "local"}
        )
    engine = connect(database_url())
    make_tables(engine, TABLES)
    with engine.begin() as connection:
        connection.execute(insert(PREDICTIONS).values(answers))
        connection.execute(insert(FEEDBACK).values(truths))
    engine.dispose()


def test_the_command_tells_each_system_and_its_reasons(iris: Path, cli: Cli) -> None:
    rules = iris / "rules.yaml"
    rules.write_text("iris:\n  retrain: {labels: 500}\ntitanic:\n", "utf-8")
    done = cli("watch", "--once", "--policy", rules)
    assert done.code == 0, done.err
    assert "iris: no training" in done.out
    assert "0 of 500 new labelled rows" in done.out
    assert "titanic: nothing: it has no champion yet" in done.out
    assert cli("watch", "titanic", "--once", "--policy", rules).out.startswith("titanic")
    assert "iris" in cli("watch", "irsi", "--once", "--policy", rules).err
    found = [Outcome(**each) for each in json.loads(
        cli("watch", "--once", "--policy", rules, "--json").out)]  # fmt: skip
    assert [each.system for each in found] == ["iris", "titanic"]
    missing = cli("watch", "--once")
    assert missing.code == 2
    assert "policy.yaml" in missing.err


@pytest.fixture
def killed_in_training(iris: Path) -> Path:
    """A watch that was killed while it trained."""
    brought(iris, flowers(600, 2, swapped=True), "second")
    rules = iris / "policy.yaml"
    rules.write_text(
        "iris:\n  mode: act\n  retrain: {labels: 200, apart: 0, fewest: 100}\n"
        "  release: {gates: {rows: 10}}\n"
    )
    command = [sys.executable, "-m", "mlfolio", "watch", "--once", "--policy", str(rules)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as watch:
        while "training" not in whats():
            assert watch.poll() is None
            time.sleep(0.1)
        os.kill(watch.pid, signal.SIGKILL)
    return rules


@pytest.mark.slow
def test_a_watch_that_is_killed_in_a_training_leaves_the_champion(
    killed_in_training: Path, cli: Cli
) -> None:
    assert (champion(), whats()[-1]) == (1, "training")
    assert mlfolio.load("iris").version == 1
    assert step("iris", policy()).what.startswith("version 2")


FULL = """
import resource, signal
from mlfolio.monitor.loop import step
from mlfolio.monitor.policy import Policy
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
print(step("iris", Policy.model_validate({"mode": "act", "retrain": {"labels": 200, "apart": 0}})))
"""


@pytest.mark.slow
def test_on_a_full_disk_the_champion_stays_and_the_next_turn_trains(iris: Path) -> None:
    brought(iris, flowers(600, 2, swapped=True), "second")
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True)
    assert "failed=True" in done.stdout, done.stderr
    assert (champion(), mlfolio.load("iris").version) == (1, 1)
    assert step("iris", policy()).what.startswith("version 2")


def test_a_tracking_server_that_is_away_is_told_and_the_next_turn_trains(
    iris: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought(iris, flowers(600, 2, swapped=True), "second")
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        outcome = step("iris", policy())
    assert outcome.failed
    assert "MLFLOW_TRACKING_URI" in outcome.reasons[0]
    assert (champion(), whats()) == (1, ["failed"])
    assert step("iris", policy()).what.startswith("version 2")


def test_a_line_that_a_full_disk_has_cut_is_left_out(iris: Path) -> None:
    step("iris", policy())
    path = iris / "runs" / "iris" / story.FILE
    path.write_text(path.read_text("utf-8") + '{"time": 1, "wh', "utf-8")
    step("iris", policy())
    assert whats() == ["looked", "looked"]
