"""Tracking and registry: who becomes champion, and what any MLflow client can load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from pydantic import create_model

import mlfolio
from mlfolio.core.errors import FileError, MlfolioError, NotTrainedError, UserError
from mlfolio.core.model import Input
from mlfolio.core.run import runs_folder, status
from mlfolio.core.score import Evaluation, Score
from mlfolio.core.source import Source, SourceKind
from mlfolio.core.system import DataInfo
from mlfolio.track import registry
from mlfolio.track.loader import load_folder
from mlfolio.track.registry import Version, decide

FLOWER = {"sepal_length": 5.0, "sepal_width": 3.4, "petal_length": 1.5, "petal_width": 0.2}


def evaluation(value: float, direction: Any = "higher", **facts: Any) -> Evaluation:
    facts = {"name": "accuracy", "n": 10, "protocol": "5 folds", **facts}
    score = Score(value=value, direction=direction, **facts)
    return Evaluation(scores=(score,))


def info(kind: SourceKind = "official", test: str = "t") -> DataInfo:
    return DataInfo(
        source=Source(kind=kind), dataset="d", licence="l", fingerprint="f", test_fingerprint=test,
        rows={"train": 1},
    )  # fmt: skip


def version(
    value: float, source: str = "official", test: str = "t", protocol: str = "5 folds"
) -> Version:
    return Version(
        system="iris", number=7, run="r", folder=Path("x"), metric="accuracy", value=value,
        source=source, test_fingerprint=test, protocol=protocol,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("new", "data", "champion", "wins"),
    [
        (evaluation(0.5), info("sample"), None, True),
        (evaluation(0.9), info(), version(0.8), True),
        (evaluation(0.8), info(), version(0.8), False),
        (evaluation(0.7), info(), version(0.8), False),
        (evaluation(0.7, "lower"), info(), version(0.8), True),
        (evaluation(0.9), info("sample", "other"), version(0.8), False),
        (evaluation(0.1), info("own", "other"), version(0.8, "sample"), True),
        (evaluation(0.1), info("own", "other"), version(0.8), True),
        (evaluation(0.1, protocol="3 folds"), info(), version(0.8), True),
        (evaluation(0.1), info(), version(0.8, protocol=""), True),
        (evaluation(0.1, name="recall"), info(), version(0.8), True),
        (evaluation(0.9, protocol="3 folds"), info("sample"), version(0.8), False),
        (evaluation(0.1, protocol="3 folds"), info("own", "other"), version(0.8), True),
        (evaluation(0.1, protocol="3 folds"), info(), version(0.8, "sample"), True),
    ],
)
def test_the_rule_for_champions(
    new: Evaluation, data: DataInfo, champion: Version | None, wins: bool
) -> None:
    verdict = decide(new, data, champion)
    assert verdict.champion is wins
    assert verdict.reason


def test_a_verdict_says_why() -> None:
    newer = decide(evaluation(0.9, protocol="3 folds"), info(), version(0.8)).reason
    assert "accuracy by 3 folds cannot be compared with version 7's accuracy by 5 folds" in newer
    assert "so the newer model wins" in newer
    assert "chance" in decide(evaluation(0.9, ci95=(0.7, 1)), info(), version(0.8)).reason
    assert "chance" not in decide(evaluation(0.9, ci95=(0.85, 1)), info(), version(0.8)).reason


def test_a_registry_that_cannot_be_read_is_not_an_empty_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def locked(*args: Any) -> None:
        raise MlflowException("database is locked", error_code=TEMPORARILY_UNAVAILABLE)

    assert registry.champion("iris") is None, "no such model"
    monkeypatch.setattr(MlflowClient, "get_model_version_by_alias", locked)
    with pytest.raises(MlfolioError, match="database is locked"):
        registry.champion("iris")


def test_first_run_is_champion_and_a_tie_is_not(home: Path) -> None:
    with pytest.raises(NotTrainedError, match=r"in .*/runs\n.*mlfolio run iris"):
        mlfolio.load("iris")
    first = mlfolio.run("iris", repeats=1)
    second = mlfolio.run("iris", repeats=1)

    assert first.champion
    assert not second.champion
    assert "not better than version 1" in second.reason
    predictor = mlfolio.load("iris")
    assert predictor.version == first.version == 1
    assert predictor.predict(FLOWER).answer == "setosa"
    assert [a.answer for a in predictor.predict([FLOWER, FLOWER])] == ["setosa"] * 2

    written = json.loads((second.folder / "scores.json").read_text("utf-8"))
    assert (written["version"], written["champion"]) == (2, False)


@pytest.mark.slow
def test_any_mlflow_client_loads_the_model(home: Path) -> None:
    result = mlfolio.run("iris", repeats=1)
    program = (
        "import json, mlflow, pandas as pd\n"
        "model = mlflow.pyfunc.load_model('models:/iris@champion')\n"
        f"answers = model.predict(pd.DataFrame([{FLOWER}] * 3))\n"
        "run = mlflow.MlflowClient().search_runs(['1'])[0].data\n"
        "print(json.dumps([list(answers['answer']), run.metrics, run.params]))\n"
    )
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{runs_folder()}/mlflow.db"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    answers, metrics, params = json.loads(done.stdout.splitlines()[-1])

    assert answers == ["setosa"] * 3
    assert metrics["accuracy"] == pytest.approx(result.scores[0].value)
    assert params["repeats"] == "1"
    files = [path.suffix for path in (runs_folder() / "mlflow").rglob("*") if path.is_file()]
    assert ".skops" in files
    assert ".pkl" not in files


def test_mlflow_knows_the_data_of_a_run(home: Path) -> None:
    """By name, digest, place and number of rows; no row is in its database."""
    import mlflow

    rows = "\n".join(f"{i % 7}.{i},{i % 5}.{i},{'ab'[i % 2]}" for i in range(60))
    (home / "own.csv").write_text(f"x,y,species\n{rows}\n", "utf-8")
    result = mlfolio.run("iris", data="own.csv", repeats=1, folds=2)
    client = mlflow.MlflowClient(f"sqlite:///{runs_folder()}/mlflow.db")
    (version,) = client.search_model_versions("name = 'iris'")
    (logged,) = client.get_run(version.run_id).inputs.dataset_inputs
    dataset, tags = logged.dataset, {tag.key: tag.value for tag in logged.tags}
    assert (dataset.name, dataset.digest) == ("own.csv", result.fingerprint[:36])
    assert json.loads(dataset.source) == {"kind": "own", "path": str(home / "own.csv")}
    assert json.loads(dataset.profile)["rows"] == {"train": 48, "test": 12}
    assert tags["fingerprint"] == result.fingerprint
    assert "0.0,0.0,a" not in (dataset.source + dataset.profile)


@pytest.mark.slow
def test_mlflow_serves_the_model(home: Path) -> None:
    mlfolio.run("iris", repeats=1)
    port = 18_400 + os.getpid() % 500
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/iris@champion",
        "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{runs_folder()}/mlflow.db"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with subprocess.Popen(
        command, env={**environment, "PATH": path}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    ) as server:  # fmt: skip
        try:
            body = json.dumps({"dataframe_records": [FLOWER]}).encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
            )
            answer = _ask(request, patience=90)
        finally:
            os.killpg(server.pid, 15)
    assert answer["predictions"][0]["answer"] == "setosa"


def _ask(request: urllib.request.Request, patience: float) -> Any:
    """The server's answer, once it is up."""
    end = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def test_a_version_whose_run_is_gone_comes_from_mlflow(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    import mlflow

    def stop(*args: Any, **facts: Any) -> None:
        raise KeyboardInterrupt

    result = mlfolio.run("iris", repeats=1)
    shutil.rmtree(result.folder)

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.artifacts, "download_artifacts", stop)
        with pytest.raises(KeyboardInterrupt):
            mlfolio.load("iris")
    assert mlfolio.load("iris").predict(FLOWER).answer == "setosa", "a broken download is repeated"


