"""The page of masks: a camera with boxes and labels, a picture, or a film."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import tempfile
from html import escape
from pathlib import Path
from typing import Any, Final, cast

import gradio as gr

from mlfolio.core.errors import FileError, MlfolioError
from mlfolio.core.page import Ask
from mlfolio.parts.vision.reading import read_file, read_rgb, write_png
from mlfolio.report.words import png_url

from . import drawing, film
from .data import LONGEST
from .model import FacesAnswer, MasksModel

MOST_FRAMES: Final = 1_800  # of a film on the page: a minute; the command line takes longer ones
LOGGED: Final = 15  # of so many frames of a camera one is logged: about one in a second
FRAME: Final = re.compile(r"([0-9]{1,9}) (.*)", re.DOTALL)  # a number and a picture
CAMERA = """
<p>
  <button type="button" class="start">Start the camera</button>
  <label><input type="checkbox" class="blur"> blur faces</label>
  <span class="told" role="status"></span>
</p>
<canvas width="640" height="480" role="img" aria-label="the camera's picture with the faces that
were found"></canvas>
<video muted playsinline hidden></video>
"""
STYLE = """
canvas { background: #222; border-radius: 10px; max-width: 100%; }
button { border: 1px solid #888; border-radius: 6px; padding: .3rem .9rem; margin-right: 1rem; }
.told { margin-left: 1rem; }
"""
# Two frames are on their way at a time. Boxes are drawn on the very frame that they were found
# in; nothing is kept. `masks-seen` carries them here from the answer's part.
LOOK = """
const video = element.querySelector("video"), canvas = element.querySelector("canvas");
const button = element.querySelector(".start"), told = element.querySelector(".told");
const blur = element.querySelector(".blur"), pen = canvas.getContext("2d");
const colours = {"with mask": "#14823c", "without mask": "#be2828"}, most = 2;
let stream = null, times = [], number = 0, sent = 0, drawn = 0, frame = null;
const away = new Map();
const send = () => {
  if (!stream || away.size >= most) return;
  const shot = document.createElement("canvas");
  shot.width = 640;
  shot.height = Math.round(640 * video.videoHeight / video.videoWidth) || 480;
  shot.getContext("2d").drawImage(video, 0, 0, shot.width, shot.height);
  away.set(++number, shot); sent = Date.now();
  props.value = number + " " + shot.toDataURL("image/jpeg", 0.8); trigger("input");
};
const soften = ([left, top, wide, high]) => {
  const little = document.createElement("canvas");
  little.width = little.height = 6;
  const x = left - wide * .15, y = top - high * .15, w = wide * 1.3, h = high * 1.3;
  little.getContext("2d").drawImage(frame, x, y, w, h, 0, 0, 6, 6);
  pen.drawImage(little, x, y, w, h);
};
const draw = (found) => {
  canvas.width = frame.width; canvas.height = frame.height;
  pen.drawImage(frame, 0, 0);
  for (const face of found.faces) {
    if (blur.checked) { soften(face.box); continue; }
    const [left, top, wide, high] = face.box;
    const sure = face.confidence ? ` ${Math.round(100 * face.confidence)}%` : "";
    const text = face.label + sure;
    pen.lineWidth = 3; pen.font = "16px sans-serif";
    pen.strokeStyle = pen.fillStyle = colours[face.label] || "#966400";
    pen.strokeRect(left, top, wide, high);
    const at = Math.max(20, top);
    pen.fillRect(left, at - 20, pen.measureText(text).width + 8, 20);
    pen.fillStyle = "#fff"; pen.fillText(text, left + 4, at - 5);
  }
  const now = performance.now();
  times = [...times.filter((time) => now - time < 3000), now];
  const rate = times.length > 1 ? (times.length - 1) * 1000 / (now - times[0]) : 0;
  told.textContent = found.answer + " · " + rate.toFixed(1) + " frames/s";
};
const stop = () => {
  if (stream) stream.getTracks().forEach((track) => track.stop());
  stream = null; times = []; away.clear(); button.textContent = "Start the camera";
};
document.addEventListener("masks-seen", (event) => {
  const found = event.detail;
  if (!stream || !found) return;
  if (found.problem) { told.textContent = found.problem; stop(); return; }
  frame = away.get(found.frame);
  for (const older of [...away.keys()]) if (older <= found.frame) away.delete(older);
  if (frame && found.frame > drawn) { drawn = found.frame; draw(found); }
  send();
});
// The first few go out one after the other; answers that got lost end nothing.
setInterval(() => { if (Date.now() - sent > 3000) away.clear(); send(); }, 60);
button.addEventListener("click", async () => {
  if (stream) { stop(); return; }
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480}});
  } catch (error) {
    told.textContent = "there is no camera here, or it may not be used; take a picture instead";
    return;
  }
  video.srcObject = stream; await video.play();
  button.textContent = "Stop the camera"; send();
});
"""
HAND_ON = """
watch("value", () => {
  const found = props.value ? JSON.parse(props.value) : null;
  document.dispatchEvent(new CustomEvent("masks-seen", {detail: found}));
});
"""


def build(ask: Ask) -> None:
    """The camera first; below it what works without one."""
    gr.Markdown(
        "Frames go to this server, are looked at and forgotten. Faces that are not found are not "
        "blurred."
    )
    camera = gr.HTML(html_template=CAMERA, css_template=STYLE, js_on_load=LOOK, elem_id="camera")
    seen = gr.HTML("", html_template="", js_on_load=HAND_ON, elem_id="seen")
    # What is chosen is erased once it was looked at, so the box is ticked before.
    with gr.Accordion("a picture", open=False):
        blur_picture = gr.Checkbox(False, label="blur faces")
        picture = gr.File(label="picture (PNG, JPEG or WebP)", height=140, elem_id="picture")
        answer = gr.HTML("", elem_id="answer")
    with gr.Accordion("a film of a minute", open=False):
        blur_film = gr.Checkbox(False, label="blur faces; slower, for it looks more closely")
        reel = gr.File(label="film (MP4, MOV, WebM, MKV or AVI)", height=140, elem_id="film")
        watched = gr.HTML("", elem_id="watched")

    async def look(frame: Any) -> str:
        sent = FRAME.fullmatch(frame) if isinstance(frame, str) else None  # by any client
        if sent is None:
            return ""
        number = int(sent[1])
        try:
            found = await ask.output({"image": sent[2], "fast": True}, number % LOGGED == 1)
        except MlfolioError as error:
            return json.dumps({"problem": error.message, "frame": number})
        return json.dumps({**found.model_dump(), "frame": number})

    async def show(path: str | None, blur: bool) -> str:
        if not path:
            return ""
        try:
            content = await asyncio.to_thread(_taken, Path(path))
            found = cast("FacesAnswer", await ask.output({"image": content}))
        except MlfolioError as error:
            return _problem(error)
        return await asyncio.to_thread(_picture, content, found, blur)

    async def play(path: str | None, blur: bool) -> str:
        return await asyncio.to_thread(_film, ask.model, Path(path), blur) if path else ""

    # Past Gradio's queue: the page itself waits, and the service refuses what is too much.
    camera.input(look, camera, seen, queue=False, show_progress="hidden", trigger_mode="multiple")
    picture.change(show, [picture, blur_picture], answer, show_progress="minimal")
    reel.change(play, [reel, blur_film], watched, show_progress="full", concurrency_limit=1)


def _problem(error: MlfolioError) -> str:
    lines = "<br>".join(escape(line) for line in (error.message, error.fix) if line)
    return f'<div class="mlf-error" role="alert">{lines}</div>'


def _taken(upload: Path) -> bytes:
    """The content of an upload, which is erased."""
    try:
        return read_file(upload)
    except ValueError as error:
        raise FileError(f"the file cannot be read: {error}", "a PNG, JPEG or WebP") from None
    finally:
        upload.unlink(missing_ok=True)


def _picture(content: bytes, found: FacesAnswer, blur: bool) -> str:
    """The picture with what was seen in it."""
    drawn = drawing.draw(read_rgb(content, LONGEST), found.faces, blur)
    told = "".join(f'<div class="mlf-warning">{escape(each)}</div>' for each in found.warnings)
    return (
        f'<div role="status"><div class="mlf-answer">{escape(found.answer)}</div>{told}</div>'
        f'<img style="max-width: 100%; border-radius: 6px" alt="the picture with its faces" '
        f'src="{png_url(write_png(drawn))}">'
    )


def _film(model: Any, path: Path, blur: bool) -> str:
    """The film with what was seen in it, to watch and to keep; the upload is erased at once."""
    if not isinstance(model, MasksModel):
        return ""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "seen.webm"
        try:
            said = film.annotate(model, path, target, blur, most=MOST_FRAMES)
        except MlfolioError as error:
            return _problem(error).replace(escape(str(path)), "the file")
        finally:
            path.unlink(missing_ok=True)
        url = f"data:video/webm;base64,{base64.b64encode(target.read_bytes()).decode()}"
    return (
        f'<div role="status">{escape(said)}</div>'
        f'<video controls style="max-width: 100%" src="{url}"></video>'
        f'<p class="mlf-link"><a download="seen.webm" href="{url}">keep the film</a></p>'
    )
