"""A version beside the champion, in a running server: who answers, who sees it, and how it ends."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_iris

import mlfolio
from mlfolio.core.errors import UserError
from mlfolio.core.inputs import parse_inputs
from mlfolio.serve.batcher import QueueFullError
from mlfolio.serve.fleet import Served
from mlfolio.serve.keys import Caller
from mlfolio.serve.service import Service
from mlfolio.serve.settings import Settings
from mlfolio.track import log, registry, releases
from tests.serve.conftest import Server, serving

pytestmark = pytest.mark.slow
FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


@pytest.fixture(scope="module")
def challenged(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:
    """Runs in which iris has a champion, 1, and candidates: 3 wants other columns, 4 is wrong."""
    leave = shutil.ignore_patterns("predictions.db*", "keys.json")
    runs = Path(shutil.copytree(trained, tmp_path_factory.mktemp("c") / "runs", ignore=leave))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(runs))
        made = mlfolio.run("iris", data="sample", repeats=1, folds=2, candidate=True)
        assert (made.version, made.champion) == (2, False)
        table = load_iris(as_frame=True).frame
        table.columns = [*FLOWER, "species"]
        table = table.rename(columns={"petal_width": "girth"})
        table.to_csv(runs / "flowers.csv", index=False)
        mlfolio.run("iris", data=runs / "flowers.csv", repeats=1, folds=2, candidate=True)
        wrong = table.rename(columns={"girth": "petal_width"})
        wrong["species"] = [
            ("virginica", "setosa", "versicolor")[kind] for kind in wrong["species"]
        ]
        wrong.to_csv(runs / "wrong.csv", index=False)
        mlfolio.run("iris", data=runs / "wrong.csv", repeats=1, folds=2, candidate=True)
    return runs


@pytest.fixture
def runs(challenged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may change."""
    copied = Path(shutil.copytree(challenged, tmp_path / "runs"))
    monkeypatch.setenv("MLFOLIO_RUNS", str(copied))
    return copied


