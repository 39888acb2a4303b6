"""What hostile and unlucky clients do: the server says no and goes on answering the others."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from mlfolio.cli import main
from mlfolio.serve import keys
from tests.serve.conftest import Server, serving
from tests.serve.test_api import FLOWER, PASSENGER

pytestmark = pytest.mark.slow
SHORT_S = 2


@pytest.fixture(scope="module")
def strict(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that gives requests two seconds."""
    database = f"sqlite:///{tmp_path_factory.mktemp('strict') / 'log.db'}"
    with serving(trained, "--timeout", str(SHORT_S), MLFOLIO_DB=database) as server:
        yield server


def talk(server: Server, request: bytes) -> bytes:
    """Sends bytes and nothing more; what comes back until the server closes."""
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port), timeout=30) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def test_a_full_queue_says_when_to_come_back(strict: Server) -> None:
    def ask(_: int) -> httpx.Response:
        return httpx.post(
            f"{strict.url}/v1/systems/titanic/predict", timeout=60,
            json={"inputs": [PASSENGER] * 1000},
        )  # fmt: skip

    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(ask, range(12)))

    refused = [reply for reply in replies if reply.status_code == 429]
    assert refused
    assert {reply.status_code for reply in replies} <= {200, 429, 504}
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
    assert strict.predict("iris", FLOWER).status_code == 200


def test_what_takes_too_long_is_given_up_and_the_next_is_answered(own_runs: Path) -> None:
    rows = [{**PASSENGER, "age": age} for age in range(1, 21)]
    with serving(own_runs, "--timeout", "0.2") as server:

        def explain(_: int) -> httpx.Response:
            url = f"{server.url}/v1/systems/titanic/explain"
            return httpx.post(url, json={"inputs": rows}, timeout=60)

        with ThreadPoolExecutor(8) as pool:
            late = list(pool.map(explain, range(8)))
        assert {reply.status_code for reply in late} <= {200, 429, 504}
        assert any(reply.status_code == 504 for reply in late)
        until = time.monotonic() + 30
        while server.predict("titanic", PASSENGER).status_code != 200:
            assert time.monotonic() < until


def test_a_body_that_does_not_come_is_not_waited_for(strict: Server) -> None:
    head = (
        b"POST /v1/systems/iris/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
        b"Content-Type: application/json\r\nConnection: close\r\n\r\n{"
    )
    started = time.monotonic()
    answer = talk(strict, head)

    assert b" 408 " in answer.splitlines()[0]
    assert b"problem+json" in answer
    assert time.monotonic() - started < 10 * SHORT_S


def test_a_head_that_does_not_come_is_not_waited_for(strict: Server) -> None:
    assert talk(strict, b"") == b""
    assert talk(strict, b"GET /health HTTP/1.1\r\nHost: loc") == b""


def test_a_request_of_two_million_fields_is_refused_at_once(strict: Server) -> None:
    row = {f"f{i}": 1 for i in range(500_000)}
    reply = strict.predict("iris", row)

    assert reply.status_code == 422
    assert "500,000 fields" in reply.json()["errors"][0]["rule"]


def test_json_of_many_megabytes_is_refused(strict: Server) -> None:
    reply = strict.predict("iris", {"a": "x" * 17_000_000})

    assert reply.status_code == 413


def test_half_a_character_harms_nobody(strict: Server) -> None:
    boundary = "multipart/form-data; boundary=X; charset=unicode_escape"
    body = b'--X\r\nContent-Disposition: form-data; name="Name"\r\n\r\n\\ud800\r\n--X--\r\n'
    url = f"{strict.url}/v1/systems/titanic/predict"

    reply = httpx.post(url, content=body, headers={"content-type": boundary})

    assert reply.status_code == 415
    before = strict.predict("iris", FLOWER).json()["predictions"][0]["id"]
    told = {"id": before, "answer": "setosa"}
    assert strict.client.post("/v1/systems/iris/feedback", json=told).status_code == 200


@pytest.mark.parametrize("answer", [None, {"x": [1]}, [[[[1]]]]])
def test_no_answer_at_all_is_no_feedback(strict: Server, answer: object) -> None:
    mine = strict.predict("iris", FLOWER).json()["predictions"][0]["id"]
    reply = strict.client.post("/v1/systems/iris/feedback", json={"id": mine, "answer": answer})

    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == "answer"


