"""A run: one dated attempt and its visible folder `runs/<system>/<time>/`."""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel

from mlfolio.core.errors import FileError, FullDiskError, UserError
from mlfolio.core.workers import Here, Workers

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

T = TypeVar("T")
LOG = logging.getLogger(__name__)

Status = Literal["running", "done", "failed", "interrupted"]
CHECKPOINTS = "checkpoints"
REFERENCE = "reference.jsonl"
REFERENCE_ROWS = 2_000
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DAMAGED = "delete the run's folder and run the system again"


class Exhibit(BaseModel):
    """Something a report shows: a figure, a table, or a sentence.

    Attributes:
        kind: What it is.
        stage: When it was made: `data`, `fit` or `evaluate`.
        title: Its heading; for a note the sentence itself.
        caption: What to see in it.
        file: Path relative to the run's folder; empty for a note.
    """

    kind: Literal["figure", "table", "note"]
    stage: str
    title: str
    caption: str = ""
    file: str = ""


def runs_folder() -> Path:
    """Where runs are kept: `$MLFOLIO_RUNS`, or `runs/` in the working folder.

    Raises:
        UserError: There is a file in its place.
    """
    folder = Path(os.environ.get("MLFOLIO_RUNS") or "runs").expanduser().resolve()
    for place in (folder, *folder.parents):
        if place.is_file():
            raise UserError(
                f"runs cannot be kept in {folder}: {place} is a file",
                "name a folder in MLFOLIO_RUNS",
            )
    return folder


