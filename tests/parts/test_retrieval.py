"""The index: what is added is found, what is deleted is gone, and no crash takes anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mlfolio.parts.retrieval import semantic as semantic_module
from mlfolio.parts.retrieval import sync as sync_module
from mlfolio.parts.retrieval.blocks import Block, UnreadableError
from mlfolio.parts.retrieval.chunk import Chunking, ChunkKind
from mlfolio.parts.retrieval.index import Within
from mlfolio.parts.retrieval.metrics import ndcg
from mlfolio.parts.retrieval.ranking import Candidates, Ranking
from mlfolio.parts.retrieval.search import best_hits, cut_question, find
from mlfolio.parts.retrieval.stores import lance as index_module
from mlfolio.parts.retrieval.stores.lance import LanceIndex
from mlfolio.parts.retrieval.sync import Document, drop, list_files, put, sync

from .retrieval_tools import Words

pytestmark = pytest.mark.slow

ENCODER = Words()


def new_index(folder: Path) -> LanceIndex:
    return LanceIndex(folder, ENCODER.dimension)


def text(name: str, content: str) -> Document:
    return Document.of_text(name, "", content)


def found(index: LanceIndex, question: str, within: str | None = None) -> list[str]:
    where = None if within is None else Within(within)
    return find(index, ENCODER, question, within=where).documents(Ranking(0.5))


def bytes_on_disk(folder: Path, secret: bytes) -> int:
    return sum(secret in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_document_is_found_replaced_and_gone(tmp_path: Path) -> None:
    index = new_index(tmp_path)
    sync(index, [text("a.txt", "The zebra sleeps."), text("b.txt", "The yak runs.")], ENCODER)
    assert found(index, "zebra")[0] == "a.txt"

    put(index, text("a.txt", "The walrus sings."), ENCODER)
    hits = best_hits(index, find(index, ENCODER, "zebra sleeps"), 5)
    assert not [hit for hit in hits if "zebra" in hit.passage.text]
    assert found(index, "walrus")[0] == "a.txt"

    assert drop(index, "a.txt")
    assert not drop(index, "a.txt")
    assert found(index, "walrus") == ["b.txt"]
    assert list(new_index(tmp_path).documents()) == ["b.txt"]


def test_questions_of_any_kind(tmp_path: Path) -> None:
    index = new_index(tmp_path)
    assert found(index, "zebra") == []
    sync(index, [text("日本/東京 'x'.txt", '東京の🦓。 It\'s "quoted".')], ENCODER)

    for question in ('say "AND" (OR) + chars: *? ^~', "'; DROP TABLE", "🦓", "the", "東京"):
        assert found(index, question) == ["日本/東京 'x'.txt"]
    assert drop(index, "日本/東京 'x'.txt")


def test_within_one_document_or_folder(tmp_path: Path) -> None:
    index = new_index(tmp_path)
    names = ["a/x.txt", "a/y.txt", "ab/x.txt", "b.txt"]
    sync(index, [text(name, f"The zebra of {name}") for name in names], ENCODER)

    assert sorted(found(index, "zebra", within="a")) == ["a/x.txt", "a/y.txt"]
    assert found(index, "zebra", within="b.txt") == ["b.txt"]
    assert found(index, "zebra", within="nowhere") == []


def test_only_what_changed_is_embedded(tmp_path: Path) -> None:
    class Counting(Words):
        def encode(self, texts):  # type: ignore[no-untyped-def]
            seen.extend(texts)
            return super().encode(texts)

    seen: list[str] = []
    encoder, index = Counting(), new_index(tmp_path)
    documents = [text(f"{n}.txt", f"Number {n}.") for n in range(5)]
    sync(index, documents, encoder)
    seen.clear()

    done = sync(index, [*documents[1:], text("1.txt", "Number one.")], encoder)

    assert seen == ["Number one."]
    assert (done.added, done.replaced, done.removed) == ([], ["1.txt"], ["0.txt"])


def test_an_index_grown_in_steps_is_the_one_made_at_once(tmp_path: Path) -> None:
    documents = [text(f"{n:02}.txt", f"The zebra number {n} meets {n * n}.") for n in range(30)]
    grown, made = new_index(tmp_path / "grown"), new_index(tmp_path / "made")
    sync(grown, documents[20:], ENCODER)
    sync(grown, [text("03.txt", "Something else."), *documents[10:]], ENCODER)
    sync(grown, documents, ENCODER)
    sync(made, documents, ENCODER)

    for question in ("zebra 9", "number 49", "meets"):
        one, other = (find(index, ENCODER, question) for index in (grown, made))
        assert one.ids == other.ids
        np.testing.assert_array_equal(one.bm25, other.bm25)
        np.testing.assert_array_equal(one.cosine, other.cosine)


def test_unreadable_documents_are_in_no_answer(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "good.txt").write_text("The zebra sleeps.")
    (folder / "bad.txt").write_text("The zebra wakes.")
    index = new_index(tmp_path / "index")

    def synced() -> dict[str, str]:
        known, _ = list_files(folder)
        documents = [Document.of_file(path, name) for name, path in known.items()]
        return sync(index, documents, ENCODER).unreadable

    assert not synced()
    (folder / "bad.txt").write_bytes(b"\x00\x01binary")
    assert list(synced()) == ["bad.txt"]
    assert found(index, "zebra") == ["good.txt"]
    vanished = Document.of_file(folder / "good.txt", "gone.txt")
    (folder / "good.txt").unlink()
    with pytest.raises(UnreadableError, match="cannot be read"):
        put(index, vanished, ENCODER)


def test_a_document_without_text_is_told_and_costs_nothing(tmp_path: Path) -> None:
    index, zebra = new_index(tmp_path), text("a.txt", "The zebra sleeps.")
    blank = Document("blank.html", "0", lambda: [Block("code", "   ")])
    sync(index, [zebra], ENCODER)
    version = index.version

    done = sync(index, [zebra, blank], ENCODER)

    assert (done.added, done.unreadable) == ([], {"blank.html": "there is no text in it"})
    with pytest.raises(UnreadableError, match="there is no text in it"):
        put(index, blank, ENCODER)
    assert list(index.documents()) == ["a.txt"]
    assert index.version == version, "nothing was written anew"


def test_files_that_cannot_be_opened_and_odd_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("good.txt", "locked.txt", "caf\udce9.txt")
    for name in names:
        (tmp_path / name).write_text(f"The zebra of {name[:3]}.")
    really_open = Path.open

    def refuse(path: Path, *how: Any, **more: Any) -> Any:
        if path.name == "locked.txt":
            raise PermissionError(13, "Permission denied")
        return really_open(path, *how, **more)

    monkeypatch.setattr(Path, "open", refuse)
    index = new_index(tmp_path / "index")
    known, _ = list_files(tmp_path)
    documents = [Document.of_file(path, name) for name, path in known.items()]

    done = sync(index, documents, ENCODER)

    assert done.unreadable == {"locked.txt": "it cannot be read (Permission denied)"}
    assert sorted(found(index, "zebra")) == [r"caf\udce9.txt", "good.txt"]


def test_an_index_is_opened_and_asked_without_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(new_index(tmp_path), [text("a.txt", "The zebra sleeps.")], ENCODER)

    def forbidden(self: LanceIndex) -> None:
        raise PermissionError(".lock")

    monkeypatch.setattr(LanceIndex, "writing", forbidden)

    assert found(new_index(tmp_path), "zebra") == ["a.txt"]


def test_a_very_long_question_is_cut_for_both_sides(tmp_path: Path) -> None:
    index = new_index(tmp_path)
    sync(index, [text("a.txt", "The zebra sleeps."), text("b.txt", "The yak.")], ENCODER)
    question = "zebra " * 3_000

    long = find(index, ENCODER, question + " yak")

    short = find(index, ENCODER, cut_question(ENCODER, question)[0])
    np.testing.assert_array_equal(long.bm25, short.bm25)
    np.testing.assert_array_equal(long.cosine, short.cosine)


def test_hidden_files_and_links_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("no")
    folder = tmp_path / "docs"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "a.txt").write_text("no")
    (folder / "table.csv").write_text("no")
    (folder / "b.txt").write_text("yes")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")

    known, other = list_files(folder)

    assert (list(known), list(other)) == (["b.txt"], ["table.csv"])


def test_deleted_text_and_vectors_are_gone_from_the_disk(tmp_path: Path) -> None:
    index = new_index(tmp_path)
    documents = [text(f"{n}.txt", f"Plain text number {n}.") for n in range(50)]
    secret = text("secret.txt", "zqxsecret is what nobody may read.")
    sync(index, [*documents, secret], ENCODER)
    vector = ENCODER.encode_query("zqxsecret is what nobody may read.")[:8].tobytes()
    assert bytes_on_disk(tmp_path, vector) > 0

    drop(index, "secret.txt")

    assert bytes_on_disk(tmp_path, b"zqxsecret") == 0
    assert bytes_on_disk(tmp_path, vector) == 0
    assert len(index) == 50

    put(index, text("1.txt", "zqxother replaced."), ENCODER)
    put(index, text("1.txt", "again replaced."), ENCODER)
    assert bytes_on_disk(tmp_path, b"zqxother") == 0


def test_a_copy_lives_its_own_life(tmp_path: Path) -> None:
    index = new_index(tmp_path / "one")
    sync(index, [text("a.txt", "The zebra."), text("b.txt", "The yak.")], ENCODER)

    index.copy_to(tmp_path / "two")
    drop(new_index(tmp_path / "two"), "a.txt")

    assert found(index, "zebra")[0] == "a.txt"
    assert found(new_index(tmp_path / "two"), "zebra") == ["b.txt"]


def test_another_process_sees_a_deletion_at_once(tmp_path: Path) -> None:
    reader, writer = new_index(tmp_path), new_index(tmp_path)
    sync(writer, [text("a.txt", "The zebra."), text("b.txt", "The yak.")], ENCODER)
    assert found(reader, "zebra")[0] == "a.txt"

    drop(writer, "a.txt")

    assert found(reader, "zebra") == ["b.txt"]


def test_rows_that_moved_are_still_the_right_passages(tmp_path: Path) -> None:
    """Between finding and fetching, another process may write the whole table anew."""
    reader, writer = new_index(tmp_path), new_index(tmp_path)
    sync(writer, [text(f"{n}.txt", f"The zebra number {n}.") for n in range(20)], ENCODER)
    candidates = find(reader, ENCODER, "zebra number 7")

    for n in range(6):
        drop(writer, f"{n}.txt")
    hits = best_hits(reader, candidates, 20)

    assert len(hits) == 14
    assert all(hit.passage.text == f"The zebra number {hit.passage.document[:-4]}." for hit in hits)


def test_readers_and_writers_at_once(tmp_path: Path) -> None:
    index = new_index(tmp_path)
    sync(index, [text("keep.txt", "The zebra stays.")], ENCODER)
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        mine = new_index(tmp_path)
        while not stop.is_set():
            try:
                assert "keep.txt" in found(mine, "zebra stays")
            except BaseException as error:
                failures.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for n in range(6):
        put(index, text("x.txt", f"The yak number {n}."), ENCODER)
    drop(index, "x.txt")
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures


WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from mlfolio.parts.retrieval.stores.lance import LanceIndex
    from mlfolio.parts.retrieval.sync import Document, drop, put
    from tests.parts.retrieval_tools import Words

    folder, who, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    encoder = Words()
    index = LanceIndex(folder, encoder.dimension)
    print("ready", flush=True)
    for n in range(count):
        text = " ".join(f"Sentence {k} of {who}{n}." for k in range(120))
        put(index, Document.of_text(f"{who}{n}.txt", "", text), encoder)
        print("put", n, flush=True)
        if n % 3 == 2:
            drop(index, f"{who}{n - 1}.txt")
            print("drop", n - 1, flush=True)
""")

