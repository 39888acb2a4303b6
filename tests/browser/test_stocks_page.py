"""The page of stocks: candles and a band, of a series that is known and of a file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlfolio.systems.stocks.sample import unforeseeable
from tests.browser.conftest import Watched
from tests.conftest import SampleOf
from tests.serve.conftest import Server, serving_sample

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sample_of: SampleOf) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("stocks")
    with serving_sample(sample_of("stocks"), folder, "--pages") as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    watched = Watched(browser, server)  # type: ignore[arg-type]
    yield watched.open("stocks")
    watched.close()


def uploaded(page: Any) -> None:
    """Waits until the file is there; its name would also be shown while it is on its way."""
    page.wait_for_selector("#prices a[download]")


def test_a_known_series_and_a_file_are_drawn_with_the_disclaimer(page: Any, tmp_path: Path) -> None:
    assert "not financial advice" in page.inner_text("#disclaimer")
    page.get_by_role("button", name="Forecast").click()
    page.wait_for_selector("#chart img")
    assert "in 90% of such cases between" in page.inner_text("#answer")
    assert "not financial advice" in page.inner_text("#chart")

    path = tmp_path / "mine.csv"
    bars = unforeseeable(300, seed=4)
    bars.frame[::-1].to_csv(path, index=False)
    page.set_input_files("#prices input[type=file]", path)
    uploaded(page)
    page.get_by_role("button", name="Forecast").click()
    page.wait_for_selector("#answer .mlf-warning")
    assert "put in order" in page.inner_text("#answer")


def test_a_bad_file_says_what_is_wrong(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("Date,Open,High,Low,Close\n2020-01-01,1,1,2,1\n")
    page.get_by_role("button", name="Forecast").click()
    page.wait_for_selector("#chart img")  # what is chosen before the page is awake is lost
    page.set_input_files("#prices input[type=file]", path)
    uploaded(page)
    page.get_by_role("button", name="Forecast").click()
    page.wait_for_selector("#answer .mlf-error")
    assert "2020-01-01: low is not above high" in page.inner_text("#answer")
