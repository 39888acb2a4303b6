"""Tracking and registry: every run in MLflow, every model registered, one of them the champion.

The alias `champion` is what is served; changing it is what a release is, and a rollback
(`mlfolio.track.releases` does both). MLflow keeps its own SQLite database under the runs'
folder, or uses the server that `MLFLOW_TRACKING_URI` names. A model goes in as a folder with a
loader module (`mlfolio.track.loader`), so that no pickle is made and any MLflow client can load it;
one that is changed while it is served stays in its run's folder alone (`_log_model`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from pydantic import BaseModel

from mlfolio.core.catalog import catalog, get_system
from mlfolio.core.errors import MlfolioError, UnknownNameError
from mlfolio.core.model import Indexes
from mlfolio.core.run import runs_folder
from mlfolio.core.score import Evaluation
from mlfolio.core.system import DataInfo
from mlfolio.track import history, loader
from mlfolio.track.connection import artifacts, database, first_line, is_remote, open_client
from mlfolio.track.history import CHALLENGER, CHAMPION, Action
from mlfolio.track.loader import HEADER

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

DIGEST = 36  # characters: MLflow keeps no more
NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # what MLflow says of it
DESCRIBED = ("scores.json", "report.html", "MODEL_CARD.md", "DATA_CARD.md", "sbom.json")  # of a run


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
        protocol: How it was measured; empty where that was not written down.
        knobs: The knobs it was fitted with.
        made: When it was registered, in seconds since 1970.
    """

    system: str
    number: int
    run: str
    folder: Path
    metric: str
    value: float
    source: str
    test_fingerprint: str
    protocol: str = ""
    knobs: dict[str, Any] = {}
    made: float = 0.0


class Verdict(BaseModel):
    """Whether a new model is the champion, and why."""

    champion: bool
    reason: str


def decide(new: Evaluation, data: DataInfo, champion: Version | None) -> Verdict:
    """The rule for champions.

    Real data win over a sample. On the same test data, measured by the same protocol, the better
    primary score wins and a tie leaves the champion where it is. Of models whose scores cannot be
    compared the newer wins, because somebody asked for it.
    """
    if champion is None:
        return Verdict(champion=True, reason="the first model of this system")
    old, score = f"version {champion.number}", new.scores[0]
    if data.source.is_sample != (champion.source == "sample"):
        if data.source.is_sample:
            return Verdict(
                champion=False, reason=f"{old} was fitted on real data, this on a sample"
            )
        return Verdict(champion=True, reason=f"{old} was fitted on a sample, this on real data")
    if data.test_fingerprint != champion.test_fingerprint:
        reason = f"{old} was measured on other data ({champion.source}), so the newer model wins"
        return Verdict(champion=True, reason=reason)
    if (score.name, score.protocol) != (champion.metric, champion.protocol):
        theirs = f"{champion.metric} by {champion.protocol or 'a protocol not written down'}"
        reason = f"{score.name} by {score.protocol} cannot be compared with {old}'s {theirs}"
        return Verdict(champion=True, reason=f"{reason}, so the newer model wins")
    better = score.better_than(champion.value)
    reason = (
        f"{score.name} {score.value:.4f} is {'better' if better else 'not better'} than {old}'s "
        f"{champion.value:.4f} on the same test data"
    )
    if better and score.ci95 and score.ci95[0] <= champion.value <= score.ci95[1]:
        reason += " (the difference may be chance)"
    return Verdict(champion=better, reason=reason)


def champion(system: str) -> Version | None:
    """The champion of a system, or None if it has none.

    Raises:
        MlfolioError: The registry cannot be read.
    """
    if not is_remote() and not database().exists():
        return None
    with open_client() as client:
        return _champion(client, system)