SYNCER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from mlfolio.parts.retrieval import sync as module
    from mlfolio.parts.retrieval.stores.lance import LanceIndex
    from mlfolio.parts.retrieval.sync import Document, list_files, sync
    from tests.parts.retrieval_tools import Words

    def told(items, what, total=None):
        for number, item in enumerate(items):
            yield item
            print(what, number, flush=True)  # after the commit of a batch

    module._BATCH_CHUNKS = 4
    known, _ = list_files(Path(sys.argv[2]))
    encoder = Words()
    documents = [Document.of_file(path, name) for name, path in known.items()]
    sync(LanceIndex(Path(sys.argv[1]), encoder.dimension), documents, encoder, progress=told)
""")


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    root = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip


def kill_after(process: subprocess.Popen[str], last: str) -> list[str]:
    """Kills a process once it has said `last`; everything it has said."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or lines[-1] != last:
        lines.append(process.stdout.readline().strip())
        assert lines[-1], "it ended too early"
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    return lines


def acknowledged(lines: list[str]) -> tuple[set[int], set[int]]:
    """Documents that were said to be there, and those said to be gone."""
    words = [line.split() for line in lines if " " in line]
    put_, gone = ({int(n) for word, n in words if word == w} for w in ("put", "drop"))
    return put_ - gone, gone


