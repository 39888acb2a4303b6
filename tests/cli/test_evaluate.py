"""`mlfolio evaluate`: questions of one's own, two settings side by side, a gate, made questions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Cli, SampleOf
from tests.parts.llm_server import Script, serve

pytest.importorskip("lancedb")
pytestmark = pytest.mark.slow

ASKED = [
    {"question": "What does a parking permit for a second car cost?", "document": "parking.md"},
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


def scores(said: str) -> dict[str, dict[str, object]]:
    return {score["name"]: score for score in json.loads(said)["scores"]}


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
    wrong = trained(*base, "nDCG=0.5")
    assert wrong.code == 2
    assert "not measured" in wrong.err
    assert trained(*base, "nDCG@10=high").code == 2


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
    assert dict(zip(said["index"], said["data"], strict=True))["context precision"][:2] == [1, 1]


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
