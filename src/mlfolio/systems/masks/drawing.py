"""Cutting faces out of pictures, drawing boxes around them, and making them unrecognisable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlfolio.core.errors import FileError
from mlfolio.parts.vision.reading import Rgb, read_file, read_rgb

from .data import LONGEST, WITH, WITHOUT

if TYPE_CHECKING:
    from .model import Face, MasksModel

WRITTEN: Final = (".png", ".jpg", ".jpeg")
COLOURS: Final = {WITH: (20, 130, 60), WITHOUT: (190, 40, 40)}
DOUBT: Final = (150, 100, 0)
TILES: Final = 6  # a side, that are left of a blurred face
AROUND: Final = 0.15  # what is blurred around a box, of its sides


def squares(
    picture: Rgb, boxes: NDArray[np.float32], side: int, margin: float
) -> NDArray[np.uint8]:
    """Squares around boxes, shape (n, side, side, 3); beyond the picture its edge goes on.

    Args:
        picture: Shape (height, width, 3).
        boxes: Left, top, right and bottom, shape (n, 4).
        side: Pixels of the squares.
        margin: What is added at each side, as a share of the longer one.
    """
    found = np.zeros((len(boxes), side, side, 3), np.uint8)
    for row, (left, top, right, bottom) in enumerate(boxes.tolist()):
        size = max(right - left, bottom - top, 1.0) * (1 + 2 * margin)
        middle = ((left + right) / 2, (top + bottom) / 2)
        corner = [round(place - size / 2) for place in middle]
        whole = max(1, round(size))
        part = _cut(picture, corner[0], corner[1], whole)
        how = cv2.INTER_AREA if whole > side else cv2.INTER_LINEAR
        found[row] = cv2.resize(part, (side, side), interpolation=how)
    return found


def _cut(picture: Rgb, left: int, top: int, size: int) -> Rgb:
    rows = np.clip(np.arange(top, top + size), 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(left, left + size), 0, picture.shape[1] - 1)
    return np.ascontiguousarray(picture[rows[0] : rows[-1] + 1][rows - rows[0]][:, columns])


def draw(picture: Rgb, faces: Sequence[Face], blur: bool) -> Rgb:
    """A copy of a picture with a box and a label for each face, or with all of them blurred."""
    drawn = picture.copy()
    for face in faces:
        if blur:
            _blur(drawn, face.box)
        else:
            _label(drawn, face)
    return drawn


def _blur(picture: Rgb, box: tuple[int, int, int, int]) -> None:
    """Leaves a few tiles of a face, each of one colour, then softened: nothing can be undone."""
    left, top, wide, high = box
    x, y = round(wide * AROUND), round(high * AROUND)
    part = picture[max(0, top - y) : top + high + y, max(0, left - x) : left + wide + x]
    if part.size:
        few = cv2.resize(part, (TILES, TILES), interpolation=cv2.INTER_AREA)
        size = (part.shape[1], part.shape[0])
        part[:] = cv2.resize(few, size, interpolation=cv2.INTER_LINEAR)


def _label(picture: Rgb, face: Face) -> None:
    left, top, wide, high = face.box
    colour = COLOURS.get(face.label, DOUBT)
    scale = max(picture.shape[:2]) / 1000 + 0.25
    thick = max(1, round(2 * scale))
    text = face.label if face.confidence is None else f"{face.label} {face.confidence:.0%}"
    cv2.rectangle(picture, (left, top), (left + wide, top + high), colour, thick)
    (across, up), down = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    # Above the box; below its upper edge where there is no room.
    bottom = top if top >= up + down else top + up + down
    cv2.rectangle(picture, (left, bottom - up - down), (left + across, bottom), colour, -1)
    place = (left, bottom - down // 2)
    cv2.putText(
        picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thick, cv2.LINE_AA
    )


def annotate(model: MasksModel, source: Path, target: Path, blur: bool) -> str:
    """Writes a copy of a picture with what was seen in it, whole or not at all.

    Raises:
        FileError: The source is no picture that can be read, or no copy can be written.
    """
    try:
        picture = read_rgb(read_file(source), LONGEST)
    except ValueError as error:
        raise FileError(f"{source} cannot be read: {error}", "a PNG, JPEG or WebP") from None
    faces = model.faces(picture)
    form = "PNG" if target.suffix.lower() == ".png" else "JPEG"
    temporary = target.with_name(f".{target.name}.part")
    try:
        Image.fromarray(draw(picture, faces, blur)).save(temporary, form, quality=92)
        temporary.replace(target)
    except OSError as error:
        raise FileError(f"{target} cannot be written: {error}", "room, or another folder") from None
    finally:
        temporary.unlink(missing_ok=True)
    return f"{len(faces)} faces {'blurred' if blur else 'marked'}"
