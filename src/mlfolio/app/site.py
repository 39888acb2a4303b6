"""The site: a first page with every system, and a page for each that is served."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported

import gradio as gr
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from mlfolio.app import form, words
from mlfolio.core.catalog import catalog, get_card
from mlfolio.core.errors import MlfolioError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.model import Conversation, Model, Output
from mlfolio.serve.fleet import Served
from mlfolio.serve.problems import as_problem
from mlfolio.serve.service import Service

CLIENT = "page"  # who asks, in the prediction log
ALL = "all"
WATCH_S = 2.0  # how often the pages are compared with what is served
LONG = 200  # characters of a value, beyond which an example only hints at it
STYLE = Path(__file__).with_name("style.css")
LOG = logging.getLogger(__name__)


@asynccontextmanager
async def pages(app: FastAPI, service: Service) -> AsyncIterator[None]:
    """Serves the pages of everything that is served under `/`, as long as the context is open.

    A system that has been trained since, or takes other inputs than before, gets its page within
    seconds: the whole site is built anew and put in the place of the old one.
    """
    site = Site(service)
    await site.renew()
    app.mount("/", site)
    watch = asyncio.create_task(site.keep_up())
    try:
        yield
    finally:
        watch.cancel()
        await site.close()


class Site:
    """What is mounted: the pages as they were built last, and before that for who is in them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._built: list[tuple[FastAPI, AsyncExitStack]] = []
        self._shape: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        await self._built[-1][0](scope, receive, send)

    async def renew(self) -> None:
        """Builds the pages."""
        self._shape = _shape(self._service)
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
            if _shape(self._service) != self._shape:
                try:
                    await self.renew()
                except Exception:  # the old pages go on
                    LOG.exception("the pages cannot be built anew")

    async def close(self) -> None:
        """Ends the pages."""
        for _, life in self._built:
            await life.aclose()


def _shape(service: Service) -> dict[str, str]:
    """What pages are made from: the inputs of every system that is served."""
    return {
        served.card.slug: json.dumps(served.model.input_type.model_json_schema(by_alias=True))
        for served in service.fleet
    }


def _build(service: Service) -> FastAPI:
    """All pages, as an application of their own."""
    theme = gr.themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    with gr.Blocks(title="mlfolio", analytics_enabled=False) as site:
        _home(service)
    for served in service.fleet:
        with site.route(served.card.slug, f"/{served.card.slug}"):
            _page(served, service)
    app = FastAPI()
    gr.mount_gradio_app(
        app, site, path="/", theme=theme, css_paths=STYLE, show_error=True, ssr_mode=False,
        footer_links=[], max_file_size=f"{service.settings.max_body_mb:.0f}mb",
    )  # fmt: skip
    return app


def _home(service: Service) -> None:
    """Every system as a card, narrowed by kind and level."""
    gr.Markdown("# mlfolio\nMachine-learning systems that really work. Choose one.")
    cards = [get_card(name) for name in catalog()]
    with gr.Row():
        kind = gr.Radio([ALL, *dict.fromkeys(c.kind for c in cards)], value=ALL, label="kind")
        level = gr.Radio([ALL, *dict.fromkeys(c.level for c in cards)], value=ALL, label="level")

    def show(kind: str, level: str) -> str:
        found = [
            about
            for about in _all_systems(service)
            if kind in (ALL, about["kind"]) and level in (ALL, about["level"])
        ]
        inside = "".join(map(words.card, found)) or "<p>There is none of this kind.</p>"
        return f'<div class="mlf-cards">{inside}</div>'

    shown = gr.HTML(show(ALL, ALL))
    for choice in (kind, level):
        choice.change(show, [kind, level], shown, show_progress="hidden")


def _all_systems(service: Service) -> list[dict[str, Any]]:
    """What the cards say: trained systems first."""
    found = []
    for name in catalog():
        card = get_card(name)
        about: dict[str, Any] = {
            "name": name, "title": card.title, "summary": card.summary, "kind": card.kind,
            "level": card.level, "needs": f"[{card.extra}]" if card.extra else "",
            "version": None,
        }  # fmt: skip
        served = next((s for s in service.fleet if s.card.slug == name), None)
        if served is not None:
            version = served.version
            official = version.source == "official"
            about |= {
                "version": version.number, "metric": version.metric, "value": version.value,
                "data": version.source, "target": card.primary.target if official else None,
                "picture": served.picture is not None,
            }  # fmt: skip
        found.append(about)
    return sorted(found, key=lambda about: about["version"] is None)


