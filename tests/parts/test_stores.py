"""One battery over every store: what an index promises, wherever it lies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlfolio.parts.retrieval.chunk import Chunking
from mlfolio.parts.retrieval.index import Index, Within
from mlfolio.parts.retrieval.ranking import Ranking
from mlfolio.parts.retrieval.search import best_hits, find
from mlfolio.parts.retrieval.stores import lance, schema
from mlfolio.parts.retrieval.stores.lance import LOCK, LanceIndex
from mlfolio.parts.retrieval.stores.opening import discard, new_index, open_index
from mlfolio.parts.retrieval.stores.place import STORE, StoreError
from mlfolio.parts.retrieval.sync import drop, put, sync
from mlfolio.parts.retrieval.where import Where, resolve
from mlfolio.parts.text.vectors import Vectors
from mlfolio.systems.documents.model import DocumentsModel
from mlfolio.systems.documents.settings import Settings

from .retrieval_tools import Words
from .store_tools import ENCODER, again, found, holds, secret, text

pytestmark = pytest.mark.slow
ODD = ['it\'s "odd".txt', "ä/日本 語.txt", "a#1.2/b#0", "100%_\\.txt", "a/b;--.txt"]


@pytest.fixture(params=["lancedb", "postgresql"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    url = "" if request.param == "lancedb" else request.getfixturevalue("vectors_in_postgres")
    monkeypatch.setenv(STORE, url)
    return str(request.param)


@pytest.fixture
def index(store: str, tmp_path: Path) -> Iterator[Index]:
    yield new_index(tmp_path / "index", ENCODER.dimension)
    discard(tmp_path / "index")


def test_put_replace_and_remove(index: Index) -> None:
    sync(index, [text("a.txt", "The zebra sleeps."), text("b.txt", "The yak runs.")], ENCODER)
    versions = [index.version]
    assert found(index, "zebra")[0] == "a.txt"
    assert len(index) == 2

    put(index, text("a.txt", "The walrus sings."), ENCODER)
    versions.append(index.version)
    hits = best_hits(index, find(index, ENCODER, "zebra sleeps"), 5)
    assert not any("zebra" in hit.passage.text for hit in hits)
    assert found(index, "walrus")[0] == "a.txt"

    assert drop(index, "a.txt")
    assert not drop(index, "a.txt")
    versions.append(index.version)
    assert len(set(versions)) == 3
    assert found(again(index), "walrus") == ["b.txt"]
    assert set(index.documents()) == {"b.txt"}


@pytest.mark.parametrize("name", ODD)
def test_odd_names(index: Index, name: str) -> None:
    sync(index, [text(name, "The zebra."), text("other.txt", "The zebra.")], ENCODER)

    assert found(index, "zebra", within=name) == [name]
    assert [p.document for p in index.beginnings(9)] == sorted([name, "other.txt"])
    assert index.around(name, 0, None)[0].text == "The zebra."
    assert drop(index, name)
    assert set(index.documents()) == {"other.txt"}


def test_within_a_folder(index: Index) -> None:
    names = ["a/x.txt", "a/b/y.txt", "a.txt", "a0.txt", "ab/z.txt", "a-b.txt"]
    sync(index, [text(name, "The zebra sleeps.") for name in names], ENCODER)

    for folder in ("a", "a/"):
        assert set(found(index, "zebra", within=folder)) == {"a/x.txt", "a/b/y.txt"}
    assert found(index, "zebra", within="a.txt") == ["a.txt"]
    assert found(index, "zebra", within="none") == []


def having(index: Index, place: str | None = None, **where: Any) -> set[str]:
    """The documents that a filter leaves; both sides of the search see the same."""
    groups = resolve(Where.model_validate(where), index.labels()).groups
    within = Within(place, groups)
    near = index.nearest(ENCODER.encode_query("zebra"), 100, within).ids
    matching, _ = index.matching("zebra", 100, within)
    assert set(near) == set(matching.ids)
    return {name.rpartition("#")[0] for name in near}


def test_filters(index: Index) -> None:
    sync(
        index,
        [
            text("a/x.txt", "The zebra.", team="Legal", year=2024, day="2024-03-01"),
            text("a/y.txt", "The zebra.", team=["sales", "legal"], year=2023.5, day="2024-04-01"),
            text("b/z.txt", "The zebra.", team="Sales", year=10, draft=True),
            text("plain.txt", "The zebra."),
        ],
        ENCODER,
    )

    assert having(index) == {"a/x.txt", "a/y.txt", "b/z.txt", "plain.txt"}
    assert having(index, team="LEGAL") == {"a/x.txt", "a/y.txt"}
    assert having(index, team=["legal", "sales"]) == {"a/x.txt", "a/y.txt", "b/z.txt"}
    assert having(index, year=2024.0) == {"a/x.txt"}
    assert having(index, year={"from": 9, "to": 2023.5}) == {"a/y.txt", "b/z.txt"}
    assert having(index, day={"from": "2024-03-02"}) == {"a/y.txt"}
    assert having(index, day={"to": "2024-04-01"}) == {"a/x.txt", "a/y.txt"}
    assert having(index, team="sales", draft=True) == {"b/z.txt"}
    assert having(index, team="legal", draft=True) == set()
    assert having(index, team="nobody") == set()
    assert having(index, "a", team="sales") == {"a/y.txt"}
    assert having(index, "b/z.txt", team="legal") == set()
    assert having(again(index), team="legal") == {"a/x.txt", "a/y.txt"}


def test_labels_come_and_go_with_their_documents(index: Index, tmp_path: Path) -> None:
    sync(index, [text("a.txt", "The zebra.", team="legal"), text("b.txt", "The zebra.")], ENCODER)
    version = index.version
    assert index.labels() == {"team=legal"}

    put(index, text("a.txt", "The zebra.", team="sales"), ENCODER)
    assert index.labels() == {"team=sales"}
    assert having(index, team="sales") == {"a.txt"}
    assert index.version != version
    changed = sync(index, [text("a.txt", "The zebra."), text("b.txt", "The zebra.", n=1)], ENCODER)
    assert changed.replaced == ["a.txt", "b.txt"], "other metadata are another document"
    assert (index.labels(), having(index, n=1)) == ({"n=1"}, {"b.txt"})

    index.copy_to(tmp_path / "two")
    other = open_index(tmp_path / "two", ENCODER.dimension)
    assert drop(index, "b.txt")
    assert (index.labels(), having(index, n=1)) == (set(), set())
    assert having(other, n=1) == {"b.txt"}
    discard(tmp_path / "two")


HOSTILE = ["it's", '"', "\\", "%_", "'; DROP TABLE chunks; --", "']) OR true --", "{s}",
           "%(limit)s", "a, b", "{a,b}", "NULL", "x=y", "\\'",
           "$1", ":x", "ä 東京 \U0001f600"]  # fmt: skip


def test_hostile_values_are_values(index: Index) -> None:
    documents = [text(f"{n}.txt", "The zebra.", k=each) for n, each in enumerate(HOSTILE)]
    sync(index, documents, ENCODER)

    for n, each in enumerate(HOSTILE):
        assert having(index, k=each) == {f"{n}.txt"}
        assert having(index, f"{n}.txt", k=[each, "other"]) == {f"{n}.txt"}
    assert having(index, k=HOSTILE) == {document.name for document in documents}
    assert len(index) == len(HOSTILE)


def test_filtered_search_is_exact(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where vectors are searched approximately: the few that are left may be in any part."""
    monkeypatch.setattr(lance, "_INDEXED_ROWS", 100)
    monkeypatch.setattr(lance, "_EXACT_ROWS", 100)
    monkeypatch.setattr(schema, "EXACT_ROWS", 100)
    rng = np.random.default_rng(0)
    words = [f"w{n}" for n in range(200)]
    documents = [
        text(f"{n % 3}/{n:04}.txt", " ".join(rng.choice(words, 5)), part=n % 50, odd=bool(n % 2))
        for n in range(1500)
    ]
    sync(index, documents, ENCODER)
    put(index, text("late.txt", "w1 w2 w3", part=7, odd=True), ENCODER)
    vector = ENCODER.encode_query("w1 w2 w3")
    names = [*(d.name for d in documents), "late.txt"]
    scores = index.vectors([f"{name}#0" for name in names], [])

    for within, left in (
        (Within(labels=(("part=7",),)), [*names[7:1500:50], "late.txt"]),
        (Within("1", (("part=7", "part=8"), ("odd=true",))),
         [name for name in names[7:1500:50] if name.startswith("1/")]),
        (Within("2"), [name for name in names if name.startswith("2/")]),
    ):  # fmt: skip
        best = sorted(left, key=lambda name: -float(scores[f"{name}#0"] @ vector))[:20]
        found = index.nearest(vector, 20, within)
        expected = [float(scores[f"{name}#0"] @ vector) for name in best]
        np.testing.assert_allclose(found.scores, expected, atol=1e-5)


