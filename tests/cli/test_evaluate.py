"""`mlfolio evaluate`: questions of one's own, two settings side by side, a gate, made questions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlfolio.cli.evaluate import _compared
from mlfolio.core.model import Measured
from tests.conftest import Cli, SampleOf
from tests.parts.llm_server import BROKEN_OFF, Script, serve

pytest.importorskip("lancedb")
pytestmark = pytest.mark.slow

ASKED = [
    {
        "question": "What does a parking permit for a second car cost?",
        "document": "services/parking.html",
    },
    {"question": "How long may a boat lie at the guest pontoon?", "document": None},
]


@pytest.fixture
def trained(sample_of: SampleOf, home: Path, cli: Cli) -> Cli:
    """The command line in a folder with a champion of documents."""
    shutil.rmtree(home / "runs")
    shutil.copytree(sample_of("documents").runs, home / "runs")
    return cli


@pytest.fixture
def asked(home: Path) -> Path:
    """The sample's own questions."""
    import mlfolio.systems.documents as package

    (folder,) = package.__path__
    return Path(shutil.copy(Path(folder) / "sample" / "questions.jsonl", home))


def told(said: str) -> dict[str, Any]:
    """What was printed, one document that every reader of JSON takes."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads(said, parse_constant=refuse)
    return found


def scores(said: str) -> dict[str, dict[str, Any]]:
    return {score["name"]: score for score in told(said)["scores"]}


def test_what_is_found_said_cited_and_refused(trained: Cli, asked: Path) -> None:
    done = trained("evaluate", "documents", "--questions", asked, "--json")

    assert done.code == 0, done.err
    found = scores(done.out)
    assert next(iter(found)) == "nDCG@10"
    assert found["nDCG@10"]["value"] > 0.8
    assert found["nDCG@10"]["n"] == found["answered"]["n"]
    assert found["recall@10"]["value"] >= found["hit@5"]["value"] - 0.05
    assert found["refused"]["n"] > 10
    assert found["citation precision"]["value"] > 0.5
    assert "F1" not in found, "nobody wrote an answer down"
    assert "AUROC" in json.loads(done.out)["notes"][0]


def test_answers_that_were_written_down_are_compared(trained: Cli, home: Path) -> None:
    import mlfolio

    question = "What does a parking permit for a second car cost?"
    answer = mlfolio.load("documents").predict({"question": question})
    row = {"question": question, "document": answer.sources[0].document}
    lines = [{**row, "answer": answer.sources[0].text}, {**row, "answer": ["no", "zebra"]}]
    (home / "my.jsonl").write_text("\n".join(map(json.dumps, lines)))

    found = scores(trained("evaluate", "documents", "--questions", "my.jsonl", "--json").out)

    assert found["holds the answer"]["value"] == 0.5
    assert 0 < found["F1"]["value"] < 1
    assert found["F1"]["n"] == 2


def test_two_settings_side_by_side(trained: Cli, asked: Path) -> None:
    same = trained(
        "evaluate", "documents", "--questions", asked, "--against", "weight=0.8", "weight=0.8"
    )
    assert same.code == 0, same.err
    assert "no difference to be told" in same.out

    found = scores(
        trained("evaluate", "documents", "passages=1", "--questions", asked,
                "--against", "passages=5,sentences=1", "--json").out
    )  # fmt: skip
    low, high = found["nDCG@10"]["gain_ci95"]
    assert low == high == 0, "which documents are found does not depend on it"


def test_better_and_worse_are_told_by_a_test_that_counts_all_metrics(
    trained: Cli, asked: Path
) -> None:
    base = ("evaluate", "documents", "threshold=0", "--questions", asked)
    done = trained(*base, "--against", "threshold=1", "--json")

    assert done.code == 0, done.err
    found = scores(done.out)
    assert (found["answered"]["gain"], found["refused"]["gain"]) == (1, -1)
    assert found["answered"]["verdict"] == "better"
    assert found["refused"]["verdict"] == "worse"
    assert found["nDCG@10"]["verdict"] == "no difference to be told"
    assert found["citation recall"]["verdict"] == "too few questions", "the other answers nothing"
    pairs, tested = found["refused"]["gain_n"], [each for each in found.values() if each["p"]]
    assert found["refused"]["p"] == pytest.approx(2 / 2**pairs * (len(tested) - 1))
    assert found["answered"]["p"] < found["refused"]["p"] < 0.05
    shown = trained(*base, "--against", "threshold=1").out
    assert {"better", "worse"} <= set(shown.split())


def test_four_wins_and_no_loss_are_no_difference() -> None:
    """McNemar's exact p is 0.125, however many questions agree; the bootstrap leaves zero out."""
    marks = pd.DataFrame({"hit@5": [1.0] * 4 + [0.0] * 196, "MRR@10": [0.5] * 30 + [1.0] * 170})
    protocols = dict.fromkeys(marks, "as it is")
    one = Measured(marks, protocols)
    other = Measured(marks.assign(**{"hit@5": 0.0, "MRR@10": 0.4}), protocols)

    hit, rank = _compared(one, other)

    assert hit.score.strong is not None
    assert hit.score.strong.differs
    assert (hit.p, hit.verdict) == (0.125, "no difference to be told")
    assert rank.verdict == "better"
    assert [each.verdict for each in _compared(other, one)][1] == "worse"