@pytest.mark.parametrize("last", ["put 1", "put 2", "drop 4"])
def test_kill_9_loses_nothing_acknowledged(tmp_path: Path, last: str) -> None:
    there, gone = acknowledged(kill_after(start(WRITER, tmp_path, "w", 60), last))

    index = new_index(tmp_path)

    known = index.documents()
    # The deletion that follows every third document may have been done and not yet said.
    unsaid = {max(there) - 1} if max(there) % 3 == 2 else set()
    assert {f"w{n}.txt" for n in there - unsaid} <= set(known)
    assert not {f"w{n}.txt" for n in gone} & set(known)
    rows = index._table.search().select(["document"]).to_arrow()["document"].to_pylist()
    assert len({rows.count(name) for name in known}) == 1, "every document is whole"
    for n in there - unsaid:
        assert f"w{n}.txt" in found(index, f"w{n}")
    put(index, text("after.txt", "The zebra."), ENCODER)
    assert found(index, "zebra")[0] == "after.txt"


def test_kill_9_while_syncing(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for n in range(60):
        (folder / f"{n:02}.txt").write_text(f"The zebra number {n}.")
    kill_after(start(SYNCER, tmp_path / "index", folder), "embedding 3")

    index = new_index(tmp_path / "index")
    kept = set(index.documents())
    assert len(kept) >= 16, "four batches of four were committed"
    (folder / "00.txt").unlink()
    (folder / "01.txt").write_text("The yak.")
    known, _ = list_files(folder)
    done = sync(index, [Document.of_file(p, n) for n, p in known.items()], ENCODER)

    assert len(done.added) == 60 - len(kept), "what was committed is not embedded again"
    assert (done.replaced, done.removed) == (["01.txt"], ["00.txt"])
    assert set(index.documents()) == set(known)
    assert "00.txt" not in found(index, "zebra number 0")
    assert found(index, "yak")[0] == "01.txt"


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    new_index(tmp_path)
    processes = [start(WRITER, tmp_path, who, 6) for who in "ab"]
    outputs = [process.communicate()[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0]
    expected = {f"{who}{n}.txt" for who, out in zip("ab", outputs, strict=True)
                for n in acknowledged(out.splitlines())[0]}  # fmt: skip
    assert set(new_index(tmp_path).documents()) == expected


def test_a_crash_in_the_middle_of_rewriting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = new_index(tmp_path)
    sync(index, [text("a.txt", "The zebra."), text("b.txt", "The yak.")], ENCODER)

    def crash(self: LanceIndex) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LanceIndex, "_need_full_text", crash)
        with pytest.raises(KeyboardInterrupt):
            drop(index, "a.txt")

    assert found(index, "zebra") == ["b.txt"], "a process that was already reading"
    assert found(new_index(tmp_path), "yak") == ["b.txt"]


DYING = textwrap.dedent("""
    import os
    import sys
    from pathlib import Path
    from mlfolio.parts.retrieval.stores.lance import LanceIndex
    from mlfolio.parts.retrieval.sync import Document, drop, put
    from tests.parts.retrieval_tools import Words

    folder, what = Path(sys.argv[1]), sys.argv[2]
    index = LanceIndex(folder, Words.dimension)
    put(index, Document.of_text("a.txt", "", "The zqxsecret."), Words())
    put(index, Document.of_text("b.txt", "", "The yak."), Words())
    LanceIndex.rewrite = lambda self: os.kill(os.getpid(), 9)
    if what == "drop":
        drop(index, "a.txt")
    else:
        put(index, Document.of_text("a.txt", "", "The walrus."), Words())
""")


@pytest.mark.parametrize("what", ["drop", "put"])
def test_kill_9_between_removing_and_erasing(tmp_path: Path, what: str) -> None:
    process = start(DYING, tmp_path, what)
    process.communicate()
    assert process.returncode == -9
    assert bytes_on_disk(tmp_path, b"zqxsecret"), "it was killed too late"

    assert set(new_index(tmp_path).documents()) == {"b.txt"} | (
        {"a.txt"} if what == "put" else set()
    )

    assert not bytes_on_disk(tmp_path, b"zqxsecret")
    assert not new_index(tmp_path).is_erasing


@pytest.mark.parametrize("next_", ["drop", "put"])
def test_who_serves_on_erases_what_a_killed_process_left(tmp_path: Path, next_: str) -> None:
    survivor = new_index(tmp_path)
    start(DYING, tmp_path, "drop").communicate()
    assert bytes_on_disk(tmp_path, b"zqxsecret")

    if next_ == "drop":
        assert not drop(survivor, "a.txt"), "asked again, it is gone already"
    else:
        put(survivor, text("new.txt", "The newt."), ENCODER)

    assert not bytes_on_disk(tmp_path, b"zqxsecret")
    assert "b.txt" in survivor.documents()


def test_an_index_that_cannot_be_written_is_opened_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start(DYING, tmp_path, "drop").communicate()

    def forbidden(self: LanceIndex) -> None:
        raise PermissionError(".lock")

    monkeypatch.setattr(LanceIndex, "writing", forbidden)

    assert list(new_index(tmp_path).documents()) == ["b.txt"]
    assert "deleted text is still in the files" in caplog.text


def test_a_document_of_too_many_passages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_module, "MAX_CHUNKS", 10)
    path = tmp_path / "a.md"
    path.write_text("# Pump\n\nIt is blue.\n\n" * 11)

    with pytest.raises(UnreadableError, match="over 10 passages"):
        put(new_index(tmp_path / "index"), Document.of_file(path, "a.md"), ENCODER)


