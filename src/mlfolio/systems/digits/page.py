"""The page of digits: draw with mouse or finger, and see the answer while you draw."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image
from scipy import ndimage

from mlfolio.core.model import Model
from mlfolio.core.page import Ask
from mlfolio.parts.vision.reading import write_png
from mlfolio.report.words import png_url

from .data import to_bytes
from .model import DigitsModel, read_picture
from .normalise import SIDE, Grey, Normalised, normalise

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
const send = (picture) => { sent = Date.now(); props.value = picture; trigger("input"); };
const place = (event) => {
  const box = canvas.getBoundingClientRect(), scale = 280 / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
};
const lift = () => { if (down) { down = false; send(canvas.toDataURL("image/png")); } };
clear();
canvas.addEventListener("pointerdown", (event) => {
  const [x, y] = place(event);
  down = true; canvas.setPointerCapture(event.pointerId);
  pen.lineWidth = 20; pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = pen.fillStyle = "#000";
  pen.beginPath(); pen.arc(x, y, 10, 0, 7); pen.fill();
  pen.beginPath(); pen.moveTo(x, y);
});
canvas.addEventListener("pointermove", (event) => {
  if (!down) return;
  pen.lineTo(...place(event)); pen.stroke();
  if (Date.now() - sent > 200) send(canvas.toDataURL("image/png"));
});
canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);
element.querySelector("button").addEventListener("click", () => { clear(); send(""); });
"""
EMPTY = "Draw a digit."
SHOWN = 280  # pixels that the longer side of a picture is shown at
SMOOTH = 0.8  # pixels of the net's 28: a gradient jumps from pixel to pixel
ORANGE = (1.0, 0.5, 0.0)


def build(ask: Ask) -> None:
    """The pad on the left; the answer and what it rests on beside it."""
    with gr.Row():
        with gr.Column():
            pad = gr.HTML(html_template=PAD, css_template=STYLE, js_on_load=DRAW, elem_id="pad")
        with gr.Column():
            answer = gr.HTML(EMPTY, elem_id="answer")
            seen = gr.HTML("", elem_id="seen")
    with gr.Accordion("or bring a picture of one digit", open=False):
        file = gr.File(label="picture of one digit (PNG or JPEG)", type="binary", height=140,
                       elem_id="picture")  # fmt: skip

    async def read(picture: str | bytes | None) -> tuple[str, str]:
        if not picture:
            return EMPTY, ""
        answered, _ = await ask({"image": picture})
        return answered, await asyncio.to_thread(_seen, ask.model, picture)

    pad.input(read, pad, [answer, seen], show_progress="hidden", trigger_mode="always_last")
    file.change(read, file, [answer, seen], show_progress="minimal")


def _seen(model: Model, picture: Any) -> str:
    """The picture, with what moved the net's answer in orange over it."""
    if not isinstance(model, DigitsModel):
        return ""
    try:
        grey = read_picture(picture)
    except ValueError:  # which the answer says
        return ""
    found = normalise(grey)
    if found.blank:
        return ""
    size = (np.array(grey.shape) * SHOWN / max(grey.shape)).astype(int).clip(1)
    return (
        "<h4>In orange, what decided</h4>"
        f'<img width="{size[1]}" height="{size[0]}" alt="the picture with the pixels that moved '
        'the answer in orange" style="border-radius: 6px; max-width: 100%" '
        f'src="{_overlaid(grey, found, model)}">'
    )


def _overlaid(grey: Grey, found: Normalised, model: DigitsModel) -> str:
    """A grey picture with the net's saliency laid back over the digit, as the URL of a PNG."""
    saliency = ndimage.gaussian_filter(model.saliency(found.ink[None])[0], SMOOTH)
    saliency = (saliency / max(float(saliency.max()), 1e-9)) ** 2  # the peaks, not the noise
    taken, placed = found.taken, found.placed
    across, down = taken.width / placed.width, taken.height / placed.height
    whole = (round(SIDE * across), round(SIDE * down))  # what the net sees, as large as it is here
    heat = Image.new("F", (grey.shape[1], grey.shape[0]))
    heat.paste(
        Image.fromarray(saliency).resize(whole, Image.Resampling.BICUBIC),
        (round(taken.left - placed.left * across), round(taken.top - placed.top * down)),
    )
    share = np.clip(np.asarray(heat), 0, 1)[..., None]
    mixed = grey[..., None] * (1 - share) + share * np.array(ORANGE)
    return png_url(write_png(to_bytes(mixed)))
