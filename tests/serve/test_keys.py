"""Keys and their tenants: what the file and the environment may hold."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from mlfolio.core.errors import FileError, UserError
from mlfolio.core.model import Input
from mlfolio.serve import keys
from mlfolio.serve.fleet import Asked, _apart
from mlfolio.serve.journal import Entry, Journal
from mlfolio.serve.keys import Caller, holder
from mlfolio.track.log import asked, erase_tenant, feedback
from tests.conftest import Cli
from tests.serve.test_journal import entry

DIGEST = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
SECRET = {b"x-api-key": b"secret"}


def test_a_key_may_belong_to_a_tenant(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    plain, own = keys.make("ann", file), keys.make("bob", file, "ACME")

    assert holder({b"x-api-key": plain.encode()}, keys.read(file)) == Caller("ann", None)
    assert holder({b"x-api-key": own.encode()}, keys.read(file)) == Caller("bob", "ACME")
    assert isinstance(json.loads(file.read_text())["ann"], str), "as it always was"
    assert keys.remove_tenant("acme", file) == 0
    assert keys.remove_tenant("ACME", file) == 1
    assert [one.name for one in keys.read(file).values()] == ["ann"]


def test_the_present_form_is_read(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps({"ann": DIGEST}))
    assert holder(SECRET, keys.read(tmp_path / "keys.json")) == Caller("ann")


@pytest.mark.parametrize(
    "kept",
    [None, 3, [], {}, {"sha256": DIGEST}, *({"sha256": DIGEST, "tenant": t}
     for t in (None, "", " ", "../a", "a b", "a" * 65, "a\n", 3, ["a"]))],
)  # fmt: skip
def test_a_tenant_that_is_none_makes_no_key_of_everybody_s(tmp_path: Path, kept: object) -> None:
    (tmp_path / "keys.json").write_text(json.dumps({"bob": kept}))
    with pytest.raises(FileError, match="holds no keys"):
        keys.read(tmp_path / "keys.json")


@pytest.mark.parametrize(
    "tenant", ["", " ", "..", "../acme", "a/b", "a\\b", "a.b", "a\n", "a" * 65]
)
def test_names_that_are_none(tmp_path: Path, tenant: str) -> None:
    with pytest.raises(UserError, match="cannot name a tenant"):
        keys.make("bob", tmp_path / "keys.json", tenant)
    assert not (tmp_path / "keys.json").exists()


@pytest.mark.parametrize("tenant", ["acme", "Acme", "\uff21\uff23\uff2d\uff25"])
def test_names_that_are_taken_for_another_s(tmp_path: Path, tenant: str) -> None:
    file = tmp_path / "keys.json"
    keys.make("ann", file, "ACME")
    with pytest.raises(UserError, match="hardly another name"):
        keys.make("bob", file, tenant)
    keys.make("bob", file, "ACME")


def test_keys_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys.json"
    for text, caller in [
        (f"a@b.c:{DIGEST}", Caller("a@b.c")), (f"bob:{DIGEST}:ACME", Caller("bob", "ACME"))
    ]:  # fmt: skip
        monkeypatch.setenv("MLFOLIO_API_KEYS", text)
        assert holder(SECRET, keys.all_keys(file)) == caller
    for text in (f"bob:{DIGEST}:", f"bob:{DIGEST}:a/b", f"bob:{DIGEST}:a:b", f"bob:{DIGEST}x:a"):
        monkeypatch.setenv("MLFOLIO_API_KEYS", text)
        with pytest.raises(UserError):
            keys.all_keys(file)


def test_the_command_line(cli: Cli, home: Path) -> None:
    assert cli("key", "add", "ann").code == 0
    made = cli("key", "add", "bob", "--tenant", "ACME")
    assert made.out.startswith("mlf_")
    assert cli("key", "list").out == "ann\nbob\tACME\n"
    assert cli("tenant", "list").out == "ACME\n"
    unknown = cli("tenant", "remove", "ACNE")
    assert unknown.code == 2
    assert "did you mean 'ACME'" in unknown.err
    assert (
        "ACME is erased: 1 keys, documents of no system, 0 predictions"
        in cli("tenant", "remove", "ACME").out
    )
    assert cli("key", "list").out == "ann\n"
    assert cli("tenant", "list").out == ""


class _Question(Input):
    text: str


class _Library:
    """A model with tenants that says who asks it; one of them is broken."""

    def __init__(self, name: str = "all") -> None:
        self.name = name

    def of(self, tenant: str) -> _Library:
        if tenant == "broken":
            raise OSError("the disk")
        return _Library(tenant)

    erase_tenant = tenants_of = of

    def predict(self, inputs: list[_Question]) -> list[str]:
        return [f"{self.name}: {given.text}" for given in inputs]


def test_a_batch_is_answered_each_by_its_own() -> None:
    answer = _apart(_Library(), lambda own, inputs: own.predict(inputs))  # type: ignore[arg-type]
    batch = [Asked(t, _Question(text="same")) for t in ("a", None, "b", "a", None)]

    assert answer(batch) == ["a: same", "all: same", "b: same", "a: same", "all: same"]
    short = _apart(_Library(), lambda own, inputs: own.predict(inputs[1:]))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shorter"):
        short(batch)


@pytest.mark.slow
def test_the_log_of_a_tenant_is_its_own(home: Path) -> None:
    url = f"sqlite:///{home / 'runs' / 'predictions.db'}"
    made: list[Entry] = [entry(n)._replace(tenant=t) for n, t in enumerate([None, "a", "b"])]

    async def main() -> None:
        journal = Journal(url)
        journal.start()
        await journal.add(made)
        for whose in (None, "a", "b", "A"):
            for one in made:
                known = await journal.judge(one.id, "toy", "1", "ann", whose)
                assert known == (whose == one.tenant)
        await journal.close()

    asyncio.run(main())
    assert len(feedback("toy")) == len(asked("toy")) == 1, "nothing is learned from tenants"
    assert erase_tenant("a") == 1
    with sqlite3.connect(home / "runs" / "predictions.db") as database:
        assert database.execute("select tenant from predictions order by tenant").fetchall() == [
            (None,), ("b",)
        ]  # fmt: skip
        assert database.execute("select count(*) from feedback").fetchone() == (2,)


@pytest.mark.parametrize("reads", [True, False])
def test_a_log_of_before_there_were_tenants_goes_on(home: Path, reads: bool) -> None:
    path = home / "runs" / "predictions.db"
    url = f"sqlite:///{path}"
    asyncio.run(_write(url, entry(1)))
    with sqlite3.connect(path) as database:
        database.execute("alter table predictions drop column tenant")
    if reads:
        assert len(asked("toy")) == 1
    asyncio.run(_write(url, entry(2)._replace(tenant="a")))
    assert len(asked("toy")) == 1
    assert erase_tenant("a") == 1


async def _write(url: str, one: Entry) -> None:
    journal = Journal(url)
    journal.start()
    await journal.add([one])
    await journal.close()
