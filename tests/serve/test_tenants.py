"""Keys of tenants: what one of them cannot see, change, or learn of another by any door."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from mlfolio.serve import keys
from tests.conftest import SampleOf
from tests.serve.conftest import Server, serving

pytest.importorskip("lancedb")
pytest.importorskip("gradio")

pytestmark = pytest.mark.slow
HOME, PREDICT = "/v1/systems/documents", "/v1/systems/documents/predict"
DOCUMENTS = f"{HOME}/documents"
ASKED = "Who is the lighthouse keeper of Sandholm?"
KEEPER = "# {who}'s own heading\n\nThe lighthouse keeper of Sandholm is called {who}."
WHO = {"acme": "Berta", "bolt": "Carla", "all": "Olaf"}


class House(NamedTuple):
    """A server, and a client for each of its keys: two tenants, one without documents, nobody's."""

    server: Server
    by: dict[str, httpx.Client]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sample_of: SampleOf) -> Iterator[House]:
    runs = Path(shutil.copytree(sample_of("documents").runs, tmp_path_factory.mktemp("h") / "runs"))
    file = runs / "keys.json"
    made = {name: keys.make(f"{name}-key", file, name) for name in ("acme", "bolt", "empty")}
    made["all"] = keys.make("ann", file)
    with serving(runs, pages=True) as server:
        by = {
            name: httpx.Client(
                base_url=server.url, timeout=60, headers={"Authorization": f"Bearer {key}"}
            )
            for name, key in made.items()
        }
        for name, who in WHO.items():
            put(by[name], "keeper.md", who)
        yield House(server, by)
        for client in by.values():
            client.close()


def put(client: httpx.Client, document: str, who: str) -> None:
    team = next((name for name, its in WHO.items() if its == who), "other")
    known = {"team": team} | ({"shared": "yes"} if team == "all" else {})
    reply = client.put(
        f"{DOCUMENTS}/{document}", content=KEEPER.format(who=who).encode(),
        headers={"Mlfolio-Metadata": json.dumps(known)},
    )  # fmt: skip
    assert reply.status_code == 200, reply.text


def predict(client: httpx.Client, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    reply = client.post(PREDICT, json={"inputs": list(rows or [{"question": ASKED}])})
    assert reply.status_code == 200, reply.text
    return list(reply.json()["predictions"])


def converse(client: httpx.Client, stream: bool = False, **where: str) -> httpx.Response:
    body = {"model": "documents", "stream": stream, "mlfolio": {"where": where or None},
            "messages": [{"role": "user", "content": ASKED}]}  # fmt: skip
    return client.post("/v1/chat/completions", json=body)


def talk(client: httpx.Client, stream: bool = False, **where: str) -> str:
    reply = converse(client, stream, **where)
    assert reply.status_code == 200, reply.text
    return reply.text


def others(name: str) -> set[str]:
    return {who for mine, who in WHO.items() if mine != name} | (
        {"charter", "34 documents"} if name != "all" else set()
    )


def require_own(name: str, text: str) -> None:
    assert WHO.get(name, "") in text
    assert not [word for word in others(name) if word in text], text


@pytest.mark.parametrize("name", ["acme", "bolt", "all", "empty"])
def test_every_door_shows_what_is_one_s_own(house: House, name: str) -> None:
    client = house.by[name]
    for _ in range(2):  # the second time it is remembered
        require_own(name, json.dumps(predict(client)))
    require_own(name, talk(client))
    require_own(name, talk(client, stream=True))
    listed = client.get(DOCUMENTS).json()
    assert listed == {"acme": ["keeper.md"], "bolt": ["keeper.md"], "empty": []}.get(name, listed)
    about = client.get(HOME).json()
    if name != "all":
        require_own(
            "" if name == "empty" else name,
            json.dumps([about["examples"], listed, WHO.get(name, "")]),
        )
        assert (about["scores"], about["cost"]) == ([], None)
        for each in (about, client.get("/v1/systems").json()[0]):
            assert "version" in each
            assert not {"metric", "value"} & each.keys()
        assert client.get(f"{HOME}/report").status_code == 404
        assert client.get(f"{HOME}/picture").status_code == 404
        assert client.get("/metrics").status_code == 403
    else:
        assert about["scores"]
        assert about["metric"]
        assert client.get("/v1/systems").json()[0]["value"] == about["value"]
        assert client.get(f"{HOME}/report").status_code == 200
        assert client.get("/metrics").status_code == 200
    for open_to_all in ("/v1/systems", "/v1/models", "/openapi.json"):
        text = client.get(open_to_all).text
        assert not [who for who in WHO.values() if who in text]


def test_a_conversation_is_narrowed_by_one_s_own_metadata(house: House) -> None:
    for name in ("acme", "bolt"):
        require_own(name, talk(house.by[name], team=name))
        require_own("", talk(house.by[name], team="all").replace("all", ""))
        theirs = converse(house.by[name], shared="yes")
        assert theirs.status_code == 422
        assert theirs.json()["fix"] == "keys: team", "of another's keys nothing is told"
    nothing = converse(house.by["empty"], team="acme")
    assert nothing.json()["fix"] == "no document has metadata: give them some first"
    require_own("all", talk(house.by["all"], shared="yes"))


def test_questions_of_several_at_the_same_moment(house: House) -> None:
    def ask(number: int) -> None:
        name = ("acme", "bolt", "all", "empty")[number % 4]
        answers = predict(house.by[name], *[{"question": f"{ASKED} {n % 3}"} for n in range(8)])
        require_own(name, json.dumps(answers))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(24)))