def test_an_index_of_an_earlier_version_has_no_labels(index: Index) -> None:
    sync(index, [text("a.txt", "The zebra."), text("b.txt", "The yak.")], ENCODER)
    forget_labels(index)

    old = again(index)
    assert found(old, "zebra")[0] == "a.txt"
    assert found(old, "zebra", within="b.txt") == ["b.txt"]
    assert (old.labels(), having(old, team="legal")) == (set(), set())
    assert old.nearest(ENCODER.encode_query("zebra"), 9, Within(labels=(("a=b",),))).ids == []
    put(old, text("c.txt", "The zebra.", team="legal"), ENCODER)
    put(old, text("b.txt", "The zebra.", team="sales"), ENCODER)
    assert having(old, team=["legal", "sales"]) == {"b.txt", "c.txt"}
    assert set(found(old, "zebra")) == {"a.txt", "b.txt", "c.txt"}


def forget_labels(index: Index) -> None:
    """Makes the index what it was before there were labels."""
    if isinstance(index, LanceIndex):
        index._table.drop_columns(["labels"])
        return
    import psycopg

    with psycopg.connect(os.environ[STORE]) as connection:
        name = index.name  # type: ignore[attr-defined]
        connection.execute(f"ALTER TABLE {name}.documents DROP COLUMN labels")


