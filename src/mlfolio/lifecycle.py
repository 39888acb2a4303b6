"""The life of a system, from data to a registered model, and back to answers.

`run` is what `mlfolio run` does; `load` is what `mlfolio predict` and `mlfolio serve` answer with.
Both read from top to bottom; nothing here knows a particular system.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from pydantic import BaseModel

from mlfolio.core.card import Card
from mlfolio.core.catalog import get_system
from mlfolio.core.errors import (
    DataUnavailableError,
    FileError,
    LeakError,
    MlfolioError,
    NotTrainedError,
    UserError,
)
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.model import Input, Model, Output
from mlfolio.core.run import Run, finished_runs, read_json, runs_folder, write_json
from mlfolio.core.score import Evaluation, Score
from mlfolio.core.source import OFFICIAL, SAMPLE, Source
from mlfolio.core.system import Data, DataInfo, Finding, System
from mlfolio.parts.cluster import LOCAL, workers_on
from mlfolio.track import connection, registry
from mlfolio.track.loader import HEADER, load_folder, load_model

Say = Callable[[str], None]
LOG = logging.getLogger(__name__)


class Cost(BaseModel):
    """What a model costs.

    Attributes:
        fit_seconds: Wall time of `fit`, with that of an interrupted run that it went on with.
        evaluate_seconds: Wall time of `evaluate`.
        model_bytes: Size of the stored model.
        predict_ms: Median time of one answer to one input, in this process.
    """

    fit_seconds: float
    evaluate_seconds: float
    model_bytes: int
    predict_ms: float


class Result(BaseModel):
    """What a run ends with."""

    system: str
    run: str
    folder: Path
    source: Source
    seed: int
    knobs: dict[str, Any]
    fingerprint: str
    scores: list[Score]
    cost: Cost
    findings: list[Finding]
    version: int | None
    champion: bool
    reason: str

    def summary(self) -> dict[str, Any]:
        """The form that `mlfolio run --json` prints."""
        return {
            "system": self.system,
            "run": str(self.folder),
            "source": self.source.kind,
            "sample": self.source.is_sample,
            "seed": self.seed,
            "knobs": self.knobs,
            "fingerprint": self.fingerprint,
            "scores": [score.summary() for score in self.scores],
            "cost": self.cost.model_dump(),
            "findings": [finding.model_dump() for finding in self.findings],
            "version": self.version,
            "champion": self.champion,
            "reason": self.reason,
        }


class Predictor:
    """A loaded model behind the door that validates.

    Attributes:
        system: Name of the system.
        card: Its card.
        model: The model itself.
        version: Its number in the registry; None for a model that was never registered.
        source: Which kind of data it was fitted on; None as well.
        folder: Where its files lie; None as well.
    """

    def __init__(
        self, card: Card, model: Model, version: int | None = None, source: str | None = None,
        folder: Path | None = None,
    ) -> None:  # fmt: skip
        self.system = card.slug
        self.card = card
        self.model = model
        self.version = version
        self.source = source
        self.folder = folder

    @overload
    def predict(self, rows: Mapping[str, Any] | Input) -> Output: ...
    @overload
    def predict(self, rows: Sequence[Mapping[str, Any] | Input]) -> list[Output]: ...
    def predict(
        self, rows: Mapping[str, Any] | Input | Sequence[Mapping[str, Any] | Input]
    ) -> Output | list[Output]:
        """Answers one row or a list of rows.

        Raises:
            InputError: Rows that the model refuses, all problems at once.
            UserError: No rows.
        """
        # A DataFrame is iterable too, over its columns.
        if not isinstance(rows, Iterable) or isinstance(rows, str) or hasattr(rows, "to_dict"):
            raise UserError(
                f"predict takes a row or a list of rows, not {type(rows).__name__}",
                'a row is a mapping of field to value; of a DataFrame: frame.to_dict("records")',
            )
        if isinstance(rows, Mapping | Input):
            return self.predict([rows])[0]
        inputs = parse_inputs(self.model, rows)
        outputs: list[Output] = self.model.predict(inputs) if inputs else []
        return outputs


def run(
    system: str | type[System],
    *,
    data: str | Path | Source | None = None,
    seed: int = 0,
    force: bool = False,
    register: bool = True,
    candidate: bool = False,
    on: str = LOCAL,
    quiet: bool = True,
    verbose: bool = False,
    say: Say = lambda text: None,
    **knobs: Any,
) -> Result:
    """Loads, checks, fits, evaluates, reports and registers.

    Args:
        system: Name in the catalog, or a system's class.
        data: Path of the user's own data, `"official"`, `"sample"`, or None for official data
            where they can be had and else the sample.
        seed: Seed for everything random.
        force: Go on although the data doctor found a leak.
        register: Whether to log and register the model with MLflow.
        candidate: Register it as challenger, whatever its scores: `mlfolio release` is to decide.
        on: Where its independent tasks are done: `local`, `ray`, or `ray://HOST:PORT`.
        quiet: No progress bars.
        verbose: Say every logged metric too.
        say: Is told in a sentence what happens.
        **knobs: The system's knobs to change.

    Raises:
        MlfolioError: A wrong name, knob, file; data that are not there; a leak. A run that was
            started says so in its folder, and nothing is registered. Or the registry failed.
    """
    kind = _as_system(system)
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise UserError(f"seed = {seed!r} is no seed", "an integer from 0 to 4294967295")
    made = kind.with_knobs(knobs)
    with workers_on(on) as workers, Run.start(kind.card.slug, seed, quiet) as attempt:
        attempt.workers = workers
        attempt.say = say if verbose else None
        attempt.previous = _previous(kind.card.slug, say) if register else None
        loaded = load_data(made, data, say)
        findings = examine(loaded, attempt, force, say)
        model, fit_seconds = _fit(made, loaded, attempt, say)
        evaluation, evaluate_seconds = _evaluate(made, model, loaded, attempt, say)
        cost = Cost(
            fit_seconds=round(fit_seconds, 2),
            evaluate_seconds=round(evaluate_seconds, 2),
            model_bytes=size_of(attempt.folder / "model"),
            predict_ms=_predict_ms(model),
        )
        result = Result(
            system=kind.card.slug,
            run=attempt.name,
            folder=attempt.folder,
            source=loaded.info.source,
            seed=seed,
            knobs=made.model_dump(mode="json"),
            fingerprint=loaded.info.fingerprint,
            scores=list(evaluation.scores),
            cost=cost,
            findings=findings,
            version=None,
            champion=False,
            reason="not registered",
        )
        _describe(kind.card, result, model, attempt)
        attempt.drop_checkpoints()
    # The run is done now: what is not can never be champion.
    return _register(result, evaluation, loaded.info, candidate) if register else result


def load(system: str | type[System], version: int | None = None) -> Predictor:
    """The champion of a system, or another version of it, ready to answer.

    Raises:
        NotTrainedError: It has no champion yet.
        UnknownNameError: It has no such version.
        FileError: Its files are damaged.
    """
    kind = _as_system(system)
    slug = kind.card.slug
    found = registry.champion(slug) if version is None else registry.version(slug, version)
    if found is None:
        raise NotTrainedError(slug, connection.place())
    folder = registry.local_folder(found)
    return Predictor(kind.card, load_model(kind, folder), found.number, found.source, folder)


def _as_system(system: str | type[System]) -> type[System]:
    """The class that was named or given."""
    if isinstance(system, str):
        return get_system(system)
    if isinstance(system, type) and issubclass(system, System):
        return system
    raise UserError(f"{system!r} is no system", "give a name from mlfolio list, or a System class")


def _previous(system: str, say: Say) -> Path | None:
    """The folder of the champion's model, for systems that build on it; a lost one is no obstacle.

    Raises:
        MlfolioError: The registry cannot be read.
    """
    champion = registry.champion(system)
    try:
        return registry.local_folder(champion) if champion else None
    except MlfolioError as error:
        say(f"{error.message}; going on without it")
        return None


def _register(result: Result, evaluation: Evaluation, data: DataInfo, candidate: bool) -> Result:
    """Registers the model of a run that is done, and writes down what came of it.

    Raises:
        MlfolioError: The registry failed.
    """
    path = result.folder / "scores.json"
    try:
        version, verdict = registry.register(
            result.system, result.folder, evaluation, data, result.knobs, candidate
        )
    except BaseException as error:
        words = error.message if isinstance(error, MlfolioError) else repr(error)
        reason = f"could not be registered: {words}"
        with contextlib.suppress(OSError):  # the disk may be full
            write_json(path, result.model_copy(update={"reason": reason}).summary())
        if not isinstance(error, Exception):
            raise
        raise MlfolioError(
            f"the run is done, in {result.folder}, but its model {reason}",
            "mend that and run again; until then the champion of before answers",
        ) from error
    result = result.model_copy(
        update={
            "version": version.number,
            "champion": verdict.champion,
            "reason": verdict.reason,
        }
    )
    write_json(path, result.summary())
    return result


def load_data(system: System, data: str | Path | Source | None, say: Say) -> Data:
    """The data of a run, from the source that was asked for or the best that can be had."""
    if data is None:
        try:
            loaded: Data = system.load(OFFICIAL)
        except DataUnavailableError as error:
            say(f"{error}\n  going on with the embedded SAMPLE: its scores say little")
            loaded = system.load(SAMPLE)
        return loaded
    own: Data = system.load(as_source(data))
    return own


def as_source(data: str | Path | Source) -> Source:
    """What the user named: one of the words `sample` and `official`, or a path."""
    if isinstance(data, Source):
        return data
    if not isinstance(data, str | Path):
        raise UserError(
            f"data is a path, 'official' or 'sample', not {type(data).__name__}",
            "write a DataFrame to a file: frame.to_csv('my.csv', index=False)",
        )
    return {"sample": SAMPLE, "official": OFFICIAL}.get(str(data)) or Source.own(data)


def examine(data: Data, attempt: Run, force: bool, say: Say) -> list[Finding]:
    """Lets the data doctor look at the data and keeps what it says.

    Raises:
        LeakError: It found a leak, and `force` is off.
    """
    attempt.stage = "data"
    attempt.write("data.json", data.info)
    findings = data.check()
    for finding in findings:
        say(f"{finding.level}: {finding.message}" + (f" ({finding.fix})" if finding.fix else ""))
        attempt.note(
            f"{finding.level.capitalize()}: {finding.message}; {finding.fix}".strip(" ;") + "."
        )
    leaks = [finding for finding in findings if finding.level == "leak"]
    if leaks and not force:
        raise LeakError(
            "; ".join(leak.message for leak in leaks),
            " ".join(dict.fromkeys(leak.fix for leak in leaks)) + "; or go on with --force",
        )
    return findings


def _fit(system: System, data: Data, attempt: Run, say: Say) -> tuple[Model, float]:
    """Fits and stores the model; it appears in the run's folder whole."""
    attempt.stage = "fit"
    attempt.write("knobs.json", system.model_dump(mode="json"))
    if before := attempt.take_over():
        say(f"going on with what {before} has trained, which did not end")
    say(f"{system.card.title}: fitting on {data.info.source}, {_sizes(data)}")
    started = _clock(attempt)
    model: Model = system.fit(data, attempt)
    seconds = _clock(attempt) - started
    save_model(model, system.card.slug, attempt.folder / "model")
    return model, seconds


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _clock(attempt: Run) -> float:
    """Seconds, by which a run that goes on with another's training took as long as both."""
    return time.perf_counter() + attempt.earlier