@pytest.mark.parametrize(
    "document",
    ["keeper.md", "../keeper.md", "..", "*", "' OR 1=1 --", hashlib.sha256(b"acme").hexdigest()],
)
def test_no_name_leads_to_another_s(house: House, document: str) -> None:
    client = house.by["empty"]
    (answer,) = predict(client, {"question": ASKED, "document": document})
    assert answer["sources"] == []
    gone = client.delete(f"{DOCUMENTS}/{quote(document, safe='')}")
    assert gone.status_code in (404, 405, 422)
    assert house.by["acme"].get(DOCUMENTS).json() == ["keeper.md"]


def test_one_s_own_is_replaced_and_deleted_and_nobody_else_s(house: House) -> None:
    put(house.by["acme"], "more.md", "Dora")
    put(house.by["bolt"], "more.md", "Emil")
    assert house.by["acme"].delete(f"{DOCUMENTS}/more.md").status_code == 204
    assert house.by["bolt"].get(DOCUMENTS).json() == ["keeper.md", "more.md"]
    assert house.by["bolt"].delete(f"{DOCUMENTS}/more.md").status_code == 204
    form = house.by["bolt"].post(DOCUMENTS, files={"file": ("../../x.md", b"# X\n\nIt is.")})
    assert form.json()[0]["name"] == "x.md"
    assert "x.md" not in house.by["acme"].get(DOCUMENTS).json()
    assert house.by["bolt"].delete(f"{DOCUMENTS}/x.md").status_code == 204


def test_feedback_to_another_s_prediction_is_to_none(house: House) -> None:
    made = {name: predict(client)[0]["id"] for name, client in house.by.items()}
    for name, client in house.by.items():
        for whose, prediction in made.items():
            reply = client.post(f"{HOME}/feedback", json={"id": prediction, "answer": "so"})
            assert reply.status_code == (200 if whose == name else 404), (name, whose)
    unknown = house.by["acme"].post(f"{HOME}/feedback", json={"id": uuid4().hex, "answer": "so"})
    theirs = house.by["acme"].post(f"{HOME}/feedback", json={"id": made["bolt"], "answer": "so"})
    assert {*unknown.json()} == {*theirs.json()}
    assert unknown.json()["title"] == theirs.json()["title"]


def event(
    client: httpx.Client, name: str, data: list[Any], session: str = "", page: str = "/documents"
) -> str:
    """Sends an event of a page as a browser does, and reads all that comes back."""
    page = client.get(page).text
    config = json.JSONDecoder().raw_decode(page.partition("window.gradio_config = ")[2])[0]
    (number,) = {e["id"] for e in config["dependencies"] if e["api_name"] == name}
    session = session or uuid4().hex
    body = {"data": data, "fn_index": number, "session_hash": session, "trigger_id": 1}
    assert client.post("/gradio_api/queue/join", json=body).status_code == 200
    said = ""
    with client.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
        for line in stream.iter_lines():
            said += line
            if "process_completed" in line or "close_stream" in line:
                break
    return said