def test_parents(index: Index) -> None:
    animals = ("zebra", "yak", "walrus", "newt", "ibis", "heron", "otter", "mole")
    many = " ".join(f"The {animal} lives here." for animal in animals)
    cutting = Chunking("parents", size=8, overlap=0)
    sync(index, [text("a.txt", many), text("b#0.txt", "The tram.")], ENCODER, cutting)
    assert len(index) == 9

    hits = best_hits(index, find(index, ENCODER, "heron"), 5, Ranking(0.5, diversity=0.1))

    places = [(hit.passage.document, hit.passage.position) for hit in hits]
    assert len(places) == len(set(places)) == 3
    assert [p.position for p in index.around("a.txt", 0, None)] == [0, 1]
    assert drop(index, "a.txt")
    assert len(index) == 1


def test_what_is_deleted_is_gone_from_the_files(index: Index) -> None:
    name, label, word, other = (secret() for _ in range(4))
    long = " ".join(secret() for _ in range(250))  # in PostgreSQL beside its row
    hidden = [
        text(f"{name}.txt", f"The {word} is what nobody may read.", owner=label),
        text("long.txt", long),
    ]
    sync(index, [*(text(f"{n}.txt", f"Number {n}.") for n in range(20)), *hidden], ENCODER)
    put(index, text("1.txt", f"The {other} replaced."), ENCODER)
    looked_for = [name, label, f"The {word} is", long[:40], long[-40:], f"The {other} repl"]
    assert all(holds(index, each) for each in looked_for)

    for document in hidden:
        assert drop(index, document.name)
    put(index, text("1.txt", "again replaced."), ENCODER)

    assert not [each for each in looked_for if holds(index, each)]
    assert not index.is_erasing


