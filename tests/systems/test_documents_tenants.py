"""Tenants of the documents system: each sees its own documents, and nothing of anybody else's."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlfolio.core.model import Conversation, Explains, Indexes, Message, Model, Streams, Tenants
from mlfolio.parts.retrieval.stores.lance import LanceIndex
from mlfolio.parts.retrieval.stores.place import StoreError
from mlfolio.systems.documents import tenants as room
from mlfolio.systems.documents.answers import DocumentAnswer, DocumentQuestion
from mlfolio.systems.documents.model import DocumentsModel
from mlfolio.systems.documents.settings import Settings

from ..parts.retrieval_tools import Words

ENCODER = Words()
ASKED = "Who is the lighthouse keeper of Arnholm?"
KEEPER = "The lighthouse keeper of Arnholm is called {}."


def model_in(folder: Path, **settings: Any) -> DocumentsModel:
    index = LanceIndex(folder / "index", ENCODER.dimension)
    return DocumentsModel(index, Settings(threshold=0, **settings), ENCODER)


@pytest.fixture
def model(tmp_path: Path) -> DocumentsModel:
    """A model with a document of everybody's, and one of each of two tenants."""
    model = model_in(tmp_path / "run" / "model")
    put(model, tmp_path, "Olaf", "shared.txt")
    put(model.of("acme"), tmp_path, "Berta", "keeper.txt")
    put(model.of("bolt"), tmp_path, "Carla", "keeper.txt")
    return model


def put(model: DocumentsModel, folder: Path, who: str, name: str) -> None:
    path = folder / f"{who}.txt"
    path.write_text(KEEPER.format(who))
    model.add(path, name)


def ask(model: DocumentsModel, document: str | None = None) -> DocumentAnswer:
    return model.predict([DocumentQuestion(question=ASKED, document=document)])[0]


def holding(folder: Path, text: str) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and text.encode() in p.read_bytes()]


def test_a_model_of_a_tenant_can_do_what_the_model_can(model: DocumentsModel) -> None:
    assert isinstance(model, Tenants)
    for own in (model.of("acme"), model.of("nobody")):
        assert isinstance(own, Model)
        assert isinstance(own, Indexes)
        assert isinstance(own, Streams)
        assert isinstance(own, Explains) == isinstance(model, Explains)


@pytest.mark.parametrize(("tenant", "who"), [("acme", "Berta"), ("bolt", "Carla")])
def test_each_is_answered_from_its_own(model: DocumentsModel, tenant: str, who: str) -> None:
    own = model.of(tenant)
    talk = Conversation(messages=(Message(role="user", content=ASKED),))
    *_, said = own.talk(talk)

    for answer in (ask(own), ask(own), said):  # the second one is remembered
        assert who in str(answer)
        assert not any(w in str(answer) for w in {"Berta", "Carla", "Olaf", "shared"} - {who})
    assert own.documents() == ["keeper.txt"]
    assert "Olaf" not in str(own.examples())
    assert "Olaf" in str(ask(model))
    assert model.documents() == ["shared.txt"]


@pytest.mark.parametrize(
    "document", ["shared.txt", "../index", "..", "/", "", "keeper.txt' OR 1=1 --"]
)
def test_no_name_of_a_document_leads_out(model: DocumentsModel, document: str) -> None:
    answer = ask(model.of("acme"), document)

    assert answer.sources == []
    assert not model.of("acme").delete(document)
    assert model.documents() == ["shared.txt"]


@pytest.mark.parametrize("other", ["ACME", "Acme", "acme ", "a\u0441me", "../acme", "acme/../bolt"])
def test_names_that_look_like_another_s_are_others(
    model: DocumentsModel, tmp_path: Path, other: str
) -> None:
    own = model.of(other)

    assert own.documents() == []
    assert ask(own).sources == []
    put(own, tmp_path, "Dora", "d.txt")
    assert model.of("acme").documents() == ["keeper.txt"]
    assert model.of(other).documents() == ["d.txt"]
    outside = [p for p in tmp_path.iterdir() if p.name not in ("run",) and not p.suffix]
    assert outside == [], "no name is a path"


def test_who_has_no_document_has_nothing_on_the_disk(model: DocumentsModel) -> None:
    before = set(model.tenants.folder.iterdir())
    own = model.of("nobody")

    assert own.documents() == []
    assert not own.delete("keeper.txt")
    assert not ask(own).found
    assert own.examples()
    assert set(model.tenants.folder.iterdir()) == before
    assert set(model.tenants) == {"acme", "bolt"}


