"""The API, over HTTP, of a server process."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

import mlfolio
from mlfolio.serve import keys
from tests.serve.conftest import Server, logged, serving

pytestmark = pytest.mark.slow
IRIS = "/v1/systems/iris"
PASSENGER = {"sex": "female", "age": 29, "pclass": 1}
FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


def rows(runs: Path, query: str) -> list[Any]:
    with sqlite3.connect(runs / "predictions.db") as database:
        return database.execute(query).fetchall()


def test_it_serves_every_champion(server: Server) -> None:
    served = {system["name"]: system for system in server.client.get("/v1/systems").json()}

    assert set(served) == {"iris", "titanic"}
    assert served["iris"]["data"] == "sample"
    about = server.client.get("/v1/systems/titanic").json()
    assert about["card"]["title"] == "Titanic survival"
    assert about["scores"][0]["name"] == "accuracy"
    assert "Sex" in about["input"]["properties"]
    assert server.predict("titanic", *about["examples"]).status_code == 200
    assert server.client.get("/health").json() == {"status": "ok"}
    assert server.client.get("/ready").json()["serving"] == {"iris": 1, "titanic": 1}


def test_one_and_many_get_what_python_gets(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFOLIO_RUNS", str(server.runs))
    given = [{**FLOWER, "petal_length": 1 + i / 10} for i in range(40)]
    expected = [a.model_dump(mode="json") for a in mlfolio.load("iris").predict(given)]

    answered = server.predict("iris", *given).json()
    alone = server.client.post("/v1/systems/iris/predict", json={"inputs": given[7]}).json()

    found = answered["predictions"]
    assert len({prediction.pop("id") for prediction in found}) == 40
    for mine, theirs in zip(found, expected, strict=True):
        assert mine["answer"] == theirs["answer"]
        assert mine["confidence"] == pytest.approx(theirs["confidence"])
        assert mine["warnings"] == theirs["warnings"]
    assert alone["predictions"][0]["answer"] == found[7]["answer"]
    assert server.predict("iris").json()["predictions"] == []


def test_it_explains(server: Server) -> None:
    reply = server.client.post("/v1/systems/titanic/explain", json={"inputs": [PASSENGER]})

    assert reply.status_code == 200
    assert "Sex" in {reason["feature"] for reason in reply.json()["explanations"][0]}


def test_a_refused_input_names_row_field_and_rule(server: Server) -> None:
    reply = server.predict("titanic", PASSENGER, {"sexx": "male"}, {"age": "old"})

    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["errors"][0]["row"] == 1
    assert problem["errors"][0]["field"] == "sexx"
    assert "did you mean 'Sex'" in problem["errors"][0]["rule"]
    assert problem["errors"][1]["value"] == "'old'"


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        (("POST", f"{IRIS}/predict", b"{", "application/json"), 400, "no JSON"),
        (("POST", f"{IRIS}/predict", b"[]", "application/json"), 422, "inputs"),
        (("POST", f"{IRIS}/predict", b"{}", "text/plain"), 415, "text/plain"),
        (("POST", f"{IRIS}/predict", b'{"inputs":[NaN]}', "application/json"), 400, "JSON"),
        (("POST", f"{IRIS}/predict", b'{"inputs":[7]}', "application/json"), 422, "problem"),
        (("POST", "/v1/systems/irs/predict", b'{"inputs":[]}', "application/json"), 404, "irs"),
        (("GET", "/v1/systems/digits", b"", ""), 404, "no trained model"),
        (("GET", f"{IRIS}/predict", b"", ""), 405, ""),
        (("GET", "/nothing", b"", ""), 404, ""),
        (("POST", f"{IRIS}/feedback", b'{"id":"x"}', "application/json"), 422, "id"),
        (("GET", f"{IRIS}/documents", b"", ""), 404, "no documents"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_as_a_problem(
    server: Server, request_: tuple[str, str, bytes, str], status: int, said: str
) -> None:
    method, path, body, kind = request_
    headers = {"content-type": kind} if kind else {}

    reply = server.client.request(method, path, content=body, headers=headers)

    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert said in json.dumps(reply.json())
    assert "Traceback" not in reply.text


def test_feedback_joins_the_prediction(own_runs: Path) -> None:
    with serving(own_runs) as server:
        first, second = server.predict("iris", FLOWER, FLOWER).json()["predictions"]
        judged = {"id": first["id"], "answer": "virginica"}
        assert server.client.post("/v1/systems/iris/feedback", json=judged).status_code == 200
        judged["answer"] = "setosa"
        assert server.client.post("/v1/systems/iris/feedback", json=judged).status_code == 200
        other = server.client.post("/v1/systems/titanic/feedback", json=judged)
        unknown = {"id": "0" * 32, "answer": 1}
        missing = server.client.post("/v1/systems/iris/feedback", json=unknown)

    assert (other.status_code, missing.status_code) == (404, 404)
    joined = rows(
        own_runs,
        "select p.id, f.answer from predictions p left join feedback f on f.prediction = p.id",
    )
    assert dict(joined) == {first["id"]: '"setosa"', second["id"]: None}


def test_it_logs_into_postgresql(own_runs: Path, postgres: str) -> None:
    with serving(own_runs, "--workers", "2", MLFOLIO_DB=postgres) as server:
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: server.predict("iris", FLOWER), range(100)))
        mine = replies[0].json()["predictions"][0]["id"]
        told = {"id": mine, "answer": "virginica"}
        assert server.client.post("/v1/systems/iris/feedback", json=told).status_code == 200
        server.stop()

    truths = {row["id"]: row["truth"] for row in logged(postgres, "iris")}
    assert {reply.json()["predictions"][0]["id"] for reply in replies} <= set(truths)
    assert truths[mine] == '"virginica"'


def test_every_answer_is_logged_before_the_end(own_runs: Path) -> None:
    answered: list[str] = []

    def ask(server: Server) -> None:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while True:
                try:
                    reply = client.post("/v1/systems/iris/predict", json={"inputs": [FLOWER]})
                except httpx.TransportError:
                    return
                if reply.status_code == 200:
                    answered.append(reply.json()["predictions"][0]["id"])

    with serving(own_runs) as server:
        clients = [threading.Thread(target=ask, args=(server,)) for _ in range(4)]
        for client in clients:
            client.start()
        time.sleep(2)
        code = server.stop()
        for client in clients:
            client.join(30)

    logged = {row[0] for row in rows(own_runs, "select id from predictions")}
    assert code in (0, -signal.SIGTERM)
    assert len(answered) > 50
    assert set(answered) <= logged, f"{len(set(answered) - logged)} answers were not logged"


def test_what_is_logged(own_runs: Path) -> None:
    with serving(own_runs, "--forget-inputs", "titanic") as server:
        server.predict("iris", FLOWER)
        server.predict("titanic", PASSENGER)
        server.stop()

    logged = {
        row[0]: row[1:]
        for row in rows(
            own_runs, "select system, version, input, output, latency_ms, client from predictions"
        )
    }
    version, given, output, latency, client = logged["iris"]
    assert (version, client) == (1, "127.0.0.1")
    assert json.loads(given) == FLOWER
    assert json.loads(output)["answer"] == "setosa"
    assert latency > 0
    assert logged["titanic"][1] is None


def test_old_predictions_are_forgotten(own_runs: Path) -> None:
    with serving(own_runs) as server:
        server.predict("iris", FLOWER, FLOWER)
        server.stop()
    with sqlite3.connect(own_runs / "predictions.db") as database:
        database.execute("update predictions set time = 0 where rowid = 1")
    with serving(own_runs) as server:
        server.predict("iris", FLOWER)
        server.stop()

    assert len(rows(own_runs, "select id from predictions")) == 2


def test_too_much_is_refused(own_runs: Path) -> None:
    with serving(own_runs, "--max-body-mb", "0.1") as server:
        many = server.predict("iris", *[{}] * 1001)
        large = server.client.post("/v1/systems/iris/predict", content=b" " * 200_000)
        pieces = (b" " * 10_000 for _ in range(100))
        headers = {"content-type": "application/json"}
        unsaid = server.client.post("/v1/systems/iris/predict", content=pieces, headers=headers)
        after = server.predict("iris", FLOWER)

    assert many.status_code == 413
    assert "1,001 inputs" in many.json()["detail"]
    assert (large.status_code, unsaid.status_code) == (413, 413)
    assert after.status_code == 200


def test_others_need_a_key(own_runs: Path) -> None:
    key = keys.make("ann", own_runs / "keys.json")
    with serving(own_runs, host="0.0.0.0") as server:
        assert server.client.get("/health").status_code == 200
        assert server.predict("iris", FLOWER).status_code == 401
        for headers in (
            {"Authorization": f"Bearer {key}"},
            {"X-API-Key": key},
            {"Authorization": httpx.BasicAuth("anybody", key)._auth_header},
        ):
            reply = server.client.get("/v1/systems", headers=headers)
            assert reply.status_code == 200, headers
        wrong = server.client.get("/v1/systems", headers={"X-API-Key": key[:-1]})
        assert wrong.status_code == 401
        assert "www-authenticate" in wrong.headers
        keys.remove("ann", own_runs / "keys.json")
        gone = server.client.get("/v1/systems", headers={"X-API-Key": key})
        assert gone.status_code == 401, "no key left must not mean no key needed"

    assert key not in (own_runs / "keys.json").read_text()


def test_pages_elsewhere_cannot_use_it(server: Server) -> None:
    body = {"inputs": [FLOWER]}
    path = "/v1/systems/iris/predict"

    theirs = server.client.post(path, json=body, headers={"Origin": "https://evil.example"})
    rebound = server.client.post(path, json=body, headers={"Host": "evil.example"})
    ours = server.client.post(path, json=body, headers={"Origin": server.url})

    assert (theirs.status_code, rebound.status_code, ours.status_code) == (403, 403, 200)
    assert "access-control-allow-origin" not in ours.headers


def test_behind_a_proxy_a_key_opens_any_name(own_runs: Path) -> None:
    key = keys.make("proxy", own_runs / "keys.json")
    with serving(own_runs) as server:
        names = {"Host": "models.example.org", "X-API-Key": key}
        assert server.client.get("/v1/systems", headers=names).status_code == 200
        names["X-API-Key"] = "wrong"
        assert server.client.get("/v1/systems", headers=names).status_code == 401


def test_a_client_has_its_rate(own_runs: Path) -> None:
    with serving(own_runs, "--rate", "2") as server:
        replies = [server.client.get("/v1/systems") for _ in range(15)]
        refused = next(reply for reply in replies if reply.status_code == 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert sum(reply.status_code == 200 for reply in replies) >= 10
        assert server.client.get("/health").status_code == 200


def test_a_new_champion_takes_over_and_nobody_notices(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: list[int] = []
    versions: set[int] = set()
    stop = threading.Event()

    def ask(url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not stop.is_set():
                reply = client.post("/v1/systems/iris/predict", json={"inputs": [FLOWER]})
                statuses.append(reply.status_code)
                versions.add(reply.json().get("version"))

    table = own_runs.parent / "flowers.csv"
    table.write_text(
        "sepal_length,sepal_width,petal_length,petal_width,species\n"
        + "".join(
            f"{5 + i % 7 / 10},{3 + i % 5 / 10},{1 + k},{0.2 + k / 2},kind {k}\n"
            for i in range(40)
            for k in range(2)
        )
    )
    with serving(own_runs) as server:
        clients = [threading.Thread(target=ask, args=(server.url,)) for _ in range(4)]
        for client in clients:
            client.start()
        monkeypatch.setenv("MLFOLIO_RUNS", str(own_runs))
        result = mlfolio.run("iris", data=table, repeats=1, folds=2, force=True)
        assert result.champion
        until = time.monotonic() + 30
        while result.version not in versions and time.monotonic() < until:
            time.sleep(0.1)
        stop.set()
        for client in clients:
            client.join()

    assert versions == {1, result.version}
    assert set(statuses) == {200}


def test_metrics_count_over_all_workers(own_runs: Path) -> None:
    with serving(own_runs, "--workers", "2") as server:
        for _ in range(40):
            with httpx.Client(base_url=server.url) as fresh:  # a connection each: both workers
                fresh.post("/v1/systems/iris/predict", json={"inputs": [FLOWER, FLOWER]})
        counts = [_metrics(httpx.get(f"{server.url}/metrics").text) for _ in range(6)]
        server.stop()

    for count in counts:
        assert count['mlfolio_predictions_total{answer="setosa",system="iris",version="1"}'] == 80
        assert count['mlfolio_batch_size_sum{system="iris"}'] == 80
        batches = count['mlfolio_batch_size_count{system="iris"}']
        assert count['mlfolio_stage_seconds_count{stage="predict",system="iris"}'] == batches
        path = "/v1/systems/{name}/predict"
        assert count[f'mlfolio_requests_total{{method="POST",route="{path}",status="200"}}'] == 40
    assert len(rows(own_runs, "select id from predictions")) == 80


def test_openapi_describes_what_is_served(server: Server) -> None:
    document = server.client.get("/openapi.json").json()

    operation = document["paths"]["/v1/systems/iris/predict"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    assert server.client.post("/v1/systems/iris/predict", json=example).status_code == 200
    row = document["components"]["schemas"]["irisIn"]
    assert set(row["properties"]) == set(FLOWER)
    assert "/v1/systems/iris/documents" not in document["paths"]


def _metrics(text: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}
