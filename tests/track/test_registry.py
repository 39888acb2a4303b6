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

import pytest

import mlfolio
from mlfolio.core.errors import NotTrainedError
from mlfolio.core.run import runs_folder
from mlfolio.core.score import Evaluation, Score
from mlfolio.core.source import Source, SourceKind
from mlfolio.core.system import DataInfo
from mlfolio.track import registry
from mlfolio.track.registry import Version, decide

FLOWER = {"sepal_length": 5.0, "sepal_width": 3.4, "petal_length": 1.5, "petal_width": 0.2}


def evaluation(value: float, direction: Any = "higher") -> Evaluation:
    score = Score(name="accuracy", value=value, n=10, protocol="test", direction=direction)
    return Evaluation(scores=(score,))


def info(kind: SourceKind = "official", test: str = "t") -> DataInfo:
    return DataInfo(
        source=Source(kind=kind), dataset="d", licence="l", fingerprint="f", test_fingerprint=test,
        rows={"train": 1},
    )  # fmt: skip


def version(value: float, source: str = "official", test: str = "t") -> Version:
    return Version(
        system="iris", number=7, run="r", folder=Path("x"), metric="accuracy", value=value,
        source=source, test_fingerprint=test,
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
    ],
)
def test_the_rule_for_champions(
    new: Evaluation, data: DataInfo, champion: Version | None, wins: bool
) -> None:
    verdict = decide(new, data, champion)
    assert verdict.champion is wins
    assert verdict.reason


def test_first_run_is_champion_and_a_tie_is_not(home: Path) -> None:
    with pytest.raises(NotTrainedError, match="mlfolio run iris"):
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


def test_a_version_whose_run_is_gone_comes_from_mlflow(home: Path) -> None:
    import shutil

    result = mlfolio.run("iris", repeats=1)
    shutil.rmtree(result.folder)

    assert mlfolio.load("iris").predict(FLOWER).answer == "setosa"


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