def _animals(count: int) -> list[Document]:
    return [text(f"{n}.txt", f"The animal {n} eats plant {n % 37}.") for n in range(count)]


def test_vectors_are_compared_exactly(tmp_path: Path) -> None:
    index = new_index(tmp_path)
    sync(index, _animals(1200), ENCODER)
    put(index, text("late.txt", "The animal 5000 eats plant 5."), ENCODER)
    assert "vector" in {c for i in index._table.list_indices() for c in i.columns}
    every = index._table.to_arrow()
    vectors = np.stack(every["vector"].to_numpy(zero_copy_only=False))

    for n in (3, 700, 5000):
        vector = ENCODER.encode_query(f"The animal {n} eats plant 5.")
        found = index.nearest(vector, 10)
        exact = np.sort(vectors @ vector)[::-1][:10]
        np.testing.assert_allclose(found.scores, exact, atol=1e-5)
    assert index.nearest(vector, 1).ids == ["late.txt#0"], "not in the index of vectors yet"


def test_many_rows_are_searched_by_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_EXACT_ROWS", 1000)
    index = new_index(tmp_path)
    sync(index, _animals(1500), ENCODER)

    for n in (3, 700, 1499):
        vector = ENCODER.encode_query(f"The animal {n} eats plant {n % 37}.")
        assert f"{n}.txt#0" in index.nearest(vector, 10).ids


