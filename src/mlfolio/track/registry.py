"""Tracking and registry: every run in MLflow, every model registered, one of them the champion.

MLflow keeps its own SQLite database under the runs' folder, or uses the server that
`MLFLOW_TRACKING_URI` names. A model goes in as a folder with a loader module
(`mlfolio.track.loader`), so that no pickle is made and any MLflow client can load it.
"""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from pydantic import BaseModel

from mlfolio.core.run import runs_folder
from mlfolio.core.score import Evaluation
from mlfolio.core.system import DataInfo
from mlfolio.track.loader import HEADER

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI = "MLFLOW_TRACKING_URI"
CHAMPION, CHALLENGER = "champion", "challenger"


class Version(BaseModel):
    """One registered model.

    Attributes:
        system: The system it belongs to.
        number: MLflow's version number.
        run: Name of the run that made it.
        folder: Where its files lie on this machine.
        metric: Name of the primary score.
        value: Its value.
        source: Which kind of data it was fitted on: `own`, `official` or `sample`.
        test_fingerprint: Which data it was measured on.
        knobs: The knobs it was fitted with.
    """

    system: str
    number: int
    run: str
    folder: Path
    metric: str
    value: float
    source: str
    test_fingerprint: str
    knobs: dict[str, Any] = {}


class Verdict(BaseModel):
    """Whether a new model is the champion, and why."""

    champion: bool
    reason: str


def decide(new: Evaluation, data: DataInfo, champion: Version | None) -> Verdict:
    """The rule for champions.

    On the same test data the better primary score wins, and a tie leaves the champion where it
    is. Scores on different data cannot be compared: then real data win over a sample, and of two
    models on real data the newer one, because somebody asked for it.
    """
    if champion is None:
        return Verdict(champion=True, reason="the first model of this system")
    score = new.scores[0]
    if data.test_fingerprint == champion.test_fingerprint and score.name == champion.metric:
        better = score.better_than(champion.value)
        word = "better than" if better else "not better than"
        return Verdict(
            champion=better,
            reason=f"{score.name} {score.value:.4f} is {word} version {champion.number}'s "
            f"{champion.value:.4f} on the same test data",
        )
    if data.source.is_sample and champion.source != "sample":
        reason = f"a sample does not replace version {champion.number}, fitted on real data"
        return Verdict(champion=False, reason=reason)
    reason = f"version {champion.number} was measured on other data ({champion.source})"
    return Verdict(champion=True, reason=reason)


def champion(system: str) -> Version | None:
    """The champion of a system, or None if it has none."""
    if not _is_remote() and not _database().exists():
        return None
    with _client() as client:
        return _champion(client, system)


def stamp() -> float:
    """A number that changes when the registry does: whoever saw it before need not ask again.

    Of a tracking server elsewhere nothing is known, so there it changes every ten seconds.
    """
    if _is_remote():
        return time.time() // 10
    return _database().stat().st_mtime if _database().exists() else 0.0


