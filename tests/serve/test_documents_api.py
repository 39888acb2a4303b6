"""Documents and conversations over HTTP: uploads, replacing, erasing, and OpenAI's own client."""

from __future__ import annotations

import io
import json
import shutil
import socket
import sqlite3
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from mlfolio.parts.retrieval.generate import NOTHING
from tests.conftest import SampleOf
from tests.parts.llm_server import Breaks, Script, serve
from tests.serve.conftest import Server, serving, serving_sample
from tests.serve.test_tenants import event

pytest.importorskip("lancedb")
openai = pytest.importorskip("openai")

pytestmark = pytest.mark.slow
DOCUMENTS = "/v1/systems/documents/documents"
CHARTER = "Who granted the first charter?"  # a question of the sample
NOT_FOUND = "This is not in your documents."


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, sample_of: SampleOf) -> Iterator[Server]:
    """A server of the documents system over its sample."""
    folder = tmp_path_factory.mktemp("library")
    with serving_sample(sample_of("documents"), folder, "--max-body-mb", "4") as server:
        yield server


def answer(server: Server, question: str) -> dict[str, object]:
    found: dict[str, object] = server.predict("documents", {"question": question}).json()
    return dict(found["predictions"][0])  # type: ignore[index]


def test_a_document_comes_changes_and_goes(library: Server) -> None:
    client = library.client
    before = client.get(DOCUMENTS).json()
    note = "# Keeper\n\nThe lighthouse keeper of Arnholm is called Berta Quist."

    added = client.post(DOCUMENTS, files={"file": ("keeper.md", note.encode())})
    assert added.status_code == 201
    assert added.json() == [{"name": "keeper.md", "chunks": 1}]
    assert "keeper.md" in client.get(DOCUMENTS).json()
    asked = "Who is the lighthouse keeper of Arnholm?"
    assert "Berta Quist" in str(answer(library, asked)["answer"])

    changed = note.replace("Berta Quist", "Olaf Xylander")
    assert client.put(f"{DOCUMENTS}/keeper.md", content=changed.encode()).status_code == 200
    found = str(answer(library, asked)["answer"])
    assert "Olaf Xylander" in found
    assert "Berta Quist" not in found

    assert client.delete(f"{DOCUMENTS}/keeper.md").status_code == 204
    assert client.delete(f"{DOCUMENTS}/keeper.md").status_code == 404
    assert client.get(DOCUMENTS).json() == before
    assert "Olaf Xylander" not in str(answer(library, asked))
    files = [path for path in library.runs.rglob("*") if path.is_file()]
    left = [
        path for path in files if "documents" in path.parts and b"Xylander" in path.read_bytes()
    ]
    assert left == [], "deleting means gone from the disk as well"


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("broken.pdf", b"%PDF-1.4 this is none", 422),
        ("program.exe", b"MZ", 422),
        ("empty.txt", b"", 422),
        ("picture.md", b"\x89PNG\r\n\x1a\n\x00\x00", 422),
        ("huge.txt", b"a " * 3_000_000, 413),
    ],
)
def test_what_is_no_document_is_refused(
    library: Server, name: str, content: bytes, status: int
) -> None:
    reply = library.client.post(DOCUMENTS, files={"file": (name, content)})

    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert name not in library.client.get(DOCUMENTS).json()


@pytest.mark.parametrize("name", ["../../etc/passwd.txt", "/etc/passwd.txt", r"..\..\boot.txt"])
def test_a_path_in_a_name_leads_nowhere(library: Server, name: str) -> None:
    reply = library.client.post(DOCUMENTS, files={"file": (name, b"Nothing of note stands here.")})

    assert reply.status_code == 201
    stored = reply.json()[0]["name"]
    assert stored in ("passwd.txt", "boot.txt")
    library.client.delete(f"{DOCUMENTS}/{stored}")
    refused = library.client.put(f"{DOCUMENTS}/a/%2E%2E/b.txt", content=b"Nothing of note.")
    assert refused.status_code in (404, 422)


def test_a_bomb_does_not_go_off(library: Server) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"<w:p/>" * 30_000_000)

    reply = library.client.post(DOCUMENTS, files={"file": ("bomb.docx", buffer.getvalue())})

    assert reply.status_code in (413, 422)
    assert library.client.get("/ready").status_code == 200


