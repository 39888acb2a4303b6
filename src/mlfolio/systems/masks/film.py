"""Films: read frame by frame, every face followed, and written with what was seen. No sound."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mlfolio.core.errors import FileError
from mlfolio.parts.vision.reading import Rgb

from . import drawing
from .data import LONGEST
from .detect import SAME, Boxes, overlap
from .learning import Chances

if TYPE_CHECKING:
    from .model import MasksModel

# What OpenCV's wheel can write, and what browsers show: WebM everywhere, MPEG-4 in players.
WRITTEN: Final = {".mp4": "mp4v", ".webm": "VP80", ".avi": "MJPG"}
# How films begin: MP4 and MOV, WebM and MKV, AVI.
BEGINNING: Final = re.compile(rb"\0\0..ftyp|\x1a\x45\xdf\xa3|RIFF....AVI ", re.DOTALL)
# What FFmpeg reads besides, playlists above all, may name other files and hosts, and a beginning
# can be forged. So FFmpeg itself is told to read these alone.
READERS: Final = "format_whitelist;mov,mp4,matroska,webm,avi|protocol_whitelist;file"
READ: Final = "an MP4, MOV, WebM, MKV or AVI file"
MOST_FRAMES: Final = 30_000  # a quarter of an hour
MOST_PIXELS: Final = 4096 * 2304  # of a frame
USUAL: Final = 25.0  # frames a second, where a film does not say
HELD: Final = 5  # frames that a face stays where it was last seen
KEPT: Final = 0.7  # of a face's former probability, in each frame
NEARLY: Final = 0.99  # of the frames that a film says to have; what it says may be rounded


class Reel(NamedTuple):
    """A film to be read.

    Attributes:
        capture: OpenCV's reader.
        rate: Frames a second.
        size: Width and height of the copy, even numbers.
        frames: How many it says to have.
    """

    capture: cv2.VideoCapture
    rate: float
    size: tuple[int, int]
    frames: int


class Follower:
    """Keeps faces from flickering: probabilities change slowly, and a lost face is held a while.

    That matters most where faces are blurred: one frame is enough to be recognised.
    """

    def __init__(self) -> None:
        self._boxes: Boxes = np.zeros((0, 4), np.float32)
        self._masked: Chances = np.zeros(0)
        self._lost: NDArray[np.int64] = np.zeros(0, np.int64)

    def follow(self, boxes: Boxes, masked: Chances) -> tuple[Boxes, Chances]:
        """What is shown in a frame in which these faces were found."""
        same = overlap(boxes, self._boxes)
        masked = masked.copy()
        if same.size:
            best = same.argmax(axis=1)
            known = same.max(axis=1) >= SAME
            masked[known] = KEPT * self._masked[best[known]] + (1 - KEPT) * masked[known]
        gone = (same.max(axis=0, initial=0.0) < SAME) & (self._lost < HELD)
        self._lost = np.concatenate([np.zeros(len(boxes), np.int64), self._lost[gone] + 1])
        self._boxes = np.concatenate([boxes, self._boxes[gone]])
        self._masked = np.concatenate([masked, self._masked[gone]])
        return self._boxes, self._masked


def annotate(
    model: MasksModel, source: Path, target: Path, blur: bool, most: int = MOST_FRAMES
) -> str:
    """Writes a copy of a film with what was seen in it, whole or not at all.

    Args:
        model: What looks; at the fast pace, unless it blurs.
        source: The film.
        target: .mp4, .webm or .avi.
        blur: Whether faces are blurred, not marked.
        most: Frames that it may have.

    Raises:
        FileError: It is no film that can be read, or too long or large, or no whole copy can be
            written.
    """
    from tqdm import tqdm

    follower, seen, done = Follower(), 0, 0
    temporary = target.with_name(f".part.{target.name}")
    try:
        with _opened(source, most) as reel, _written(temporary, reel) as writer:
            for frame in tqdm(_frames(reel, source, most), total=reel.frames, disable=None):
                # Whom it blurs it had better find: with all care, though that is slower.
                found = follower.follow(*model.look(frame, fast=not blur))
                faces = model.told(*found, frame)
                drawn = drawing.draw(frame, faces, blur)
                writer.write(np.ascontiguousarray(drawn[..., ::-1]))
                done, seen = done + 1, seen + len(faces)
        if (kept := _count(temporary)) != done:  # a writer is silent about a full disk
            raise FileError(
                f"{target} could not be written: of {done:,} frames it has {kept:,}",
                "room on the disk, another folder, or another ending",
            )
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    what = "blurred" if blur else "marked"
    told = f"{done:,} frames, {seen / done:.1f} faces {what} in each; sound is not kept"
    if done < NEARLY * reel.frames:
        told += f"; the film may break off, for it says that it has {reel.frames:,} frames"
    return told


@contextmanager
def _opened(source: Path, most: int) -> Iterator[Reel]:
    """A film that may be read."""
    try:
        if not source.is_file():  # a pipe would keep us waiting
            raise FileError(f"{source} cannot be read: there is no such file", READ)
        with source.open("rb") as file:
            start = file.read(12)
    except OSError as error:
        raise FileError(f"{source} cannot be read: {error.strerror}", READ) from None
    if not BEGINNING.match(start):
        raise FileError(f"{source} is no film", READ)
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = READERS  # OpenCV knows no other way
    capture = _capture(source)
    try:
        wide, high = (
            int(capture.get(what)) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if not capture.isOpened() or wide < 2 or high < 2:
            raise FileError(f"{source} is no film that can be read", READ)
        if wide * high > MOST_PIXELS:
            raise FileError(f"{source} has {wide}x{high} pixels", "a film of 4096x2304 at most")
        rate, frames = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if frames > most:
            raise FileError(f"{source} has {frames:,.0f} frames", f"a film of {most:,} at most")
        scale = min(1.0, LONGEST / max(wide, high))
        size = (max(2, int(wide * scale) // 2 * 2), max(2, int(high * scale) // 2 * 2))
        yield Reel(capture, rate if 1 <= rate <= 240 else USUAL, size, max(0, int(frames)))
    finally:
        capture.release()


def _capture(film: Path) -> cv2.VideoCapture:
    # The path of a file that is there: no pattern for numbered pictures, no address.
    return cv2.VideoCapture(str(film.resolve()), cv2.CAP_FFMPEG)


def _count(film: Path) -> int:
    """How many frames can be read of a film; none where there is none."""
    capture, n = _capture(film), 0
    while capture.grab():
        n += 1
    capture.release()
    return n


@contextmanager
def _written(target: Path, reel: Reel) -> Iterator[cv2.VideoWriter]:
    code = cv2.VideoWriter.fourcc(*WRITTEN[target.suffix.lower()])
    writer = cv2.VideoWriter(str(target.resolve()), cv2.CAP_FFMPEG, code, reel.rate, reel.size)
    try:
        if not writer.isOpened():
            raise FileError(f"{target} cannot be written", "another folder, or another ending")
        yield writer
    finally:
        writer.release()


def _frames(reel: Reel, source: Path, most: int) -> Iterator[Rgb]:
    """The frames, red, green and blue. What a film says of its length need not be true."""
    for number in range(most + 1):
        there, frame = reel.capture.read()
        if not there:
            if not number or number < reel.frames // 2:
                raise FileError(f"{source} breaks off after {number} frames", "get it anew")
            return
        if number == most:
            raise FileError(f"{source} has more than {most:,} frames", "a shorter one")
        small = cv2.resize(frame, reel.size, interpolation=cv2.INTER_AREA)
        yield np.ascontiguousarray(small[..., ::-1])