def test_what_is_compared_with_changes_no_value(trained: Cli, asked: Path) -> None:
    """Limits are about the one model, also where the other answers other questions."""
    base = ("evaluate", "documents", "threshold=0.3", "--questions", asked, "--json")
    alone = scores(trained(*base).out)
    beside = scores(trained(*base, "--against", "threshold=0.95").out)

    assert all(beside[name]["value"] == alone[name]["value"] for name in alone)
    assert all(beside[name]["n"] == alone[name]["n"] for name in alone)
    cited = beside["citation recall"]
    assert cited["gain_n"] < cited["n"]


def test_a_run_beside_the_champion(trained: Cli, asked: Path, home: Path) -> None:
    (run,) = [path.name for path in (home / "runs" / "documents").iterdir() if path.is_dir()]

    done = trained("evaluate", "documents", "--questions", asked, "--against", run, "--json")

    assert done.code == 0, done.err
    assert scores(done.out)["nDCG@10"]["gain_ci95"] == [0, 0]


def test_a_gate_for_continuous_integration(trained: Cli, asked: Path) -> None:
    base = ("evaluate", "documents", "--questions", asked, "--json", "--least")

    assert trained(*base, "nDCG@10=0.5").code == 0
    missed = trained(*base, "nDCG@10=1.01")
    assert missed.code == 1
    assert "nDCG@10" in missed.err
    (reason,) = told(missed.out)["missed"]
    assert reason.startswith("nDCG@10 ")
    assert scores(missed.out)["nDCG@10"]["value"] > 0.8, "one document, with the scores"
    assert told(trained(*base, "nDCG@10=0.5").out)["missed"] == []
    wrong = trained(*base, "nDCG=0.5")
    assert wrong.code == 2
    assert "not measured" in wrong.err
    for value in ("high", "nan", "-inf"):
        refused = trained(*base, f"nDCG@10={value}")
        assert refused.code == 2
        assert "no number" in refused.err