@pytest.mark.slow
def test_a_runs_folder_can_be_moved(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlfolio.run("iris", repeats=1)
    moved = (home / "runs").rename(home / "moved")
    monkeypatch.setenv("MLFOLIO_RUNS", str(moved))

    assert mlfolio.load("iris").predict(FLOWER).answer == "setosa"
    assert mlfolio.run("iris", repeats=1).version == 2
    assert not (home / "runs").exists(), "nothing is written to the old place"


@pytest.mark.slow
def test_a_champion_that_is_gone_is_no_obstacle_to_the_next(home: Path) -> None:
    import shutil

    first = mlfolio.run("iris", repeats=1)
    shutil.rmtree(first.folder)
    shutil.rmtree(runs_folder() / "mlflow")
    said: list[str] = []

    with pytest.raises(MlfolioError, match=rf"iris version 1 is gone: .*{first.run}.*\n.*run iris"):
        mlfolio.load("iris")
    assert mlfolio.run("iris", repeats=1, folds=3, say=said.append).champion
    assert any("iris version 1 is gone" in line for line in said)
    assert mlfolio.load("iris").version == 2


def test_a_damaged_model_names_its_folder_and_the_fix(home: Path) -> None:
    model = mlfolio.run("iris", repeats=1).folder / "model"
    (model / "model.skops").write_bytes(b"PK")
    with pytest.raises(FileError, match=rf"{model} is damaged: BadZipFile.*\n.*mlfolio run iris"):
        mlfolio.load("iris")
    with pytest.raises(FileError, match="is damaged"):
        load_folder(model)


@pytest.mark.slow
def test_a_database_that_was_being_made_is_made_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.db import utils

    def half(engine: Any) -> None:
        utils.InitialBase.metadata.create_all(engine)
        raise KeyboardInterrupt

    (home / "runs" / "mlflow.db").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(utils, "_initialize_tables", half)
        with pytest.raises(KeyboardInterrupt):
            mlfolio.run("iris", repeats=1)
    assert registry.champion("iris") is None
    assert mlfolio.run("iris", repeats=1).champion
    assert [path.name for path in runs_folder().glob(".mlflow.db*")] == []


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "foo://bar"])
def test_a_server_that_cannot_be_reached_is_said_before_the_fit(
    home: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(MlfolioError, match="MLFLOW_TRACKING_URI"):
        mlfolio.run("iris", repeats=1)
    (folder,) = (runs_folder() / "iris").iterdir()
    assert not (folder / "knobs.json").exists()


def test_a_run_that_cannot_be_registered_is_done_and_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        (run,) = (runs_folder() / "iris").iterdir()
        assert status(run) == "done", "only what is finished is registered"
        raise OSError("no space left")

    monkeypatch.setattr(registry, "register", full)
    with pytest.raises(MlfolioError, match="could not be registered: OSError"):
        mlfolio.run("iris", repeats=1)
    (run,) = (runs_folder() / "iris").iterdir()
    assert "no space left" in json.loads((run / "scores.json").read_text("utf-8"))["reason"]
    assert registry.champion("iris") is None


@pytest.mark.slow
def test_two_runs_at_once_do_each_other_no_harm(home: Path) -> None:
    command = [sys.executable, "-m", "mlfolio", "run", "iris", "repeats=1", "--json"]
    runs = [
        subprocess.Popen([*command, "--seed", str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in range(3)
    ]
    results = [json.loads(run.communicate(timeout=300)[0]) for run in runs]

    assert [run.returncode for run in runs] == [0, 0, 0]
    assert sorted(result["version"] for result in results) == [1, 2, 3]
    assert len({result["run"] for result in results}) == 3
    champion = registry.champion("iris")
    assert champion is not None
    best = max(result["scores"][0]["value"] for result in results)
    assert champion.value == pytest.approx(best)


def test_an_interrupted_run_is_never_registered(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlfolio.core.catalog import get_system

    def stop(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(get_system("iris"), "evaluate", stop)
    with pytest.raises(KeyboardInterrupt):
        mlfolio.run("iris", repeats=1)
    assert registry.champion("iris") is None


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"seed": -1}, "seed = -1"),
        ({"seed": "a"}, "seed = 'a'"),
        ({"data": pd.DataFrame([FLOWER])}, "not DataFrame"),
        ({"data": ""}, "no file or folder ''"),
        ({"system": object}, "is no system"),
    ],
)
def test_wrong_arguments_are_explained(home: Path, facts: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        mlfolio.run(**{"system": "iris", **facts})


def test_wrong_rows_are_explained(home: Path) -> None:
    mlfolio.run("iris", repeats=1)
    predictor = mlfolio.load("iris")
    wrong: Any
    for wrong in (None, 5, "abc", pd.DataFrame([FLOWER]), pd.Series(FLOWER)):
        with pytest.raises(UserError, match=f"not {type(wrong).__name__}\n.*to_dict"):
            predictor.predict(wrong)
    with pytest.raises(UserError, match="question: no such field"):
        predictor.predict(create_model("Other", __base__=Input, question=(str, "why?"))())
    with pytest.raises(UserError, match="None is no system"):
        mlfolio.load(None)  # type: ignore[arg-type]
