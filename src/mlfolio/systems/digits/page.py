"""The page of digits: draw with mouse or finger, and see the answer while you draw."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlfolio.core.model import Model
from mlfolio.core.page import Ask
from mlfolio.report.words import png_url

from .model import DigitsModel, read_picture
from .normalise import normalise

PAD = """
<canvas width="280" height="280" tabindex="0" role="img" aria-label="Draw a digit here"></canvas>
<p><button type="button">Clear</button></p>
"""
STYLE = """
canvas { background: #fff; border: 2px solid #888; border-radius: 10px; touch-action: none;
  cursor: crosshair; max-width: 100%; }
button { border: 1px solid #888; border-radius: 6px; padding: .3rem .9rem; }
"""
# The brush is in the hand at once: pressing draws. What is drawn is sent while it is drawn, five
# times a second at most, and once more when the pen goes up.
DRAW = """
const canvas = element.querySelector("canvas"), pen = canvas.getContext("2d");
let down = false, sent = 0;
const clear = () => { pen.fillStyle = "#fff"; pen.fillRect(0, 0, 280, 280); };
const send = () => {
  sent = Date.now();
  props.value = canvas.toDataURL("image/png");
  trigger("input");
};
const place = (event) => {
  const box = canvas.getBoundingClientRect(), scale = 280 / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
};
clear();
canvas.addEventListener("pointerdown", (event) => {
  down = true; canvas.setPointerCapture(event.pointerId);
  pen.lineWidth = 20; pen.lineCap = pen.lineJoin = "round"; pen.strokeStyle = "#000";
  pen.beginPath(); pen.moveTo(...place(event)); pen.lineTo(...place(event)); pen.stroke();
});
canvas.addEventListener("pointermove", (event) => {
  if (!down) return;
  pen.lineTo(...place(event)); pen.stroke();
  if (Date.now() - sent > 200) send();
});
canvas.addEventListener("pointerup", () => { if (down) { down = false; send(); } });
element.querySelector("button").addEventListener("click", () => { clear(); send(); });
"""
SHOWN = 252  # pixels that the small picture is enlarged to


def build(ask: Ask) -> None:
    """The pad on the left; the answer and what it rests on beside it."""
    with gr.Row():
        with gr.Column():
            pad = gr.HTML(html_template=PAD, css_template=STYLE, js_on_load=DRAW, elem_id="pad")
            gr.Markdown("or a picture of one digit:")
            file = gr.Image(type="filepath", sources=["upload", "clipboard"], height=180)
        with gr.Column():
            answer = gr.HTML("Draw a digit.", elem_id="answer")
            seen = gr.HTML("", elem_id="seen")

    async def read(picture: Any) -> tuple[str, str]:
        answered, _ = await ask({"image": picture})
        return answered, await asyncio.to_thread(_seen, ask.model, picture)

    async def drawn(url: str | None) -> tuple[str, str]:
        return await read(url) if url else ("Draw a digit.", "")

    async def uploaded(path: str | None) -> tuple[str, str]:
        return await read(Path(path).read_bytes()) if path else ("Draw a digit.", "")

    pad.input(drawn, pad, [answer, seen], show_progress="hidden", trigger_mode="always_last")
    file.change(uploaded, file, [answer, seen], show_progress="minimal")


def _seen(model: Model, picture: Any) -> str:
    """What the net gets, with what moved its answer in orange over it."""
    assert isinstance(model, DigitsModel)  # noqa: S101 - it is this system's page
    try:
        found = normalise(read_picture(picture))
    except ValueError:
        return ""
    if found.blank:
        return ""
    url = _overlaid(found.ink, model.saliency(found.ink[None])[0])
    return (
        "<h4>What the net sees, and in orange what decided</h4>"
        f'<img width="{SHOWN}" height="{SHOWN}" alt="the normalised digit with its saliency" '
        f'style="image-rendering: pixelated; border-radius: 6px" src="{url}">'
    )


def _overlaid(ink: NDArray[np.float32], saliency: NDArray[np.float32]) -> str:
    """Grey ink with saliency in orange, both `(28, 28)`, as the URL of a PNG."""
    heat = (saliency / max(float(saliency.max()), 1e-9))[..., None]
    grey = np.repeat(ink[..., None], 3, axis=2)
    mixed = grey * (1 - heat) + heat * np.array([1.0, 0.55, 0.0])
    buffer = io.BytesIO()
    Image.fromarray((255 * mixed).astype(np.uint8)).save(buffer, "PNG")
    return png_url(buffer.getvalue())
