"""How fast the mask system is, which cascade it uses and why, and what another detector gives.

    python benchmarks/masks.py speed             frames a second at 640x480, beside Haar alone
    python benchmarks/masks.py page              the same on the page, in Chromium on this machine
    python benchmarks/masks.py cascades          Haar's settings on collages: how they were chosen
    python benchmarks/masks.py scenes [FILE]     the 40 scenes with YuNet or CenterFace, too

Takes the champion of `mlfolio run masks`. The collages are training faces pasted on photos of cats
and dogs, so the scenes say nothing about the settings; `cats-vs-dogs` has to be in $MLFOLIO_DATA.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image
from playwright.sync_api import sync_playwright

import mlfolio
from mlfolio.core.source import OFFICIAL
from mlfolio.data.datasets import data_folder
from mlfolio.systems.masks import drawing, sample, scenes
from mlfolio.systems.masks.detect import Haar, make_detector
from mlfolio.systems.masks.model import MasksModel
from mlfolio.systems.masks.system import OWN, PLAIN, Masks
from serving import free_port, running

COLLAGES, FACES = 60, 6
WIDE, HIGH = 512, 384
SETTINGS = [
    (cascade, step, neighbors)
    for cascade in ("frontalface_default", "frontalface_alt2")
    for step, neighbors in ((1.1, 5), (1.1, 3), (1.1, 2), (1.1, 1), (1.05, 2))
]


def champion() -> MasksModel:
    """The model that is served."""
    model = mlfolio.load("masks").model
    assert isinstance(model, MasksModel)
    return model


def speed() -> None:
    """Milliseconds of each part, the median of 60 frames, and frames a second of the whole."""
    model = champion()
    print(f"{torch.get_num_threads()} threads of torch, {cv2.getNumThreads()} of OpenCV")
    for n in range(1, sample.PLACES + 1):
        drawn, _, _ = sample.draw_scene(n, np.random.default_rng(7))
        wide = cv2.resize(drawn, (640, 400))
        frame = cv2.copyMakeBorder(wide, 40, 40, 0, 0, cv2.BORDER_REPLICATE)
        code = cv2.imencode(".jpg", frame[..., ::-1])[1]
        faces = model.faces(frame, fast=True)
        boxes, _ = model.detector.find(frame, fast=True)
        squares = drawing.squares(frame, boxes, model.side, 0.15)
        parts: dict[str, Callable[[], Any]] = {
            "decode": lambda code=code: cv2.imdecode(code, cv2.IMREAD_COLOR),
            "detect": lambda frame=frame: model.detector.find(frame, fast=True),
            "classify": lambda squares=squares: model.judge(squares),
            "draw": lambda frame=frame, faces=faces: drawing.draw(frame, faces, blur=False),
        }
        times = {name: median_ms(part) for name, part in parts.items()}
        whole = sum(times.values())
        told = ", ".join(f"{name} {ms:.1f}" for name, ms in times.items())
        print(f"{len(faces)} faces: {told} ms; {1000 / whole:.1f} frames/s "
              f"(Haar alone {1000 / times['detect']:.1f})")  # fmt: skip


def page() -> None:
    """Frames a second that the page shows, its camera being a film of a drawn scene."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    serve = [sys.executable, "-m", "mlfolio", "serve", "masks", "--pages", "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as machine:
        film = Path(folder) / "camera.mjpeg"
        film.write_bytes(b"".join(map(camera_frame, range(30))))
        own = Path(machine.chromium.executable_path)
        chromium = machine.chromium.launch(
            executable_path=own if own.exists() else shutil.which("chromium"),
            args=["--no-sandbox", "--use-fake-device-for-media-stream",
                  "--use-fake-ui-for-media-stream", f"--use-file-for-fake-video-capture={film}"],
        )  # fmt: skip
        with running(serve, f"{url}/ready"):
            opened = chromium.new_page()
            opened.goto(f"{url}/masks")
            opened.get_by_role("button", name="Start the camera").click()
            for _ in range(4):
                opened.wait_for_timeout(5000)
                print(opened.inner_text("#camera .told"))
        chromium.close()


