"""Where faces are: OpenCV's Haar cascade, or a detector whose weights lie in a file.

Two kinds of files are known: YuNet's (Wu et al., 2023, YuNet: a tiny millisecond-level face
detector) and CenterFace's (Xu et al., 2019, CenterFace: joint face detection and alignment using
face as point), both in ONNX. They are data: nothing in them is run as code.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mlfolio.core.errors import FileError
from mlfolio.parts.vision.reading import Rgb

Boxes = NDArray[np.float32]  # (n, 4): left, top, right, bottom in pixels
Scores = NDArray[np.float32]  # (n,), higher where surer

HAAR: Final = "haar"
FAST, FINE = 320, 1024  # pixels of the longer side in which faces are looked for
LEAST: Final = 24  # pixels of the smallest square that the cascade looks at
SAME: Final = 0.3  # overlap of two boxes from which they are one face
# Of a cascade's square, half the width of a face: the median where CenterFace found the same face,
# over training faces. Its top and bottom are those of the face.
FRAMED: Final = 0.42
MAX_BYTES: Final = 64 * 2**20  # of a detector's file; the known ones have less than eight
ONNX_HELP: Final = "the file of YuNet (opencv_zoo) or CenterFace in ONNX, or detector=haar"


class Detector(Protocol):
    """Finds faces. Many threads may ask at once."""

    @property
    def weights(self) -> bytes | None:
        """Its file, where it has one, for a model to carry along."""
        ...

    def find(self, picture: Rgb, fast: bool = False) -> tuple[Boxes, Scores]:
        """The faces of a picture, the surest first; `fast` looks for large ones only."""
        ...


class Haar:
    """A cascade of boosted rectangles (Viola and Jones, 2001), trained by OpenCV's authors.

    Args:
        cascade: Its name.
        step: How much smaller the picture is in each next size that is looked at.
        neighbors: Windows that must agree on a face. One does: the net drops what is no face.
    """

    weights = None

    def __init__(
        self, cascade: str = "frontalface_alt2", step: float = 1.1, neighbors: int = 1
    ) -> None:
        folder = Path(cv2.__file__).parent / "data"
        self._cascade = cv2.CascadeClassifier(str(folder / f"haarcascade_{cascade}.xml"))
        self._step, self._neighbors = step, neighbors
        self._lock = Lock()  # a cascade keeps its buffers

    def find(self, picture: Rgb, fast: bool = False) -> tuple[Boxes, Scores]:
        """See `Detector`; scores are the stages' weights, not probabilities."""
        small, scale = _scaled(picture, fast)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        least = min(LEAST, *grey.shape)
        with self._lock:
            squares, _, weights = self._cascade.detectMultiScale3(
                grey, self._step, self._neighbors, minSize=(least, least), outputRejectLevels=True
            )
        boxes = np.array(squares, np.float32).reshape(-1, 4)
        scores = np.array(weights, np.float32).reshape(-1)
        return merge(_framed(boxes) / np.float32(scale), scores)


class YuNet:
    """OpenCV's own reader of YuNet.

    Args:
        weights: The content of the file.
        least: Score that a face has at least.
    """

    OUTPUTS: Final = frozenset({"cls_8", "obj_8", "bbox_8"})

    def __init__(self, weights: bytes, least: float = 0.6) -> None:
        self.weights: bytes | None = weights
        buffer, nothing = np.frombuffer(weights, np.uint8), np.zeros(0, np.uint8)
        self._net = cv2.FaceDetectorYN.create("onnx", buffer, nothing, (FAST, FAST), least, SAME)
        self._lock = Lock()

    def find(self, picture: Rgb, fast: bool = False) -> tuple[Boxes, Scores]:
        """See `Detector`; scores are in [0, 1]."""
        small, scale = _scaled(picture, fast)
        with self._lock:
            self._net.setInputSize((small.shape[1], small.shape[0]))
            _, found = self._net.detect(np.ascontiguousarray(small[..., ::-1]))
        rows = np.zeros((0, 15), np.float32) if found is None else np.asarray(found, np.float32)
        corners = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]])
        return merge((corners / scale).astype(np.float32), rows[:, 14])


