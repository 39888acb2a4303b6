"""Every verb, with what people type right and wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import pytest
from pydantic import WithJsonSchema, create_model

import mlfolio
from mlfolio import bulk
from mlfolio.cli.doctor import EXTRAS
from mlfolio.cli.predict import _with_pictures
from mlfolio.core.errors import FileError
from mlfolio.core.model import Input
from mlfolio.core.run import runs_folder, status
from tests.conftest import Cli

FLOWER = ["sepal_length=5", "sepal_width=3.4", "petal_length=1.5", "petal_width=0.2"]


def write_own(folder: Path) -> None:
    """A table of the user's own, with two classes."""
    rows = "\n".join(f"{i % 7}.{i},{i % 5}.{i},{'ab'[i % 2]}" for i in range(60))
    (folder / "own.csv").write_text(f"x,y,species\n{rows}\n", "utf-8")


@pytest.fixture(scope="module")
def trained_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs' folder in which iris has run."""
    folder = tmp_path_factory.mktemp("trained") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(folder))
        mlfolio.run("iris", repeats=1)
    return folder


@pytest.fixture
def trained(cli: Cli, home: Path, trained_runs: Path) -> Cli:
    """The command line, in a folder where iris has run."""
    shutil.copytree(trained_runs, home / "runs", dirs_exist_ok=True)
    return cli


def test_list_shows_what_has_run_and_what_not(trained: Cli) -> None:
    rows = {row["system"]: row for row in json.loads(trained("list", "--json").out)}
    assert rows["iris"]["score"] > 0.9
    assert rows["titanic"]["score"] is None
    assert rows["digits"]["needs"] == "[deep]"
    shown = trained("list").out
    assert "accuracy 0.9" in shown
    assert "not run yet" in shown
    assert "[deep]" in shown, "brackets are text, no style"


def test_list_says_what_the_champion_was_measured_on(trained: Cli, home: Path) -> None:
    write_own(home)
    assert "0.9600" in trained("list").out
    assert trained("run", "iris", "--data", "own.csv", "repeats=1").code == 0
    (iris,) = (row for row in json.loads(trained("list", "--json").out) if row["score"])
    assert (iris["source"], iris["data"]) == ("own", "own own.csv")
    (line,) = (line for line in trained("list").out.splitlines() if "Iris" in line)
    assert "0.9600" not in line, "the target is about the official data"


def test_info_tells_knobs_with_their_bounds(cli: Cli) -> None:
    outcome = cli("info", "iris")
    assert outcome.code == 0
    for part in ("neighbors", "1 .. 50", "scikit-learn", "accuracy >= 0.96"):
        assert part in outcome.out
    assert json.loads(cli("info", "iris", "--json").out)["knobs"]["folds"]["maximum"] == 10


def test_run_prints_scores_and_where_the_report_is(cli: Cli) -> None:
    outcome = cli("run", "iris", "repeats=1", "neighbors=5")
    assert outcome.code == 0
    assert "version 1 is champion" in outcome.out
    assert "report.html" in outcome.out


@pytest.mark.slow
def test_verbose_gives_the_log(cli: Cli) -> None:
    assert "accuracy 0." in cli("run", "iris", "repeats=1", "--verbose").err
    assert "accuracy 0." not in cli("run", "iris", "repeats=1").err