# ---------------------------------------------------------------- other ways to cut

PARENTS = Chunking("parents", size=8, overlap=0)  # four words to a child, six children at most
ANIMALS = ("zebra", "yak", "walrus", "newt", "ibis", "heron", "otter", "mole")


def zoo(name: str, *, page: int | None = None) -> Document:
    """A sentence an animal: with `PARENTS` two parents, of six and of two children."""
    blocks = [Block("text", f"The {animal} lives here.", page=page) for animal in ANIMALS]
    return Document(name, f"zoo {page}", lambda: blocks)


def rows(index: LanceIndex) -> list[dict[str, Any]]:
    taken: list[dict[str, Any]] = index._table.to_arrow().to_pylist()
    return taken


@pytest.mark.parametrize("kind", ["sentences", "fixed", "headings", "semantic", "parents"])
def test_what_is_cut_in_any_way_is_found(tmp_path: Path, kind: ChunkKind) -> None:
    index, chunking = new_index(tmp_path), Chunking(kind, size=16, overlap=4)
    sync(index, [zoo("a.txt"), text("b.txt", "The tram is free.")], ENCODER, chunking)
    put(index, text("c.txt", "The ferry costs two pounds."), ENCODER, chunking)

    for question, name in (("otter", "a.txt"), ("tram", "b.txt"), ("ferry pounds", "c.txt")):
        candidates = find(index, ENCODER, question)
        hits = best_hits(index, candidates, 20)
        assert candidates.documents(Ranking(0.5))[0] == hits[0].passage.document == name
        places = [(hit.passage.document, hit.passage.position) for hit in hits]
        assert len(places) == len(set(places))
        assert question.split()[0] in hits[0].passage.text


