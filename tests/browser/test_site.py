"""Every page in headless Chromium: it opens, it answers, and nothing is fetched from outside."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlfolio
from tests.serve.conftest import Server, serving

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is in the extra dev")
pytest.importorskip("torch")
pytest.importorskip("lancedb")

pytestmark = pytest.mark.slow
PAGES = ("", "iris", "titanic", "digits", "documents")
WAIT_MS = 60_000
# A three, as a hand draws it: points of one stroke, as shares of the pad.
THREE = (
    (0.32, 0.22), (0.5, 0.15), (0.68, 0.25), (0.62, 0.42), (0.46, 0.5),
    (0.62, 0.56), (0.7, 0.72), (0.52, 0.86), (0.3, 0.78),
)  # fmt: skip


@pytest.fixture(scope="module")
def site(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of all four systems, with its pages."""
    leave = shutil.ignore_patterns("predictions.db*", "keys.json")
    folder = tmp_path_factory.mktemp("site") / "runs"
    runs = Path(shutil.copytree(trained, folder, ignore=leave))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(runs))
        for name in ("digits", "documents"):
            mlfolio.run(name, data="sample")
    with serving(runs, pages=True) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium: playwright's own or Debian's."""
    with playwright.sync_playwright() as machine:
        own = Path(machine.chromium.executable_path)
        path = str(own) if own.exists() else shutil.which("chromium")
        if path is None:
            pytest.skip("there is no Chromium: apt-get install chromium")
        chromium = machine.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Watched:
    """A page, and what it did that it should not."""

    def __init__(self, browser: Any, site: Server, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.page.set_default_timeout(WAIT_MS)
        self.errors: list[str] = []
        self.outside: list[str] = []
        self._site = site
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._look)

    def open(self, name: str) -> Any:
        self.page.goto(f"{self._site.url}/{name}")
        self.page.wait_for_selector("h1")
        return self.page

    def close(self) -> None:
        """Ends it; what a browser complains of while it leaves is not the page's."""
        errors, outside = list(self.errors), list(self.outside)
        self.page.close()
        assert errors == []
        assert outside == []

    def _listen(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _look(self, request: Any) -> None:
        if not request.url.startswith((self._site.url, "data:", "blob:")):
            self.outside.append(request.url)


@pytest.fixture
def watched(browser: Any, site: Server) -> Iterator[Watched]:
    found = Watched(browser, site)
    yield found
    found.close()


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens(watched: Watched, name: str) -> None:
    page = watched.open(name)

    page.wait_for_load_state("networkidle")
    assert page.locator("h1").first.inner_text()


def test_the_first_page_leads_to_every_system(watched: Watched) -> None:
    page = watched.open("")

    cards = page.locator(".mlf-card")
    playwright.expect(cards).to_have_count(4, timeout=WAIT_MS)
    page.get_by_label("image", exact=True).check()
    playwright.expect(cards).to_have_count(1, timeout=WAIT_MS)
    page.locator(".mlf-card h3 a").click()
    page.wait_for_selector("#pad canvas")


def test_a_form_answers_and_says_why(watched: Watched) -> None:
    page = watched.open("titanic")

    page.get_by_label("female", exact=True).check()
    page.get_by_role("button", name="Predict").click()
    page.wait_for_selector("#answer .mlf-answer")
    page.wait_for_selector("#why .mlf-bar")
    playwright.expect(page.locator("#answer")).to_contain_text("sure")
    playwright.expect(page.locator("#why")).to_contain_text("Sex = female")


def test_a_digit_is_read_as_it_is_drawn(watched: Watched) -> None:
    page = watched.open("digits")
    page.wait_for_selector("#pad canvas")
    box = page.locator("#pad canvas").bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in THREE]

    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=5)
    page.mouse.up()

    page.wait_for_selector("#seen img")
    page.wait_for_function(
        "document.querySelector('#answer .mlf-answer')?.innerText.trim() === '3'"
    )
    playwright.expect(page.locator("#answer .mlf-bar")).to_have_count(3)


def test_a_pdf_is_answered_from_and_a_citation_shows_its_page(
    watched: Watched, tmp_path: Path
) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(tmp_path / "lighthouse.pdf"))
    canvas.drawString(72, 720, "The tower of Arnholm was built of granite.")
    canvas.showPage()
    canvas.drawString(72, 720, "The lighthouse keeper of Arnholm is called Berta Quist.")
    canvas.drawString(
        72, 700, "A boat <img src=http://203.0.113.1/x.png> brings the mail of Arnholm."
    )
    canvas.save()
    page = watched.open("documents")

    page.locator("#files input[type=file]").set_input_files(str(tmp_path / "lighthouse.pdf"))
    page.wait_for_function("document.querySelector('#said')?.innerText.includes('passages')")
    for turn, (asked, told) in enumerate(
        [("Who is the lighthouse keeper of Arnholm?", "Berta Quist"),
         ("What brings the mail of Arnholm?", "<img src=http://203.0.113.1/x.png>")], start=1,
    ):  # fmt: skip
        page.locator("#question textarea, #question input").fill(asked)
        page.keyboard.press("Enter")
        page.locator(f"#source-{turn}-1").wait_for()
        playwright.expect(page.locator("#conversation")).to_contain_text(told)
    playwright.expect(page.locator("#sources summary").first).to_contain_text(
        "lighthouse.pdf, page 2"
    )

    source = page.locator("#source-1-1")  # of the first answer, which is further down by now
    assert source.get_attribute("open") is None
    page.locator('#conversation a[href="#source-1-1"]').first.click()
    playwright.expect(source).to_have_attribute("open", "")
    playwright.expect(source.locator("mark")).to_contain_text("Berta Quist")
    playwright.expect(source).to_contain_text("brings the mail")  # the rest of its page
    playwright.expect(source).not_to_contain_text("granite")  # not the page before


def test_wrong_input_shows_its_message(watched: Watched, tmp_path: Path) -> None:
    page = watched.open("documents")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 this is none")

    page.locator("#files input[type=file]").set_input_files(str(tmp_path / "broken.pdf"))

    page.wait_for_function("document.querySelector('#said')?.innerText.includes('not added')")


def test_a_system_that_is_trained_meanwhile_gets_its_page(
    browser: Any, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runs := tmp_path / "runs").mkdir()
    shutil.copy(database, runs / "mlflow.db")
    monkeypatch.setenv("MLFOLIO_RUNS", str(runs))
    mlfolio.run("iris", data="sample", repeats=1, folds=2)
    with serving(runs, pages=True) as server:
        watched = Watched(browser, server)
        page = watched.open("")
        playwright.expect(page.locator(".mlf-card", has_text="mlfolio run titanic")).to_be_visible()

        mlfolio.run("titanic", data="sample", folds=2, inner_folds=2)

        until = time.monotonic() + 60
        while server.client.get("/titanic").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.5)
        page = watched.open("titanic")
        page.get_by_role("button", name="Predict").click()
        page.wait_for_selector("#answer .mlf-answer")
        watched.close()


def test_it_fits_a_phone_in_the_dark(browser: Any, site: Server) -> None:
    watched = Watched(
        browser, site, viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True
    )
    for name in PAGES:
        page = watched.open(name)
        page.wait_for_load_state("networkidle")
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"/{name} is {wide} pixels wider than the screen"
    watched.errors.clear()  # leaving a page ends its event stream, which Chromium calls an error
    watched.close()
