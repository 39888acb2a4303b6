"""What Gradio would do for anybody over HTTP, and here does not."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.browser.conftest import Site
from tests.serve.conftest import Server, serving

pytestmark = pytest.mark.slow


def config(server: Server) -> dict[str, Any]:
    """What Gradio tells its pages of themselves."""
    found: dict[str, Any] = {"dependencies": [], "components": []}
    for name in ("", "iris", "titanic", "digits", "documents"):
        html = server.client.get(f"/{name}").text
        text = html.partition("window.gradio_config = ")[2]
        page = json.JSONDecoder().raw_decode(text)[0]
        for key, parts in found.items():
            parts += page[key]
    return found


def join(server: Server, number: int, data: list[Any]) -> str:
    """What comes back when an event is sent as a page sends it, and the whole answer is read."""
    session = uuid4().hex
    body = {"data": data, "fn_index": number, "session_hash": session, "trigger_id": 1}
    reply = server.client.post("/gradio_api/queue/join", json=body)
    assert reply.status_code == 200, reply.text
    said = ""
    with server.client.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
        for line in stream.iter_lines():
            said += line
            if "process_completed" in line or "close_stream" in line:
                break
    return said


def at_once(server: Server, number: int, data: list[Any]) -> str:
    """The same for events that do not queue: examples that fill a form."""
    return server.client.post(
        "/gradio_api/run/predict", json={"data": data, "fn_index": number}
    ).text


def payloads(path: str) -> list[Any]:
    """A file of the server's choosing, in the forms that components take."""
    named = {"path": path, "meta": {"_type": "gradio.FileData"}}
    addressed = {**named, "path": "x", "url": path}
    return [
        named, [named], addressed, {"path": path}, {"url": path},
        [{"role": "user", "content": [{"type": "file", "file": named}]}],
    ]  # fmt: skip


def copies(folder: Path, secret: str) -> list[Path]:
    """Files under a folder that hold a text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if secret.encode() in path.read_bytes()]


@pytest.fixture
def secret(tmp_path: Path) -> tuple[Path, str]:
    path, text = tmp_path / "shadow", uuid4().hex
    path.write_text(text)
    return path, text


def test_no_event_reads_a_file_of_the_server(site: Site, secret: tuple[Path, str]) -> None:
    path, text = secret
    hidden = str(site.temporary / ".." / path.relative_to(path.anchor))
    events = [event for event in config(site)["dependencies"] if event["backend_fn"]]
    assert len(events) > 8

    for event in events:
        for payload in (p for named in (str(path), hidden) for p in payloads(named)):
            for send in (join, at_once):
                said = send(site, event["id"], [payload] * len(event["inputs"]))
                assert text not in said
                assert "Traceback" not in said

    assert copies(site.temporary, text) == []


@pytest.mark.parametrize("way", ["call", "run", "api", "call/v2"])
def test_events_have_no_address_of_their_own(
    site: Site, way: str, secret: tuple[Path, str]
) -> None:
    for name in ("read", "read_1", "add", "uploaded", "answer", "0"):
        reply = site.client.post(
            f"/gradio_api/{way}/{name}", json={"data": payloads(str(secret[0]))[:1]}
        )
        assert reply.status_code == 404
        assert reply.json()["status"] == 404


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/file={}", "/gradio_api/file/{}", "/gradio_api/proxy=http://localhost/{}",
     "/gradio_api/info", "/config", "/monitoring", "/gradio_api/runs", "/deep_link"],
)  # fmt: skip
def test_what_pages_do_not_need_is_not_there(
    site: Site, path: str, secret: tuple[Path, str]
) -> None:
    reply = site.client.get(path.format(secret[0]))
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A web server that counts who comes."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/picture.png", seen
    server.shutdown()
    server.server_close()


def test_no_event_fetches_an_address(site: Site, elsewhere: tuple[str, list[str]]) -> None:
    url, seen = elsewhere
    for event in config(site)["dependencies"]:
        if event["backend_fn"]:
            for payload in payloads(url):
                for send in (join, at_once):
                    send(site, event["id"], [payload] * len(event["inputs"]))
    assert seen == []


def test_addresses_that_nothing_answers_are_problems(site: Site) -> None:
    for method, path, status in (
        ("GET", "/v1/nothing", 404), ("GET", "/nothing", 404), ("GET", "/iris/more", 404),
        ("DELETE", "/v1/systems", 405), ("GET", "/v1/systems/iris/predict", 405),
    ):  # fmt: skip
        reply = site.client.request(method, path)
        assert reply.status_code == status, path
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["status"] == status


def test_uploads_do_not_outlive_the_server(trained: Path, tmp_path: Path) -> None:
    with serving(trained, pages=True, TMPDIR=str(tmp_path)) as server:
        reply = server.client.post("/gradio_api/upload", files={"files": ("a.txt", b"mine")})
        assert reply.status_code == 200
        assert len(copies(tmp_path, "mine")) == 1
        server.stop()
        assert list(tmp_path.glob("mlfolio-*")) == []
        assert "Warning" not in server.said()


def test_a_small_limit_is_a_limit_in_bytes(trained: Path) -> None:
    with serving(trained, "--max-body-mb", "0.4", pages=True) as server:
        for size, status in ((100_000, 200), (1_000_000, 413)):
            reply = server.client.post("/gradio_api/upload", files={"files": ("a", b"x" * size)})
            assert reply.status_code == status


def test_who_asks_is_logged(site: Site) -> None:
    found = config(site)
    held = {part["id"]: part["props"].get("value") for part in found["components"]}
    events = [e for e in found["dependencies"] if e["api_name"].startswith("predict")]
    for event in events:
        assert "mlf-answer" in join(site, event["id"], [held[at] for at in event["inputs"]])
    until = time.monotonic() + 60
    names: set[str] = set()
    while not names and time.monotonic() < until:
        with sqlite3.connect(f"file:{site.runs / 'predictions.db'}?mode=ro", uri=True) as log:
            names = {name for (name,) in log.execute("SELECT client FROM predictions")}
        time.sleep(0.2)
    assert names == {"127.0.0.1"}
