"""Runs: their folders tell the truth, also of those that were killed."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from pydantic import BaseModel

from mlfolio.core.errors import FileError, FullDiskError, UserError
from mlfolio.core.run import (
    REFERENCE,
    REFERENCE_ROWS,
    Run,
    finished_runs,
    runs_folder,
    some_for_reference,
    status,
    write_json,
    write_text,
)


def test_a_run_that_ends_is_done(home: Path) -> None:
    with Run.start("demo", seed=4) as run:
        assert status(run.folder) == "running"

    facts = json.loads((run.folder / "run.json").read_text("utf-8"))
    assert facts["status"] == "done"
    assert facts["seed"] == 4
    assert facts["started"] <= facts["finished"]
    assert finished_runs("demo") == [run.folder]


@pytest.mark.parametrize(
    ("error", "expected"), [(ValueError, "failed"), (KeyboardInterrupt, "interrupted")]
)
def test_a_run_that_breaks_says_so(home: Path, error: type[BaseException], expected: str) -> None:
    with pytest.raises(error), Run.start("demo") as run:
        raise error("because")

    assert status(run.folder) == expected
    assert json.loads((run.folder / "run.json").read_text("utf-8"))["error"] == "because"
    assert finished_runs("demo") == []


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EFBIG, "File too large"),
     RuntimeError("lance error: LanceError(IO): File too large (os error 27), io.rs:9")],
)  # fmt: skip
def test_a_full_disk_is_told_with_what_to_do(home: Path, error: Exception) -> None:
    with pytest.raises(FullDiskError, match="no room") as caught, Run.start("demo") as run:
        raise error

    assert "make room" in caught.value.fix
    assert caught.value.__cause__ is error
    assert status(run.folder) == "failed"


def test_a_killed_run_is_seen_as_interrupted(home: Path) -> None:
    program = (
        "import time\nfrom mlfolio.core.run import Run\n"
        "with Run.start('demo') as run:\n    print(run.folder, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as child:
        assert child.stdout is not None
        folder = Path(child.stdout.readline().strip())
        assert status(folder) == "running"
        child.send_signal(signal.SIGKILL)
        child.wait()

        assert status(folder) == "interrupted"
    assert finished_runs("demo") == []


def test_a_folder_without_a_word_was_interrupted(tmp_path: Path) -> None:
    assert status(tmp_path) == "interrupted"


def test_runs_that_start_together_have_folders_of_their_own(home: Path) -> None:
    def start(number: int) -> Path:
        with Run.start("demo", seed=number) as run:
            time.sleep(0.01)
            return run.folder

    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(start, range(16)))

    assert len(set(folders)) == 16
    assert {json.loads((f / "run.json").read_text("utf-8"))["seed"] for f in folders} == set(
        range(16)
    )


def test_the_latest_run_is_the_one_that_began_last(home: Path) -> None:
    folders = []
    for _ in range(11):  # in one second: their names end in -2 to -11
        with Run.start("demo") as run:
            folders.append(run.folder)
    assert finished_runs("demo") == folders


@pytest.mark.parametrize("text", ["", '{"status"', "{}", "[]"])
def test_a_damaged_run_is_left_out_with_a_warning(
    home: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    with Run.start("demo") as damaged, Run.start("demo") as good:
        pass
    (damaged.folder / "run.json").write_text(text, "utf-8")

    assert finished_runs("demo") == [good.folder]
    assert str(damaged.folder / "run.json") in caplog.text
    with pytest.raises(FileError, match=r"run\.json"):
        status(damaged.folder)


def test_exhibits_are_on_disk_at_once(tmp_path: Path) -> None:
    run = Run("demo", tmp_path)
    run.note("a sentence")
    run.stage = "fit"
    run.table("Some numbers", pd.DataFrame({"a": [1]}), "one number")
    run.figure("A picture / of nothing", Figure(), "nothing")
    run.log(3, loss=0.5)

    kinds = [(e.kind, e.stage, e.title) for e in run.exhibits()]

    assert kinds == [
        ("note", "data", "a sentence"),
        ("table", "fit", "Some numbers"),
        ("figure", "fit", "A picture / of nothing"),
    ]
    assert all((tmp_path / e.file).is_file() for e in run.exhibits() if e.file)
    line = json.loads((tmp_path / "log.jsonl").read_text("utf-8"))
    assert (line["step"], line["loss"]) == (3, 0.5)


class Told(BaseModel):
    answer: int


def test_a_reference_of_many_rows_is_some_of_them_and_the_same_again(tmp_path: Path) -> None:
    rows = [Told(answer=n) for n in range(5_000)]
    kept = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Run("toy", tmp_path / name).keep_reference(None, rows, [row.answer for row in rows])
        lines = (tmp_path / name / REFERENCE).read_text("utf-8").splitlines()
        kept.append([json.loads(line) for line in lines])
    assert kept[0] == kept[1]
    assert len(kept[0]) == REFERENCE_ROWS
    assert all(row["truth"] == row["output"]["answer"] for row in kept[0])
    assert {row["input"] for row in kept[0]} == {None}
    assert len(rows[some_for_reference(5_000)]) <= REFERENCE_ROWS
    assert some_for_reference(7) == slice(None, None, 1)


def test_progress_passes_everything_on(tmp_path: Path) -> None:
    assert list(Run("demo", tmp_path).progress(range(5), "counting")) == [0, 1, 2, 3, 4]


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"old": 1})

    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="Circular"):
        write_json(path, circle)

    assert json.loads(path.read_text("utf-8")) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["facts.json"]


def test_text_that_cannot_be_written_leaves_the_old(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")

    assert path.read_text("utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_json_has_no_word_for_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "facts.json", {"a": float("nan"), "b": [float("-inf"), 1.5]})
    assert json.loads((tmp_path / "facts.json").read_text("utf-8")) == {"a": None, "b": [None, 1.5]}
    Run("demo", tmp_path).log(1, loss=float("nan"))
    assert json.loads((tmp_path / "log.jsonl").read_text("utf-8"))["loss"] is None


def test_runs_folder_is_where_the_user_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFOLIO_RUNS", str(tmp_path / "elsewhere"))
    assert runs_folder() == tmp_path / "elsewhere"
    (tmp_path / "file").write_text("", "utf-8")
    monkeypatch.setenv("MLFOLIO_RUNS", str(tmp_path / "file" / "runs"))
    with pytest.raises(UserError, match="file is a file"):
        runs_folder()
    monkeypatch.delenv("MLFOLIO_RUNS")
    monkeypatch.chdir(tmp_path)
    assert runs_folder() == tmp_path / "runs"
