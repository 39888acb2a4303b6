"""Documents and conversations over HTTP: uploads, replacing, erasing, and OpenAI's own client."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.conftest import Server, serving_sample

pytest.importorskip("lancedb")
openai = pytest.importorskip("openai")

pytestmark = pytest.mark.slow
DOCUMENTS = "/v1/systems/documents/documents"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[Server]:
    """A server of the documents system over its sample."""
    folder = tmp_path_factory.mktemp("library")
    with serving_sample("documents", folder, database, "--max-body-mb", "4") as server:
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
    import sqlite3
    import time

    said = answer(library, "What is secret here?")
    time.sleep(0.5)
    with sqlite3.connect(library.runs / "predictions.db") as database:
        row = database.execute("select input from predictions where id = ?", [said["id"]])
        assert row.fetchone() == (None,)


def test_openai_s_client_talks_to_it(library: Server) -> None:
    client = openai.OpenAI(base_url=f"{library.url}/v1", api_key="none")

    assert [model.id for model in client.models.list()] == ["documents"]
    question = "When may boats over twelve metres not enter the inner basin?"
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