def register(
    system: str, run: Path, evaluation: Evaluation, data: DataInfo, knobs: Mapping[str, Any],
    candidate: bool = False,
) -> tuple[Version, Verdict]:  # fmt: skip
    """Logs a finished run with its scores and figures, and registers its model.

    The folder `run` holds `model/` and everything else the run has written. The comparison with
    the champion and the change of the alias happen under one lock, so of two runs that end
    together in one runs' folder one sees the other's result. Runs on two machines that share a
    tracking server do not see this lock. A candidate is not compared: it is a challenger until
    somebody promotes it.

    Returns:
        The new version, and whether it is the champion.

    Raises:
        MlfolioError: The registry cannot be read.
    """
    import mlflow

    with changing() as client:
        verdict = decide(evaluation, data, _champion(client, system))
        if candidate:
            verdict = Verdict(champion=False, reason="a candidate, which only a release promotes")
        experiment_id = _experiment(client, system)
        score = evaluation.scores[0]
        tags = {
            "mlfolio.run": run.name,
            "mlfolio.folder": str(run),
            "mlfolio.metric": score.name,
            "mlfolio.value": repr(score.value),
            "mlfolio.source": data.source.kind,
            "mlfolio.fingerprint": data.fingerprint,
            "mlfolio.test_fingerprint": data.test_fingerprint,
            "mlfolio.protocol": score.protocol,
            "mlfolio.knobs": json.dumps(dict(knobs), default=str),
        }
        with mlflow.start_run(experiment_id=experiment_id, run_name=run.name, tags=tags) as started:
            mlflow.log_params({name: str(value)[:500] for name, value in knobs.items()})
            mlflow.log_metrics({_metric_name(s.name): s.value for s in evaluation.scores})
            _log_data(client, started.info.run_id, data)
            for name in ("figures", "tables"):
                if (run / name).is_dir():
                    mlflow.log_artifacts(str(run / name), name)
            for name in DESCRIBED:
                if (run / name).is_file():
                    mlflow.log_artifact(str(run / name))
            uri, model_id = _log_model(system, run / "model")
        if not client.search_registered_models(f"name = '{system}'"):
            client.create_registered_model(system)
        version = client.create_model_version(
            system, uri, started.info.run_id, tags, model_id=model_id
        )
        registered = _version(client, system, int(version.version))
        if verdict.champion:  # last: all else is there
            crown(client, system, "run", registered.number, verdict.reason)
        else:
            client.set_registered_model_alias(system, CHALLENGER, version.version)
        return registered, verdict


def _log_data(client: MlflowClient, run_id: str, data: DataInfo) -> None:
    """Says in MLflow's log of data sets what a run was made from; no row goes there."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    facts = {"rows": data.rows, "fingerprint": data.fingerprint, "licence": data.licence}
    where = {"kind": data.source.kind, "path": str(data.source.path or data.dataset)}
    dataset = Dataset(
        name=data.dataset[:500],
        digest=data.fingerprint[:DIGEST],
        source_type="local" if data.source.path else data.source.kind,
        source=json.dumps(where),
        profile=json.dumps(facts),
    )
    tags = [InputTag("mlflow.data.context", "training"), InputTag("fingerprint", data.fingerprint)]
    client.log_inputs(run_id, [DatasetInput(dataset, tags)])


def version(system: str, number: int) -> Version:
    """A version by its number.

    Raises:
        UnknownNameError: There is none.
        MlfolioError: The registry cannot be read.
    """
    if is_remote() or database().exists():
        with open_client() as client:
            found = version_or_none(client, system, number)
            if found is not None:
                return found
            known = [v.version for v in client.search_model_versions(f"name = '{system}'")]
    else:
        known = []
    raise UnknownNameError(f"{system} version", str(number), map(str, known))


@contextmanager
def changing() -> Iterator[MlflowClient]:
    """The registry, for one who changes it: nobody else does meanwhile."""
    with open_client() as client, FileLock(runs_folder() / ".registry.lock"):
        yield client


def crown(client: MlflowClient, system: str, action: Action, number: int, reason: str) -> None:
    """Makes a version the champion, by one change of the alias; see `history` for the order."""
    history.record(client, system, action, number, reason)
    client.set_registered_model_alias(system, CHAMPION, str(number))
    model = client.get_registered_model(system)
    if model.tags.get(history.STAGED):  # it was measured against another champion
        client.delete_registered_model_tag(system, history.STAGED)
    if model.aliases.get(CHALLENGER) == str(number):
        client.delete_registered_model_alias(system, CHALLENGER)


def registered(client: MlflowClient, system: str) -> RegisteredModel | None:
    """What MLflow has of a system, with its aliases and tags; None if it knows none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(system)
    except MlflowException as error:
        if error.error_code in NOT_THERE:
            return None
        raise


