"""Pictures as hostile clients send them: whatever comes, the server answers and goes on."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import SampleOf
from tests.serve.conftest import Server, serving_sample

pytest.importorskip("torch")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory, sample_of: SampleOf) -> Iterator[Server]:
    """A server of digits, trained on its sample."""
    folder = tmp_path_factory.mktemp("gallery")
    with serving_sample(sample_of("digits"), folder) as server:
        yield server


def picture(form: str = "PNG", size: tuple[int, int] = (40, 60)) -> bytes:
    rng = np.random.default_rng(0)
    pixels = np.full((*size, 3), 230, np.uint8)
    pixels[10:30, 20:24] = rng.integers(0, 40, (20, 4, 3))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def bomb(side: int = 50_000) -> bytes:
    """A PNG whose header promises gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    data = zlib.compress(bytes(100_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def send(server: Server, content: bytes) -> int:
    """As a form, with a name that lies."""
    files = {"image": ("../../digit.png", content, "image/png")}
    reply = server.client.post("/v1/systems/digits/predict", files=files)
    return reply.status_code


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_file_and_its_text_get_one_answer(gallery: Server, form: str) -> None:
    content = picture(form)
    files = {"image": ("digit", content)}

    sent = gallery.client.post("/v1/systems/digits/predict", files=files).json()
    text = gallery.predict("digits", {"image": base64.b64encode(content).decode()}).json()

    assert sent["predictions"][0]["answer"] == text["predictions"][0]["answer"] == 1


@pytest.mark.parametrize(
    "content",
    [
        b"", b"GIF89a", bomb(), picture("GIF"), picture("BMP"), picture()[:60],
        b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.4", b"\x00" * 1000,
    ],
    ids=["empty", "gif header", "bomb", "gif", "bmp", "header", "svg", "pdf", "zeros"],
)  # fmt: skip
def test_what_is_no_picture_is_refused(gallery: Server, content: bytes) -> None:
    assert send(gallery, content) == 422
    assert send(gallery, picture()) == 200


@pytest.mark.parametrize(
    "image",
    [None, 7, "not base64!", [], [[0] * 28] * 27, [[300] * 28] * 28, {"a": 1}, "data:,"],
)  # fmt: skip
def test_what_stands_for_no_picture_is_refused(gallery: Server, image: object) -> None:
    reply = gallery.predict("digits", {"image": image})

    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == "image"


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_damage_kills_it(gallery: Server, data: st.DataObject) -> None:
    content = bytearray(picture(data.draw(st.sampled_from(["PNG", "JPEG"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))

    assert send(gallery, bytes(content[:cut])) in (200, 422)


def test_small_texts_that_are_large_pictures_hold_nobody_up(gallery: Server) -> None:
    """Sixteen megapixels of one colour are a few thousand characters."""
    buffer = io.BytesIO()
    Image.new("1", (4000, 4000)).save(buffer, "PNG", optimize=True)
    row = {"image": base64.b64encode(buffer.getvalue()).decode()}
    assert len(row["image"]) < 5_000
    answered = 0
    with ThreadPoolExecutor() as pool:
        busy = pool.submit(gallery.predict, "digits", *[row] * 100)
        while not busy.done():
            answered += gallery.client.get("/ready").status_code == 200
        assert "blank" in busy.result().text  # it was looked at
    assert answered > 10  # one may come before and one after, were they read by the loop
    assert gallery.predict("digits", *[row] * 101).status_code == 413