def test_what_is_given_to_one_without_documents_is_given_to_no_other(
    model: DocumentsModel, tmp_path: Path
) -> None:
    one, other = model.of("one"), model.of("other")
    put(one, tmp_path, "Dora", "d.txt")

    assert other.documents() == model.of("other").documents() == []
    assert "Dora" not in str(ask(other))
    assert one.documents() == [], "it is asked for again at the next question"
    assert model.of("one").documents() == ["d.txt"]


def test_only_a_few_are_open(
    model: DocumentsModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.tenants, "_most", 2)
    for n in range(4):
        put(model.of(f"t{n}"), tmp_path, f"Who{n}", "w.txt")
    for n in (3, 0, 3, 1, 2):
        assert f"Who{n}" in str(ask(model.of(f"t{n}")))
    assert len(model.tenants._open) == 2


def test_the_same_question_at_the_same_moment(model: DocumentsModel) -> None:
    whose = {"acme": "Berta", "bolt": "Carla", "nobody": ""}
    gate = threading.Barrier(6)

    def many(tenant: str) -> list[str]:
        gate.wait()
        return [str(ask(model.of(tenant))) for _ in range(10)]

    with ThreadPoolExecutor(6) as pool:
        found = [(tenant, pool.submit(many, tenant)) for tenant in [*whose, *whose]]
        for tenant, said in found:
            for answer in said.result():
                assert whose[tenant] in answer
                assert not any(w in answer for w in {"Berta", "Carla", "Olaf"} - {whose[tenant]})


def test_several_make_the_same_at_once(model: DocumentsModel, tmp_path: Path) -> None:
    paths = []
    for n in range(4):
        paths.append(tmp_path / f"{n}.txt")
        paths[-1].write_text(KEEPER.format(f"Who{n}"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda p: model.of("new").add(p, p.name), paths))
    assert model.of("new").documents() == [p.name for p in paths]


def test_a_tenant_that_is_erased_is_gone_from_every_run(
    model: DocumentsModel, tmp_path: Path
) -> None:
    held = model.of("acme")
    (tmp_path / "run2" / "model").mkdir(parents=True)
    model.save(tmp_path / "run2" / "model")
    (tmp_path / "Berta.txt").unlink()
    assert len(holding(tmp_path, "Berta")) > 2
    assert DocumentsModel.tenants_of(tmp_path) == {"acme", "bolt"}

    assert DocumentsModel.erase_tenant(tmp_path, "acme")

    assert holding(tmp_path, "Berta") == []
    assert not DocumentsModel.erase_tenant(tmp_path, "acme")
    assert model.of("acme").documents() == []
    assert model.of("bolt").documents() == ["keeper.txt"]
    (tmp_path / "late.txt").write_text("Late.")
    with pytest.raises(StoreError, match="erased meanwhile"):
        held.add(tmp_path / "late.txt")
    (tmp_path / "late.txt").unlink()
    assert holding(tmp_path, "Late.") == []
    put(model.of("acme"), tmp_path, "Dora", "d.txt")
    assert model.of("acme").documents() == ["d.txt"], "the memory of the first one is gone"


def test_what_tenants_have_is_stored_with_the_model(model: DocumentsModel, tmp_path: Path) -> None:
    (stored := tmp_path / "stored").mkdir()
    model.save(stored)

    again = model_in(stored)
    assert "Berta" in str(ask(again.of("acme")))
    assert again.of("acme").delete("keeper.txt")
    assert model.of("acme").documents() == ["keeper.txt"], "links, and no file is changed"


def test_a_new_champion_takes_over_what_came_meanwhile(
    model: DocumentsModel, tmp_path: Path
) -> None:
    (stored := tmp_path / "next").mkdir()
    model.save(stored)
    new = model_in(stored)
    put(model.of("acme"), tmp_path, "Dora", "d.txt")  # changed,
    model.of("bolt").delete("keeper.txt")  # deleted,
    put(model.of("late"), tmp_path, "Emil", "e.txt")  # and begun while it was made
    assert new.of("late").documents() == []

    new.adopt(model)
    new.adopt(model)

    assert new.of("acme").documents() == ["d.txt", "keeper.txt"]
    assert new.of("bolt").documents() == []
    assert "Emil" in str(ask(new.of("late")))
    assert new.documents() == ["shared.txt"]


def test_without_the_index_the_uploads_are_enough(model: DocumentsModel, tmp_path: Path) -> None:
    """What a run with another encoder or cutting takes over."""
    new = model_in(tmp_path / "other", chunk_tokens=32)
    model.tenants.copy_to(new.tenants.folder, None)

    assert "Berta" in str(ask(new.of("acme")))


def test_folders_tell_no_names(model: DocumentsModel) -> None:
    names = {path.name for path in model.tenants.folder.iterdir() if path.is_dir()}
    assert names == {hashlib.sha256(t.encode()).hexdigest() for t in ("acme", "bolt")}
    assert room.OPEN >= 2