@pytest.mark.parametrize("path", ["/v1/systems", "/v1/systems/iris", "/v1/nowhere", "/metrics"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:3000", "http://[", "null"]
)
def test_no_other_page_may_ask(strict: Server, path: str, origin: str) -> None:
    read = strict.client.get(path, headers={"Origin": origin})
    asked = strict.client.options(
        path, headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )
    sent = strict.client.post(path, headers={"Origin": origin}, json={})

    for reply in (read, asked, sent):
        assert not [name for name in reply.headers if name.startswith("access-control")]
    assert (asked.status_code, sent.status_code) == (403, 403)


def test_a_key_that_goes_leaves_the_door_shut(own_runs: Path) -> None:
    key = keys.make("ann", own_runs / "keys.json")
    with serving(own_runs) as server:
        headers = {"X-API-Key": key}
        assert server.client.get("/v1/systems").status_code == 401
        (own_runs / "keys.json").write_text("{broken")
        assert server.client.get("/health").status_code == 200
        assert server.client.get("/v1/systems", headers=headers).status_code == 200
        assert server.client.get("/v1/systems").status_code == 401
        (own_runs / "keys.json").unlink()
        assert server.client.get("/v1/systems", headers=headers).status_code == 401
        assert server.client.get("/v1/systems").status_code == 401


def test_keys_of_the_environment_open(own_runs: Path) -> None:
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
    with serving(own_runs, host="0.0.0.0", MLFOLIO_API_KEYS=f"bob:{digest}") as server:
        assert server.client.get("/v1/systems").status_code == 401
        headers = {"Authorization": "Bearer secret"}
        assert server.client.get("/v1/systems", headers=headers).status_code == 200


def test_a_damaged_champion_leaves_the_old_one_and_the_others(own_runs: Path) -> None:
    model = next(own_runs.glob("titanic/*/model/model.json"))
    whole = model.read_text()
    model.write_text("{")
    with serving(own_runs) as server:
        assert set(server.client.get("/ready").json()["serving"]) == {"iris"}
        refused = server.predict("titanic", PASSENGER)
        assert refused.status_code == 404
        assert "titanic version 1" in server.said()
    with (
        pytest.raises(AssertionError, match="titanic cannot be served"),
        serving(own_runs, "titanic"),
    ):
        raise RuntimeError("it must not start")
    model.write_text(whole)


def test_sigterm_lets_slow_requests_end(own_runs: Path) -> None:
    rows = [{**PASSENGER, "age": age} for age in range(1, 21)]
    replies: list[int] = []

    def explain(url: str) -> None:
        body = {"inputs": rows}
        replies.append(
            httpx.post(f"{url}/v1/systems/titanic/explain", json=body, timeout=60).status_code
        )

    with serving(own_runs) as server:
        clients = [threading.Thread(target=explain, args=(server.url,)) for _ in range(4)]
        for client in clients:
            client.start()
        until = time.monotonic() + 120
        while "mlfolio_requests_in_flight 5" not in server.client.get("/metrics").text:
            assert time.monotonic() < until
            time.sleep(0.02)
        server.stop()
        for client in clients:
            client.join()

    assert replies == [200] * 4


def test_a_worker_that_is_killed_is_replaced_and_counts_no_more(own_runs: Path) -> None:
    with serving(own_runs, "--workers", "2") as server:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: server.predict("iris", FLOWER), range(200)))
        metrics = server.client.get("/metrics").text
        assert 'mlfolio_queue{system="iris"} 0.0' in metrics
        workers = _children(server.process.pid)
        assert len(workers) == 2
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        until = time.monotonic() + 180  # a worker that dies while it is looked at is missed for 30
        while True:
            assert time.monotonic() < until
            try:
                if server.predict("iris", FLOWER).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        text = httpx.get(f"{server.url}/metrics").text
        assert "mlfolio_requests_in_flight 1" in text
        server.stop()
    with sqlite3.connect(own_runs / "predictions.db") as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)


def _children(parent: int) -> list[int]:
    """The worker processes of a server (multiprocessing's own helper is none of them)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            command = stat.with_name("cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == parent and "spawn_main" in command:
            found.append(int(stat.parent.name))
    return found


def test_settings_that_cannot_be_are_said(
    own_runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFOLIO_RUNS", str(own_runs))
    for options, told in (
        (["--workers", "2", "--pages"], "single worker"),
        (["--forget-inputs", "irsi"], "iris"),
        (["--timeout", "-1"], "timeout_s"),
        (["--port", "99999"], "port"),
    ):
        monkeypatch.setattr("sys.argv", ["mlfolio", "serve", *options])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2
        assert told in capfd.readouterr().err


def test_what_comes_in_parts_is_said_in_parts(strict: Server) -> None:
    rows = [FLOWER] * 300 + [{**FLOWER, "petal_width": "wide"}] + [FLOWER] * 300
    reply = strict.predict("iris", *rows)

    (problem,) = reply.json()["errors"]
    assert (reply.status_code, problem["row"], problem["field"]) == (422, 300, "petal_width")
    assert json.loads(reply.content)["status"] == 422
