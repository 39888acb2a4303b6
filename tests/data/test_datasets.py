"""Official data come whole or not at all: downloads from a real server, good and bad."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlfolio.core.errors import DataUnavailableError, FileError, UnknownNameError
from mlfolio.data import datasets
from mlfolio.data.datasets import DataFile, Dataset, data_folder, get_dataset, place

CONTENT = b"a,b\n1,2\n" * 1000


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, but breaks off in the middle of those called `half`."""

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        if not self.path.startswith("/half"):
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100])
        self.wfile.flush()
        self.connection.close()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("web")
    (folder / "good.csv").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def record(monkeypatch: pytest.MonkeyPatch, url: str, **facts: Any) -> Dataset:
    file = DataFile(name="t.csv", url=url, **facts)
    made = Dataset(
        name="web", title="Web", home="http://x", licence="x", citation="x", files=(file,)
    )
    monkeypatch.setitem(datasets.DATASETS, "web", made)
    return made


def test_a_download_is_checked_and_placed(
    home: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    record(monkeypatch, f"{server}/good.csv", download_hash=f"sha256:{digest}", sha256=digest)

    folder = place("web")

    assert (folder / "t.csv").read_bytes() == CONTENT
    assert folder == data_folder() / "web"
    assert place("web") == folder, "the second time it is there"


@pytest.mark.parametrize("path", ["half.csv", "missing.csv", "good.csv"])
def test_a_bad_download_leaves_no_file(
    home: Path, server: str, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    made = record(monkeypatch, f"{server}/{path}", download_hash="sha256:" + "0" * 64)

    with pytest.raises(DataUnavailableError):
        place("web")

    assert [p.name for p in made.folder.iterdir() if p.name != ".lock"] == []


def test_no_network_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(monkeypatch, "http://127.0.0.1:9/t.csv")
    with pytest.raises(DataUnavailableError, match="--data sample"):
        place("web")


def test_a_placed_file_is_compared_with_the_published_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = record(monkeypatch, "http://127.0.0.1:9/t.csv", sha256="0" * 64)
    made.folder.mkdir(parents=True)
    (made.folder / "t.csv").write_bytes(b"something else")
    with pytest.raises(FileError, match="is not the published file"):
        place("web")


def test_a_placed_file_may_be_the_download_itself(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.md5(CONTENT).hexdigest()
    made = record(monkeypatch, "http://127.0.0.1:9/t.csv", download_hash=f"md5:{digest}")
    made.folder.mkdir(parents=True)
    (made.folder / "t.csv").write_bytes(CONTENT)
    assert place("web") == made.folder
    (made.folder / "t.csv").write_bytes(CONTENT[:-1])
    with pytest.raises(FileError, match="is not the published file"):
        place("web")


@pytest.mark.parametrize(("name", "file"), [("titanic", "train.csv"), ("scifact", "scifact.zip")])
def test_another_file_is_not_taken_for_the_official_one(home: Path, name: str, file: str) -> None:
    folder = get_dataset(name).folder
    folder.mkdir(parents=True)
    (folder / file).write_bytes(b"a,b\n1,2\n")
    with pytest.raises(FileError, match=r"is not the published file(.|\n)*--data FILE"):
        place(name)


def test_a_damaged_archive_is_said_to_be_unreadable(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = get_dataset("mnist").folder
    folder.mkdir(parents=True)
    for file in get_dataset("mnist").files:
        (folder / file.name).write_bytes(b"\x1f\x8b but no more")
    with pytest.raises(FileError, match="unreadable"):
        place("mnist")


def test_data_behind_a_login_say_where_to_get_them(home: Path) -> None:
    with pytest.raises(DataUnavailableError, match=r"kaggle.com/c/titanic and put into .*titanic"):
        place("titanic")


def test_unknown_data_sets_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'mnist'"):
        get_dataset("mnits")