def until(met: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end
        time.sleep(0.2)


def tried(server: Server) -> Any:
    return server.client.get("/v1/systems/iris").json()["tried"]


def ask(server: Server, times: int) -> list[dict[str, Any]]:
    replies = [server.predict("iris", FLOWER) for _ in range(times)]
    assert {reply.status_code for reply in replies} == {200}
    return [reply.json() for reply in replies]


def rows(runs: Path, query: str) -> list[Any]:
    with sqlite3.connect(runs / "predictions.db") as database:
        return database.execute(query).fetchall()


def test_a_canary_answers_its_share(runs: Path) -> None:
    releases.stage("iris", 2, share=0.3)
    with serving(runs, "iris") as server:
        assert tried(server)["share"] == 0.3
        versions = Counter(answer["version"] for answer in ask(server, 200))
        metrics = server.client.get("/metrics").text
        server.stop()

    assert versions.keys() == {1, 2}
    assert 30 <= versions[2] <= 95, "0.3 of 200, by chance"
    for version, role in ((1, "champion"), (2, "canary")):
        name = f'mlfolio_canary_answers_total{{role="{role}",system="iris",version="{version}"}}'
        assert f"{name} {versions[version]}.0" in metrics
    logged = dict(rows(runs, "select version, count(*) from predictions group by version"))
    assert logged == versions
    asked = rows(runs, "select version, sum(asked), sum(failed) from tallies group by version")
    assert sorted(asked) == [(1, versions[1], 0), (2, versions[2], 0)]


def test_a_shadow_is_seen_by_nobody(runs: Path) -> None:
    releases.stage("iris", 2, shadow=True)
    with serving(runs, "iris") as server:
        answers = ask(server, 40)
        assert {answer["version"] for answer in answers} == {1}
        until(lambda: rows(runs, "select id from predictions where version = 2"))
        shadow, given = rows(runs, "select id, shadow_of from predictions where version = 2")[0]
        for number, known in ((shadow, 404), (given, 200)):
            told = {"id": number, "answer": "setosa"}
            reply = server.client.post("/v1/systems/iris/feedback", json=told)
            assert reply.status_code == known, "nobody can speak of what nobody got"
        server.stop()

    given_ids = {answer["predictions"][0]["id"] for answer in answers}
    shadows = rows(runs, "select shadow_of, output from predictions where shadow_of is not null")
    assert len(shadows) > 10, "what finds it busy is left out"
    assert {row[0] for row in shadows} <= given_ids
    assert len(log.asked("iris")) == 40, "no reader takes a shadow's answers for such"
    assert len(log.told("iris", 0, 999)) == 40
    assert [judged.version for judged in log.feedback("iris")] == [1]
    opinions = log.opinions("iris", 0)
    assert {(one.version, one.is_shadow) for one in opinions} == {(1, False), (2, True)}


def test_nobody_sees_a_canary_fail_and_it_goes(runs: Path) -> None:
    releases.stage("iris", 3, share=0.5)
    with serving(runs, "iris") as server:
        end = time.monotonic() + 60
        while tried(server) is not None and time.monotonic() < end:
            assert {answer["version"] for answer in ask(server, 20)} == {1}
            time.sleep(0.2)
        assert tried(server) is None
        assert "tried no more: it failed" in server.said()
        ask(server, 3)

    last = releases.history_of("iris")[-1]
    assert (last.action, last.version) == ("unstage", 3)
    assert "it failed" in last.reason
    assert "version 1 0 of" in last.reason
    assert releases.staged("iris") is None
    assert registry.champion("iris").number == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("way", [{"share": 0.5}, {"shadow": True}])
def test_one_whose_answers_are_worse_goes(runs: Path, way: dict[str, Any]) -> None:
    releases.stage("iris", 4, **way)
    with serving(runs, "iris") as server:
        end = time.monotonic() + 120
        while releases.staged("iris") is not None and time.monotonic() < end:
            for answer in ask(server, 10):
                told = {"id": answer["predictions"][0]["id"], "answer": "setosa"}
                assert server.client.post("/v1/systems/iris/feedback", json=told).is_success
            time.sleep(0.5)
        until(lambda: tried(server) is None)
        assert {answer["version"] for answer in ask(server, 5)} == {1}
    last = releases.history_of("iris")[-1]
    assert (last.action, last.version) == ("unstage", 4)
    assert "it was wrong in" in last.reason


def test_what_cannot_be_loaded_is_not_tried(runs: Path) -> None:
    with serving(runs, "iris") as server:
        (registry.version("iris", 2).folder / "model.skops").write_bytes(b"PK")
        releases.stage("iris", 2, share=0.9)
        until(lambda: releases.staged("iris") is None)
        assert {answer["version"] for answer in ask(server, 20)} == {1}
    assert "cannot be loaded" in releases.history_of("iris")[-1].reason


def test_it_comes_and_goes_while_the_server_runs(runs: Path) -> None:
    with serving(runs, "iris") as server:
        assert tried(server) is None
        releases.stage("iris", 2, share=0.9)
        until(lambda: tried(server))
        assert 2 in {answer["version"] for answer in ask(server, 30)}
        releases.promote("iris", 2, "it does well")
        until(lambda: tried(server) is None)
        assert {answer["version"] for answer in ask(server, 10)} == {2}
        releases.rollback("iris", "it does not")
        until(lambda: {answer["version"] for answer in ask(server, 5)} == {1})


def test_several_workers_end_it_once(runs: Path) -> None:
    releases.stage("iris", 3, share=0.5)
    with serving(runs, "iris", "--workers", "2") as server:
        end = time.monotonic() + 90
        while releases.staged("iris") is not None and time.monotonic() < end:
            ask(server, 20)
            time.sleep(0.2)
        time.sleep(12)  # the other worker looks too
        ends = [event for event in releases.history_of("iris") if event.action == "unstage"]
        assert len(ends) == 1


def test_documents_are_not_tried(runs: Path) -> None:
    with pytest.raises(UserError, match="holds documents that are changed while it serves"):
        releases.stage("documents", 2, shadow=True)


class Trial:
    """A server's inside, with version 2 as the canary of iris, and models that may hang."""

    TIME_S = 2.0  # of a request
    ROOM = 3  # requests that wait for a model

    def __init__(self, service: Service, patch: pytest.MonkeyPatch) -> None:
        self._service = service
        self._patch = patch
        self.champion = service.fleet.get("iris")
        beside = service.fleet.beside(self.champion)
        assert beside is not None
        self.canary = beside.served

    async def ask(self, of_canary: bool, within: float = TIME_S) -> None:
        """One request, as a route asks it."""
        self._patch.setattr(random, "random", lambda: 0.0 if of_canary else 0.99)
        inputs = parse_inputs(self.champion.model, [FLOWER])
        async with asyncio.timeout(within):
            await self._service.predict(self.champion, inputs, Caller("local"), logged=False)

    async def ask_many(self, count: int, of_canary: bool) -> Counter[type]:
        """What became of requests at the same time."""
        asked = [self.ask(of_canary) for _ in range(count)]
        return Counter(map(type, await asyncio.gather(*asked, return_exceptions=True)))

    @contextmanager
    def hanging(self, served: Served, seconds: float = 60) -> Iterator[None]:
        """Its model takes so long for every answer, until it is let go."""
        held, kind = threading.Event(), type(served.model)
        predict = kind.predict

        def slowly(model: Any, inputs: Any) -> Any:
            if model is served.model:
                held.wait(seconds)
            return predict(model, inputs)

        with self._patch.context() as patch:
            patch.setattr(kind, "predict", slowly)
            try:
                yield
            finally:
                held.set()


Counted = Callable[[Callable[[Trial], Awaitable[None]]], dict[int, tuple[int, int]]]


@pytest.fixture
def counted(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Lets something happen in a trial; what was asked of each version then, and has failed."""
    releases.stage("iris", 2, share=0.5)

    def count(happens: Callable[[Trial], Awaitable[None]]) -> dict[int, tuple[int, int]]:
        async def main() -> None:
            settings = Settings(systems=("iris",), timeout_s=Trial.TIME_S, queue_rows=Trial.ROOM)
            service = Service(settings)
            await service.start()
            try:
                await happens(Trial(service, monkeypatch))
            finally:
                await service.close()

        asyncio.run(main())
        query = "select version, sum(asked), sum(failed) from tallies group by version"
        return {version: (asked, failed) for version, asked, failed in rows(runs, query)}

    return count


def test_a_champion_that_hangs_has_failed(counted: Counted) -> None:
    async def happens(trial: Trial) -> None:
        with trial.hanging(trial.champion):
            with pytest.raises(TimeoutError):
                await trial.ask(of_canary=False, within=0.1)  # somebody who does not wait
            assert await trial.ask_many(5, of_canary=False) == {TimeoutError: 3, QueueFullError: 2}

    assert counted(happens) == {1: (3, 3)}


def test_a_canary_fails_when_it_hangs_and_not_when_its_queue_is_full(counted: Counted) -> None:
    async def happens(trial: Trial) -> None:
        with trial.hanging(trial.canary):
            assert await trial.ask_many(5, of_canary=True) == {type(None): 5}

    assert counted(happens) == {1: (5, 0), 2: (3, 3)}


def test_what_would_be_late_for_a_canary_is_late_for_its_champion(counted: Counted) -> None:
    async def happens(trial: Trial) -> None:
        with trial.hanging(trial.champion, 0.6 * Trial.TIME_S):
            assert await trial.ask_many(1, of_canary=False) == {type(None): 1}
        with trial.hanging(trial.canary, 0.6 * Trial.TIME_S):
            assert await trial.ask_many(1, of_canary=True) == {type(None): 1}

    assert counted(happens) == {1: (2, 1), 2: (1, 1)}
