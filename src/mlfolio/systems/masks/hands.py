"""What is said of mouths behind hands and things: faces of the test part with something pasted on.

It stands in for photos of such faces, of which there are none. The hands are another face's skin in
the shape of a palm with fingers side by side, drawn otherwise than those that training draws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.parts.vision.pictures import Pictures, Pixels
from mlfolio.parts.vision.reading import Rgb

from .data import NAMES
from .learning import BARE
from .model import MasksModel

WHOLE: Final = 192  # pixels a side in which things are pasted on
LARGE: Final = 0.4  # of a picture's side, what a face has at least to be pasted on
NO_FACE: Final = "no face"
Floats = NDArray[np.floating]
Paste = Callable[[Rgb, Floats, Rgb, np.random.Generator], None]


def behave(model: MasksModel, faces: Pictures, seed: int) -> tuple[pd.DataFrame, list[bool]]:
    """What is said of bare faces, plain and behind hands and things.

    Args:
        model: Whose behaviour it is.
        faces: Of the test part; those in which the detector finds one large face are taken.
        seed: Draws the hands.

    Returns:
        Of each kind the shares of what is said, and for each face with a hand that is still taken
        for one whether it was not called masked.
    """
    rng = np.random.default_rng(seed)
    placed = []
    for row in np.flatnonzero(faces.classes == BARE):
        picture = cv2.resize(faces.pixels[row], (WHOLE, WHOLE), interpolation=cv2.INTER_CUBIC)
        boxes, _ = model.detector.find(picture)
        if len(boxes) and np.ptp(boxes[0, 1::2]) >= LARGE * WHOLE:
            placed.append((picture, boxes[0]))
    pastes: dict[str, Paste | None] = {"nothing": None, "a hand": _hand, "a cup or a phone": _thing}
    rows, spared = {}, []
    for name, paste in pastes.items():
        shown = []
        for number, (picture, box) in enumerate(placed):
            covered = picture.copy()
            if paste is not None:
                other, theirs = placed[number - 1]
                paste(covered, box, _skin(other, theirs), rng)
            shown.append(covered)
        said = _said(model, np.array(shown, np.uint8).reshape(-1, WHOLE, WHOLE, 3))
        if paste is _hand:
            spared = [label != NAMES[0] for label in said if label != NO_FACE]
        counts = Counter(said)
        kinds = (*NAMES, "not sure", NO_FACE)
        rows[name] = {kind: round(counts[kind] / max(len(said), 1), 3) for kind in kinds}
    return pd.DataFrame(rows).T.assign(faces=len(placed)), spared


def _said(model: MasksModel, pictures: Pixels) -> list[str]:
    """As for the accuracy: whole pictures, for these show one face each."""
    small = [cv2.resize(one, (model.side,) * 2, interpolation=cv2.INTER_AREA) for one in pictures]
    masked, nothing = model.judge(np.array(small, np.uint8).reshape(-1, model.side, model.side, 3))
    return [
        NO_FACE if none >= model.most_nothing else model.label(chance)
        for chance, none in zip(masked.tolist(), nothing.tolist(), strict=True)
    ]


def _skin(picture: Rgb, box: Floats) -> Rgb:
    """The middle of a face, below the eyes: cheeks and nose."""
    left, top, right, bottom = box
    wide, high = right - left, bottom - top
    x, y = int(left + 0.25 * wide), int(top + 0.5 * high)
    part = picture[max(y, 0) : y + max(2, int(0.2 * high)), max(x, 0) : x + max(2, int(wide / 2))]
    return np.ascontiguousarray(part)


def _hand(picture: Rgb, box: Floats, skin: Rgb, rng: np.random.Generator) -> None:
    """Four fingers side by side, from one side over the mouth, and the back of a hand."""
    left, top, right, bottom = box
    wide, high = float(right - left), float(bottom - top)
    mouth = np.array([(left + right) / 2, top + 0.76 * high]) + rng.normal(0, 0.04 * wide, 2)
    angle = rng.choice([0.0, np.pi]) + rng.uniform(-0.5, 0.5)  # from the right or from the left
    along = np.array([np.cos(angle), np.sin(angle)])
    aside = np.array([-along[1], along[0]]) * 0.105 * wide * rng.uniform(0.9, 1.15)
    thick = float(np.hypot(*aside))
    shape, gaps = (np.zeros(picture.shape[:2], np.uint8) for _ in range(2))
    for finger in (-1.5, -0.5, 0.5, 1.5):
        tip = mouth + finger * aside - along * wide * rng.uniform(0.25, 0.38)
        root = mouth + finger * aside + along * wide * 0.35
        cv2.line(shape, _at(tip), _at(root), 255, max(2, round(thick)))
        if finger > -1:
            ends = _at(tip - aside / 2), _at(root - aside / 2)
            cv2.line(gaps, *ends, 255, max(1, round(thick * 0.12)))
    size = (round(wide * 0.32), round(thick * 2.2))
    cv2.ellipse(
        shape, _at(mouth + along * wide * 0.6), size, float(np.degrees(angle)), 0, 360, 255, -1
    )
    texture = cv2.resize(skin, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC).astype(float)
    texture *= rng.uniform(0.8, 1.15)
    _lay(picture, texture * (1 - 0.45 * gaps[..., None] / 255), shape)


def _at(place: Floats) -> tuple[int, int]:
    """A place in whole pixels, as OpenCV wants it."""
    return round(float(place[0])), round(float(place[1]))


def _thing(picture: Rgb, box: Floats, skin: Rgb, rng: np.random.Generator) -> None:
    """An upright cup or phone of one colour before the mouth."""
    left, top, right, bottom = box
    wide, high = right - left, bottom - top
    size = (wide * rng.uniform(0.35, 0.5), high * rng.uniform(0.4, 0.6))
    middle = ((left + right) / 2, top + 0.85 * high)
    corners = cv2.boxPoints((middle, size, float(rng.uniform(-20, 20))))
    shape = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(shape, [corners.astype(np.int32)], 255)
    light = np.linspace(1.1, 0.7, picture.shape[1])[None, :, None]
    _lay(picture, rng.uniform(20, 240, 3) * light * np.ones(picture.shape), shape)


def _lay(picture: Rgb, paint: Floats, shape: NDArray[np.uint8]) -> None:
    share = cv2.GaussianBlur(shape, (0, 0), 1.0)[..., None] / 255
    mixed = picture * (1 - share) + paint * share
    picture[:] = np.rint(mixed.clip(0, 255)).astype(np.uint8)