def test_questions_of_private_systems_are_not_kept(library: Server) -> None:
    said = answer(library, CHARTER)
    assert said["found"]
    row, until = None, time.monotonic() + 20
    while row is None:
        assert time.monotonic() < until
        with sqlite3.connect(library.runs / "predictions.db") as database:
            query = "select input, output from predictions where id = ?"
            row = database.execute(query, [said["id"]]).fetchone()
    assert row[0] is None
    assert str(said["answer"])[5:40] not in row[1]


def test_openai_s_client_talks_to_it(library: Server) -> None:
    client = openai.OpenAI(base_url=f"{library.url}/v1", api_key="none")

    assert [model.id for model in client.models.list()] == ["documents"]
    question = CHARTER
    whole = client.chat.completions.create(
        model="documents", messages=[{"role": "user", "content": question}]
    )
    pieces = client.chat.completions.create(
        model="documents", messages=[{"role": "user", "content": question}], stream=True
    )
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces)

    assert whole.choices[0].message.content == text
    assert whole.model_extra is not None
    assert whole.model_extra["mlfolio"]["sources"]


def test_what_openai_s_client_gets_wrong_it_is_told(library: Server) -> None:
    client = openai.OpenAI(base_url=f"{library.url}/v1", api_key="none", max_retries=0)
    user = {"role": "user", "content": "?"}

    with pytest.raises(openai.NotFoundError, match="there is no system"):
        client.chat.completions.create(model="document", messages=[user])
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(
            model="documents", messages=[{"role": "assistant", "content": "hm"}]
        )
    image = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}
    for content in ("", "  ", None, [image], [{"type": "text", "text": ""}]):
        with pytest.raises(openai.UnprocessableEntityError):
            client.chat.completions.create(
                model="documents", messages=[{"role": "user", "content": content}]
            )
    refused = library.client.post("/v1/chat/completions", json={"messages": []})
    assert refused.json()["error"]["type"] == "invalid_request_error"


def test_what_is_uploaded_together_is_judged_apart(library: Server) -> None:
    files = [("file", ("good.md", b"# Good\n\nIt is good.")), ("file", ("bad.exe", b"MZ"))]
    reply = library.client.post(DOCUMENTS, files=files)

    assert reply.status_code == 422
    assert [one["name"] for one in reply.json()["added"]] == ["good.md"]
    assert [one["field"] for one in reply.json()["errors"]] == ["bad.exe"]
    assert library.client.delete(f"{DOCUMENTS}/good.md").status_code == 204
    form = library.client.put(f"{DOCUMENTS}/good.md", files={"file": b"# Good"})
    assert form.status_code == 415


def test_files_that_would_have_one_name_are_all_refused(library: Server) -> None:
    files = [
        ("file", ("legal/readme.md", b"# Legal\n\nThe keeper is called Berta.")),
        ("file", ("notes.md", b"# Notes\n\nThe notes are short.")),
        ("file", (r"tax\readme.md", b"# Tax\n\nThe tax is seven percent.")),
    ]
    before = library.client.get(DOCUMENTS).json()
    reply = library.client.post(DOCUMENTS, files=files)

    assert reply.status_code == 422
    assert "'readme.md'" in reply.json()["detail"]
    assert "PUT" in reply.json()["fix"]
    assert library.client.get(DOCUMENTS).json() == before


HARBOUR = b"The harbour master of Arnholm is called %s."


def upload(server: Server, name: str, who: bytes, metadata: str | None = None) -> httpx.Response:
    data = {} if metadata is None else {"metadata": metadata}
    return server.client.post(DOCUMENTS, files={"file": (name, HARBOUR % who)}, data=data)


