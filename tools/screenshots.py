"""Takes the pictures of the pages in docs/images, from the champions that there are.

python tools/screenshots.py [PAGE ...]      of the models in ./runs or $MLFOLIO_RUNS

It serves them for as long as it takes, and needs Chromium (playwright's own or Debian's). pictures
and masks are shown what their samples draw: nobody's photo is in these pictures.
"""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from mlfolio.systems.masks.sample import draw_scene
from mlfolio.systems.pictures.sample import draw

FOLDER = Path(__file__).parent.parent / "docs" / "images"
WIDTH, HEIGHT, TALLEST = 1280, 900, 1300
TALL = "document.documentElement.scrollHeight"
# A three, as a hand draws it: points of one stroke, as shares of the pad.
THREE = (
    (0.32, 0.22), (0.5, 0.15), (0.68, 0.25), (0.62, 0.42), (0.46, 0.5),
    (0.62, 0.56), (0.7, 0.72), (0.52, 0.86), (0.3, 0.78),
)  # fmt: skip


@contextmanager
def served() -> Iterator[str]:
    """The address of a server of all champions."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlfolio", "serve", "--port", str(port)]
    with subprocess.Popen(command) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            while process.poll() is None:
                try:
                    urlopen(f"{url}/ready").close()
                    break
                except URLError:
                    time.sleep(0.5)
            yield url
        finally:
            process.terminate()


def home(page: Any) -> None:
    """The cards, with their pictures."""
    page.wait_for_function(
        "[...document.images].length && [...document.images].every(i => i.complete)"
    )


def predict(page: Any) -> None:
    """The form as it is, with its answer."""
    page.get_by_role("button", name="Predict").click()
    page.wait_for_selector("#why .mlf-bar.total")


def read(page: Any) -> None:
    """The text as it is, with the words that decided."""
    page.get_by_role("button", name="Predict").click()
    page.wait_for_selector("#beside mark")


def bring(page: Any, field: str, picture: np.ndarray) -> None:
    """A picture from a file."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    file = {"name": "picture.png", "mimeType": "image/png", "buffer": content.getvalue()}
    page.set_input_files(f"{field} input[type=file]", file)


def see(page: Any) -> None:
    """A drawn shape, and where it was looked at."""
    bring(page, "#field-image", draw(96)[0][0])
    page.wait_for_selector("#field-image .file-preview")
    page.get_by_role("button", name="Predict").click()
    page.wait_for_selector("#beside img")


def find_faces(page: Any) -> None:
    """A drawn scene, with its faces."""
    page.get_by_text("a picture", exact=True).click()
    bring(page, "#picture", draw_scene(3, np.random.default_rng(3))[0])
    page.wait_for_selector("#answer img")


def stroke(page: Any, points: Sequence[tuple[float, float]] = THREE) -> None:
    """A stroke of the mouse through points of the pad (shares of its sides)."""
    canvas = page.locator("#pad canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def digit(page: Any) -> None:
    """A digit, and what is seen in it."""
    stroke(page)
    page.wait_for_selector("#seen img")


def recommend(page: Any) -> None:
    """Recommendations for the films of an example."""
    page.locator(".gallery button, button.gallery-item, .gallery tr.tr-body").first.click()
    page.get_by_role("button", name="Recommend").click()
    page.wait_for_selector("#films tbody tr")


def forecast(page: Any) -> None:
    """The first series, with its candles and its band."""
    page.get_by_role("button", name="Forecast").click()
    page.wait_for_selector("#chart img")


def book(page: Any) -> None:
    """The beginning of a conversation at the hotel's desk, with what was understood."""
    for said in ("I need a double room from Friday", "three nights", "no, two nights"):
        page.get_by_label("your message").fill(said)
        page.keyboard.press("Enter")
        page.wait_for_timeout(3000)


def ask(page: Any) -> None:
    """An example that the documents answer, with its source."""
    examples = page.locator(".gallery button, button.gallery-item")
    for number in range(examples.count()):
        page.get_by_role("button", name="New conversation").click()
        page.wait_for_selector("#sources details", state="detached")
        examples.nth(number).click()
        page.wait_for_function(
            "document.querySelector('#question textarea, #question input').value"
        )
        page.get_by_role("button", name="Ask", exact=True).click()
        page.wait_for_selector("#sources details")
        if page.locator("#sources h4").first.inner_text() == "Sources":
            return


SCENES: dict[str, Callable[[Any], None]] = {
    "home": home, "iris": predict, "titanic": predict, "house-prices": predict,
    "movies": recommend, "spam": read, "segments": predict, "digits": digit, "sentiment": read,
    "pictures": see, "stocks": forecast, "masks": find_faces, "chatbot": book, "documents": ask,
    "churn": predict,
}  # fmt: skip


def main() -> None:
    """Takes those that are named, or all."""
    wanted = sys.argv[1:] or list(SCENES)
    FOLDER.mkdir(exist_ok=True)
    with served() as url, sync_playwright() as machine:
        own = Path(machine.chromium.executable_path)
        path = str(own) if own.exists() else shutil.which("chromium")
        browser = machine.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name in wanted:
            act = SCENES[name]
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(f"{url}/{'' if name == 'home' else name}")
            page.wait_for_selector("h1")
            act(page)
            page.evaluate("document.activeElement.blur()")
            page.mouse.move(0, 0)
            picture = FOLDER / f"{name}.png"
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": min(TALLEST, page.evaluate(TALL))}
            page.screenshot(path=picture, animations="disabled", full_page=True, clip=clip)
            page.close()
            # Few colours are used; a palette makes the file a third as large.
            Image.open(picture).convert("RGB").quantize(128).save(picture, optimize=True)
            print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