def test_run_json_is_only_json(cli: Cli) -> None:
    result = json.loads(cli("run", "iris", "repeats=1", "--json").out)
    assert (result["system"], result["source"], result["champion"]) == ("iris", "official", True)
    score = result["scores"][0]
    assert {"name", "value", "ci95", "n", "protocol", "baseline", "target"} <= score.keys()
    assert Path(result["run"]).is_dir()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "irsi"], 2, "did you mean 'iris'"),
        (["run", "iris", "fold=3", "depth=99"], 2, "did you mean 'folds'"),
        (["run", "iris", "folds"], 2, "'folds' is no name=value"),
        (["run", "iris", "folds=3", "folds=4"], 2, "given twice"),
        (["run", "iris", "--data", "nowhere.csv"], 2, "no file or folder 'nowhere.csv'"),
        (["run", "iris", "--data", ""], 2, "no file or folder ''"),
        (["run", "iris", "seed=1"], 2, "fix: --seed 1"),
        (["run", "iris", "force=yes"], 2, "fix: --force"),
        (["run", "iris", "register=no"], 2, "register: no such knob"),
        (["run", "titanic", "--data", "official"], 3, "kaggle.com"),
        (["predict", "iris", *FLOWER], 2, "mlfolio run iris"),
        (["predict", "iris"], 2, "give fields or --input"),
        (["report", "iris"], 2, "no trained model"),
        (["compare", "iris"], 2, "no trained model"),
        (["data", "get", "mnits"], 2, "did you mean 'mnist'"),
        (["data", "get", "titanic"], 3, "login"),
        (["eject", "nothing", "x"], 2, "there is no system"),
        (["new", "iris", "--from", "titanic"], 2, "already"),
        (["new", "Ärger", "--from", "iris"], 2, "cannot name"),
    ],
)
def test_mistakes_are_explained(cli: Cli, arguments: list[str], code: int, said: str) -> None:
    outcome = cli(*arguments)
    assert outcome.code == code
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_programs_can_read_an_error(cli: Cli) -> None:
    error = json.loads(cli("run", "irsi", "--json").out)["error"]
    assert error["exit_code"] == 2
    assert error["message"] == "there is no system 'irsi'"
    assert "did you mean 'iris'" in error["fix"]


def test_debug_shows_where_it_happened(cli: Cli) -> None:
    from mlfolio.core.errors import UnknownNameError

    with pytest.raises(UnknownNameError):
        cli("run", "irsi", "--debug")


def test_unexpected_errors_are_short_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr("mlfolio.core.catalog.catalog", broken)
    outcome = cli("list")
    assert outcome.code == 1
    assert "ZeroDivisionError: by chance" in outcome.err
    assert "--debug" in outcome.err


def test_predict_one_flower(trained: Cli) -> None:
    outcome = trained("predict", "iris", *FLOWER)
    assert outcome.out.startswith("setosa")
    assert "petal_length" in outcome.out
    assert "answered by iris version 1, fitted on official data" in outcome.out
    answer = json.loads(trained("predict", "iris", *FLOWER, "--json").out)
    assert answer["answer"] == "setosa"
    assert answer["reasons"]
    assert (answer["version"], answer["source"], answer["sample"]) == (1, "official", False)


def test_an_answer_of_a_model_of_the_sample_says_so(cli: Cli) -> None:
    assert cli("run", "iris", "--data", "sample", "repeats=1").code == 0
    assert "fitted on the SAMPLE" in cli("predict", "iris", *FLOWER).out
    assert json.loads(cli("predict", "iris", *FLOWER, "--json").out)["sample"] is True


def test_predict_says_when_a_flower_is_unlike_any_seen(trained: Cli) -> None:
    outcome = trained("predict", "iris", *FLOWER[:3], "petal_width=9")
    assert "petal_width = 9 is outside the training range 0.1 to 2.5" in outcome.out


def test_predict_refuses_bad_fields_by_name(trained: Cli) -> None:
    outcome = trained("predict", "iris", *FLOWER[:3], "petal_wdth=1")
    assert outcome.code == 2
    assert "did you mean 'petal_width'" in outcome.err
    assert "petal_width: required" in outcome.err
    assert "petal_width = 'wide'" in trained("predict", "iris", *FLOWER[:3], "petal_width=wide").err