def test_metadata_come_with_an_upload_and_are_asked_for(library: Server) -> None:
    assert upload(library, "old.txt", b"Berta", '{"team": "Port", "year": 1999}').status_code == 201
    assert upload(library, "new.txt", b"Olaf", '{"team": "port", "year": 2024}').status_code == 201

    def asked(*wheres: object) -> httpx.Response:
        question = "Who is the harbour master of Arnholm?"
        return library.predict("documents", *({"question": question, "where": w} for w in wheres))

    old, new, none = asked(
        {"team": "port", "year": 1999}, {"year": {"from": 2000}}, {"year": 1}
    ).json()["predictions"]
    assert "Berta" in old["answer"]
    assert "Olaf" not in old["answer"]
    assert "Olaf" in new["answer"]
    assert (none["answer"], none["warnings"]) == (NOT_FOUND, ["no document has year = 1"])

    refused = asked({"team": "port"}, {"tema": "port"})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"row": 1, "field": "where.tema", "value": "",
         "rule": "no document has this key; did you mean 'team'?"}
    ]  # fmt: skip
    assert refused.json()["fix"] == "keys: team, year"
    broken = asked({"year": {"form": 2000}})
    assert broken.status_code == 422
    assert "did you mean 'from'?" in broken.json()["errors"][0]["rule"]
    for name in ("old.txt", "new.txt"):
        assert library.client.delete(f"{DOCUMENTS}/{name}").status_code == 204
    assert asked({"team": "port"}).status_code == 422, "gone with the documents"


@pytest.mark.parametrize(
    "metadata",
    ["", "{", "[]", '"x"', "null", '{"a": {"b": 1}}', '{"a b": 1}', '{"a": NaN}', "[" * 100_000,
     '{"a": "\\ud800"}', '{"a": "\\u0000"}', f'{{"a": "{"x" * 201}"}}'],
)  # fmt: skip
def test_what_is_no_metadata_is_refused(library: Server, metadata: str) -> None:
    reply = upload(library, "bad.txt", b"Nobody", metadata)

    assert reply.status_code == 422
    assert reply.json()["fix"]
    assert "bad.txt" not in library.client.get(DOCUMENTS).json()


def put(server: Server, name: str, who: bytes, *metadata: str | bytes) -> httpx.Response:
    headers = [("Mlfolio-Metadata", value) for value in metadata]
    return server.client.put(f"{DOCUMENTS}/{name}", content=HARBOUR % who, headers=headers)


def test_a_document_that_is_the_body_brings_its_metadata_in_a_header(library: Server) -> None:
    def answers(**where: object) -> str:
        row = {"question": "Who is the harbour master of Arnholm?", "where": where}
        return str(library.predict("documents", row).json()["predictions"][0]["answer"])

    assert put(library, "a/old.txt", b"Berta", '{"team": "Stra\\u00dfe"}').status_code == 200
    assert put(
        library, "new.txt", b"Olaf", '{"team": "H\u00e4fen", "year": 2024}'.encode()
    ).is_success
    assert "Berta" in answers(team="strasse")
    assert "Olaf" in answers(team="h\u00e4fen", year={"from": 2024})
    assert put(library, "new.txt", b"Olaf").status_code == 200
    assert answers(team="h\u00e4fen") == NOT_FOUND, "who comes without has none"
    for name in ("a/old.txt", "new.txt"):
        assert library.client.delete(f"{DOCUMENTS}/{name}").status_code == 204


@pytest.mark.parametrize(
    "metadata",
    ["", "{", "[]", '"x"', "null", '{"a": {"b": 1}}', '{"a b": 1}', '{"a": NaN}', "[" * 20_000,
     '{"a": "\\ud800"}', '{"a": "\\u0000"}', f'{{"a": "{"x" * 201}"}}', b'{"a": "\xe9"}',
     f'{{"a": {[f"{n:0200}" for n in range(30)]}}}'.replace("'", '"')],
)  # fmt: skip
def test_a_header_that_is_no_metadata_is_refused(library: Server, metadata: str | bytes) -> None:
    reply = put(library, "bad.txt", b"Nobody", metadata)

    assert reply.status_code == 422
    assert reply.json()["fix"]
    assert put(library, "bad.txt", b"Nobody", "{}", "{}").status_code == 422
    assert "bad.txt" not in library.client.get(DOCUMENTS).json()


