"""A run made again: the same knobs, seed and data, and is the model the same, bit for bit?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mlfolio import lifecycle
from mlfolio.core.catalog import catalog, get_system
from mlfolio.core.errors import UnknownNameError, UserError
from mlfolio.core.run import finished_runs, read_json, runs_folder, status, to_json
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo
from mlfolio.data.versions import DataStore
from mlfolio.report.environment import environment

MEASURED = ("value", "ci95", "n", "baseline")


class Reproduction(NamedTuple):
    """What came of making a run again.

    Attributes:
        system: Its name.
        run: The folder of the run.
        again: The folder of the new one; None where the data are not the same, so that it was not
            made.
        files: How many files the model has.
        data: What differs in the data, in words.
        models: What differs in the model's files.
        scores: What differs in the scores.
        surroundings: What differs in the machine, the libraries and the code.
    """

    system: str
    run: Path
    again: Path | None = None
    files: int = 0
    data: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    surroundings: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether data, model and scores are the same to the last bit."""
        return not (self.data or self.models or self.scores)


def reproduce(run: str | Path, say: Callable[[str], None] = lambda text: None) -> Reproduction:
    """Makes a finished run again, which is not registered, and compares the two.

    Args:
        run: `system/run`, or a system for its latest run, or a run's folder.
        say: Is told in a sentence what happens.

    Raises:
        UserError: There is no such run, or it did not end well.
        FileError: Its data are gone, or its files are damaged.
    """
    folder = _folder(run)
    told = read_json(folder / "scores.json", "system", "seed", "knobs", "scores", "findings")
    info = DataInfo.model_validate(read_json(folder / "data.json", "fingerprint"))
    then = read_json(folder / "environment.json", "packages")
    system = told["system"]
    kind, source = get_system(system), _source(system, info.source)
    here = Reproduction(system, folder, surroundings=_surroundings(then, environment()))
    now = lifecycle.load_data(kind.with_knobs(told["knobs"]), source, say).info
    if now.fingerprint != info.fingerprint:
        return here._replace(data=_data(info, now))
    leaks = any(finding["level"] == "leak" for finding in told["findings"])
    result = lifecycle.run(
        kind, data=source, seed=told["seed"], force=leaks, register=False, say=say, **told["knobs"]
    )
    before, after = _digests(folder / "model"), _digests(result.folder / "model")
    return here._replace(
        again=result.folder,
        files=len(before),
        models=_models(before, after),
        scores=_scores(told["scores"], json.loads(to_json(result.summary()["scores"]))),
    )


def _folder(run: str | Path) -> Path:
    """The folder of a run that ended well.

    Raises:
        UserError: There is no such run, or it did not end well.
    """
    if str(run) in catalog() and (finished := finished_runs(str(run))):
        return finished[-1]
    places = (runs_folder() / run, Path(run).expanduser().resolve())
    folder = next((place for place in places if (place / "run.json").is_file()), None)
    if folder is None:
        system = Path(run).parts[0] if Path(run).parts else ""
        known = [f"{system}/{path.name}" for path in finished_runs(system)[-10:]] if system else []
        raise UnknownNameError("run", str(run), known)
    if (found := status(folder)) != "done":
        raise UserError(
            f"run {run} is {found}, so there is nothing to compare with", "name another"
        )
    return folder


def _source(system: str, source: Source) -> Source:
    """Where a run's data came from; living data may have moved with the runs."""
    return Source.own(DataStore(system).where(source.path)) if source.path else source


def _digests(folder: Path) -> dict[str, str]:
    """sha256 of each file of a model, by its path in the folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _data(then: DataInfo, now: DataInfo) -> tuple[str, ...]:
    """In what data differ whose fingerprints do."""
    found = [f"fingerprint {then.fingerprint[:12]} then, {now.fingerprint[:12]} now"]
    for part in then.rows | now.rows:
        before, after = then.rows.get(part, 0), now.rows.get(part, 0)
        if before != after:
            found.append(f"{part}: {before:,} rows then, {after:,} now")
    if then.test_fingerprint == now.test_fingerprint:
        found.append("what is measured on is the same; what is learned from is not")
    if len(found) == 1:
        found.append("as many rows, but other values")
    return tuple(found)


def _models(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Which files of two models are not the same."""
    found = []
    for name in sorted({*before, *after}):
        if name not in after:
            found.append(f"{name} is missing now")
        elif name not in before:
            found.append(f"{name} was not there")
        elif before[name] != after[name]:
            found.append(f"{name} differs")
    return tuple(found)


def _scores(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> tuple[str, ...]:
    """Which scores of two runs are not the same to the last digit."""
    then, now = ({score["name"]: score for score in scores} for scores in (before, after))
    found = []
    for name in then | now:
        one, other = then.get(name), now.get(name)
        if one is None or other is None:
            found.append(f"{name} was measured only {'now' if one is None else 'then'}")
        elif any(one[fact] != other[fact] for fact in MEASURED):
            found.append(f"{name}: {one['value']!r} then, {other['value']!r} now")
    return tuple(found)


def _surroundings(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """What is not as it was: versions, machine, threads, code."""
    flat = [{**facts, **facts["packages"]} for facts in (then, now)]
    return tuple(
        f"{name}: {flat[0].get(name, 'not written down')} then, {flat[1].get(name, 'none')} now"
        for name in flat[0] | flat[1]
        if name not in ("packages", "command") and flat[0].get(name) != flat[1].get(name)
    )