@pytest.mark.parametrize("name", ["a.txt", "b#1.2.txt"])
def test_a_parent_is_found_once_by_its_best_child(tmp_path: Path, name: str) -> None:
    index = new_index(tmp_path)
    sync(index, [zoo(name)], ENCODER, PARENTS)
    assert len(index) == 8

    candidates = find(index, ENCODER, "where lives the heron")
    hits = best_hits(index, candidates, 5)

    assert [hit.passage.position for hit in hits] == [0, 1]
    assert hits[0].passage.text.count("lives here") == 6
    best = candidates.ids.index(f"{name}#0.5")
    assert hits[0].bm25 == candidates.bm25[best] == candidates.bm25.max()
    assert hits[0].cosine == pytest.approx(candidates.cosine[best])
    assert candidates.documents(Ranking(0.5)) == [name]
    (only,) = best_hits(index, find(index, ENCODER, "where lives the mole"), 1)
    assert (only.passage.document, only.passage.position) == (name, 1)


def test_as_many_parents_as_were_asked_for(tmp_path: Path) -> None:
    """All six children of one are nearer than any of another's."""
    index = new_index(tmp_path)
    near = Document.of_text("near.txt", "", "The zebra lives here. " * 6)
    far = [text(f"{n}.txt", f"Number {n} tells of a zebra among other things.") for n in range(3)]
    sync(index, [near, *far], ENCODER, PARENTS)

    hits = best_hits(index, find(index, ENCODER, "The zebra lives here."), 3)

    assert len({hit.passage.document for hit in hits}) == 3
    assert hits[0].passage.document == "near.txt"


@pytest.mark.parametrize("page", [None, 4])
def test_around_and_beginnings_show_a_parent_once(tmp_path: Path, page: int | None) -> None:
    index = new_index(tmp_path)
    sync(index, [zoo("a.txt", page=page), zoo("b#0.txt"), zoo("c#0")], ENCODER, PARENTS)

    around = index.around("a.txt", 0, page)

    assert [passage.position for passage in around] == [0, 1]
    assert " ".join(p.text for p in around).count("lives") == 8
    first = index.beginnings(3)
    assert [(p.document, p.position) for p in first] == [("a.txt", 0), ("b#0.txt", 0), ("c#0", 0)]


