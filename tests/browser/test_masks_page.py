"""The page of masks: a camera that is none, a picture, and a film."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("torch")

import cv2
from PIL import Image

from mlfolio.systems.masks import sample
from tests.browser.conftest import Watched
from tests.conftest import SampleOf
from tests.serve.conftest import Server, serving_sample

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sample_of: SampleOf) -> Iterator[Server]:
    folder, temporary = tmp_path_factory.mktemp("masks"), tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        with serving_sample(sample_of("masks"), folder, "--pages") as running:
            yield running
            left = [path.name for path in temporary.rglob("*") if path.suffix in (".png", ".mp4")]
    shutil.rmtree(folder, ignore_errors=True)
    assert left == [], "what was uploaded is erased once it was looked at"


def scene() -> np.ndarray:
    return sample.draw_scene(3, np.random.default_rng(3))[0]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, whose camera shows a drawn scene."""
    film = tmp_path_factory.mktemp("camera") / "scene.mjpeg"
    frame = cv2.resize(scene(), (640, 480))
    film.write_bytes(cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() * 10)
    with playwright.sync_playwright() as machine:
        own = Path(machine.chromium.executable_path)
        path = str(own) if own.exists() else shutil.which("chromium")
        if path is None:
            pytest.skip("there is no Chromium: apt-get install chromium")
        camera = [f"--use-file-for-fake-video-capture={film}", "--use-fake-ui-for-media-stream"]
        arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", *camera]
        chromium = machine.chromium.launch(executable_path=path, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    watched = Watched(browser, server)  # type: ignore[arg-type]
    yield watched.open("masks")
    watched.close()


def test_the_camera_shows_boxes_and_frames_a_second(page: Any, server: Server) -> None:
    def seen() -> int:
        counts = server.client.get("/metrics").text
        found = re.search(r'predictions_total{.*system="masks".*} (\d+)', counts)
        return int(found[1]) if found else 0

    page.get_by_role("button", name="Start the camera").click()
    page.wait_for_function(
        "document.querySelector('#camera .told')?.textContent.match(/mask.* · [1-9].* frames.s/)"
    )
    page.get_by_role("button", name="Stop the camera").click()
    assert page.get_by_role("button", name="Start the camera").is_visible()
    with closing(sqlite3.connect(server.runs / "predictions.db")) as log:
        for _ in range(100):  # the writer is not in a hurry
            (logged,) = log.execute("SELECT count(*) FROM predictions").fetchone()
            if logged:
                break
            time.sleep(0.1)
    assert 1 <= logged <= 1 + seen() // 5, "few of a camera's frames are logged"


def test_a_picture_is_shown_with_its_faces(page: Any, tmp_path: Path) -> None:
    path, bad = tmp_path / "photo.png", tmp_path / "bad.png"
    Image.fromarray(scene()).save(path)
    bad.write_bytes(b"\x89PNG no more")
    page.get_by_text("a picture", exact=True).click()
    page.set_input_files("#picture input[type=file]", path)
    page.wait_for_selector("#answer img")
    assert "mask" in page.inner_text("#answer .mlf-answer")
    page.get_by_label("Remove this file").or_(page.get_by_label("Clear")).first.click()
    page.set_input_files("#picture input[type=file]", bad)
    page.wait_for_selector("#answer .mlf-error")


def test_a_film_comes_back(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    size, code = (sample.WIDE, sample.HIGH), cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 10.0, size)
    for _ in range(6):
        writer.write(np.ascontiguousarray(scene()[..., ::-1]))
    writer.release()
    page.get_by_text("a film of a minute", exact=True).click()
    page.set_input_files("#film input[type=file]", path)
    page.wait_for_selector("#watched video")
    assert "6 frames" in page.inner_text("#watched")
    assert page.evaluate("document.querySelector('#watched video').src").startswith(
        "data:video/webm"
    )