def camera_frame(number: int) -> bytes:
    """A JPEG of 640x480 with two faces that go to and fro."""
    drawn, _, _ = sample.draw_scene(2, np.random.default_rng(7))
    frame = np.roll(cv2.resize(drawn, (640, 480)), 4 * abs(number - 15), axis=1)
    return cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes()


def median_ms(part: Callable[[], Any], rounds: int = 60) -> float:
    """Median time of one call."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        part()
        times.append((time.perf_counter() - started) * 1000)
    return float(np.median(times))


def cascades() -> None:
    """Precision and recall of Haar's settings, before and after the net drops what is no face."""
    model = champion()
    made = list(collages())
    print("cascade, step, neighbours: recall and precision found; after the net; ms a picture")
    for name, step, neighbors in SETTINGS:
        detector = Haar(name, step, neighbors)
        counts = np.zeros((2, 2), int)  # found or kept; right or wrong
        started = time.perf_counter()
        found = [detector.find(picture)[0] for picture, _ in made]
        spent = (time.perf_counter() - started) * 1000 / len(made)
        for (picture, places), boxes in zip(made, found, strict=True):
            _, nothing = model.judge(drawing.squares(picture, boxes, model.side, 0.15))
            for kept, boxes_kept in enumerate((boxes, boxes[nothing < model.most_nothing])):
                hits = matched(boxes_kept, places)
                counts[kept] += hits, len(boxes_kept) - hits
        shares = [
            f"{hits / (COLLAGES * FACES):.3f} {hits / max(hits + wrong, 1):.3f}"
            for hits, wrong in counts
        ]
        print(f"{name} {step} {neighbors}: {'; '.join(shares)}; {spent:.0f} ms")


def collages() -> Any:
    """Training faces on photos without people: pictures, and where the faces were pasted."""
    rng = np.random.default_rng(0)
    faces = pd.read_parquet(data_folder() / "face-mask" / "faces_train.parquet")
    photos = pd.read_parquet(data_folder() / "cats-vs-dogs" / "train.parquet").sample(
        COLLAGES, random_state=0
    )
    for content in photos["image"]:
        picture = np.array(opened(content).resize((WIDE, HIGH)))
        places = []
        for column, row in rng.permutation([(c, r) for c in range(4) for r in range(3)])[:FACES]:
            face = opened(faces["image"].iloc[rng.integers(len(faces))])
            face.thumbnail((int(rng.integers(40, 100)),) * 2)
            left, top = int(column) * 128 + 14, int(row) * 128 + 14
            picture[top : top + face.height, left : left + face.width] = np.asarray(face)
            places.append((left, top, left + face.width, top + face.height))
        yield picture, np.array(places)


def opened(content: Any) -> Image.Image:
    """A picture from a cell of a table."""
    return Image.open(io.BytesIO(content["bytes"] if isinstance(content, dict) else content))


def matched(boxes: np.ndarray, places: np.ndarray) -> int:
    """How many pasted pictures have a box whose middle is in them and which is as large."""
    hits = 0
    for left, top, right, bottom in places:
        x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        inside = (x > left) & (x < right) & (y > top) & (y < bottom)
        share = (boxes[:, 3] - boxes[:, 1]) / (bottom - top)
        hits += bool((inside & (share > 0.25) & (share < 1.3)).any())
    return hits


def on_scenes(files: Sequence[str]) -> None:
    """The whole on the scenes, with Haar and with each file's detector."""
    model, data = champion(), Masks().load(OFFICIAL)
    for name in ("haar", *files):
        each = MasksModel(
            model.net, model.side, model.sure, model.most_nothing, make_detector(name)
        )
        pairs = []
        for scene in data.scenes:
            boxes, masked = each.look(scene.picture)
            pairs.append(scenes.match(scene, boxes, [each.label(chance) for chance in masked]))
        print(Path(name).name)
        for score in scenes.scores({OWN: pairs, PLAIN: pairs}, OWN, PLAIN):
            low, high = score.ci95 or (0, 0)
            print(f"  {score.name} {score.value:.3f} ({low:.3f} to {high:.3f})")
        print(scenes.table([pair for one in pairs for pair in one]).to_string())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["page"]:
            page()
        case ["speed"]:
            speed()
        case ["cascades"]:
            cascades()
        case ["scenes", *files]:
            on_scenes(files)
        case _:
            sys.exit(__doc__)
