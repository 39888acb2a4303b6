"""The site: a first page with every system, and a page for each."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported

import gradio as gr
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from mlfolio.app import home, system_page
from mlfolio.app.door import OPEN, Pages, uploads_folder
from mlfolio.core.model import Indexes
from mlfolio.serve.problems import ProblemError
from mlfolio.serve.service import Service

WATCH_S = 2.0  # how often the pages are compared with what is served
WAITING, AT_ONCE = 100, 16  # visitors' events that wait, and that are answered at the same time
EVENTS = 10_000  # of one page, at most
NOWHERE = "the pages begin at /, the API at /v1/systems"
STYLE = Path(__file__).with_name("style.css")
LOG = logging.getLogger(__name__)


@asynccontextmanager
async def pages(app: FastAPI, service: Service) -> AsyncIterator[None]:
    """Serves the pages under `/`, as long as the context is open.

    A system that has been trained since, or takes other inputs than before, gets its page within
    seconds: the whole site is built anew and put in the place of the old one.
    """
    with uploads_folder():
        site = Site(service)
        await site.renew()
        # Not mounted: a mount at / would answer for addresses of the API with a wrong method.
        app.router.default = site
        watch = asyncio.create_task(site.keep_up())
        try:
            yield
        finally:
            watch.cancel()
            await site.close()


class Site:
    """What answers beside the API: the pages as they were built last.

    Those before are kept for who is in them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._built: list[tuple[FastAPI, AsyncExitStack]] = []
        self._shape: dict[str, str] = {}
        self._pages = {f"/{card.slug}" for card in home.cards()} | {"/"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        path = scope.get("path", "")
        if path in self._pages or OPEN.fullmatch(path):
            await self._built[-1][0](scope, receive, send)
        elif scope["type"] == "http":
            problem = ProblemError(404, f"there is nothing at {path}", NOWHERE)
            await problem.response()(scope, receive, send)
        else:  # a websocket: there are none
            await send({"type": "websocket.close", "code": 1000})

    async def renew(self) -> None:
        """Builds the pages."""
        self._shape = await asyncio.to_thread(_shape, self._service)
        app, life = await asyncio.to_thread(_build, self._service), AsyncExitStack()
        # The server has begun already, so the pages' own beginning is up to us: their queue.
        await life.enter_async_context(app.router.lifespan_context(app))
        self._built.append((app, life))
        if len(self._built) > 2:
            await self._built.pop(0)[1].aclose()

    async def keep_up(self) -> None:
        """Builds them again whenever what they are made from has changed."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                if await asyncio.to_thread(_shape, self._service) != self._shape:
                    await self.renew()
            except Exception:  # the old pages go on
                LOG.exception("the pages cannot be built anew")

    async def close(self) -> None:
        """Ends the pages."""
        for _, life in self._built:
            await life.aclose()


def _shape(service: Service) -> dict[str, str]:
    """What pages are made from: the inputs of every system that is served, and where from.

    The examples of one that holds documents are theirs: of a deleted one none may stay on a page.
    """
    shape = {}
    for served in service.fleet:
        model = served.model
        schema = json.dumps(model.input_type.model_json_schema(by_alias=True))
        examples = model.examples() if isinstance(model, Indexes) else ""
        shape[served.card.slug] = f"{served.version.source}{schema}{examples}"
    return shape


def _build(service: Service) -> FastAPI:
    """All pages, as an application of their own."""
    served = {one.card.slug: one for one in service.fleet}
    with Pages(title="mlfolio") as site:
        _title("mlfolio")
        home.build(service)
    for number, card in enumerate(home.cards(), start=1):
        # A page that is open says what it wants by the numbers of its events. Those must not move
        # when another system gets its page.
        site.default_config.fn_id = number * EVENTS
        with site.route(card.slug, f"/{card.slug}", show_in_navbar=False):
            _title(f"{card.title} – mlfolio")
            system_page.build(card, served.get(card.slug), service)
    site.queue(max_size=WAITING, default_concurrency_limit=AT_ONCE)
    app = FastAPI(openapi_url=None)
    with warnings.catch_warnings():
        # It warns that it does not do what it is told not to do.
        warnings.filterwarnings("ignore", "SSR mode is not supported", UserWarning)
        gr.mount_gradio_app(
            app, site, path="/", theme=_theme(), css_paths=STYLE, show_error=False,
            ssr_mode=False, footer_links=[], run_history=False,
            max_file_size=int(service.settings.max_body_mb * 2**20),
        )  # fmt: skip
    return app


def _title(title: str) -> None:
    """Gives the page that is being made a title of its own."""
    gr.on(None, None, None, None, js=f"() => {{ document.title = {json.dumps(title)}; }}")


def _theme() -> gr.themes.Base:
    """Fonts of the reader's machine, and colours that can be read (4.5:1 at least)."""
    return gr.themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ).set(
        body_text_color_subdued="*neutral_600",
        input_placeholder_color="*neutral_500",
        block_info_text_color="*neutral_600",
        block_label_text_color="*neutral_600",
        block_title_text_color="*neutral_600",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
    )
