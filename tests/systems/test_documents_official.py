"""The published collections as they lie on disk, and how a model is measured on them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("lancedb")

import mlfolio
from mlfolio.core.run import read_exhibits
from mlfolio.core.source import OFFICIAL
from mlfolio.data import datasets
from mlfolio.data.datasets import DataFile
from mlfolio.systems.documents.official import (
    confidence_parts,
    load_cranfield,
    load_official,
    load_squad,
)

CARS = ("wing", "flap", "rotor", "nozzle", "rudder", "cabin", "hinge", "valve")


def squad(*articles: tuple[str, list[tuple[str, list[dict[str, Any]]]]]) -> str:
    return json.dumps({"data": [
        {"title": title, "paragraphs": [{"context": context, "qas": qas} for context, qas in parts]}
        for title, parts in articles
    ]})  # fmt: skip


def asked(question: str, *answers: str) -> dict[str, Any]:
    texts = [{"text": answer, "answer_start": 0} for answer in answers]
    return {"question": question, "answers": texts, "is_impossible": not answers}


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small files in the form of the published ones."""
    monkeypatch.setenv("MLFOLIO_DATA", str(tmp_path))
    for name in ("scifact", "cranfield", "squad"):
        record = datasets.DATASETS[name]
        files = tuple(DataFile(name=file.name) for file in record.files)
        monkeypatch.setitem(datasets.DATASETS, name, record.model_copy(update={"files": files}))
        (tmp_path / name).mkdir()
    with zipfile.ZipFile(tmp_path / "scifact" / "scifact.zip", "w") as archive:
        corpus = [{"_id": str(at), "title": f"The {car}", "text": f"A {car} lasts {at} days."}
                  for at, car in enumerate(CARS)]  # fmt: skip
        queries = [{"_id": f"q{at}", "text": f"When does a {car} last?"}
                   for at, car in enumerate(CARS)]  # fmt: skip
        archive.writestr("scifact/corpus.jsonl", "\n".join(map(json.dumps, corpus)))
        archive.writestr("scifact/queries.jsonl", "\n".join(map(json.dumps, queries)))
        for part, ats in (("train", (0, 1, 2)), ("test", (3, 4, 5, 6, 7))):
            rows = "".join(f"q{at}\t{at}\t1\n" for at in ats)
            archive.writestr(f"scifact/qrels/{part}.tsv", f"query-id\tcorpus-id\tscore\n{rows}")
    (tmp_path / "cranfield" / "cran.all.1400").write_text(
        ".I 1\n.T\nwings in a\nslipstream .\n.A\nsmith\n.B\nj. 1958.\n"
        ".W\nwings in a\nslipstream .\n  the wing was\nmeasured .\n"
        ".I 2\n.T\nheat\n.A\n.B\n.W\n.I 3\n.T\nflow\n.A\n.B\n.W\nflow\nof air .\n"
    )
    (tmp_path / "cranfield" / "cran.qry").write_text(
        ".I 001\n.W\nhow is a wing\nmeasured .\n.I 004\n.W\nwhat is heat .\n"
    )
    (tmp_path / "cranfield" / "cranqrel").write_text("1 1 2\n1 3 -1\n2 2 4\n")
    one = [("The harbour opened in 1871.", [asked("When did the harbour open?", "1871", "1871")]),
           ("It is deep.", [asked("How deep is it?", "deep")])]  # fmt: skip
    (tmp_path / "squad" / "dev-v1.1.json").write_text(squad(("Port_Town", one), ("Bees", [
        ("Bees dance to show where flowers are.", [asked("Why do bees dance?", "to show where")])
    ])))  # fmt: skip
    two = [(title, [(f"{title} is old.", [asked(f"Is {title} new?"), asked("Is it?", "old")])])
           for title in ("A_b", "C", "D", "E")]  # fmt: skip
    (tmp_path / "squad" / "dev-v2.0.json").write_text(squad(*two))
    return tmp_path


def test_cranfields_questions_are_told_by_their_place(published: Path) -> None:
    first, second = load_cranfield(OFFICIAL)

    assert [document.name for document in first.documents] == ["1", "2", "3"]
    assert [[block.text for block in each.blocks] for each in first.documents] == [
        ["wings in a slipstream .", "the wing was measured ."],
        ["heat", "heat"],
        ["flow", "of air ."],
    ]
    assert [(q.text, q.relevant) for q in first.train] == [
        ("how is a wing measured .", {"1": 1.0, "3": 1.0})
    ]
    assert [(q.text, q.relevant) for q in first.test] == [("what is heat .", {"2": 1.0})]
    assert (first.train, first.test) == (second.test, second.train), "none is in both parts"


def test_squads_unanswered_questions_are_of_articles_not_fitted_on(published: Path) -> None:
    data = load_squad(OFFICIAL)

    assert [document.name for document in data.documents] == [
        "Port_Town/0",
        "Port_Town/1",
        "Bees/0",
    ]
    answered = [question for question in data.test if question.relevant]
    assert answered[0].answers == ("1871",)
    assert answered[0].relevant == {"Port_Town/0": 1.0}
    assert len(answered) == 3
    fitted, unseen = confidence_parts(["A_b/0", "C/0", "D/0", "E/0"])
    assert len(fitted) == len(unseen) == 2
    others = {q.text for q in data.test if not q.relevant}
    assert others == {f"Is {name.partition('/')[0]} new?" for name in unseen}


def test_what_cannot_be_had_is_left_out(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (published / "cranfield" / "cran.qry").unlink()

    assert list(load_official(OFFICIAL).beside) == ["SQuAD"]


@pytest.mark.slow
def test_they_are_measured_beside(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFOLIO_RUNS", str(published / "runs"))

    done = mlfolio.run("documents", data="official", register=False)

    scores = {score.name: score for score in done.scores}
    assert scores["nDCG@10"].value == 1
    assert scores["Cranfield nDCG@10"].n == 2
    assert scores["SQuAD hit@5"].n == scores["SQuAD F1"].n == 3
    assert scores["SQuAD hit@5"].value == 1
    assert 0 < scores["SQuAD F1"].value < 1, "a sentence is more than the words asked for"
    assert scores["SQuAD AUROC of 'in your documents'"].n == 5
    assert not list(done.folder.glob(".*-*")), "what was made for them is gone"
    notes = [each.title for each in read_exhibits(done.folder) if "The index holds" in each.title]
    assert len(notes) == 1, "the report is about SciFact"