class Run:
    """One attempt at fitting a system: its folder, its seed, and what it says on the way.

    Everything a run says (`log`, `note`, `table`, `figure`) is on disk at once, so an interrupted
    run can still be read. Use `Run.start` to make one; the folder is locked while it lives, which
    is how others see that it is running, and that it was killed.

    Attributes:
        system: The system's name.
        folder: The run's own folder.
        seed: Seed for everything random.
        previous: Folder of the current champion's model, for systems that build on it.
        workers: Who does its tasks that do not need each other.
        stage: Which part of its life the run is in; exhibits are filed under it.
        earlier: Seconds that an interrupted run has spent on what was taken over from it.
        say: Is told every logged metric, if it is set.
    """

    def __init__(self, system: str, folder: Path, seed: int = 0, quiet: bool = True) -> None:
        self.system = system
        self.folder = folder
        self.seed = seed
        self.quiet = quiet
        self.previous: Path | None = None
        self.workers: Workers = Here()
        self.stage = "data"
        self.earlier = 0.0
        self.say: Callable[[str], None] | None = None

    @property
    def name(self) -> str:
        """The folder's name, its time of start."""
        return self.folder.name

    @classmethod
    @contextmanager
    def start(cls, system: str, seed: int = 0, quiet: bool = True) -> Iterator[Run]:
        """Makes a new folder and keeps `run.json` true: running, then done, failed or interrupted.

        Two runs that start in the same second get folders of their own.

        Raises:
            FullDiskError: There is no room for what it has to write.
        """
        run = cls(system, _new_folder(runs_folder() / system), seed, quiet)
        with FileLock(run.folder / ".lock"):
            run._set_status("running", started=_now())
            try:
                yield run
            except BaseException as error:
                interrupted = isinstance(error, KeyboardInterrupt)
                status: Status = "interrupted" if interrupted else "failed"
                with suppress(OSError):  # the disk may be full
                    said = str(error) or type(error).__name__
                    run._set_status(status, finished=_now(), error=said)
                if _is_full(error):
                    raise FullDiskError(run.folder, error) from error
                raise
            run._set_status("done", finished=_now())

    def log(self, step: int, **metrics: float) -> None:
        """Appends metrics of one step (epoch, fold) to `log.jsonl`."""
        if self.say is not None:
            self.say(f"{step}: " + ", ".join(f"{k} {v:.4g}" for k, v in metrics.items()))
        line = to_json({"step": step, "time": round(time.time(), 3), **metrics})
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def note(self, text: str) -> None:
        """Says a sentence that the report repeats."""
        self._exhibit(Exhibit(kind="note", stage=self.stage, title=text))

    def table(self, title: str, frame: DataFrame, caption: str = "") -> None:
        """Keeps a table as CSV; the report shows it."""
        path = self._path("tables", title, ".csv")
        frame.to_csv(path)
        self._show("table", title, caption, path)

    def figure(self, title: str, figure: Figure, caption: str = "") -> None:
        """Keeps a figure as PNG; the report shows it, with the caption as its alternative text."""
        path = self._path("figures", title, ".png")
        figure.savefig(path, dpi=110, bbox_inches="tight")
        self._show("figure", title, caption, path)

    def keep_reference(
        self,
        inputs: Sequence[BaseModel] | None,
        outputs: Sequence[BaseModel],
        truths: Sequence[Any] | None = None,
        out_of_fold: bool = False,
    ) -> None:
        """Keeps what is answered to rows that a model has not seen, in the form of the log.

        What it is asked while it serves is compared with these rows, so they have to be like what
        it will be asked: those of the test part, or of folds that it was not fitted on.

        Args:
            inputs: What was asked; None where that is too personal to be kept.
            outputs: What was answered; of many rows some are drawn.
            truths: What would have been right, in the form of an output's `answer`; None where
                that is not known.
            out_of_fold: Whether the models of folds answered. How confident they are is left out:
                the model that serves has seen more rows, and may be of another kind.
        """
        nothing = [None] * len(outputs)
        rows = list(zip(inputs or nothing, outputs, truths or nothing, strict=True))
        if len(rows) > REFERENCE_ROWS:
            chosen = random.Random(self.seed).sample(range(len(rows)), REFERENCE_ROWS)  # noqa: S311
            rows = [rows[at] for at in sorted(chosen)]
        unknown = {"confidence": None} if out_of_fold else {}
        lines = [
            to_json(
                {"input": asked and asked.model_dump(mode="json", by_alias=True),
                 "output": answered.model_dump(mode="json") | unknown, "truth": truth}
            )
            for asked, answered, truth in rows
        ]  # fmt: skip
        write_text(self.folder / REFERENCE, "".join(line + "\n" for line in lines))

    def progress(
        self, items: Iterable[T], what: str, total: int | None = None, done: int = 0
    ) -> Iterator[T]:
        """Goes through `items` under a progress bar with the time left.

        Nothing is drawn where standard error is no terminal, and nothing in the first half second.

        Args:
            items: What is left to be done.
            what: Stands before the bar.
            total: How much there is in all, where `items` does not say.
            done: How much of that was done before.
        """
        from tqdm import tqdm

        disable = True if self.quiet else None  # None: off unless standard error is a terminal
        yield from tqdm(
            items, desc=what, total=total, initial=done, disable=disable, delay=0.5, leave=False
        )

    def checkpoint(self, name: str) -> Path:
        """The file in which a training keeps what it needs to go on after it was killed."""
        return self.folder / CHECKPOINTS / f"{name.replace(' ', '-')}.safetensors"

    def take_over(self) -> str | None:
        """Takes the checkpoints of an interrupted run with the same seed, knobs and data.

        Returns:
            The name of that run; None if there is none.
        """
        mine = _origin(self.folder)
        for folder in sorted(self.folder.parent.iterdir(), reverse=True):
            theirs = folder / CHECKPOINTS
            if not theirs.is_dir() or folder == self.folder:
                continue
            try:
                ended = status(folder) in ("failed", "interrupted")
                if ended and _origin(folder) == mine:
                    theirs.rename(self.folder / CHECKPOINTS)
                    return folder.name
            except (FileError, OSError, ValueError):  # damaged, or another run took them first
                continue
        return None

    def drop_checkpoints(self) -> None:
        """Deletes them, once the run has all that it trained for."""
        shutil.rmtree(self.folder / CHECKPOINTS, ignore_errors=True)

    def write(self, name: str, content: Any) -> None:
        """Writes a JSON file into the folder, whole or not at all."""
        write_json(self.folder / name, content)

    def exhibits(self) -> list[Exhibit]:
        """Everything kept for the report, in the order it was made."""
        return read_exhibits(self.folder)

    def _set_status(self, status: Status, **facts: str) -> None:
        path = self.folder / "run.json"
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        known |= {"system": self.system, "seed": self.seed, "status": status, **facts}
        write_json(path, known)

    def _path(self, kind: str, title: str, suffix: str) -> Path:
        folder = self.folder / kind
        folder.mkdir(exist_ok=True)
        words = "".join(c if c.isalnum() else "-" for c in title.lower()).strip("-")[:60]
        return folder / f"{len(list(folder.iterdir())) + 1:02d}-{words}{suffix}"

    def _show(self, kind: Literal["figure", "table"], title: str, caption: str, path: Path) -> None:
        file = path.relative_to(self.folder).as_posix()
        self._exhibit(Exhibit(kind=kind, stage=self.stage, title=title, caption=caption, file=file))

    def _exhibit(self, exhibit: Exhibit) -> None:
        with (self.folder / "exhibits.jsonl").open("a", encoding="utf-8") as file:
            file.write(exhibit.model_dump_json() + "\n")