def test_parents_are_replaced_and_erased_with_all_their_children(tmp_path: Path) -> None:
    index = new_index(tmp_path)
    sync(index, [zoo("a.txt"), zoo("b.txt")], ENCODER, PARENTS)

    put(index, text("a.txt", "The zqxotter sings. The zqxmole sings."), ENCODER, PARENTS)
    assert len(index) == 2 + 8
    assert [hit.passage.document for hit in best_hits(index, find(index, ENCODER, "heron"), 1)] == [
        "b.txt"
    ]

    assert drop(index, "a.txt")
    assert (len(index), bytes_on_disk(tmp_path, b"zqx")) == (8, 0)


def test_an_index_of_parents_grown_in_steps_is_the_one_made_at_once(tmp_path: Path) -> None:
    documents = [zoo(f"{n}.txt") for n in range(4)]
    grown, made = new_index(tmp_path / "grown"), new_index(tmp_path / "made")
    sync(grown, documents[2:], ENCODER, PARENTS)
    put(grown, text("0.txt", "Something else."), ENCODER, PARENTS)
    sync(grown, documents, ENCODER, PARENTS)
    sync(made, documents, ENCODER, PARENTS)

    assert rows(grown) == rows(made)


def test_an_index_made_by_sentences_takes_parents_too(tmp_path: Path) -> None:
    """The rows of both have the same columns: an index of before goes on being used."""
    index = new_index(tmp_path)
    sync(index, [zoo("old.txt")], ENCODER, Chunking("sentences", 8, 0))
    assert [row["id"] for row in rows(index)] == [f"old.txt#{n}" for n in range(4)]

    put(index, zoo("new.txt"), ENCODER, PARENTS)

    hits = best_hits(new_index(tmp_path), find(index, ENCODER, "heron"), 20)
    assert len(hits) == 4 + 2
    assert {hit.passage.text.count("lives") for hit in hits} == {2, 6}
    assert len(index.around("old.txt", 1, None)) == 4


def test_many_children_are_too_many_passages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_module, "MAX_CHUNKS", 7)

    put(new_index(tmp_path), zoo("a.txt"), ENCODER)
    with pytest.raises(UnreadableError, match="over 7 passages"):
        put(new_index(tmp_path), zoo("a.txt"), ENCODER, PARENTS)


def test_what_cannot_be_cut_is_told_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(semantic_module, "MAX_SENTENCES", 7)
    index = new_index(tmp_path)

    done = sync(index, [zoo("a.txt"), text("b.txt", "One. Two.")], ENCODER, Chunking("semantic"))

    assert done.unreadable == {"a.txt": "it holds over 7 sentences"}
    assert list(index.documents()) == ["b.txt"]


NAMES = st.sampled_from(["a.txt", "b.txt", "c/d.txt"])
CONTENTS = st.sampled_from(["zebra", "yak", "walrus", "newt", "ibis"])