def save_model(model: Model, system: str, folder: Path) -> None:
    """Stores a model with the header that says which system it belongs to."""
    temporary = folder.with_name(f".{folder.name}")
    temporary.mkdir()
    model.save(temporary)
    write_json(temporary / HEADER, {"system": system, "format": 1})
    temporary.rename(folder)


def _evaluate(
    system: System, model: Model, data: Data, attempt: Run, say: Say
) -> tuple[Evaluation, float]:
    """Measures; targets are left out where the data are not the official ones."""
    attempt.stage = "evaluate"
    say("evaluating")
    started = _clock(attempt)
    evaluation: Evaluation = system.evaluate(model, data, attempt)
    seconds = _clock(attempt) - started
    targets = {promise.metric: promise.target for promise in system.card.promises}
    official = data.info.source.kind == "official"
    scores = tuple(
        score.model_copy(update={"target": targets.get(score.name) if official else None})
        for score in evaluation.scores
    )
    return Evaluation(scores=scores), seconds


def _describe(card: Card, result: Result, model: Model, attempt: Run) -> None:
    """Writes what is read afterwards: scores, environment, report, cards, bill of materials."""
    from mlfolio.report.card import write_model_card
    from mlfolio.report.data_card import write_data_card
    from mlfolio.report.environment import environment
    from mlfolio.report.html import write_report
    from mlfolio.report.sbom import write_sbom

    attempt.write("scores.json", result.summary())
    schema = {"input": model.input_type.model_json_schema(by_alias=True)}
    attempt.write("schema.json", {**schema, "output": model.output_type.model_json_schema()})
    attempt.write("environment.json", {**environment(), "command": _command(result)})
    write_report(attempt.folder, card)
    write_model_card(attempt.folder, card)
    write_data_card(attempt.folder, card)
    write_sbom(attempt.folder, card)