def test_quotes_are_not_taken_for_the_language_model(
    trained: Cli, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFOLIO_LLM", "http://127.0.0.1:1/v1")
    base = ("evaluate", "documents", "--questions", asked, "--json")

    down = trained(*base)

    assert down.code == 0, down.err
    assert "answers were quoted: the language model failed" in told(down.out)["notes"][0]
    gate = trained(*base, "--least", "hit@5=0.1")
    assert gate.code == 1
    assert "were quoted" in gate.err
    assert len(told(gate.out)["missed"]) == 1
    beside = told(trained(*base, "--against", "passages=3").out)["notes"]
    assert any(note.startswith("passages=3: ") and "were quoted" in note for note in beside)


def test_one_failure_quotes_one_answer(
    trained: Cli, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that breaks off one call is asked the next question all the same."""
    steps = ("As it says [1].", *[BROKEN_OFF] * 3, "So it is [1].")  # it is tried three times
    with serve(Script(*steps)) as server:
        monkeypatch.setenv("MLFOLIO_LLM", f"{server.url}/v1#m")
        done = trained("evaluate", "documents", "--questions", asked, "--json")

    assert done.code == 0, done.err
    assert told(done.out)["notes"][0].startswith("1 of ")
    assert len(server.asked) > 20


def test_an_answer_that_cites_nothing_has_no_citations(
    trained: Cli, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ("evaluate", "documents", "--questions", asked, "--json")
    quotes = scores(trained(*base).out)
    assert quotes["citation recall"]["value"] > 0.8, "quotes cite"
    with serve(Script("So it is.")) as server:
        monkeypatch.setenv("MLFOLIO_LLM", f"{server.url}/v1#m")
        found = scores(trained(*base).out)

    assert found["citation recall"]["value"] == 0
    assert found["citation recall"]["n"] == quotes["citation recall"]["n"]
    assert "citation precision" not in found


def test_documents_that_are_not_there_are_named(trained: Cli, home: Path) -> None:
    lines = [{"question": "When was Fennmouth founded?", "document": "town/history.md"},
             {"question": "Who granted it?", "document": "docs/town/history.md"}]  # fmt: skip
    (home / "some.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (home / "none.jsonl").write_text(json.dumps(lines[1]))

    some = trained("evaluate", "documents", "--questions", "some.jsonl", "--json")

    assert some.code == 0, some.err
    (note,) = (each for each in told(some.out)["notes"] if "not there" in each)
    assert note.startswith("1 of the 2 documents")
    assert "'docs/town/history.md' (did you mean 'town/history.md'?)" in note
    none = trained("evaluate", "documents", "--questions", "none.jsonl")
    assert none.code == 2
    assert "did you mean 'town/history.md'?" in none.err


def test_what_needs_a_new_index_is_refused(trained: Cli, asked: Path) -> None:
    done = trained("evaluate", "documents", "chunk_tokens=64", "--questions", asked)

    assert done.code == 2
    assert "another value" in done.err
    assert trained("evaluate", "documents", "wieght=1", "--questions", asked).code == 2


def test_questions_are_made_and_never_overwritten(trained: Cli, home: Path) -> None:
    made = trained("evaluate", "documents", "--make", 30, "--questions", "made.jsonl")
    assert made.code == 0, made.err
    rows = [json.loads(line) for line in (home / "made.jsonl").read_text("utf-8").splitlines()]
    assert 20 < len(rows) <= 30

    found = scores(trained("evaluate", "documents", "--questions", "made.jsonl", "--json").out)
    assert found["hit@5"]["value"] > 0.7
    again = trained("evaluate", "documents", "--make", 30, "--questions", "made.jsonl")
    assert again.code == 2
    assert "there already" in again.err


def test_questions_are_written_by_a_language_model(
    trained: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = '```json\n{"question": "What is it?", "answer": "a town"}\n```'
    with serve(Script(said, "I will not.", said)) as server:
        monkeypatch.setenv("MLFOLIO_LLM", f"{server.url}/v1")
        done = trained("evaluate", "documents", "--make", 3, "--questions", "made.jsonl")

    assert done.code == 0, done.err
    rows = [json.loads(line) for line in (home / "made.jsonl").read_text("utf-8").splitlines()]
    assert [row["answer"] for row in rows] == ["a town", "a town"], (
        "what cannot be read is left out"
    )


def test_no_questions_are_no_file(
    trained: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(Script("I will not.")) as server:
        monkeypatch.setenv("MLFOLIO_LLM", f"{server.url}/v1")
        done = trained("evaluate", "documents", "--make", 3, "--questions", "made.jsonl")
        asked = len(server.asked)
        nowhere = trained("evaluate", "documents", "--make", 3, "--questions", "no/made.jsonl")
        assert len(server.asked) == asked, "nobody is asked for what cannot be written"

    assert done.code == 1
    assert "none of 3 questions came" in done.err
    assert not (home / "made.jsonl").exists()
    assert nowhere.code == 2
    assert f"{home / 'no'} is no folder" in nowhere.err


def test_a_failure_costs_one_question(
    trained: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = '{"question": "What is it?", "answer": "a town"}'
    with serve(Script(*[BROKEN_OFF] * 3, said)) as server:
        monkeypatch.setenv("MLFOLIO_LLM", f"{server.url}/v1#m")
        done = trained("evaluate", "documents", "--make", 3, "--questions", "made.jsonl")

    assert done.code == 0, done.err
    assert len((home / "made.jsonl").read_text("utf-8").splitlines()) == 2


def test_a_wrong_judge_is_named_as_the_option(trained: Cli, asked: Path) -> None:
    done = trained("evaluate", "documents", "--questions", asked, "--judge", "opnai:gpt")

    assert done.code == 2
    assert "--judge names no maker" in done.err
    assert "MLFOLIO_LLM" not in done.err


def test_a_judge_gives_marks_and_is_judged(trained: Cli, home: Path) -> None:
    rows = [{**ASKED[0], "answer": "It costs a lot."}, ASKED[1]]
    (home / "my.jsonl").write_text("\n".join(map(json.dumps, rows)))
    steps = ['{"verdicts": [1, 0]}', '{"questions": ["What does a permit cost?"]}', "Well ...",
             '{"verdicts": [true]}']  # fmt: skip
    with serve(Script(*steps)) as server:
        done = trained("evaluate", "documents", "--questions", "my.jsonl", "--json",
                       "--judge", f"{server.url}/v1")  # fmt: skip

    assert done.code == 0, done.err
    found = scores(done.out)
    assert found["faithfulness"]["value"] == 0.5
    assert 0 < found["answer relevancy"]["value"] <= 1
    assert "context precision" not in found, "it gave no mark"
    assert found["context recall"]["value"] == 1
    said = json.loads(done.out)["tables"]["The judge"]
    rows = dict(zip(said["index"], said["data"], strict=True))
    assert rows["context precision"][:2] == [1, 1]
    assert rows["faithfulness"][3] is None, "of one mark there is no correlation"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no question"),
        ('{"question": "", "document": "a.md"}', "no text"),
        ('{"question": "Why?", "document": null}', "no test question"),
        ('{"question": "Why?", "document": "a.md", "answer": 7}', "TypeError"),
    ],
)
def test_files_that_hold_no_questions_are_refused(
    trained: Cli, home: Path, line: str, said: str
) -> None:
    (home / "bad.jsonl").write_text(line)

    done = trained("evaluate", "documents", "--questions", "bad.jsonl")

    assert done.code == 2
    assert said in done.err
    assert trained("evaluate", "documents", "--questions", "nowhere.jsonl").code == 2


def test_systems_without_questions_say_what_measures_them(cli: Cli) -> None:
    assert cli("run", "iris", "repeats=1").code == 0

    done = cli("evaluate", "iris")

    assert done.code == 2
    assert "mlfolio run iris --data" in done.err