def test_a_copy_lives_its_own_life(index: Index, tmp_path: Path) -> None:
    sync(index, [text("a.txt", "The zebra."), text("b.txt", "The yak.")], ENCODER)

    index.copy_to(tmp_path / "two")
    other = open_index(tmp_path / "two", ENCODER.dimension)
    drop(other, "a.txt")

    assert found(index, "zebra")[0] == "a.txt"
    assert found(other, "zebra") == ["b.txt"]
    discard(tmp_path / "two")


def test_a_text_with_a_zero_and_an_empty_document(index: Index) -> None:
    sync(index, [text("a.txt", "The ze\0bra and the yak.")], ENCODER)
    assert found(index, "yak") == ["a.txt"]
    assert [p.document for p in index.sample(5)] == ["a.txt"]


def test_an_empty_index_finds_nothing(index: Index) -> None:
    assert (found(index, "zebra"), len(index), index.documents()) == ([], 0, {})


def test_readers_and_writers_at_once(index: Index) -> None:
    sync(index, [text("keep.txt", "The zebra stays."), text("x.txt", "The yak.")], ENCODER)
    failures: list[BaseException] = []
    stop = threading.Event()

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def read() -> None:
        mine = again(index)
        while not stop.is_set():
            assert {"keep.txt", "x.txt"} <= set(found(mine, "zebra stays"))
            assert found(mine, "zebra", "keep.txt") == ["keep.txt"]
            candidates = find(mine, ENCODER, "zebra stays")
            hits = best_hits(mine, candidates, 5, Ranking(0.5, diversity=0.1))
            assert hits[0].passage.document == "keep.txt"
            assert mine.around("x.txt", 0, None)
            assert {"keep.txt", "x.txt"} <= set(mine.documents())
            assert len(mine) >= 2

    def write(who: str) -> None:
        mine = again(index)
        for n in range(12):
            put(mine, text("x.txt", f"The yak {n} of {who}."), ENCODER)
            put(mine, text(f"{who}{n % 4}.txt", "The newt."), ENCODER)

    readers = [guarded(read) for _ in range(3)]
    for writer in [guarded(lambda who=who: write(who)) for who in "ab"]:  # type: ignore[misc]
        writer.join()
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert len(index.documents()) == 2 + 8


def test_who_reads_while_files_are_exchanged_reads_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE, "")
    index = new_index(tmp_path / "index", ENCODER.dimension)
    sync(index, [text("a.txt", "The zebra."), text("b.txt", "The yak.")], ENCODER)
    mine = again(index)
    candidates = find(mine, ENCODER, "zebra")
    files = index.folder / f"{lance.TABLE}.lance" / "data"
    asked: list[Callable[[], object]] = [
        lambda: [hit.passage.text for hit in best_hits(mine, candidates, 1)],
        lambda: sorted(mine.documents()),
        lambda: [passage.document for passage in mine.beginnings(9)],
        lambda: [passage.text for passage in mine.around("b.txt", 0, None)],
    ]

    with ThreadPoolExecutor(len(asked)) as pool:
        with index.writing():
            files.rename(index.folder / "away")
            answers = [pool.submit(each) for each in asked]
            wait(answers, 1)
            (index.folder / "away").rename(files)
        given = [each.result(60) for each in answers]

    assert given == [["The zebra."], ["a.txt", "b.txt"], ["a.txt", "b.txt"], ["The yak."]]


WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from mlfolio.parts.retrieval.stores.opening import open_index
    from mlfolio.parts.retrieval.sync import Document, put
    from tests.parts.retrieval_tools import Words

    index = open_index(Path(sys.argv[1]), Words.dimension)
    for n in range(999):
        text = " ".join(f"Sentence {k} of form{n}." for k in range(400))
        put(index, Document.of_text("a.txt", "", text), Words())
        print(n, flush=True)
