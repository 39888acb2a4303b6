"""The page of movies: films chosen, recommendations told with their reasons."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import WAIT_MS, Watched
from tests.conftest import SampleOf
from tests.serve.conftest import Server, serving_sample

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sample_of: SampleOf) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("movies")
    with serving_sample(sample_of("movies"), folder, "--pages") as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    watched = Watched(browser, server)  # type: ignore[arg-type]
    yield watched.open("movies")
    watched.close()


def expect(thing: Any) -> Any:
    return playwright.expect(thing)


def test_films_are_recommended_with_the_reason_and_similar_ones(page: Any) -> None:
    page.locator("#liked input").click()
    page.get_by_role("option").first.click()
    liked = page.locator("#liked .token").first.inner_text().strip()
    page.locator("#similar-to input").fill(liked)
    page.locator("#similar-to input").press("Enter")
    page.get_by_role("button", name="Recommend").click()

    expect(page.locator("#answer .mlf-answer")).not_to_be_empty(timeout=WAIT_MS)
    expect(page.locator("#films tbody tr")).to_have_count(10, timeout=WAIT_MS)
    expect(page.locator("#films")).to_contain_text(liked)
    expect(page.locator("#films li")).to_have_count(10)
    assert liked not in page.locator("#films td:first-child").all_inner_texts()


def test_what_is_wrong_is_said(page: Any) -> None:
    page.locator("#year-from input").fill("2199")
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator("#answer")).to_contain_text("nothing is left", timeout=WAIT_MS)
