"""The first page: every system as a card, narrowed by kind and level."""

from __future__ import annotations

import logging

import gradio as gr

from mlfolio.app import words
from mlfolio.app.asking import caller
from mlfolio.core.card import Card
from mlfolio.core.catalog import catalog, get_card
from mlfolio.core.errors import MlfolioError
from mlfolio.serve.service import Service

ALL = "all"
LOG = logging.getLogger(__name__)


def cards() -> list[Card]:
    """The cards of all systems; an installed package whose card is broken has no page."""
    found = []
    for name in catalog():
        try:
            found.append(get_card(name))
        except (MlfolioError, ImportError) as error:
            LOG.warning("%s has no page: %s", name, error)
    return found


def build(service: Service) -> None:
    """Makes the page; its cards are made anew whenever somebody opens it."""
    known = cards()
    gr.Markdown("# mlfolio\nMachine-learning systems that really work. Choose one.")
    with gr.Row():
        kind = gr.Radio([ALL, *dict.fromkeys(c.kind for c in known)], value=ALL, label="kind")
        level = gr.Radio([ALL, *dict.fromkeys(c.level for c in known)], value=ALL, label="level")

    def show(kind: str, level: str) -> str:
        served = {one.card.slug: one for one in service.fleet}
        found = [c for c in known if kind in (ALL, c.kind) and level in (ALL, c.level)]
        found.sort(key=lambda card: card.slug not in served)  # trained ones first
        tenant = caller().tenant
        inside = "".join(words.card(card, served.get(card.slug), tenant) for card in found)
        return f'<div class="mlf-cards">{inside or "<p>There is none of this kind.</p>"}</div>'

    shown = gr.HTML()  # what is made here would be shown to every tenant
    gr.on(None, show, [kind, level], shown, show_progress="hidden")