def register(
    system: str, run: Path, evaluation: Evaluation, data: DataInfo, knobs: Mapping[str, Any]
) -> tuple[Version, Verdict]:
    """Logs a finished run with its scores and figures, and registers its model.

    The folder `run` holds `model/` and everything else the run has written. The comparison with
    the champion and the change of the alias happen under one lock, so of two runs that end
    together one sees the other's result.

    Returns:
        The new version, and whether it is the champion.
    """
    import mlflow

    with _client() as client, FileLock(runs_folder() / ".registry.lock"):
        verdict = decide(evaluation, data, _champion(client, system))
        experiment = client.get_experiment_by_name(system)
        experiment_id = (
            experiment.experiment_id
            if experiment
            else client.create_experiment(system, None if _is_remote() else _artifacts(system))
        )
        score = evaluation.scores[0]
        tags = {
            "mlfolio.run": run.name,
            "mlfolio.folder": str(run),
            "mlfolio.metric": score.name,
            "mlfolio.value": repr(score.value),
            "mlfolio.source": data.source.kind,
            "mlfolio.test_fingerprint": data.test_fingerprint,
            "mlfolio.knobs": json.dumps(dict(knobs), default=str),
        }
        with mlflow.start_run(experiment_id=experiment_id, run_name=run.name, tags=tags):
            mlflow.log_params({name: str(value)[:500] for name, value in knobs.items()})
            mlflow.log_metrics({_metric_name(s.name): s.value for s in evaluation.scores})
            for name in ("figures", "tables"):
                if (run / name).is_dir():
                    mlflow.log_artifacts(str(run / name), name)
            for name in ("scores.json", "report.html", "MODEL_CARD.md"):
                if (run / name).is_file():
                    mlflow.log_artifact(str(run / name))
            logged = mlflow.pyfunc.log_model(
                name="model",
                loader_module="mlfolio.track.loader",
                data_path=str(run / "model"),
                pip_requirements=["mlfolio"],
                metadata={"system": system},
            )
        if not client.search_registered_models(f"name = '{system}'"):
            client.create_registered_model(system)
        version = client.create_model_version(
            system, logged.model_uri, logged.run_id, tags, model_id=logged.model_id
        )
        alias = CHAMPION if verdict.champion else CHALLENGER
        client.set_registered_model_alias(system, alias, version.version)
        return _version(client, system, int(version.version)), verdict


def _champion(client: MlflowClient, system: str) -> Version | None:
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version_by_alias(system, CHAMPION)
    except MlflowException:
        return None
    return _version(client, system, int(found.version))


def _version(client: MlflowClient, system: str, number: int) -> Version:
    found = client.get_model_version(system, str(number))
    return Version(
        system=system,
        number=number,
        run=found.tags["mlfolio.run"],
        folder=Path(found.tags["mlfolio.folder"]) / "model",
        metric=found.tags["mlfolio.metric"],
        value=float(found.tags["mlfolio.value"]),
        source=found.tags["mlfolio.source"],
        test_fingerprint=found.tags["mlfolio.test_fingerprint"],
        knobs=json.loads(found.tags["mlfolio.knobs"]),
    )


def local_folder(version: Version) -> Path:
    """Where a version's files lie here; fetched from the tracking server if they do not.

    The run's own folder comes first: for a model that changes while it serves (an index) that is
    the living one, and what MLflow keeps is the state it was registered in.
    """
    if version.folder.is_dir():
        return version.folder
    import mlflow

    with _client():
        uri = f"models:/{version.system}/{version.number}"
        target = runs_folder() / version.system / "fetched" / str(version.number)
        if not target.is_dir():
            target.mkdir(parents=True)
            mlflow.artifacts.download_artifacts(uri, dst_path=str(target))
    return next(target.rglob(HEADER)).parent


@contextmanager
def _client() -> Iterator[MlflowClient]:
    """MLflow, pointed at our database, with its chatter and telemetry off."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow

        for name in ("mlflow", "alembic", "sqlalchemy"):
            logging.getLogger(name).setLevel(logging.ERROR)
        theirs = os.environ.get(URI)
        runs_folder().mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(theirs or f"sqlite:///{_database()}")
        if theirs is None:  # MLflow writes its address there, where it would look like the user's
            os.environ.pop(URI, None)
        # Two processes that make the same new database at once would trip over each other.
        with FileLock(runs_folder() / ".database.lock"):
            client = mlflow.MlflowClient()
        yield client


def _is_remote() -> bool:
    return bool(os.environ.get(URI))


def _database() -> Path:
    return runs_folder() / "mlflow.db"


def _artifacts(system: str) -> str:
    return (runs_folder() / "mlflow" / system).as_uri()


def _metric_name(name: str) -> str:
    """MLflow refuses some signs in metric names that the field uses (nDCG@10)."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_at_" if c == "@" else "_" for c in name)