def _log_model(system: str, folder: Path) -> tuple[str, str | None]:
    """Gives MLflow a run's model; its address there, and its id if MLflow has a copy.

    A model that is changed while it is served (an index of documents) is not copied on this
    machine: the run's folder is the one that is loaded and changed, and what is deleted from it
    would live on in the copy. A tracking server elsewhere does get a copy, the only one there is
    for other machines; it stays as it was registered.
    """
    import mlflow

    if not is_remote() and system in catalog() and issubclass(get_system(system).model, Indexes):
        return folder.as_uri(), None
    logged = mlflow.models.Model.log(
        None, name="model", flavor=loader, folder=folder, metadata={"system": system}
    )
    return logged.model_uri, logged.model_id


def _experiment(client: MlflowClient, system: str) -> str:
    """The MLflow experiment of a system.

    MLflow fixes for good where an experiment's files go, so a runs' folder that was moved needs a
    new one; the old one keeps its runs under another name.
    """
    home = None if is_remote() else artifacts(system)
    found = client.get_experiment_by_name(system)
    if found and home in (None, found.artifact_location):
        return str(found.experiment_id)
    if found:
        client.rename_experiment(found.experiment_id, f"{system} until {found.experiment_id}")
    return str(client.create_experiment(system, home))


def _champion(client: MlflowClient, system: str) -> Version | None:
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version_by_alias(system, CHAMPION)
    except MlflowException as error:
        if error.error_code in NOT_THERE:  # the model, or the alias
            return None
        raise
    return _version(client, system, int(found.version))


def version_or_none(client: MlflowClient, system: str, number: int) -> Version | None:
    """A version by its number; None if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return _version(client, system, number)
    except MlflowException as error:
        if error.error_code in NOT_THERE:
            return None
        raise


def _version(client: MlflowClient, system: str, number: int) -> Version:
    found = client.get_model_version(system, str(number))
    run = found.tags["mlfolio.run"]
    # Our own database lies beside its runs, also after both were moved.
    folder = found.tags["mlfolio.folder"] if is_remote() else runs_folder() / system / run
    return Version(
        system=system,
        number=number,
        run=run,
        folder=Path(folder) / "model",
        metric=found.tags["mlfolio.metric"],
        value=float(found.tags["mlfolio.value"]),
        source=found.tags["mlfolio.source"],
        test_fingerprint=found.tags["mlfolio.test_fingerprint"],
        protocol=found.tags.get("mlfolio.protocol", ""),
        knobs=json.loads(found.tags["mlfolio.knobs"]),
        made=(found.creation_timestamp or 0) / 1000,
    )


def local_folder(version: Version) -> Path:
    """Where a version's files lie here; fetched from the tracking server if they do not.

    The run's own folder comes first: for a model that changes while it serves (an index) that is
    the living one, and what MLflow keeps is the state it was registered in.

    Raises:
        MlfolioError: They are in neither place.
    """
    if version.folder.is_dir():
        return version.folder
    target = runs_folder() / version.system / "fetched" / str(version.number)
    try:
        with open_client(), FileLock(runs_folder() / ".fetch.lock"):
            if not any(target.rglob(HEADER)):
                _fetch(version, target)
        return next(target.rglob(HEADER)).parent
    except Exception as error:  # whatever a tracking server's store may say
        raise MlfolioError(
            f"the model of {version.system} version {version.number} is gone: it is not in "
            f"{version.folder}, and MLflow does not give it ({first_line(error)})",
            f"bring that folder back, or make a new model: mlfolio run {version.system}",
        ) from error


def _fetch(version: Version, target: Path) -> None:
    """Downloads a version's files; they appear in `target` whole."""
    import mlflow

    part = target.with_name(f".{version.number}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a download that was killed
    part.mkdir(parents=True)
    uri = f"models:/{version.system}/{version.number}"
    mlflow.artifacts.download_artifacts(uri, dst_path=str(part))
    if not any(part.rglob(HEADER)):
        raise MlfolioError("no model among its files")
    part.rename(target)


def _metric_name(name: str) -> str:
    """MLflow refuses some signs in metric names that the field uses (nDCG@10)."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_at_" if c == "@" else "_" for c in name)