def _command(result: Result) -> str:
    """The shell command that does the same run again."""
    data = str(result.source.path) if result.source.path else result.source.kind
    knobs = [f"{name}={value}" for name, value in result.knobs.items() if value is not None]
    words = ["mlfolio", "run", result.system, *knobs, "--data", data, "--seed", str(result.seed)]
    return shlex.join(words)


def _predict_ms(model: Model) -> float:
    """Median time of one answer."""
    example = model.examples()[:1]
    model.predict(example)
    times = []
    for _ in range(20):
        started = time.perf_counter()
        model.predict(example)
        times.append(time.perf_counter() - started)
    return round(sorted(times)[len(times) // 2] * 1000, 3)


def _sizes(data: Data) -> str:
    return ", ".join(f"{count:,} {part}" for part, count in data.info.rows.items() if count)


def scores_of(folder: Path) -> dict[str, Any]:
    """What a finished run wrote down of its result, and the name of its data set.

    Raises:
        FileError: Its files are damaged.
    """
    keys = ("source", "sample", "seed", "knobs", "fingerprint", "scores", "champion")
    data = read_json(folder / "data.json", "dataset")
    return read_json(folder / "scores.json", *keys) | {"dataset": data["dataset"]}


def results_of(system: str) -> list[tuple[Path, dict[str, Any]]]:
    """The system's finished runs with their results, oldest first; damaged ones with a warning."""
    found = []
    for folder in finished_runs(system):
        try:
            found.append((folder, scores_of(folder)))
        except FileError as error:
            LOG.warning("%s; that run is left out", error.message)
    return found


__all__ = [
    "Cost",
    "Predictor",
    "Result",
    "as_source",
    "examine",
    "load",
    "load_data",
    "load_folder",
    "results_of",
    "run",
    "runs_folder",
    "save_model",
    "scores_of",
    "size_of",
]