def _page(served: Served, service: Service) -> None:
    """One system: try it, see how good it is and how it was made, call it."""
    card, name = served.card, served.card.slug
    gr.Markdown(f"# {card.title}\n{card.summary}")
    if served.version.source == "sample":
        gr.Markdown(
            "**SAMPLE: trained on the embedded sample. It works; how good it is, it does not say.**"
        )
    with gr.Tab("Try it"):
        ask, own = Asking(name, service), _own_page(name)
        if own is not None:
            own.build(ask)
        else:
            ask.form()
    with gr.Tab("How good it is, and how it was made"):
        gr.HTML(f'<iframe class="mlf-report" title="report" loading="lazy" '
                f'src="/v1/systems/{name}/report"></iframe>')  # fmt: skip
    with gr.Tab("How to call it"):
        _calls(served)


def _own_page(name: str) -> Any:
    """A system's own `page.py`, where the generated form is not enough."""
    package = catalog()[name].partition(":")[0]
    return import_module(f"{package}.page") if find_spec(f"{package}.page") else None


class Asking:
    """What a page asks with: see `core.page.Ask`."""

    def __init__(self, name: str, service: Service) -> None:
        self._name = name
        self._service = service

    @property
    def model(self) -> Model:
        """The champion at this moment."""
        return self._service.fleet.get(self._name).model

    @property
    def run(self) -> Path:
        """The folder of the run that made it."""
        return self._service.fleet.get(self._name).version.folder.parent

    def form(self, beside: Callable[[Mapping[str, Any]], str] | None = None) -> None:
        """Makes a form of the model's input, and the answer beside it."""
        fields = form.fields_of(self.model)
        with gr.Row():
            with gr.Column():
                widgets = [field.widget() for field in fields]
                button = gr.Button("Predict", variant="primary")
            with gr.Column(elem_classes="mlf-beside"):
                answer = gr.HTML("", elem_id="answer")
                why = gr.HTML("", elem_id="why")
                more = gr.HTML("", elem_id="beside")
        rows = [row.model_dump(mode="json", by_alias=True) for row in self.model.examples()]
        if all(field.schema.get("contentEncoding") != "base64" for field in fields):
            samples = [[row.get(field.name) for field in fields] for row in rows[:5]]
            gr.Examples(samples, widgets, label="examples from the training data")

        async def predict(*values: Any) -> tuple[str, str, str]:
            row = form.row_of(fields, values)
            answered, reasons = await self(row)
            return answered, reasons, await asyncio.to_thread(beside, row) if beside else ""

        button.click(predict, widgets, [answer, why, more], show_progress="minimal")

    async def __call__(self, row: Mapping[str, Any]) -> tuple[str, str]:
        """The answer to one row and its reasons, as HTML; or what is wrong with the row."""
        service = self._service
        try:
            served = service.fleet.get(self._name)
            inputs = await asyncio.to_thread(parse_inputs, served.model, [row])
            (entry,) = await service.predict(served, inputs, CLIENT)
            why = (await service.explain(served, inputs))[0] if served.reasons else []
        except MlfolioError as error:
            return words.error(str(error)), ""
        except Exception as error:  # the page says as much of it as the API would
            return words.error(as_problem(error).detail), ""
        return words.answer(entry.output, entry.id), words.reasons(why)

    def talk(self, conversation: Conversation) -> AsyncIterator[str | Output]:
        """The pieces of an answer as they come, the whole output last."""
        served = self._service.fleet.get(self._name)
        return self._service.talk(served, conversation, CLIENT)


def _calls(served: Served) -> None:
    """How a program asks the same."""
    name = served.card.slug
    row = served.model.examples()[0].model_dump(mode="json", by_alias=True)
    short = {
        k: v if len(str(v)) < LONG else f"{str(v)[:40]}..." for k, v in row.items() if v is not None
    }
    body = json.dumps({"inputs": [short]}, ensure_ascii=False)
    gr.Code(
        f"curl http://127.0.0.1:8000/v1/systems/{name}/predict \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{body}'",
        language="shell", label="curl",
    )  # fmt: skip
    gr.Code(
        f'import mlfolio\n\nmodel = mlfolio.load("{name}")\nanswer = model.predict({short!r})\n'
        "print(answer.answer, answer.confidence, answer.warnings)",
        language="python", label="Python",
    )  # fmt: skip
