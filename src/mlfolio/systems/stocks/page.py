"""The page of stocks: candles, the band of the next day, and what this is not."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import gradio as gr

from mlfolio.core.errors import MlfolioError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.page import Ask
from mlfolio.report.words import png_url

from .candles import SHOWN, candles
from .model import DISCLAIMER, PriceModel

NOTE = (
    f'**This is {DISCLAIMER}.** The forecast is hardly better than "as today" (see *How good it '
    "is*); what it knows is how far tomorrow may be off."
)


def build(ask: Ask) -> None:
    """A ticker or a file on the left; the answer and the chart beside it."""
    model = ask.model
    if not isinstance(model, PriceModel):
        return
    tickers = list(model.series)
    gr.Markdown(NOTE, elem_id="disclaimer")
    with gr.Row():
        with gr.Column():
            ticker = gr.Dropdown(
                tickers, value=tickers[0], label="a series it was fitted on", elem_id="ticker"
            )
            file = gr.File(
                label="or prices of your own: a CSV with Yahoo's columns", type="binary",
                height=140, elem_id="prices",
            )  # fmt: skip
            button = gr.Button("Forecast", variant="primary")
        with gr.Column(scale=2):
            answer = gr.HTML("", elem_id="answer")
            chart = gr.HTML("", elem_id="chart")

    async def forecast(name: str, content: bytes | None) -> tuple[str, str]:
        row = {"ticker": name} if content is None else {"prices": content}
        answered, _ = await ask(row)
        return answered, await asyncio.to_thread(_chart, ask.model, row)

    button.click(forecast, [ticker, file], [answer, chart], show_progress="minimal")


def _chart(model: Any, row: dict[str, Any]) -> str:
    """The last days as candles with their bands, and the next day's."""
    try:
        (question,) = parse_inputs(model, [row])
    except MlfolioError:  # which the answer says
        return ""
    bars = model.bars_of(question)
    buffer = io.BytesIO()
    title = row.get("ticker", "your prices")
    candles(bars, model.bands(bars, SHOWN + 1), title).savefig(buffer, dpi=110)
    url, days = png_url(buffer.getvalue()), min(SHOWN, len(bars))
    return (
        f'<img alt="candles of the last {days} days with the forecast band of the next" '
        f'src="{url}"><p>Blue days rose, orange ones fell; the band of each was forecast from the '
        f"day before. <b>{DISCLAIMER.capitalize()}.</b></p>"
    )
