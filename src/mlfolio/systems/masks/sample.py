"""The embedded sample: drawn faces, with and without masks, alone and in scenes.

Shaded so that OpenCV's Haar cascades, which were made for photos, find most of them.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pen = NDArray[np.generic] | list[float]

EACH: Final = 110  # faces of each class
SCENES: Final = 12
FINE: Final = 3  # times as large when drawn, so that edges are smooth
SKINS: Final = ((255, 224, 196), (224, 172, 130), (190, 130, 90), (140, 90, 60), (100, 65, 45))
HAIRS: Final = ((30, 22, 18), (80, 50, 30), (190, 160, 100), (120, 120, 120))
CLOTHS: Final = ((240, 240, 240), (150, 190, 225), (35, 35, 40), (130, 200, 170), (200, 80, 90))
OUTLINE: Final = ((0.13, 0.54), (0.5, 0.49), (0.87, 0.54), (0.8, 0.84), (0.5, 0.99), (0.2, 0.84))
WIDE, HIGH, PLACES = 320, 200, 3  # of a scene, and how many faces it has room for
# Of a drawn face what an annotator would frame: left, top, right, bottom, of its side.
FRAME: Final = (0.14, 0.08, 0.86, 0.98)


def draw_faces(side: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Faces that fill their pictures.

    Returns:
        Pictures (n, side, side, 3) and classes (n,): 0 with a mask, 1 without.
    """
    rng = np.random.default_rng(seed)
    kinds = np.tile([0, 1], EACH)
    pictures = []
    for kind in kinds:
        paper = _paper(side, side, rng)
        size = int(side * rng.uniform(0.8, 1.15))
        _paste(
            paper, _face(size, bool(kind == 0), rng), *rng.integers(-3, 4, 2) + (side - size) // 2
        )
        pictures.append(_photo(paper, rng))
    return np.stack(pictures), kinds


def draw_scene(n: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Floats, list[int]]:
    """A scene of some faces beside each other.

    Returns:
        The picture (200, 320, 3), boxes (n, 4) as left, top, right, bottom, and classes.
    """
    paper = _paper(HIGH, WIDE, rng)
    kinds = rng.integers(0, 2, n).tolist()
    boxes = []
    for place, kind in zip(rng.permutation(PLACES)[:n], kinds, strict=True):
        size = int(rng.integers(70, 100))
        left = int(place) * WIDE // PLACES + int(rng.integers(0, WIDE // PLACES - size + 1))
        top = int(rng.integers(10, HIGH - size - 10))
        _paste(paper, _face(size, kind == 0, rng), left, top)
        boxes.append(np.array([left, top, left, top]) + np.array(FRAME) * size)
    return _photo(paper, rng), np.array(boxes, np.float32).reshape(-1, 4), kinds


def _paper(high: int, wide: int, rng: np.random.Generator) -> Floats:
    """A soft background of no shape."""
    coarse = rng.uniform(40, 220, (3, 4, 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (wide, high), interpolation=cv2.INTER_CUBIC), np.float32)


def _photo(paper: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    noisy = paper + rng.normal(0, rng.uniform(1, 8), paper.shape)
    return np.asarray(np.rint(noisy.clip(0, 255)), np.uint8)


def _paste(paper: Floats, drawn: Floats, left: int, top: int) -> None:
    """Lays a drawn face (red, green, blue, opacity) on paper, cut where it reaches beyond."""
    x, y = max(0, -left), max(0, -top)
    part = drawn[y : paper.shape[0] - top, x : paper.shape[1] - left]
    there = paper[top + y : top + y + len(part), left + x : left + x + part.shape[1]]
    there += (part[..., :3] - there) * part[..., 3:]


def _face(size: int, masked: bool, rng: np.random.Generator) -> Floats:
    """A head with hair, eyes, a nose, and a mouth or a mask: shape (size, size, 4)."""
    whole = size * FINE
    rows, columns = np.mgrid[0:whole, 0:whole].astype(np.float32) / whole
    skin = np.array(SKINS[rng.integers(len(SKINS))], np.float32) * rng.uniform(0.9, 1.05)
    light = 1 - 0.35 * ((columns - 0.5 + rng.uniform(-0.08, 0.08)) / 0.36) ** 2
    face = skin * light[..., None]

    def dab(x: float, y: float, wide: float, high: float, colour: Pen, opacity: float) -> None:
        shape = np.zeros((whole, whole), np.float32)
        middle, axes = (int(x * whole), int(y * whole)), (int(wide * whole), int(high * whole))
        cv2.ellipse(shape, middle, axes, 0, 0, 360, 1.0, -1)
        shape = cv2.GaussianBlur(shape, (0, 0), whole * 0.012)[..., None] * opacity
        face[:] += (np.asarray(colour, np.float32) - face) * shape

    for side in (-1, 1):
        x = 0.5 + side * 0.16
        dab(x, 0.44, 0.1, 0.065, skin * 0.55, 0.8)  # the socket, which the cascades look for
        dab(x, 0.45, 0.065, 0.032, [235, 235, 235], 1)
        dab(x, 0.45, 0.03, 0.032, [40, 30, 25], 1)
        dab(x, 0.37, 0.1, 0.018, skin * 0.25, 1)
        dab(0.5 + side * 0.2, 0.6, 0.08, 0.06, skin * 1.12, 0.6)
    dab(0.5, 0.5, 0.03, 0.1, skin * 1.15, 0.7)
    dab(0.5, 0.6, 0.05, 0.015, skin * 0.6, 0.8)
    if masked:
        _mask(face, light, rng)
    else:
        dab(0.5, 0.76, rng.uniform(0.1, 0.15), rng.uniform(0.02, 0.05), [165, 70, 70], 1)
        dab(0.5, 0.82, 0.1, 0.02, skin * 1.1, 0.6)
    hair = np.array(HAIRS[rng.integers(len(HAIRS))], np.float32)
    head = _ellipse(whole, 0.52, 0.36, 0.46)
    fringe = _ellipse(whole, 0.2, 0.3, 0.12)[..., None]
    opacity = np.maximum(head, _ellipse(whole, 0.42, 0.42, 0.42) * (rows < 0.6))
    drawn = hair + (face - hair) * head[..., None]
    drawn += (hair - drawn) * fringe
    both = np.dstack([drawn, opacity]).astype(np.float32)
    return np.asarray(cv2.resize(both, (size, size), interpolation=cv2.INTER_AREA))


def _mask(face: Floats, light: Floats, rng: np.random.Generator) -> None:
    whole = len(face)
    cloth = np.array(CLOTHS[rng.integers(len(CLOTHS))], np.float32)
    shape = np.zeros((whole, whole), np.float32)
    corners = np.array(OUTLINE) * whole + rng.normal(0, 0.012 * whole, (len(OUTLINE), 2))
    cv2.fillPoly(shape, [corners.astype(np.int32)], 1.0)
    soft = cv2.GaussianBlur(shape, (0, 0), whole * 0.008)[..., None]
    face += (cloth * light[..., None] - face) * soft
    for height in (0.65, 0.73, 0.81):  # pleats
        left, right = ((int(x * whole), int(height * whole)) for x in (0.3, 0.7))
        cv2.line(face, left, right, (cloth * 0.85).tolist(), max(1, whole // 80))


def _ellipse(whole: int, y: float, wide: float, high: float) -> Floats:
    shape = np.zeros((whole, whole), np.float32)
    axes = (int(wide * whole), int(high * whole))
    cv2.ellipse(shape, (whole // 2, int(y * whole)), axes, 0, 0, 360, 1.0, -1)
    return shape