@pytest.mark.parametrize("name", ["acme", "empty", "all"])
def test_the_first_page_has_no_scores_of_what_a_tenant_does_not_see(
    house: House, name: str
) -> None:
    page = house.by[name].get("/").text
    cards = event(house.by[name], "show", ["all", "all"], page="/")

    for standing, sees in (("sample", name == "all"), ("what is yours", name != "all")):
        assert standing not in page, "it is made for everybody"
        assert (standing in cards) is sees


@pytest.mark.parametrize("name", ["acme", "bolt"])
def test_pages_show_what_is_the_visitor_s(house: House, name: str) -> None:
    client = house.by[name]
    page = client.get("/documents").text
    assert not [who for who in WHO.values() if who in page], "a page is made for everybody"
    assert "charter" not in page

    require_own(name, event(client, "answer", [ASKED, [], "", []]))
    require_own(name, event(client, "exemplary", []))
    assert "keeper.md" in event(client, "listed", [])
    offered = event(client, "narrowable", [])
    assert f"team={name}" in offered
    assert not [other for other in ("acme", "bolt", "all") if other != name and other in offered]
    narrowed = event(client, "answer", [ASKED, [], "", [f"team = {name}"]])
    require_own(name, narrowed)
    other = "bolt" if name == "acme" else "acme"
    assert "no document has team = " in event(client, "answer", [ASKED, [], "", [f"team={other}"]])
    told = event(client, "answer", [ASKED, [], "", ["tem=x", "shared=x"]])
    assert "did you mean 'team'?" in told
    assert 'where.shared: no document has this key"' in told.replace("\\", "")
    for hostile in (None, 7, "team=x", [["team"]], {"team": 1}):
        require_own(name, event(client, "answer", [ASKED, [], "", hostile]))
    assert "was erased already" in event(client, "remove", ["no-such.md", ""])
    require_own(name, event(client, "here", []) + WHO[name])
    assert client.get(DOCUMENTS).json() == ["keeper.md"]


def test_a_session_that_two_share_is_each_one_s_own(house: House) -> None:
    session = uuid4().hex
    require_own("acme", event(house.by["acme"], "answer", [ASKED, [], "", []], session))
    require_own("bolt", event(house.by["bolt"], "answer", [ASKED, [], "", []], session))


def test_a_key_that_goes_while_it_is_asked(house: House) -> None:
    file = house.server.runs / "keys.json"
    key = keys.make("short", file, "bolt")
    with httpx.Client(base_url=house.server.url, headers={"X-API-Key": key}, timeout=60) as client:
        require_own("bolt", json.dumps(predict(client)))
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(
                lambda: [
                    client.post(PREDICT, json={"inputs": [{"question": ASKED}]}) for _ in range(30)
                ]
            )
            keys.remove("short", file)
            replies = asking.result()
    for reply in replies:
        assert reply.status_code in (200, 401)
        if reply.status_code == 200:
            require_own("bolt", reply.text)
    assert replies[-1].status_code == 401


def test_a_tenant_is_erased_while_it_is_served(house: House, monkeypatch: Any, capsys: Any) -> None:
    from mlfolio.cli import main

    file = house.server.runs / "keys.json"
    key = keys.make("gone", file, "gone")
    with httpx.Client(base_url=house.server.url, headers={"X-API-Key": key}, timeout=60) as client:
        put(client, "secret.md", "Zacharias")
        assert "Zacharias" in json.dumps(predict(client))
        time.sleep(1)  # until it is logged
        monkeypatch.setenv("MLFOLIO_RUNS", str(house.server.runs))
        for arguments in (["list"], ["remove", "gone"]):
            monkeypatch.setattr("sys.argv", ["mlfolio", "tenant", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
            assert not ended.value.code
        said = capsys.readouterr().out
        assert said.splitlines()[:4] == ["acme", "bolt", "empty", "gone"]
        assert "gone is erased: 1 keys, documents of documents, 1 predictions" in said
        assert client.get(DOCUMENTS).status_code == 401
    left = [
        p for p in house.server.runs.rglob("*")
        if p.is_file() and "documents" in p.parts and b"Zacharias" in p.read_bytes()
    ]  # fmt: skip
    assert left == []
    require_own("acme", json.dumps(predict(house.by["acme"])))
