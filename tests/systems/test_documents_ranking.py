"""What decides which passages of the documents come first: expansion, variety, second readers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")
pytest.importorskip("lancedb")

import mlfolio
from mlfolio.core.errors import KnobError, UserError
from mlfolio.core.run import Run, read_exhibits
from mlfolio.parts.retrieval.extract import CONFIDENCE
from mlfolio.parts.retrieval.questions import Question
from mlfolio.parts.retrieval.ranking import DENSE_WEIGHT
from mlfolio.parts.retrieval.stores.lance import LanceIndex
from mlfolio.parts.stats import bootstrap_ci95, roc_area
from mlfolio.systems.documents.answers import DocumentQuestion
from mlfolio.systems.documents.choosing import choose_search
from mlfolio.systems.documents.model import DocumentsModel
from mlfolio.systems.documents.scoring import area_of_pairs
from mlfolio.systems.documents.settings import Settings
from mlfolio.systems.documents.system import Documents

from ..parts.llm_server import Script, serve
from ..parts.retrieval_tools import Words
from ..parts.test_rerank import made

pytestmark = pytest.mark.slow

THINGS = ("pump", "valve", "boiler", "filter", "fan", "motor", "gate", "lamp", "tank", "hose")


CODES = ("sunflower", "harbour", "violin", "glacier", "pepper", "comet", "saddle", "ivory",
         "window", "turnip")  # fmt: skip


def fill(folder: Path, asked: int, called: Sequence[str] = THINGS, halls: int = 12) -> Path:
    """A document for each thing, and questions about them; the first ones are to train on."""
    folder.mkdir()
    rows = []
    for number, thing in enumerate(THINGS):
        lines = [f"The {thing} of hall {hall} opens at {10 * number + hall} bars and is oiled."
                 for hall in range(halls)]  # fmt: skip
        (folder / f"{thing}.md").write_text(f"# The {thing}\n\n" + "\n\n".join(lines))
        rows += [
            {"question": f"When does the {called[number]} of hall {hall} open?",
             "document": f"{thing}.md"} for hall in range(halls)
        ]  # fmt: skip
    for row in rows[:asked]:
        row["split"] = "train"
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("things") / "files", 150, halls=16)


@pytest.fixture(scope="module")
def model(folder: Path) -> DocumentsModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(folder.parent / "runs"))
        patch.delenv("MLFOLIO_LLM", raising=False)
        done = mlfolio.run("documents", data=folder, register=False, chunk_tokens=32, tuned=False)
    return DocumentsModel.load(done.folder / "model")


def names(model: DocumentsModel, question: str) -> list[str]:
    return [hit.passage.document for hit in model.retrieve(question)[0]]


def test_few_passages_of_one_document(model: DocumentsModel) -> None:
    asked = "When does the pump of hall 3 open?"
    assert names(model, asked).count("pump.md") > 1

    few = names(model.changed({"per_document": 1}), asked)

    assert few[0] == "pump.md"
    assert len(set(few)) == len(few) == 5


def test_other_fusions_and_expansions_find_it_too(model: DocumentsModel) -> None:
    for settings in ({"fusion": "ranks"}, {"expansion": "feedback"}, {"diversity": 0.2}):
        changed = model.changed(settings)
        assert names(changed, "When does the boiler of hall 3 open?")[0] == "boiler.md", settings
        assert changed.ranking("When does the boiler of hall 3 open?", 3)[0] == "boiler.md"


def test_a_made_up_answer_is_searched_with_and_never_shown(
    model: DocumentsModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = DocumentQuestion(question="When does the boiler of hall 3 open?")
    changed = model.changed({"expansion": "hyde", "sentences": 1})
    with serve(Script("It opens at a million bars.", "At 23 bars [1].")) as server:
        monkeypatch.setenv("MLFOLIO_LLM", f"{server.url}/v1")
        (answer,) = changed.predict([question])
    assert "million" not in answer.answer
    assert answer.sources[0].document == "boiler.md"

    monkeypatch.setenv("MLFOLIO_LLM", "http://127.0.0.1:9/v1#none")
    (plain,) = changed.predict([question])
    assert any("as it was asked" in warning for warning in plain.warnings)
    assert plain.sources[0].document == "boiler.md"


def test_a_second_reader_by_folder(folder: Path, model: DocumentsModel, tmp_path: Path) -> None:
    reader = made(tmp_path / "reader", "Bert", num_labels=1)

    changed = model.changed({"reranker": str(reader), "reread": 10})

    question = "When does the pump of hall 3 open?"
    assert {hit.score for hit in changed.retrieve(question)[0]} != {
        hit.score for hit in model.retrieve(question)[0]
    }
    assert sorted(changed.ranking(question, 99)) == sorted(model.ranking(question, 99))
    assert names(changed.changed({"reranker_weight": 0.0}), question) == names(model, question)
    assert changed.changed({"reranker": ""}).reranker is None
    with pytest.raises(KnobError, match="no trained reranker"):
        model.changed({"reranker": "trained"})


def test_a_second_reader_is_trained_and_kept_if_it_helps(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFOLIO_RUNS", str(tmp_path / "runs"))
    knobs = {"chunk_tokens": 32, "tuned": False, "reranker": "trained", "reread": 5}

    done = mlfolio.run("documents", data=folder, register=False, **knobs)

    titles = [exhibit.title for exhibit in read_exhibits(done.folder)]
    assert "Weight of the reranker" in titles
    again = DocumentsModel.load(done.folder / "model")
    kept = (done.folder / "model" / "reranker").is_dir()
    assert kept == (again.reranker is not None) == (again.settings.reranker == "trained")
    assert kept != any("brings nothing" in title for title in titles)
    assert kept == ("gain of reranking" in {score.name for score in done.scores})


def test_what_a_reader_learned_from_does_not_say_what_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second reader learns that nobody asks for proposals, which the first search likes best."""
    monkeypatch.setenv("MLFOLIO_RUNS", str(tmp_path / "runs"))
    folder = fill(tmp_path / "files", 150, halls=16)
    for thing in THINGS:
        text = (folder / f"{thing}.md").read_text()
        proposal = folder / f"proposed-{thing}.md"
        proposal.write_text(text.replace("oiled", "oiled, as is proposed and now open"))
    knobs = {"chunk_tokens": 32, "overlap": 0, "chunking": "fixed", "tuned": False, "reread": 10}

    done = mlfolio.run("documents", data=folder, register=False, reranker="trained", **knobs)

    assert DocumentsModel.load(done.folder / "model").settings.reranker == "trained"
    titles = [exhibit.title for exhibit in read_exhibits(done.folder)]
    assert [each for each in titles if "learned on 30 training questions" in each], titles