class Folder(RuleBasedStateMachine):
    """A folder of files and its index, under every order of changes and crashes."""

    @initialize()
    def start(self) -> None:
        import tempfile

        self.place = tempfile.TemporaryDirectory()
        self.files: dict[str, str] = {}
        self.index = new_index(Path(self.place.name))

    def _documents(self) -> list[Document]:
        return [text(name, f"Here lives the {word}.") for name, word in self.files.items()]

    @rule(name=NAMES, word=CONTENTS)
    def write(self, name: str, word: str) -> None:
        self.files[name] = word
        put(self.index, text(name, f"Here lives the {word}."), ENCODER)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        assert drop(self.index, name) == (self.files.pop(name, None) is not None)

    @rule(name=NAMES, other=NAMES)
    def rename(self, name: str, other: str) -> None:
        if name in self.files:
            self.files[other] = self.files.pop(name)
            sync(self.index, self._documents(), ENCODER)

    @rule(changes=st.dictionaries(NAMES, st.none() | CONTENTS, max_size=3))
    def change_many(self, changes: dict[str, str | None]) -> None:
        for name, word in changes.items():
            if word is None:
                self.files.pop(name, None)
            else:
                self.files[name] = word
        sync(self.index, self._documents(), ENCODER)

    @rule(name=NAMES, word=CONTENTS)
    def crash_while_adding(self, name: str, word: str) -> None:
        """The encoder dies before anything was written: the old state stays."""

        class Dying(Words):
            def encode(self, texts):  # type: ignore[no-untyped-def]
                raise MemoryError

        with pytest.raises(MemoryError):
            put(self.index, text(name, f"Here lives the {word}."), Dying())

    @rule()
    def start_again(self) -> None:
        self.index = new_index(Path(self.place.name))

    @invariant()
    def answers_say_what_the_files_say(self) -> None:
        if not hasattr(self, "index"):
            return
        assert set(self.index.documents()) == set(self.files)
        for word in ("zebra", "newt"):
            hits = best_hits(self.index, find(self.index, ENCODER, word), 10)
            assert {h.passage.document: h.passage.text for h in hits} == {
                name: f"Here lives the {content}." for name, content in self.files.items()
            }
            telling = {name for name, content in self.files.items() if content == word}
            assert {h.passage.document for h in hits[: len(telling)]} == telling

    def teardown(self) -> None:
        if hasattr(self, "place"):
            self.place.cleanup()


TestFolder = Folder.TestCase
TestFolder.settings = settings(
    max_examples=8, stateful_step_count=8, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


def test_fusion_between_its_two_ends() -> None:
    found = Candidates(
        ids=["a#0", "b#0", "c#0"], rows=[0, 1, 2], vector=np.zeros(2, np.float32),
        bm25=np.array([4.0, 0.0, 2.0], np.float32), cosine=np.array([0.1, 0.9, 0.5], np.float32),
    )  # fmt: skip

    assert found.documents(Ranking(0.0)) == ["a", "c"], "BM25 alone finds what has the words"
    assert found.documents(Ranking(1.0)) == ["b", "c", "a"]
    assert found.fused(Ranking(0.5)).tolist() == pytest.approx(
        [0.5 + 0.5 * 1.1 / 1.9, 0.5, 0.25 + 0.5 * 1.5 / 1.9]
    )


@pytest.mark.parametrize(
    ("ranking", "relevant", "value"),
    [
        (["a", "b"], {"a": 1.0}, 1.0),
        (["b", "a"], {"a": 1.0}, 1 / np.log2(3)),
        ([], {"a": 1.0}, 0.0),
        (["b"], {"a": 1.0}, 0.0),
        (["x"] * 0 + [str(n) for n in range(10)] + ["a"], {"a": 1.0}, 0.0),
        (["a"], {"a": 1.0, "c": 1.0}, 1 / (1 + 1 / np.log2(3))),
    ],
)
def test_ndcg(ranking: list[str], relevant: dict[str, float], value: float) -> None:
    assert ndcg(ranking, relevant) == pytest.approx(value)


def test_ndcg_is_what_trec_eval_says() -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    rng = np.random.default_rng(0)
    for _ in range(30):
        names = [str(n) for n in range(30)]
        relevant = {n: float(rng.integers(1, 3)) for n in rng.choice(names, 4, replace=False)}
        ranking = rng.choice(names, int(rng.integers(1, 20)), replace=False).tolist()
        judge = pytrec_eval.RelevanceEvaluator(
            {"q": {n: int(g) for n, g in relevant.items()}}, {"ndcg_cut.10"}
        )
        run = {"q": {n: float(100 - place) for place, n in enumerate(ranking)}}
        expected = judge.evaluate(run)["q"]["ndcg_cut_10"]
        assert ndcg(ranking, relevant) == pytest.approx(expected)
