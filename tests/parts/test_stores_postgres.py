"""What only an index in PostgreSQL can get wrong: rights, locks, schemas, addresses."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlfolio.core.errors import UserError
from mlfolio.core.run import Run
from mlfolio.core.source import Source
from mlfolio.parts.retrieval.stores import postgres
from mlfolio.parts.retrieval.stores.opening import discard, new_index, open_index
from mlfolio.parts.retrieval.stores.place import STORE, StoreError
from mlfolio.parts.retrieval.stores.postgres import PostgresIndex
from mlfolio.parts.retrieval.stores.schema import TABLES, former
from mlfolio.parts.retrieval.sync import drop, put, sync
from mlfolio.systems.documents.answers import DocumentQuestion
from mlfolio.systems.documents.model import DocumentsModel
from mlfolio.systems.documents.settings import Settings
from mlfolio.systems.documents.system import Documents

from .store_tools import ENCODER, again, found, holds, schemas, secret, text

if TYPE_CHECKING:
    from psycopg import Connection

pytestmark = pytest.mark.slow


@pytest.fixture
def url(vectors_in_postgres: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the server, which `MLFOLIO_STORE` names."""
    monkeypatch.setenv(STORE, vectors_in_postgres)
    return vectors_in_postgres


@pytest.fixture
def index(url: str, tmp_path: Path) -> Iterator[PostgresIndex]:
    made = new_index(tmp_path / "index", ENCODER.dimension)
    assert isinstance(made, PostgresIndex)
    yield made
    discard(tmp_path / "index")


@contextmanager
def backup(url: str, indexes: list[PostgresIndex]) -> Iterator[Connection[Any]]:
    """Holds what pg_dump does for as long as it runs."""
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT 1")  # from here on it sees what there is now
        for name in (f"{each.name}.{table}" for each in indexes for table in TABLES):
            connection.execute(f"LOCK TABLE {name} IN ACCESS SHARE MODE")
        yield connection


def test_a_backup_holds_nobody_up(url: str, tmp_path: Path) -> None:
    indexes = []
    for n in range(9):  # of one process, which has eight connections to read by
        indexes.append(PostgresIndex.new(tmp_path / f"{n}", ENCODER.dimension, url))
        put(indexes[-1], text("a.txt", f"The {(word := secret())}."), ENCODER)
    *written, read = indexes
    with ThreadPoolExecutor(9) as pool, backup(url, indexes) as dump:
        writing = [pool.submit(put, each, text("a.txt", "The yak."), ENCODER) for each in written]
        time.sleep(1)
        assert pool.submit(read.documents).result(5) == read.documents()
        for each in writing:
            assert each.result(20) == 1
        assert pool.submit(put, written[0], text("b.txt", "The yak."), ENCODER).result(20) == 1
        assert pool.submit(drop, read, "a.txt").result(20)
        assert all(found(each, "yak")[0] == "a.txt" for each in written)
        assert all(each.is_erasing for each in indexes)
        assert holds(read, word), "a backup may still want it"
        for each in indexes:
            assert dump.execute(f"SELECT count(*) FROM {each.name}.chunks").fetchone() == (1,)
        with pytest.raises(StoreError, match="has been reading"):
            pool.submit(postgres.discard, url, written[1].name).result(20)

    put(written[0], text("c.txt", "The newt."), ENCODER)  # who writes next erases
    again(read)  # and who opens next
    assert not written[0].is_erasing
    assert not read.is_erasing
    assert not holds(read, word)
    assert not {former(each.name) for each in (written[0], read)} & schemas(url)
    for each in indexes:
        discard(each.folder)
    assert not {name for each in indexes for name in (each.name, former(each.name))} & schemas(url)