def test_an_encoder_learns_what_the_people_here_call_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFOLIO_RUNS", str(tmp_path / "runs"))
    folder = fill(tmp_path / "files", 160, CODES, halls=17)

    done = mlfolio.run("documents", data=folder, register=False, chunk_tokens=32)

    (table,) = [each for each in read_exhibits(done.folder) if each.title == "Encoder"]
    assert table.file is not None
    means = pd.read_csv(done.folder / table.file)["nDCG@10"]
    assert means[1] > means[0] + 0.1
    model = DocumentsModel.load(done.folder / "model")
    assert model.settings.tuned
    assert model.settings.confidence != CONFIDENCE, "its cosines are others"
    (told,) = [score for score in done.scores if score.name == "AUROC of 'in your documents'"]
    assert told.n == 10, "questions, each of which is asked twice"
    question = "When does the glacier of hall 3 open?"
    found = model.ranking(question, 9)
    path = tmp_path / "new.md"
    path.write_text("# The crane\n\nThe crane of hall 3 lifts nine tons.")
    assert model.add(path) == 1, "what is uploaded is read by the same encoder"
    moved = (done.folder / "model").rename(tmp_path / "elsewhere")
    assert DocumentsModel.load(moved).ranking(question, 9) == found
    with pytest.raises(KnobError, match="tuned: the index was made with another"):
        model.changed({"tuned": False})


def test_nothing_is_trained_on_few_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFOLIO_RUNS", str(tmp_path / "runs"))
    folder = fill(tmp_path / "few", 10)

    with pytest.raises(UserError, match="learns from training questions"):
        mlfolio.run("documents", data=folder, reranker="trained")

    done = mlfolio.run("documents", data=folder, register=False)
    assert not DocumentsModel.load(done.folder / "model").settings.tuned


def test_of_equal_weights_the_one_nearest_the_default_is_chosen(tmp_path: Path) -> None:
    encoder = Words()
    index = LanceIndex(tmp_path / "model" / "index", encoder.dimension)
    model = DocumentsModel(index, Settings(weight=0.5), encoder)
    for thing in THINGS[:3]:
        path = tmp_path / f"{thing}.txt"
        path.write_text(f"The {thing} is oiled.")
        model.add(path)
    asked = [Question(f"{thing} oiled", {f"{thing}.txt": 1.0}) for thing in THINGS[:3] * 10]

    chosen = choose_search(model, asked, Run("documents", tmp_path))

    assert chosen.ndcg == 1
    assert chosen.model.settings.expansion == "none"
    assert chosen.model.settings.weight == DENSE_WEIGHT


def test_a_question_that_is_asked_twice_is_drawn_once() -> None:
    """Where the two askings go together, the area is surer than if they were questions apart."""
    rng = np.random.default_rng(0)
    about = rng.normal(size=200)
    there, away = about + 0.5 + 0.1 * rng.normal(size=200), about
    low, high = bootstrap_ci95(area_of_pairs, there, away)
    truth, both = np.repeat([True, False], 200), np.concatenate([there, away])
    wide = bootstrap_ci95(roc_area, truth, both)

    assert area_of_pairs(there, away) == roc_area(truth, both)
    assert high - low < (wide[1] - wide[0]) / 2


def test_knobs_are_bounded() -> None:
    for wrong in ({"fusion": "votes"}, {"expansion": "magic"}, {"diversity": 2}, {"reread": 1}):
        with pytest.raises(KnobError):
            Documents.with_knobs(wrong)