def some_for_reference(n: int) -> slice:
    """Which of n rows a reference is made of, where asking a model all of them would take long."""
    return slice(None, None, max(1, -(-n // REFERENCE_ROWS)))


def _is_full(error: BaseException) -> bool:
    """Whether it says that there is no room; some libraries tell the number in words alone."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    told = re.findall(r"\(os error (\d+)\)|\[Errno (\d+)\]", str(error))
    return any(int(number) in FULL for numbers in told for number in numbers if number)


def status(folder: Path) -> Status:
    """What became of the run in `folder`; a run whose process is gone was interrupted.

    Raises:
        FileError: Its `run.json` is damaged.
    """
    if not (folder / "run.json").exists():
        return "interrupted"
    said: Status = _facts(folder)["status"]
    if said != "running":
        return said
    try:
        with FileLock(folder / ".lock", timeout=0):
            # Whoever wrote "running" holds no lock any more. Read again: it may just have ended.
            said = _facts(folder)["status"]
            return "interrupted" if said == "running" else said
    except Timeout:
        return "running"


def finished_runs(system: str) -> list[Path]:
    """Folders of the system's runs that ended well, oldest first; damaged ones with a warning."""
    folder = runs_folder() / system
    began: dict[Path, str] = {}
    for path in folder.iterdir() if folder.is_dir() else []:
        try:
            if path.is_dir() and status(path) == "done":
                # In UTC: folders are named in local time, which is set back in autumn.
                began[path] = _facts(path)["started"]
        except FileError as error:
            LOG.warning("%s; that run is left out", error.message)
    return sorted(began, key=began.__getitem__)


def _facts(folder: Path) -> dict[str, Any]:
    """What `run.json` says."""
    return read_json(folder / "run.json", "status", "started")


def _origin(folder: Path) -> list[Any]:
    """What decides the outcome of a run, besides the code."""
    files = [folder / name for name in ("knobs.json", "data.json")]
    if not all(path.is_file() for path in files):
        return [folder]
    return [_facts(folder).get("seed"), *(path.read_text("utf-8") for path in files)]


def read_exhibits(folder: Path) -> list[Exhibit]:
    """Everything the run in `folder` kept for its report, in the order it was made.

    Raises:
        FileError: The list of them is damaged.
    """
    path = folder / "exhibits.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    try:
        return [Exhibit.model_validate_json(line) for line in lines]
    except ValueError as error:
        raise FileError(f"{path} is damaged: {error}", DAMAGED) from None


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """The object in a JSON file of a run.

    Args:
        path: The file.
        *keys: What the object must hold.

    Raises:
        FileError: It is not there or damaged.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read: {error}", DAMAGED) from None
    missing = [key for key in keys if not isinstance(content, dict) or key not in content]
    if missing:
        raise FileError(f"{path} is damaged: it does not hold {', '.join(missing)}", DAMAGED)
    return content


def write_json(path: Path, content: Any) -> None:
    """Writes JSON whole or not at all."""
    write_text(path, to_json(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes text whole or not at all: to a file beside it, then renamed over it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def to_json(content: Any, indent: int | None = None) -> str:
    """JSON that every reader takes: NaN and infinities, which it has no word for, become null."""
    text = json.dumps(content, default=_plain)
    plain = json.loads(text, parse_constant=lambda name: None)
    return json.dumps(plain, indent=indent, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """What JSON has no word for: pydantic models, paths, NumPy numbers."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if hasattr(value, "item"):
        return value.item()
    return str(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _new_folder(parent: Path) -> Path:
    """A folder that nobody has, named by the time."""
    stem = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, 1000):
        folder = parent / (stem if attempt == 1 else f"{stem}-{attempt}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise RuntimeError(f"a thousand runs of {parent.name} in one second")
