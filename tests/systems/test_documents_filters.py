"""Filters on the metadata of documents: from wherever they come, through the public doors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mlfolio
from mlfolio.cli import main
from mlfolio.core.errors import FileError, InputError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.source import Source
from mlfolio.parts.retrieval.stores.lance import LanceIndex
from mlfolio.systems.documents.answers import NOT_FOUND, DocumentAnswer, DocumentQuestion
from mlfolio.systems.documents.data import load_corpus
from mlfolio.systems.documents.model import DocumentsModel
from mlfolio.systems.documents.settings import Settings

from ..parts.retrieval_tools import Words

pytestmark = pytest.mark.slow
ENCODER = Words()
ASKED = "Which pump does the contract name?"
PAPERS = {
    "contracts/a.md": ("legal", "2024-03-01", "red"),
    "contracts/b.md": ("Sales", "2023-06-30", "blue"),
    "policies/c.md": ("legal", "2022-01-15", "green"),
}


def fill(folder: Path) -> Path:
    """Three papers that differ in their metadata, and one that has none."""
    for name, (team, date, colour) in PAPERS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = path.parent.name
        path.write_text(
            f"---\nteam: {team}\ndate: {date}\ntags: [{kind}, paper]\n---\n\n"
            f"The contract names the {colour} pump.\n"
        )
    (folder / "plain.txt").write_text("The contract names the yellow pump.")
    return folder


@pytest.fixture(autouse=True)
def no_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFOLIO_LLM", raising=False)


def empty(folder: Path) -> DocumentsModel:
    index = LanceIndex(folder / "model" / "index", ENCODER.dimension)
    return DocumentsModel(index, Settings(threshold=0), ENCODER, generates=True)


@pytest.fixture
def model(tmp_path: Path) -> DocumentsModel:
    """A model that was brought the papers one by one."""
    model, files = empty(tmp_path), fill(tmp_path / "files")
    for name in (*PAPERS, "plain.txt"):
        model.add(files / name, name)
    return model


def ask(model: DocumentsModel, document: str | None = None, **where: Any) -> DocumentAnswer:
    question = DocumentQuestion.model_validate(
        {"question": ASKED, "document": document, "where": where or None}
    )
    return model.predict([question])[0]


def colours(answer: DocumentAnswer) -> set[str]:
    return {
        colour for colour in ("red", "blue", "green", "yellow")
        if any(colour in source.text for source in answer.sources)
    }  # fmt: skip


# ---------------------------------------------------------------- asking


def test_a_filter_leaves_what_it_says(model: DocumentsModel) -> None:
    assert colours(ask(model, team="LEGAL")) == {"red", "green"}
    assert colours(ask(model, team=["legal", "sales"], tags="contracts")) == {"red", "blue"}
    assert colours(ask(model, date={"from": "2023-01-01", "to": "2024-03-01"})) == {"red", "blue"}
    assert colours(ask(model, "contracts", team="legal")) == {"red"}
    assert "yellow" in colours(ask(model, "plain.txt"))


def test_a_value_that_nobody_has_finds_nothing_and_says_so(model: DocumentsModel) -> None:
    answer = ask(model, team="leagl")

    assert (answer.answer, answer.found, answer.sources) == (NOT_FOUND, False, [])
    assert answer.warnings == ["no document has team = leagl; did you mean 'legal'?"]
    both = ask(model, team="sales", tags="policies")
    assert both.warnings == ["no document is all of what `where` says"]
    assert ask(model, date={"from": "2030-01-01"}).warnings == [
        "no document has a date from 2030-01-01"
    ]


def test_a_key_that_nobody_has_is_refused_with_the_nearest(model: DocumentsModel) -> None:
    plain = DocumentQuestion(question=ASKED)
    wrong = DocumentQuestion.model_validate({"question": ASKED, "where": {"tema": 1, "zzz": 2}})

    with pytest.raises(InputError) as caught:
        model.predict([plain, wrong])

    assert [(each.row, each.field, each.rule) for each in caught.value.problems] == [
        (1, "where.tema", "no document has this key; did you mean 'team'?"),
        (1, "where.zzz", "no document has this key"),
    ]
    assert caught.value.fix == "keys: date, tags, team"


def test_where_no_document_has_metadata_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no document has metadata"):
        ask(empty(tmp_path), team="legal")


def test_what_is_no_filter_is_refused_at_the_door(model: DocumentsModel) -> None:
    with pytest.raises(InputError) as caught:
        parse_inputs(model, [{"question": ASKED, "where": {"date": {"form": "2024-01-01"}}}])
    (problem,) = caught.value.problems
    assert problem.field == "where.date.range"
    assert "did you mean 'from'?" in problem.rule


def test_an_answer_is_remembered_for_its_filter_alone(model: DocumentsModel) -> None:
    first, other = ask(model, team="legal"), ask(model, team="sales")
    again = ask(model, team="Legal")

    assert (colours(first), colours(other)) == ({"red", "green"}, {"blue"})
    assert again == first
    assert [each.usage.remembered for each in (first, other, again) if each.usage] == [
        False, False, True,
    ]  # fmt: skip
    rows = [{"question": ASKED, "where": {"team": team}} for team in ("sales", "legal", "sales")]
    answers = model.predict([DocumentQuestion.model_validate(row) for row in rows])
    assert [colours(each) for each in answers] == [{"blue"}, {"red", "green"}, {"blue"}]


# ---------------------------------------------------------------- where metadata come from


def test_a_folder_with_front_matter_and_a_file_of_metadata(home: Path) -> None:
    files = fill(home / "files")
    lines: list[dict[str, Any]] = [
        {"document": "plain.txt", "team": "legal", "year": 2024},
        {"document": "contracts/a.md", "team": ["tax", "sales"]},
    ]
    (files / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    model = DocumentsModel.load(mlfolio.run("documents", data=files).folder / "model")

    assert colours(ask(model, team="legal")) == {"green", "yellow"}, "the file wins"
    assert colours(ask(model, team="sales")) == {"red", "blue"}
    assert colours(ask(model, date="2024-03-01")) == {"red"}, "of another key it says nothing"
    assert colours(ask(model, year={"from": 2024.0})) == {"yellow"}

    lines[0]["year"] = 2025
    (files / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    second = mlfolio.run("documents", data=files)
    assert "(0 added, 1 replaced" in (second.folder / "exhibits.jsonl").read_text()
    model = DocumentsModel.load(second.folder / "model")
    assert not ask(model, year=2024).found
    assert colours(ask(model, year=2025)) == {"yellow"}


def test_the_command_line_takes_a_filter(home: Path, capsys: Any, monkeypatch: Any) -> None:
    mlfolio.run("documents", data=fill(home / "files"))

    def said(where: str) -> str:
        arguments = ["mlfolio", "predict", "documents", f"question={ASKED}", f"where={where}"]
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit):
            main()
        captured = capsys.readouterr()
        return str(captured.out + captured.err)

    told = said('{"team": "sales"}')
    assert "the blue pump" in told
    assert "the red pump" not in told
    assert "did you mean 'team'?" in said('{"tema": "sales"}')
    assert "did you mean 'from'?" in said('{"date": {"form": "2024-01-01"}}')


def test_the_doctor_tells_of_metadata_that_are_lost(tmp_path: Path) -> None:
    files = fill(tmp_path / "files")
    (files / "metadata.jsonl").write_text('{"document": "contracts/d.md", "team": "legal"}\n')
    (files / "broken.md").write_text("---\nteam: [legal\n---\n\nThe pump is blue.\n")

    said = {(finding.level, finding.message) for finding in load_corpus(Source.own(files)).check()}

    assert ("warning", "metadata of documents that are not there: contracts/d.md") in said
    broken = "broken.md (front matter that is no YAML (line 3))"
    assert ("note", f"no metadata are read from {broken}") in said
    assert not any("jsonl" in message for _, message in said)


def test_a_broken_line_of_metadata_is_refused(tmp_path: Path) -> None:
    files = fill(tmp_path / "files")
    (files / "metadata.jsonl").write_text('\n{"document": "plain.txt", "a b": 1}\n')

    with pytest.raises(FileError, match=r"metadata\.jsonl, line 2: 'a b' is no key"):
        load_corpus(Source.own(files))


def test_copies_are_copies_whatever_their_metadata(tmp_path: Path) -> None:
    files = fill(tmp_path / "files")
    (files / "again.txt").write_text((files / "plain.txt").read_text())
    (files / "metadata.jsonl").write_text('{"document": "again.txt", "team": "legal"}\n')

    corpus = load_corpus(Source.own(files))

    assert "identical documents: again.txt = plain.txt" in {each.message for each in corpus.check()}
    (both,) = [each.relevant for each in corpus.test if "plain.txt" in each.relevant]
    assert set(both) == {"again.txt", "plain.txt"}


# ---------------------------------------------------------------- uploads


def test_metadata_of_an_upload_stay_with_it(home: Path) -> None:
    files = fill(home / "files")
    first = mlfolio.run("documents", data=files)
    served = DocumentsModel.load(first.folder / "model")
    path = home / "new.md"
    path.write_text("---\nteam: tax\nkind: memo\n---\n\nThe contract names the yellow pump.\n")

    served.add(path, "new.md", {"team": "Legal", "year": 2024})
    assert served.index.labels() >= {"team=legal", "year=2024", "kind=memo"}
    assert "team=tax" not in served.index.labels(), "what was given wins"
    assert DocumentsModel.load(first.folder / "model").index.labels() == served.index.labels()

    second = mlfolio.run("documents", data=files, chunk_tokens=64)
    model = DocumentsModel.load(second.folder / "model")
    assert colours(ask(model, year=2024)) == {"yellow"}
    assert not any(model.collection._not_indexed()), "nothing is done again at every start"

    model.add(path, "new.md", {"year": 2025})
    assert {"year=2025", "team=tax"} <= model.index.labels()
    model.add(path, "new.md")
    assert not {"year=2024", "year=2025"} & model.index.labels()
    assert model.delete("new.md")
    assert "kind=memo" not in model.index.labels()


def test_refused_metadata_leave_all_as_it_was(model: DocumentsModel, tmp_path: Path) -> None:
    path = tmp_path / "files" / "plain.txt"
    before = (model.index.version, model.documents(), model.index.labels())

    with pytest.raises(FileError, match="'a b' is no key"):
        model.add(path, "plain.txt", {"a b": 1})

    assert (model.index.version, model.documents(), model.index.labels()) == before


def test_tenants_do_not_learn_each_other_s_keys(model: DocumentsModel, tmp_path: Path) -> None:
    path = tmp_path / "files" / "plain.txt"
    model.of("acme").add(path, "memo.txt", {"project": "zeus"})
    model.of("bolt").add(path, "memo.txt", {"projekt": "hera"})

    def refused(whose: DocumentsModel, key: str) -> str:
        with pytest.raises(InputError) as caught:
            ask(whose, **{key: "x"})
        return str(caught.value)

    assert ask(model.of("acme"), project="zeus").found
    assert "did you mean 'project'?" in refused(model.of("acme"), "projekt")
    for tenant, key in (("bolt", "project"), ("nobody", "project"), ("bolt", "team")):
        said = refused(model.of(tenant), key)
        assert "zeus" not in said
        assert f"'{key}'" not in said
    assert "project" not in refused(model, "xproject").replace("xproject", "")
    assert ask(model.of("bolt"), projekt="zeus").warnings == ["no document has projekt = zeus"]
