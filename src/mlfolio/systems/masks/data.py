"""Faces with and without masks, and scenes of several faces with their boxes.

The user's own data are a folder with `with_mask/` and `without_mask/`, maybe in `train/` and
`test/`, and maybe with `scenes/images/` and `scenes/annotations/` (Pascal VOC's XML).
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.errors import FileError, nearest
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo, Finding
from mlfolio.data.datasets import get_dataset, place
from mlfolio.data.doctor import find_imbalance
from mlfolio.data.fingerprint import fingerprint
from mlfolio.parts.vision.gather import find_parts, gather, read_folders, read_table
from mlfolio.parts.vision.pictures import Pictures, find_repeats, grouped
from mlfolio.parts.vision.reading import Rgb, read_file, read_rgb

from . import sample

WITH, WITHOUT, WRONG = "with mask", "without mask", "mask worn wrongly"
NAMES: Final = (WITH, WITHOUT)
FOLDERS: Final = ("with_mask", "without_mask")
SAID: Final = {"with_mask": WITH, "without_mask": WITHOUT, "mask_weared_incorrect": WRONG}
PARTS: Final = ("train", "test")
LONGEST: Final = 1280  # pixels of the longer side of a picture in which faces are looked for
TEST: Final = 0.2  # of faces that come without a test part
FEWEST: Final = 10  # different training faces of each class
MENDED: Final = "with_mask/a.jpg, without_mask/b.jpg; maybe both in train/ and test/"


class Scene(NamedTuple):
    """A picture of several faces.

    Attributes:
        picture: Shape (height, width, 3).
        boxes: Of each face left, top, right and bottom in pixels, shape (n, 4).
        labels: Of each face.
        file: What it is called.
    """

    picture: Rgb
    boxes: NDArray[np.float32]
    labels: tuple[str, ...]
    file: str


@dataclass(frozen=True)
class MaskSplit:
    """Faces to learn from and to measure on, and scenes to measure on.

    Attributes:
        source: Where they came from.
        dataset: Name of the data set, or of the user's folder.
        licence: As its publisher states it.
        train: Faces to learn from; class 0 wears a mask.
        test: To measure on.
        scenes: Likewise.
        notes: What was noticed while reading.
    """

    source: Source
    dataset: str
    licence: str
    train: Pictures
    test: Pictures
    scenes: tuple[Scene, ...]
    notes: tuple[Finding, ...] = ()

    @cached_property
    def info(self) -> DataInfo:
        """What identifies these data."""
        seen = [part for one in self.scenes for part in (one.picture, one.boxes, str(one.labels))]
        # Of the files, not of what this run made of them: at another size they are the same data.
        test = (self.test.digests, self.test.classes, *seen)
        return DataInfo(
            source=self.source,
            dataset=self.dataset,
            licence=self.licence,
            fingerprint=fingerprint(self.train.digests, self.train.classes, *test),
            test_fingerprint=fingerprint(*test),
            rows={"train": len(self.train), "test": len(self.test), "scenes": len(self.scenes)},
        )

    def check(self) -> list[Finding]:
        """What the data doctor has to say."""
        imbalance = find_imbalance(pd.Series(self.train.classes).map(dict(enumerate(NAMES))))
        return [*self.notes, *find_repeats(self.train, self.test, "faces"), *imbalance]

    def without_test(self) -> Self:
        """The same data with nothing to measure on."""
        return replace(self, test=self.test.take(np.arange(0)), scenes=())


def load_masks(source: Source, side: int) -> MaskSplit:
    """The faces of a source, squashed to squares, and its scenes.

    Args:
        source: Official data, the drawn sample, or the user's folder.
        side: Pixels of a square's side.

    Raises:
        DataUnavailableError: The official data are not here.
        FileError: The user's folder has no such pictures, or too few of a class in a part.
    """
    notes: list[Finding] = []
    if source.kind == "official":
        record = get_dataset("face-mask")
        folder = place(record.name)
        train, test = (_read_official(folder / f"faces_{part}.parquet", side) for part in PARTS)
        scenes = _read_scenes(folder / "scenes", notes)
        return MaskSplit(source, record.title, record.licence, train, test, scenes, tuple(notes))
    if source.path is None:
        pixels, kinds = sample.draw_faces(side)
        files = [f"{FOLDERS[kind]} {number}" for number, kind in enumerate(kinds)]
        faces = Pictures.of(pixels, kinds, files)
        train, test = faces.split(TEST, seed=0)  # no two are drawn alike
        return MaskSplit(source, "drawn faces", "Apache-2.0", train, test, _draw_scenes())
    name, parts = source.path.name, grouped(_read_own(source.path, side, notes))
    if len(parts) == 2:
        _require(FEWEST, parts[0], f"{name}/train")
        _require(1, parts[1], f"{name}/test")
        train, test = parts
    else:
        _require(math.ceil(FEWEST / (1 - TEST)), parts[0], name)
        train, test = parts[0].split(TEST, seed=0)
    scenes = _read_scenes(source.path / "scenes", notes)
    return MaskSplit(source, name, "the user's own", train, test, scenes, tuple(notes))


def _read_official(path: Path, side: int) -> Pictures:
    """One of the two tables of faces; near-duplicates have a number there."""
    faces = gather(*read_table(path, FOLDERS), side)
    groups = pd.read_parquet(path, columns=["group"])["group"].to_numpy(np.int64)
    return replace(faces, groups=groups)


def _draw_scenes() -> tuple[Scene, ...]:
    rng = np.random.default_rng(1)
    scenes = []
    for number in range(sample.SCENES):
        picture, boxes, kinds = sample.draw_scene(1 + number % sample.PLACES, rng)
        labels = tuple(NAMES[kind] for kind in kinds)
        scenes.append(Scene(picture, boxes, labels, f"scene {number}"))
    return tuple(scenes)


def _read_own(folder: Path, side: int, notes: list[Finding]) -> list[Pictures]:
    """All faces, or those of `train/` and `test/`."""
    if not folder.is_dir():
        raise FileError(f"{folder} is no folder", f"a folder of folders is needed: {MENDED}")
    found = []
    for each in filter(None, find_parts(folder, notes)):
        _require_folders(each, notes)
        found.append(read_folders(each, FOLDERS, side, notes))
    return found


def _require_folders(folder: Path, notes: list[Finding]) -> None:
    """Both classes are there; others are told of and left out."""
    names = {path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "."}
    others = sorted(names - set(FOLDERS) - {"scenes"})
    for name in sorted(set(FOLDERS) - names):
        near = nearest(name, others)
        hint = f"rename {near}/ to {name}/: " if near else ""
        raise FileError(f"{folder} has no folder {name}/", f"{hint}{MENDED}")
    if others:
        notes.append(
            Finding(
                level="note", check="other folders",
                message=f"left out, for they are no class: {', '.join(others[:10])}",
                fix="put what belongs to a class into its folder",
            )
        )  # fmt: skip


def _require(fewest: int, faces: Pictures, folder: str) -> None:
    """So many different faces of each class; those that are nearly the same count once."""
    _, first = np.unique(faces.groups, return_index=True)
    counts = np.bincount(faces.classes[first], minlength=len(FOLDERS)).tolist()
    for name, n in zip(FOLDERS, counts, strict=True):
        if n < fewest:
            raise FileError(
                f"{folder} has too few different faces in {name}/: {n}",
                f"at least {fewest}, as PNG, JPEG or WebP; near-duplicates count once",
            )


def _read_scenes(folder: Path, notes: list[Finding]) -> tuple[Scene, ...]:
    """The annotated pictures of a folder, in order; what cannot be read is left out and told."""
    scenes, broken = [], []
    for path in sorted((folder / "annotations").glob("*.xml")):
        try:
            scenes.append(_read_scene(path, folder / "images"))
        except (LookupError, ValueError, ET.ParseError) as error:  # the first: no such encoding
            broken.append(f"{path.name} ({error!s:.80})")
    if broken:
        notes.append(
            Finding(
                level="warning", check="broken scenes",
                message=f"{len(broken):,} cannot be read and were left out: {broken[:5]}",
                fix="Pascal VOC's XML, its size that of the picture as it is shown (save it "
                f"upright); a name is one of {', '.join(SAID)}",
            )
        )  # fmt: skip
    return tuple(scenes)


def _read_scene(path: Path, images: Path) -> Scene:
    root = ET.fromstring(read_file(path))  # noqa: S314 - expat itself stops entities that grow
    name = Path(root.findtext("filename") or "").name  # of what is beside it, nothing else
    faces = root.findall("object")
    sides = ("xmin", "ymin", "xmax", "ymax")
    boxes = [[float(face.findtext(f"bndbox/{side}") or "nan") for side in sides] for face in faces]
    labels = [face.findtext("name") or "" for face in faces]
    if unknown := set(labels) - set(SAID):
        raise ValueError(f"names {sorted(unknown)}")
    picture = read_rgb(read_file(images / name), LONGEST)
    found = np.array(boxes).reshape(-1, 4) * _scale(root, picture)
    _require_boxes(found, picture)
    return Scene(picture, found.astype(np.float32), tuple(SAID[label] for label in labels), name)


def _scale(root: ET.Element, picture: Rgb) -> float:
    """By what boxes are multiplied: large pictures were averaged down.

    Cameras store photos lying on their side and note how to turn them. Whether boxes were drawn
    before or after that, the size that is written beside them tells: it must be that of the
    picture as it is shown.
    """
    wide, high = (float(root.findtext(f"size/{side}") or 0) for side in ("width", "height"))
    scale = picture.shape[1] / wide if wide > 0 else 0.0
    if not (scale > 0 and abs(high * scale - picture.shape[0]) <= 1):  # rounded, maybe twice
        shown = f"{picture.shape[1]}x{picture.shape[0]}"
        raise ValueError(f"<size> is {wide:g}x{high:g}, shown are {shown}")
    return scale


def _require_boxes(boxes: NDArray[np.float64], picture: Rgb) -> None:
    """Boxes have an area, and some of it is in the picture; sloppy edges are let pass."""
    high, wide = picture.shape[:2]
    low, ends = boxes[:, :2], boxes[:, 2:]
    is_there = (low < ends) & (low < [wide, high]) & (ends > 0)  # nowhere is NaN
    if not (is_there.all() and np.isfinite(boxes).all()):
        raise ValueError("boxes without an area in the picture")