def test_a_conversation_looks_where_it_is_told_to(library: Server) -> None:
    """Also where a follow-up is put together with what it follows."""
    put(library, "old.txt", b"Berta", '{"team": "port", "year": 1999}')
    put(library, "town/new.txt", b"Olaf", '{"team": "port", "year": 2024}')
    client = openai.OpenAI(base_url=f"{library.url}/v1", api_key="none", max_retries=0)
    asked = {"role": "user", "content": "Who is the harbour master of Arnholm?"}
    follow_up = [asked, {"role": "assistant", "content": "One."},
                 {"role": "user", "content": "And what is he called?"}]  # fmt: skip

    def said(messages: list[dict[str, str]], **beside: object) -> str:
        given = {"model": "documents", "messages": messages, "extra_body": {"mlfolio": beside}}
        whole = client.chat.completions.create(**given).choices[0].message.content
        pieces = client.chat.completions.create(**given, stream=True)
        assert "".join(each.choices[0].delta.content or "" for each in pieces) == whole
        return str(whole)

    for messages in ([asked], follow_up):
        assert "Olaf" in said(messages)
        old = said(messages, where={"team": "PORT", "year": 1999})
        assert "Berta" in old
        assert "Olaf" not in old
        assert "Berta" not in said(messages, where={"year": {"from": 2000}})
        assert "Berta" not in said(messages, document="town")
        assert said(messages, where={"team": "nobody"}) == NOT_FOUND
        for stream in (False, True):
            with pytest.raises(openai.UnprocessableEntityError, match="did you mean 'team'") as no:
                client.chat.completions.create(
                    model="documents", messages=messages, stream=stream,
                    extra_body={"mlfolio": {"where": {"tema": "port"}}},
                )  # fmt: skip
        assert no.value.body["message"].startswith("1 problem with the input; where.tema: no doc")
    for name in ("old.txt", "town/new.txt"):
        assert library.client.delete(f"{DOCUMENTS}/{name}").status_code == 204


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ('{"were": {"team": 1}}', "did you mean 'where'?"),
        ('{"where": "legal"}', "valid dict"),
        ('{"where": {"team": {"form": 1}}}', "did you mean 'from'?"),
        ('{"where": {"team": []}}', "at least 1"),
        ('{"where": {"team": NaN}}', "without end"),
        ('{"where": {"team": 1e999}}', "without end"),
        ('{"where": {"team": "\\ud800"}}', "control characters"),
        ('{"where": {"\\ud800": "x"}}', ""),
        ('{"document": "\\ud800"}', ""),
        ('{"where": {"team": ' + "[" * 500 + "]" * 500 + "}}", ""),
        ('{"messages": []}', ""),
        ("[]", "valid dict"),
        ("null", "valid dict"),
    ],
)  # fmt: skip
def test_what_a_conversation_cannot_have_beside_it_is_refused(
    library: Server, beside: str, said: str
) -> None:
    messages = json.dumps([{"role": "user", "content": "Who?"}])
    body = f'{{"model": "documents", "messages": {messages}, "mlfolio": {beside}}}'
    reply = library.client.post(
        "/v1/chat/completions", content=body, headers={"Content-Type": "application/json"}
    )

    assert reply.status_code == 422, reply.text
    assert said in reply.json()["error"]["message"]


def test_openapi_tells_what_a_conversation_may_have_beside_it(library: Server) -> None:
    schemas = library.client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["ChatRequest"]["properties"]["mlfolio"]["anyOf"] == [
        {"$ref": "#/components/schemas/documentsTalk"}
    ]
    assert set(schemas["documentsTalk"]["properties"]) == {"document", "where"}
    assert "required" not in schemas["documentsTalk"] or not schemas["documentsTalk"]["required"]


def test_a_form_has_no_other_field(library: Server) -> None:
    files = {"file": ("bad.txt", b"x")}
    other = library.client.post(DOCUMENTS, files=files, data={"meta": "{}"})
    twice = library.client.post(DOCUMENTS, files=files, data={"metadata": ["{}", "{}"]})

    assert (other.status_code, twice.status_code) == (422, 400)
    assert "there is no field 'meta'" in other.json()["detail"]


def test_a_language_model_writes_piece_by_piece(library: Server) -> None:
    script = Script("The bishop did, in the presence of his council [1].", NOTHING)
    with (
        serve(script),
        serving(library.runs, MLFOLIO_LLM="ollama:m", OLLAMA_HOST=script.url) as server,
    ):
        assert script.asked == [], "getting ready must not ask a model that may cost something"
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none")

        def said(question: str) -> list[str]:
            stream = client.chat.completions.create(
                model="documents", messages=[{"role": "user", "content": question}], stream=True
            )
            return [text for piece in stream if (text := piece.choices[0].delta.content)]

        told, again, nothing = said(CHARTER), said(CHARTER), said(CHARTER.lower())

    assert "".join(told) == "The bishop did, in the presence of his council [1]."
    assert len(told) > 1, "it comes as it is written"
    assert again == ["".join(told)], "what was given is given again, and costs nothing"
    assert "".join(nothing) == NOT_FOUND