def test_predict_files_in_and_out(trained: Cli, home: Path) -> None:
    header = "sepal_length,sepal_width,petal_length,petal_width,species\n"
    (home / "rows.csv").write_text(header + "5,3.4,1.5,.2,?\n6.5,3,5.5,2,?\n", "utf-8")
    outcome = trained("predict", "iris", "--input", "rows.csv")
    lines = outcome.out.splitlines()
    assert lines[0].startswith("row,answer,confidence,warnings,probability of setosa,")
    assert [line.split(",")[:2] for line in lines[1:]] == [["1", "setosa"], ["2", "virginica"]]
    assert "version 1" in outcome.err

    rows = [{"sepal_length": 5, "sepal_width": 3.4, "petal_length": 1.5, "petal_width": 0.2}] * 2
    (home / "rows.json").write_text(json.dumps(rows), "utf-8")
    (home / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert len(json.loads(trained("predict", "iris", "--input", "rows.json").out)) == 2
    out = trained("predict", "iris", "--input", "rows.jsonl").out
    assert [json.loads(line)["answer"] for line in out.splitlines()] == ["setosa"] * 2

    pd.DataFrame(rows).astype(object).to_parquet(home / "rows.PARQUET")
    out = trained("predict", "iris", "--input", "rows.PARQUET").out
    assert [row["answer"] for row in csv.DictReader(io.StringIO(out))] == ["setosa"] * 2

    (home / "old.csv").write_bytes(
        (home / "rows.csv").read_bytes() + "5,3,1,.2,für\n".encode("cp1252")
    )
    outcome = trained("predict", "iris", "--input", "old.csv")
    assert len(outcome.out.splitlines()) == 4
    assert "note: old.csv is not UTF-8 and was read as Windows-1252" in outcome.err

    outcome = trained("predict", "iris", "--input", "rows.csv", "--output", "answers.jsonl")
    assert "2 answers" in outcome.err
    assert len((home / "answers.jsonl").read_text("utf-8").splitlines()) == 2


def test_predict_answers_parquet_in_batches(
    trained: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers are those of a CSV, and their file appears whole or not at all."""
    monkeypatch.setattr(bulk, "BATCH", 2)
    names = [word.partition("=")[0] for word in FLOWER]
    rows = pd.DataFrame([[5, 3.4, 1.5, 0.2], [6.5, 3, 5.5, 2], [None, 3, 5, 2]], columns=names)
    rows[:2].to_parquet(home / "rows.parquet", row_group_size=1)
    rows[:2].to_csv(home / "rows.csv", index=False)
    assert trained("predict", "iris", "--input", "rows.csv", "--output", "answers.csv").code == 0
    words = ["predict", "iris", "--input", "rows.parquet", "--output", "answers.parquet"]
    assert "2 answers" in trained(*words).err
    answers = pd.read_parquet(home / "answers.parquet")
    pd.testing.assert_frame_equal(
        answers, pd.read_csv(home / "answers.csv", keep_default_na=False), check_dtype=False
    )

    rows.to_parquet(home / "rows.parquet")
    outcome = trained(*words)
    assert outcome.code == 2
    assert "row 3, sepal_length: required" in outcome.err
    pd.testing.assert_frame_equal(answers, pd.read_parquet(home / "answers.parquet"))
    assert not list(home.glob(".answers*"))
    rows[:0].to_parquet(home / "rows.parquet")
    assert "no rows" in trained(*words).err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input", "rows.csv", "--output", "a.parquet"], "rows.csv is not Parquet"),
        (["--input", "rows.csv", "--on", "ray"], "--on ray answers large files only"),
        (["--input", "no.parquet", "--output", "a.parquet"], "cannot be read as Parquet"),
        ([*FLOWER, "--on", "ray"], "--output ANSWERS.parquet"),
    ],
)
def test_predict_says_what_goes_in_batches(trained: Cli, words: list[str], said: str) -> None:
    outcome = trained("predict", "iris", *words)
    assert outcome.code == 2
    assert said in outcome.err


@pytest.mark.parametrize(
    "text",
    [
        '[{"sepal_length":5,"sepal_width":3.4,"petal_length":1.5,"petal_width":0.2}]',
        '{"sepal_length":5,"sepal_width":3.4,"petal_length":1.5,"petal_width":0.2}\n',
        "sepal_length,sepal_width,petal_length,petal_width\n5,3.4,1.5,0.2\n",
    ],
    ids=["json", "jsonl", "csv"],
)
def test_predict_reads_standard_input(
    trained: Cli, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    outcome = trained("predict", "iris", "--input", "-")
    assert outcome.code == 0
    assert "setosa" in outcome.out


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "[{", "is no JSON"),
        ("a.jsonl", "", "is empty"),
        ("a.csv", "", "is empty"),
        ("a.json", "\xff\xfe", "no JSON"),
        ("b.json", None, "no file 'b.json'"),
        ("a.json", "[1, 2]", "row 1 of a.json is no object: 1"),
        ("a.json", "42", "row 1 of a.json is no object: 42"),
        ("a.json", "null", "is no object"),
        ("a.jsonl", "{}\n[1]", "row 2 of a.jsonl is no object: [1]"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.xlsx", "x", "rows cannot be read from 'a.xlsx'"),
    ],
)
def test_predict_explains_bad_files(
    trained: Cli, home: Path, name: str, content: str | None, said: str
) -> None:
    if content is not None:
        (home / name).write_text(content, "utf-8")
    outcome = trained("predict", "iris", "--input", name)
    assert outcome.code == 2
    assert said in outcome.err


ROW = {"sepal_length": 5, "sepal_width": 3.4, "petal_length": 1.5, "petal_width": 0.2}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "nope/x.csv"], "cannot be written to 'nope/x.csv'"),
        (["--output", "."], "cannot be written to '.'"),
        (["--output", "x.xlsx"], "'x.xlsx' does not end in .csv, .json or .jsonl"),
        (["--output", "x.csv", "--json"], "'x.csv' does not end in .json"),
        (["--output", "rows.json"], "'rows.json' is the file that the rows come from"),
    ],
)
def test_answers_that_cannot_be_written_are_refused_before_the_work(
    cli: Cli, home: Path, arguments: list[str], said: str
) -> None:
    (home / "rows.json").write_text(json.dumps([ROW]), "utf-8")
    outcome = cli("predict", "iris", "--input", "rows.json", *arguments)
    assert outcome.code == 2
    assert said in outcome.err, "though there is no model yet"


def test_answers_go_through_links_and_devices(trained: Cli, home: Path) -> None:
    (home / "ROWS.JSON").write_text(json.dumps([ROW]), "utf-8")
    (home / "link.JSONL").symlink_to(home / "target.txt")
    for output in ("link.JSONL", "/dev/null"):
        assert trained("predict", "iris", "--input", "ROWS.JSON", "--output", output).code == 0
    assert (home / "link.JSONL").is_symlink()
    assert json.loads((home / "target.txt").read_text("utf-8"))["answer"] == "setosa"
    assert Path("/dev/null").is_char_device()


def test_only_a_typed_picture_names_a_file(home: Path) -> None:
    picture = Annotated[str, WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
    kind = create_model("Seen", __base__=Input, Image=(picture, ""), text=(str, ""))
    (home / "a.png").write_bytes(b"picture")

    row = _with_pictures({"image": f"@{home}/a.png", "text": f"@{home}/a.png"}, kind)

    assert row == {"image": "cGljdHVyZQ==", "text": f"@{home}/a.png"}
    for name in ("nope.png", "x" * 300):
        with pytest.raises(FileError, match=f"there is no file '{name}'"):
            _with_pictures({"Image": f"@{name}"}, kind)


@pytest.mark.parametrize(
    ("name", "text"), [("run.json", '{"sta'), ("scores.json", "{}"), ("data.json", None)]
)
def test_a_damaged_run_does_not_stop_the_others(
    trained: Cli, caplog: pytest.LogCaptureFixture, name: str, text: str | None
) -> None:
    (good,) = (runs_folder() / "iris").iterdir()
    bad = shutil.copytree(good, good.with_name("2099"))
    (bad / name).unlink() if text is None else (bad / name).write_text(text, "utf-8")

    assert json.loads(trained("list", "--json").out)[0]["run"] == good.name
    assert str(bad / name) in caplog.text
    assert [row["run"] for row in json.loads(trained("compare", "iris", "--json").out)] == [
        good.name
    ]
    assert json.loads(trained("report", "iris", "--json").out)["run"] == good.name
    outcome = trained("report", "iris", "2099")
    assert outcome.code == 2
    assert str(bad / name) in outcome.err


def test_report_and_compare(trained: Cli) -> None:
    assert trained("run", "iris", "repeats=1", "neighbors=3").code == 0
    path = Path(trained("report", "iris").out.strip())
    assert path.name == "report.html"
    runs = sorted(f.name for f in (runs_folder() / "iris").iterdir())
    assert json.loads(trained("report", "iris", runs[0], "--json").out)["run"] == runs[0]
    shown = trained("compare", "iris").out
    assert "neighbors=3" in shown
    assert "neighbors=11" in shown
    assert shown.count(" *") == 1, "there is one champion, whatever was one before"
    assert "* is the champion" in shown
    assert len(json.loads(trained("compare", "iris", runs[1], "--json").out)) == 1
    assert "there is no run" in trained("report", "iris", "1912-04-14").err


def test_compare_is_readable_in_a_narrow_terminal(
    trained: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    narrow = Console(width=80)
    monkeypatch.setattr("rich.console.Console", lambda: narrow)
    with narrow.capture() as capture:
        trained("compare", "iris")
    (run,) = (path.name for path in (runs_folder() / "iris").iterdir())
    assert run in capture.get(), "the name is not cut: report takes it"


def test_data_verbs(cli: Cli, home: Path) -> None:
    names = {row["name"]: row for row in json.loads(cli("data", "list", "--json").out)}
    assert names["iris"]["here"] is True
    assert names["titanic"]["here"] is False
    assert "by hand" in cli("data", "list").out
    assert str(home / "data" / "mnist") in cli("data", "where", "digits").out
    assert json.loads(cli("data", "where", "titanic", "--json").out)["missing"] == ["train.csv"]
    assert "bundled" in cli("data", "where", "iris").out


def test_data_check_before_any_training(cli: Cli, home: Path) -> None:
    write_own(home)
    outcome = cli("data", "check", "iris", "--data", "own.csv")
    assert outcome.code == 0
    assert "own.csv" in outcome.out
    leaky = "\n".join(f"{i % 2},{i % 5}.{i},{'ab'[i % 2]}" for i in range(60))
    (home / "leaky.csv").write_text("x,y,species\n" + leaky + "\n", "utf-8")
    outcome = cli("data", "check", "iris", "--data", "leaky.csv")
    assert outcome.code == 2
    assert "leak: column 'x'" in outcome.out
    findings = json.loads(cli("data", "check", "iris", "--data", "leaky.csv", "--json").out)
    assert findings["findings"][0]["level"] == "leak"
    assert not (runs_folder() / "iris").exists()


def test_doctor_checks_the_installation(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFOLIO_LLM", "http://user:secret@localhost:8000/v1")
    checks = {row["what"]: row for row in json.loads(cli("doctor", "--json").out)}
    assert checks["extra deep"]["ok"]
    assert "secret" not in json.dumps(checks)
    assert "language model" in cli("doctor").out
    monkeypatch.setitem(EXTRAS, "deep", ("no_such_module",))
    checks = {row["what"]: row for row in json.loads(cli("doctor", "--json").out)}
    assert checks["extra deep"]["fix"].startswith(f"{sys.executable} -m pip install -c /")
    assert checks["extra deep"]["fix"].endswith("[deep]'"), "this is a clone"
    assert "[deep]" in cli("doctor").out


@pytest.mark.slow
def test_ctrl_c_ends_a_run_cleanly(home: Path) -> None:
    # A shell that starts the tests in the background has them, and whom they start, ignore Ctrl-C.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from mlfolio.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "run", "iris", "repeats=100"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        # Not while modules are imported: there Python may lose a Ctrl-C in a weak reference's
        # callback ("Exception ignored in").
        said = ""
        while "evaluating" not in said and (more := run.stderr.read(1)):
            said += more
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)

    folder = home / "runs" / "iris"
    assert run.returncode == 130
    assert "Traceback" not in err
    (attempt,) = folder.iterdir()
    assert status(attempt) == "interrupted"


@pytest.mark.slow
def test_a_table_is_answered_without_torch(trained_runs: Path) -> None:
    """Importing it takes as long as all the rest."""
    asks = "import sys, mlfolio; mlfolio.load('iris'); print('torch' in sys.modules)"
    around = {**os.environ, "MLFOLIO_RUNS": str(trained_runs)}
    done = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, env=around)
    assert done.stdout == "False\n", done.stderr


def test_the_module_runs_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlfolio", "info", "iris"],
        capture_output=True, text=True, check=True, env=dict(os.environ),
    )  # fmt: skip
    assert "Iris flower classification" in done.stdout