class CenterFace:
    """Faces as peaks of a map that has a quarter of the picture's side.

    Args:
        weights: The content of the file.
        least: Score that a face has at least.
    """

    STRIDE: Final = 4
    MULTIPLE: Final = 32  # what sides are multiples of
    OUTPUTS: Final = ("537", "538", "539")  # peaks, logarithms of sizes, offsets

    def __init__(self, weights: bytes, least: float = 0.35) -> None:
        self.weights: bytes = weights
        self._least = least
        self._lock = Lock()
        self._size: list[int] = []

    def find(self, picture: Rgb, fast: bool = False) -> tuple[Boxes, Scores]:
        """See `Detector`; scores are in [0, 1]."""
        small, _ = _scaled(picture, fast)
        size = [-(-small.shape[axis] // self.MULTIPLE) * self.MULTIPLE for axis in (1, 0)]
        with self._lock:
            if size != self._size:  # OpenCV's net answers wrongly once it has seen another size
                self._net, self._size = read_net(self.weights), size
            self._net.setInput(cv2.dnn.blobFromImage(small, 1.0, size, swapRB=False))
            peaks, sizes, offsets = (part[0] for part in self._net.forward(self.OUTPUTS))
        rows, columns = np.nonzero(peaks[0] > self._least)
        high, wide = np.exp(sizes[:, rows, columns]) * self.STRIDE
        y = (rows + offsets[0, rows, columns] + 0.5) * self.STRIDE
        x = (columns + offsets[1, rows, columns] + 0.5) * self.STRIDE
        corners = np.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], axis=1)
        shrunk = np.array([picture.shape[1] / size[0], picture.shape[0] / size[1]] * 2)
        return merge((corners * shrunk).astype(np.float32), peaks[0, rows, columns])


def make_detector(name: str) -> Detector:
    """A detector.

    Args:
        name: `haar`, or the path of a file.

    Raises:
        FileError: There is no such file, or it is none of a kind that is known.
    """
    if name == HAAR:
        return Haar()
    path = Path(name).expanduser()
    try:
        if path.is_file() and path.stat().st_size <= MAX_BYTES:  # a pipe would keep us waiting
            return read_detector(path.read_bytes())
    except OSError as error:
        raise FileError(f"there is no detector {name!r} ({error.strerror})", ONNX_HELP) from None
    raise FileError(f"there is no detector {name!r}: no file, or beyond 64 MB", ONNX_HELP)


def read_detector(weights: bytes) -> Detector:
    """The detector in a file, by the names of its outputs; it has looked at a picture.

    Raises:
        FileError: It is none that is known, or does not answer as one.
    """
    made: Detector
    with suppress(cv2.error, ValueError, IndexError):  # what outputs of other shapes make of it
        outputs = set(read_net(weights).getUnconnectedOutLayersNames())
        if outputs >= set(CenterFace.OUTPUTS) or outputs >= YuNet.OUTPUTS:
            made = CenterFace(weights) if "537" in outputs else YuNet(weights)
            boxes, _ = made.find(np.zeros((FAST, FAST, 3), np.uint8), fast=True)
            if np.isfinite(boxes).all():
                return made
    raise FileError(f"a file of {len(weights):,} bytes is no detector of faces", ONNX_HELP)


def read_net(weights: bytes) -> cv2.dnn.Net:
    """OpenCV's net of an ONNX file."""
    return cv2.dnn.readNetFromONNX(np.frombuffer(weights, np.uint8))


def overlap(one: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Intersection over union of each pair of boxes, shape (len(one), len(others))."""
    low = np.maximum(one[:, None, :2], others[None, :, :2])
    high = np.minimum(one[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, others)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float64)


def merge(boxes: Boxes, scores: Scores) -> tuple[Boxes, Scores]:
    """Boxes of one face each, the surest first (greedy non-maximum suppression)."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    for row in order.tolist():
        if not kept or overlap(boxes[[row]], boxes[kept]).max() < SAME:
            kept.append(row)
    return boxes[kept], np.asarray(scores[kept], np.float32)


def _framed(squares: Boxes) -> Boxes:
    """What a cascade frames, as narrow as a face is."""
    left, top, wide, high = squares.T
    middle = left + wide / 2
    sides = [middle - FRAMED * wide, top, middle + FRAMED * wide, top + high]
    return np.stack(sides, axis=1)


def _scaled(picture: Rgb, fast: bool) -> tuple[Rgb, float]:
    """A picture in the size in which faces are looked for, and by what it was multiplied.

    Small pictures are doubled: the cascade knows no faces below 24 pixels.
    """
    longer = max(picture.shape[:2])
    scale = min(FAST / longer, 1.0) if fast else min(FINE / longer, 2.0)
    if scale == 1:
        return picture, 1.0
    size = [max(1, round(picture.shape[axis] * scale)) for axis in (1, 0)]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8), scale
