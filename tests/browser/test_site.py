"""The pages in headless Chromium: they open, they lead on, and everybody can read them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import mlfolio
from mlfolio.core.catalog import SYSTEMS, get_card
from tests.browser.conftest import WAIT_MS, Site, Watched
from tests.serve.conftest import serving

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow
PAGES = ("", "iris", "titanic", "digits", "documents")
CONTRASTS = Path(__file__).with_name("contrasts.js").read_text()
OUTLINE = "getComputedStyle(document.activeElement).outline"


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_and_says_which_it_is(watched: Watched, name: str) -> None:
    page = watched.open(name)

    heading = page.locator("h1").first.inner_text()
    title = "mlfolio" if name == "" else f"{heading} – mlfolio"
    playwright.expect(page).to_have_title(title, timeout=WAIT_MS)
    if name:
        page.get_by_role("link", name="all systems").click()
        playwright.expect(page).to_have_title("mlfolio", timeout=WAIT_MS)


def test_the_first_page_leads_to_every_system(watched: Watched) -> None:
    page = watched.open("")

    cards = page.locator(".mlf-card")
    playwright.expect(cards).to_have_count(len(SYSTEMS), timeout=WAIT_MS)
    playwright.expect(cards.first).to_contain_text("the score says nothing")  # of a sample
    page.get_by_label("image", exact=True).check()
    pictures = sum(get_card(name).kind == "image" for name in SYSTEMS)
    playwright.expect(cards).to_have_count(pictures, timeout=WAIT_MS)
    cards.filter(has_text="digit").click(
        position={"x": 8, "y": 8}
    )  # not on its title: all of it leads there
    page.wait_for_selector("#pad canvas")


def test_a_report_opens_beside_the_page_and_fits_a_phone(browser: Any, site: Site) -> None:
    watched = Watched(browser, site, viewport={"width": 390, "height": 844})
    page = watched.open("titanic")
    page.get_by_role("tab", name="How good it is").click()
    link = page.get_by_role("link", name="its own tab")
    playwright.expect(link).to_have_attribute("target", "_blank", timeout=WAIT_MS)
    page.goto(site.url + str(link.get_attribute("href")))
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    scrolls = "[...document.querySelectorAll('table')].every((t) => t.closest('.scroll'))"
    assert page.evaluate(scrolls)
    watched.errors.clear()  # leaving a page ends its event stream, which Chromium calls an error
    watched.close()


def test_a_system_without_a_model_has_a_page_and_gets_its_form(
    browser: Any, titanic_alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Path(shutil.copytree(titanic_alone, tmp_path / "runs"))
    monkeypatch.setenv("MLFOLIO_RUNS", str(runs))
    with serving(runs, pages=True) as server:
        other = Watched(browser, server)
        opened = other.open("titanic")
        watched = Watched(browser, server)
        page = watched.open("")
        page.get_by_role("link", name="Iris flower classification").click()
        playwright.expect(page.get_by_text("mlfolio run iris")).to_be_visible(timeout=WAIT_MS)
        page = watched.open("digits")
        playwright.expect(page.locator(".mlf-untrained")).to_contain_text("[deep]")

        mlfolio.run("iris", data="sample", repeats=1, folds=2)

        button = page.get_by_role("button", name="Predict")
        for _ in range(120):
            page = watched.open("iris")
            try:
                button.wait_for(timeout=2_000)
                break
            except playwright.TimeoutError:
                continue
        button.click()
        page.wait_for_selector("#answer .mlf-answer")
        opened.get_by_role("button", name="Predict").click()  # open since before
        opened.wait_for_selector("#answer .mlf-answer")
        for seen in (watched, other):
            seen.errors.clear()
            seen.close()


def test_it_fits_a_phone_in_the_dark(browser: Any, site: Site) -> None:
    watched = Watched(
        browser, site, viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True
    )
    for name in PAGES:
        page = watched.open(name)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"/{name} is {wide} pixels wider than the screen"
        for tab in page.get_by_role("tab").all():
            box = tab.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
    watched.errors.clear()
    watched.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_and_inputs_have_names(browser: Any, site: Site, scheme: str) -> None:
    watched = Watched(browser, site, color_scheme=scheme)
    for name in PAGES:
        page = watched.open(name)
        assert page.evaluate(CONTRASTS) == [], name
        if name:
            page.get_by_role("tab", name="Call it").click()
            page.get_by_text("Python, over HTTP").wait_for()
            assert page.evaluate(CONTRASTS) == [], name
        unnamed = (
            "[...document.querySelectorAll('input, textarea, select, [role=slider]')].filter((e) =>"
            " e.checkVisibility() && !e.labels?.length && !e.ariaLabel"
            " && !e.getAttribute('aria-labelledby')).map((e) => e.outerHTML)"
        )
        assert page.evaluate(unnamed) == [], name
    watched.errors.clear()
    watched.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_keyboard_is_seen_wherever_it_is(browser: Any, site: Site, scheme: str) -> None:
    watched = Watched(browser, site, color_scheme=scheme)
    page = watched.open("titanic")
    page.get_by_role("button", name="Predict").wait_for()
    for _ in range(20):
        page.keyboard.press("Tab")
        where = page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        outline = page.evaluate(OUTLINE)
        assert re.search(r"solid [2-9]px", outline), f"{where}: {outline}"
    watched.close()