""")


@pytest.mark.parametrize("later", [0.0, 0.05, 0.3])
def test_a_killed_writer_leaves_old_or_new(index: Index, later: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(index.folder)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "0"
    threading.Event().wait(later)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    left = again(index)

    passages = left.sample(999)
    forms = {word for p in passages for word in p.text.split() if word.startswith("form")}
    assert len(forms) == 1, "of one form, and whole"
    assert len(passages) == len(left)
    assert "Sentence 399 " in " ".join(p.text for p in passages)
    put(left, text("after.txt", "The zebra."), ENCODER)
    assert found(left, "zebra")[0] == "after.txt"
    assert not left.is_erasing


def test_stores_rank_alike(
    vectors_in_postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ten of either side, over made-up texts with rare and common words."""
    rng = np.random.default_rng(0)
    words = [f"{a}{b}" for a in "bdfgklmnprst" for b in
             ("aving", "otted", "ules", "imer", "ación", "ormal", "ests", "ully")]  # fmt: skip
    share = 1 / np.arange(1, len(words) + 1)
    texts = [" ".join(rng.choice(words, rng.integers(5, 60), p=share / share.sum())) + "."
             for _ in range(400)]  # fmt: skip
    documents = [text(f"{n:03}.txt", each) for n, each in enumerate(texts)]
    indexes = []
    for url in ("", vectors_in_postgres):
        monkeypatch.setenv(STORE, url)
        indexes.append(new_index(tmp_path / f"index{len(indexes)}", ENCODER.dimension))
        sync(indexes[-1], documents, ENCODER)
    shared, near = [], []
    for _ in range(40):
        question = " ".join(rng.choice(words, 4))
        one, other = (each.matching(question, 10)[0] for each in indexes)
        shared.append(len(set(one.ids) & set(other.ids)) / max(len(one.ids), 1))
        np.testing.assert_allclose(one.scores, other.scores, rtol=0.02)
        vector = ENCODER.encode_query(question)
        one, other = (each.nearest(vector, 10) for each in indexes)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        near.append(len(set(one.ids) & set(other.ids)) / 10)
    assert np.mean(shared) > 0.95
    assert np.mean(near) > 0.99
    discard(tmp_path / "index1")


class Slow(Words):
    """An encoder that takes as long as it is let."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.began.set()
        assert self.go_on.wait(60)
        return super().encode(texts)


@pytest.fixture
def shared(index: Index, tmp_path: Path) -> DocumentsModel:
    """A model with a tenant, acme, who has a document."""
    model = DocumentsModel(index, Settings(threshold=0), Slow())
    model.of("acme").add(document_in(tmp_path))
    return model


def document_in(folder: Path) -> Path:
    path = folder / "pumps.txt"
    path.write_text("The zebra pump is blue.")
    return path


def test_erasing_a_tenant_waits_for_who_is_adding(shared: DocumentsModel, tmp_path: Path) -> None:
    own = shared.of("acme")
    erasing = threading.Thread(target=DocumentsModel.erase_tenant, args=(tmp_path, "acme"))
    with own.index.writing():
        erasing.start()
        erasing.join(1)
        assert erasing.is_alive()
        own.add(document_in(tmp_path), "second.txt")
    erasing.join(60)

    assert not erasing.is_alive()
    assert shared.of("acme").documents() == []
    assert not [path for path in (tmp_path / "tenants").rglob("*") if path.name != LOCK]


def test_who_adds_to_a_tenant_that_is_erased_meanwhile_is_told(
    shared: DocumentsModel, tmp_path: Path
) -> None:
    own, encoder, path = shared.of("acme"), shared.encoder, document_in(tmp_path)
    assert isinstance(encoder, Slow)
    encoder.began.clear()
    encoder.go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(own.add, path, "second.txt")
        assert encoder.began.wait(60)
        assert DocumentsModel.erase_tenant(tmp_path, "acme")
        encoder.go_on.set()
        with pytest.raises(StoreError, match="erased meanwhile"):
            adding.result(60)

    with pytest.raises(StoreError, match="erased meanwhile"):
        own.documents()
    assert shared.of("acme").add(path) == 1
    assert shared.of("acme").documents() == ["pumps.txt"]
    assert DocumentsModel.erase_tenant(tmp_path, "acme")