def test_who_may_only_read_may_still_read_after_a_deletion(
    index: PostgresIndex, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    sync(index, [text("a.txt", "The zebra."), text("b.txt", "The yak.")], ENCODER)
    reader, group = f"reader_{secret()}", f'{secret()} "group"'
    quoted = group.replace('"', '""')
    with psycopg.connect(url, autocommit=True) as connection:
        for each in (
            f"CREATE ROLE {reader} LOGIN", f'CREATE ROLE "{quoted}"',
            f"GRANT USAGE ON SCHEMA {index.name} TO {reader}",
            f'GRANT SELECT ON ALL TABLES IN SCHEMA {index.name} TO "{quoted}" WITH GRANT OPTION',
            f'GRANT "{quoted}" TO {reader}',
            f"GRANT SELECT ON {index.name}.state TO PUBLIC",
        ):  # fmt: skip
            connection.execute(each)
        before = rights(connection, index.name)
    monkeypatch.setenv(STORE, url.replace("tester@", f"{reader}@"))
    reading = again(index)
    assert found(reading, "zebra")[0] == "a.txt"

    drop(index, "b.txt")

    assert found(reading, "zebra") == ["a.txt"]
    assert found(again(index), "zebra") == ["a.txt"]
    with pytest.raises(StoreError, match="permission denied"):
        put(reading, text("c.txt", "The newt."), ENCODER)
    with psycopg.connect(url) as connection:
        assert rights(connection, index.name) == before
    monkeypatch.setenv(STORE, url)


def rights(connection: Any, schema: str) -> set[tuple[Any, ...]]:
    """Of whom, on what, may what, and whether that may be given on."""
    rows = connection.execute(
        "SELECT nspname, given.* FROM pg_namespace, aclexplode(nspacl) AS given "
        "WHERE nspname = %(schema)s UNION ALL "
        "SELECT relname, given.* FROM pg_class, aclexplode(relacl) AS given "
        "WHERE relnamespace = %(schema)s::regnamespace", {"schema": schema},
    )  # fmt: skip
    return set(rows.fetchall())


def test_a_database_without_vectors_is_told_at_once(
    index: PostgresIndex, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    other = f"other_{secret()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {other}")
    monkeypatch.setenv(STORE, f"{url.rpartition('/')[0]}/{other}")
    began = time.monotonic()

    with pytest.raises(
        StoreError, match=f"no index in PostgreSQL at .*/{other}: .*no pgvector"
    ) as told:
        again(index)

    assert time.monotonic() - began < 10
    assert STORE in str(told.value.fix)
    assert "://" not in str(told.value)
    monkeypatch.setenv(STORE, url)


@contextmanager
def full_disk() -> Iterator[None]:
    """Nothing can be written by this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_schema_that_nobody_remembers(
    index: PostgresIndex, url: str, tmp_path: Path
) -> None:
    put(index, text("a.txt", "The zebra."), ENCODER)
    before = schemas(url)

    for make in (index.copy_to, lambda folder: new_index(folder, ENCODER.dimension)):
        with full_disk(), pytest.raises(OSError, match="File too large"):
            make(tmp_path / "two")
        assert schemas(url) == before
        assert not (tmp_path / "two").exists(), "it would be taken for an index in files"

    index.copy_to(tmp_path / "two")
    assert found(open_index(tmp_path / "two", ENCODER.dimension), "zebra") == ["a.txt"]
    discard(tmp_path / "two")


def test_what_a_kill_leaves_of_an_exchanged_schema_is_erased(
    vectors_in_postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE, vectors_in_postgres)
    index = new_index(tmp_path / "index", ENCODER.dimension)
    put(index, text("a.txt", "The zebra."), ENCODER)
    assert isinstance(index, postgres.PostgresIndex)
    old = f"{index.name}_old"
    dropped = postgres.drop

    calls: list[str] = []

    def killed(connection: Any, name: str) -> None:
        calls.append(name)
        if calls.count(old) == 2:
            raise StoreError("killed", "between exchange and drop")
        dropped(connection, name)

    monkeypatch.setattr(postgres, "drop", killed)
    with pytest.raises(StoreError):
        put(index, text("a.txt", "The yak."), ENCODER)
    monkeypatch.setattr(postgres, "drop", dropped)
    assert old in schemas(vectors_in_postgres), "the deleted text is still there"
    assert found(index, "yak") == ["a.txt"]

    left = again(index)

    assert old not in schemas(vectors_in_postgres)
    assert not left.is_erasing
    assert found(left, "yak") == ["a.txt"]


def test_a_password_is_in_no_message_and_no_file(
    vectors_in_postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = vectors_in_postgres.replace("tester@", "tester:hunter2@")
    monkeypatch.setenv(STORE, url)
    index = new_index(tmp_path / "index", ENCODER.dimension)
    assert not holds_plain(tmp_path, b"hunter2")
    for wrong in ("postgresql://a:hunter2@127.0.0.1:1/x", "postgresql://a:hun%ter2@:x/y",
                  "hunter2", "mongodb://a:hunter2@b/c"):  # fmt: skip
        monkeypatch.setenv(STORE, wrong)
        with pytest.raises((StoreError, UserError)) as caught:
            again(index)
        assert "ter2" not in str(caught.value)
        assert caught.value.fix
    monkeypatch.setenv(STORE, "")
    with pytest.raises(StoreError, match="does not say where"):
        again(index)
    monkeypatch.setenv(STORE, url)
    discard(index.folder)
    with pytest.raises(StoreError, match="there is no index"):
        again(index)


def holds_plain(folder: Path, secret: bytes) -> bool:
    return any(secret in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_documents_in_postgresql(
    vectors_in_postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the system's own doors: fitted, stored, opened, changed, and fitted again."""
    monkeypatch.setenv(STORE, vectors_in_postgres)
    monkeypatch.delenv("MLFOLIO_LLM", raising=False)
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "pumps.txt").write_text("The blue pump starts at nine bars.")
    (folder / "trams.txt").write_text("The tram is free on Sundays.")
    system = Documents()
    data = system.load(Source.own(folder))
    model = system.fit(data, Run("documents", tmp_path))
    (stored := tmp_path / "one").mkdir()
    model.save(stored)
    fitted = model.index.name  # type: ignore[attr-defined]
    del model
    gc.collect()
    assert fitted not in schemas(vectors_in_postgres), "what a fit worked with is dropped"

    served = DocumentsModel.load(stored)
    (ask,) = served.predict([DocumentQuestion(question="At how many bars starts the blue pump?")])
    assert "nine bars" in ask.answer
    assert served.delete("trams.txt")

    attempt = Run("documents", tmp_path)
    attempt.previous = stored
    again_ = system.fit(data, attempt)
    assert set(again_.index.documents()) == {"pumps.txt", "trams.txt"}
    assert served.documents() == ["pumps.txt"]


def test_tenants_in_postgresql(
    vectors_in_postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE, vectors_in_postgres)
    folder = tmp_path / "runs" / "documents" / "one" / "model"
    model = DocumentsModel(
        new_index(folder / "index", ENCODER.dimension), Settings(threshold=0), ENCODER
    )
    path = tmp_path / "pumps.txt"
    path.write_text("The zebra pump of Acme is blue.")
    before = schemas(vectors_in_postgres)

    model.of("acme").add(path)

    assert len(schemas(vectors_in_postgres) - before) == 1, "its own place in the server"
    assert (model.of("acme").documents(), model.documents()) == (["pumps.txt"], [])
    other = DocumentsModel(model.index, Settings(threshold=0), ENCODER)  # of another process
    (answer,) = other.of("acme").predict([DocumentQuestion(question="Which pump is blue?")])
    assert "zebra" in answer.answer
    assert other.of("bolt").documents() == []
    assert DocumentsModel.erase_tenant(tmp_path / "runs", "acme")
    assert schemas(vectors_in_postgres) == before
    assert other.of("acme").documents() == []
