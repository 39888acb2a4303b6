"""The page of one system: try it, see how good it is and how it does in use, call it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import cast

import gradio as gr

from mlfolio.app import in_use, words
from mlfolio.app.asking import Asking
from mlfolio.app.calls import calls
from mlfolio.core.card import Card
from mlfolio.core.catalog import catalog
from mlfolio.core.errors import install_command
from mlfolio.core.page import Page
from mlfolio.serve.fleet import Served
from mlfolio.serve.service import Service

BACK = '<p class="mlf-link"><a href="/">← all systems</a></p>'


def build(card: Card, served: Served | None, service: Service) -> None:
    """Makes the page; of a system that is not served, what it is and how to train it."""
    gr.HTML(BACK, padding=False)
    gr.Markdown(f"# {card.title}\n{card.summary}")
    if served is None:
        gr.HTML(words.faint(card) + words.untrained(card, _install(card, service)))
        return
    if served.version.source == "sample":
        gr.Markdown(f"**SAMPLE: {words.ABOUT_SAMPLE}.**")
    with gr.Tab("Try it"):
        ask, page = Asking(card.slug, service), _own_page(card.slug)
        if page is not None:
            page.build(ask)
        else:
            ask.form()
    with gr.Tab("How good it is"):
        report = f"/v1/systems/{card.slug}/report"
        gr.HTML(
            f'<p class="mlf-link"><a href="{report}" target="_blank" rel="noopener">'
            "open the report in its own tab</a></p>"
            f'<iframe class="mlf-report" title="report" loading="lazy" src="{report}"></iframe>'
        )
    with gr.Tab("In use") as tab:
        in_use.build(card.slug, service, tab)
    with gr.Tab("Call it"):
        _calls(served, ask, service)


def _own_page(name: str) -> Page | None:
    """A system's own `page.py`, where the generated form is not enough."""
    module = f"{catalog()[name].partition(':')[0]}.page"
    return cast("Page", import_module(module)) if find_spec(module) else None


def _install(card: Card, service: Service) -> str:
    """The command for what a system needs; paths of this machine are its own visitors' business."""
    if card.extra is None:
        return ""
    if service.settings.is_local:
        return install_command(card.extra)
    return f"pip install 'mlfolio[{card.extra}]'"


def _calls(served: Served, ask: Asking, service: Service) -> None:
    """How a program asks the same, at the address that the page was opened at."""
    name, address = served.card.slug, f"http://127.0.0.1:{service.settings.port}"
    codes = [
        gr.Code(language=call.language, label=call.label, interactive=False)
        for call in calls(name, served.model, address, key=False)
    ]

    def here(request: gr.Request) -> list[str]:
        # Browsers say where they are; behind a proxy, nothing else knows it.
        origin = request.headers.get("origin") or address
        key = "authorization" in request.headers
        return [call.text for call in calls(name, ask.model, origin.rstrip("/"), key)]

    gr.on(None, here, None, codes, show_progress="hidden")