@pytest.mark.parametrize("kept", [False, True])
def test_of_an_answer_that_is_not_finished_no_more_is_kept_than_of_a_whole_one(
    library: Server, tmp_path: Path, kept: bool
) -> None:
    """Whether the reader leaves or the language model fails in the middle."""
    script = Script(Breaks("The bishop said his secret, as [1] tells.", after_s=3))
    began = time.time()
    runs = Path(shutil.copytree(library.runs, tmp_path / "runs"))
    options = ("--store-inputs", "documents") if kept else ()
    with (
        serve(script),
        serving(runs, *options, pages=True, MLFOLIO_LLM=f"{script.url}/v1#m") as server,
    ):
        shown = event(server.client, "answer", [CHARTER, [], "", []])
        with talking(server, CHARTER) as lines:
            left = next(line for line in lines if "bishop" in line)  # and goes away
        with talking(server, CHARTER.lower()) as lines:
            read = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        server.stop()

    assert "his secret" in shown
    assert "Broken off" in shown
    assert "secret" not in left
    said = "".join(piece["choices"][0]["delta"].get("content") or "" for piece in read[:-1])
    assert said == "The bishop said his secret, as [1] tells.", "no quotes come behind it"
    assert "busy" in read[-1]["error"]["message"]
    with sqlite3.connect(runs / "predictions.db") as database:
        rows = database.execute(
            "select input, output from predictions where time > ?", [began]
        ).fetchall()
    assert ["bishop" in output for _, output in rows] == [kept] * 3
    assert [given is not None for given, _ in rows] == [kept] * 3
    assert [json.loads(output)["warnings"] for _, output in rows] == [["cut off"] * kept] * 3


@contextmanager
def talking(server: Server, question: str) -> Iterator[Iterator[str]]:
    """The lines of a streamed answer."""
    body = {
        "model": "documents", "stream": True, "messages": [{"role": "user", "content": question}]
    }  # fmt: skip
    url = f"{server.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, timeout=60) as reply:
        yield reply.iter_lines()


def test_a_language_model_that_hangs_stops_nobody_else(library: Server) -> None:
    with (
        hanging() as address,
        serving(
            library.runs, "--timeout", "3", MLFOLIO_LLM="ollama:m", OLLAMA_HOST=address
        ) as server,
        ThreadPoolExecutor(12) as pool,
    ):  # fmt: skip
        body = {"model": "documents", "messages": [{"role": "user", "content": CHARTER}]}
        url = f"{server.url}/v1/chat/completions"
        talks = [pool.submit(httpx.post, url, json=body, timeout=60) for _ in range(12)]
        time.sleep(1)
        started = time.monotonic()
        assert server.client.get("/metrics").status_code == 200
        assert server.client.get(DOCUMENTS).status_code == 200
        assert time.monotonic() - started < 20
        assert {talk.result().status_code for talk in talks} <= {200, 504}
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 25, "what hangs must not hold up the end"


def test_what_takes_long_to_index_holds_up_no_list_and_is_gone_at_the_end(
    library: Server, tmp_path: Path
) -> None:
    long = b"a. " * 1_300_000  # four megabytes of sentences
    with serving(library.runs, "--timeout", "2", TMPDIR=str(tmp_path)) as server:
        with ThreadPoolExecutor(2) as pool:
            urls = [f"{server.url}{DOCUMENTS}/long{i}.txt" for i in range(2)]
            puts = [pool.submit(httpx.put, url, content=long, timeout=60) for url in urls]
            assert [put.result().status_code for put in puts] == [504, 504]
        assert server.client.get(DOCUMENTS).status_code == 200
        server.stop()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []


@contextmanager
def hanging() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.socket() as quiet:
        quiet.bind(("127.0.0.1", 0))
        quiet.listen(50)
        yield f"http://127.0.0.1:{quiet.getsockname()[1]}"
