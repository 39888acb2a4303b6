"""A server of all four systems with its pages, and a browser that looks at them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlfolio
from tests.serve.conftest import Server, serving, titanic_alone, trained

__all__ = ["titanic_alone", "trained"]

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is in the extra dev")
pytest.importorskip("torch")
pytest.importorskip("lancedb")
WAIT_MS = 90_000
LEAVE = shutil.ignore_patterns("predictions.db*", "keys.json")


class Site(Server):
    """A server with pages.

    Attributes:
        temporary: The folder of its temporary files.
    """

    temporary: Path


@pytest.fixture(scope="session")
def all_trained(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of all four systems on their samples."""
    folder = tmp_path_factory.mktemp("all") / "runs"
    runs = Path(shutil.copytree(trained, folder, ignore=LEAVE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(runs))
        for name in ("digits", "documents"):
            mlfolio.run(name, data="sample")
    return runs


@pytest.fixture(scope="session")
def site(all_trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of them, with its pages."""
    temporary = tmp_path_factory.mktemp("temporary")
    with serving(all_trained, pages=True, TMPDIR=str(temporary)) as server:
        server.__class__ = Site
        assert isinstance(server, Site)
        server.temporary = temporary
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium: playwright's own or Debian's.

    For a module, not for the session: as long as playwright is there its event loop runs in this
    thread, and every test of another module that wants a loop of its own would fail.
    """
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
        """A page that is there, with what it fetches when it opens."""
        self.page.goto(f"{self._site.url}/{name}")
        self.page.wait_for_selector("h1")
        self.page.wait_for_function("document.title !== 'mlfolio' || location.pathname === '/'")
        return self.page

    def close(self) -> None:
        """Ends it; what a browser complains of while it leaves is not the page's."""
        errors, outside = list(self.errors), list(self.outside)
        self.page.close()
        # Gradio ends its stream of events when none is left; at times the browser says so, twice.
        if any("AbortError" in error for error in errors):
            errors = [e for e in errors if "AbortError" not in e and "errored out" not in e]
        assert errors == []
        assert outside == []

    def _listen(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _look(self, request: Any) -> None:
        if not request.url.startswith((self._site.url, "data:", "blob:")):
            self.outside.append(request.url)


@pytest.fixture
def watched(browser: Any, site: Site) -> Iterator[Watched]:
    found = Watched(browser, site)
    yield found
    found.close()
