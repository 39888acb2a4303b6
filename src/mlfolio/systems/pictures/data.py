"""Cats and dogs, the user's folder of folders, or drawn shapes.

The user's own data are a folder with a folder of pictures for each class; these may lie in
`train/` and `test/` (or `val/`). A folder called `none of these` holds pictures of no class, to
measure with. Also read are `train.parquet` and `test.parquet` as the Hugging Face hub has them, and
CIFAR-10's archive: from these ten classes the small backbone was trained.
"""

from __future__ import annotations

import math
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.errors import FileError
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo, Finding
from mlfolio.data.datasets import get_dataset, place
from mlfolio.data.doctor import find_imbalance
from mlfolio.data.fingerprint import fingerprint
from mlfolio.parts.vision.gather import (
    LONGEST,
    find_parts,
    gather,
    read_folders,
    read_table,
    require_flat,
)
from mlfolio.parts.vision.pictures import ALIKE, Pictures, digest, find_repeats, grouped
from mlfolio.parts.vision.reading import ENDINGS, Rgb, read_file, read_rgb, squash

from . import sample
from .doctor import Suspect, suspects

CIFAR: Final = "cifar-10"
CIFAR_CLASSES: Final = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse",
                        "ship", "truck")  # fmt: skip
KAGGLE_ARCHIVE: Final = "train.zip"
PARTS: Final = ("train", "test")
CIFAR_ARCHIVE: Final = "cifar-10-binary.tar.gz"
CIFAR_BYTES: Final = 1 + 3 * 32 * 32  # of a picture in the authors' files, its label first
NONE: Final = "none of these"
SIDE: Final = 64  # pixels a side, unless the pictures are smaller
SAMPLE_SIDE: Final = 32
CIFAR_SIDE: Final = 32
SMALLEST: Final = 16
LOOKED_AT: Final = 50  # pictures by which their size is told
TEST: Final = 0.2  # of pictures that come without a test part
FEWEST: Final = 10  # training pictures of each class
MOST_CLASSES: Final = 1000


@dataclass(frozen=True)
class PictureSplit:
    """Pictures to learn from and to measure on.

    Attributes:
        source: Where they came from.
        dataset: Name of the data set, or of the user's folder.
        licence: As its publisher states it.
        names: Of the classes.
        train: To learn from.
        test: To measure on.
        outside: Pictures of none of the classes, to measure on; their own class means nothing.
        notes: What was noticed while reading.
    """

    source: Source
    dataset: str
    licence: str
    names: tuple[str, ...]
    train: Pictures
    test: Pictures
    outside: Pictures
    notes: tuple[Finding, ...] = ()

    @cached_property
    def info(self) -> DataInfo:
        """What identifies these data."""
        # Of the files, not of what this run made of them: at another size they are the same data.
        test = (self.test.digests, self.test.classes, *self.names, self.outside.digests)
        return DataInfo(
            source=self.source,
            dataset=self.dataset,
            licence=self.licence,
            fingerprint=fingerprint(self.train.digests, self.train.classes, *test),
            test_fingerprint=fingerprint(*test),
            rows={"train": len(self.train), "test": len(self.test)},
        )

    @property
    def side(self) -> int:
        """Pixels of a square's side."""
        return int(self.train.pixels.shape[1])

    @cached_property
    def suspects(self) -> list[Suspect]:
        """Training pictures whose label is likely wrong, the likeliest first."""
        return suspects(self.train, len(self.names))

    def check(self) -> list[Finding]:
        """What the data doctor has to say."""
        findings = [*self.notes, *find_repeats(self.train, self.test, "pictures")]
        findings += find_imbalance(pd.Series(self.train.classes).map(dict(enumerate(self.names))))
        findings += self._two_labels()
        if self.suspects:
            worst = ", ".join(self._said(each) for each in self.suspects[:3])
            findings.append(
                Finding(
                    level="warning", check="likely wrong labels",
                    message=f"{len(self.suspects):,} of {len(self.train):,} training pictures "
                    f"look like another class: {worst}",
                    fix="the report shows the first of them: look, and move what is wrong",
                )
            )  # fmt: skip
        return findings

    def _two_labels(self) -> list[Finding]:
        """Pictures that are there in two classes: one label of them is wrong for certain."""
        known = pd.DataFrame({"group": self.train.groups, "class": self.train.classes})
        kinds = known.groupby("group")["class"].transform("nunique").to_numpy()
        rows = np.flatnonzero(kinds > 1)
        if not len(rows):
            return []
        first = rows[self.train.groups[rows] == self.train.groups[rows[0]]][:4]
        named = ", ".join(
            f"{self.train.files[row]} ({self.names[self.train.classes[row]]})" for row in first
        )
        return [
            Finding(
                level="warning", check="two labels",
                message=f"{len(rows):,} training pictures are nearly the same as one of another "
                f"class: {named}",
                fix="look, and keep each in one class",
            )
        ]  # fmt: skip

    def _said(self, suspect: Suspect) -> str:
        file, given = self.train.files[suspect.row], self.train.classes[suspect.row]
        return f"{file} ({self.names[given]}, looks like {self.names[suspect.looks_like]})"

    def without_test(self) -> Self:
        """The same data with no test pictures."""
        return replace(
            self, test=self.test.take(np.arange(0)), outside=self.outside.take(np.arange(0))
        )


class Read(NamedTuple):
    """What was read, not yet checked or split.

    Attributes:
        names: Of the classes.
        train: To learn from, or everything.
        test: To measure on; None where a fifth is to be held out.
        outside: Pictures of none of the classes.
        notes: What was noticed.
    """

    names: Sequence[str]
    train: Pictures
    test: Pictures | None = None
    outside: Pictures | None = None
    notes: Sequence[Finding] = ()


def load_pictures(source: Source, side: int | None, alike: float = ALIKE) -> PictureSplit:
    """The pictures of a source, squashed to squares.

    Args:
        source: Official data, the drawn sample, or the user's folder.
        side: Pixels of a square's side; None: 64, or what the pictures have if that is less.
        alike: Correlation from which two pictures are one (see `near_duplicates`).

    Raises:
        DataUnavailableError: The official data are not here and cannot be fetched.
        FileError: The user's folder has no such pictures, or too few of a class.
        KnobError: The pictures are too many for the memory at this side.
    """
    if source.kind == "official":
        record = get_dataset("cats-vs-dogs")
        name, licence, read = record.title, record.licence, _read_official(side or SIDE)
    elif source.path is None:
        pixels, classes, strange = sample.draw(side or SAMPLE_SIDE)
        files = [f"{sample.SHAPES[kind]} {n}" for n, kind in enumerate(classes)]
        outside = Pictures.of(strange, np.zeros(len(strange), np.int64), [""] * len(strange))
        read = Read(sample.SHAPES, Pictures.of(pixels, classes, files), outside=outside)
        name, licence = "drawn shapes", "Apache-2.0"
    else:
        name, licence, read = source.path.name, "the user's own", _read_own(source.path, side)
    parts = [read.train] if read.test is None else [read.train, read.test]
    parts = grouped(parts, alike)
    fewest = FEWEST if len(parts) == 2 else math.ceil(FEWEST / (1 - TEST))
    _require_enough(parts[0], read.names, name, fewest)
    train, test = parts if len(parts) == 2 else parts[0].split(TEST, seed=0)
    if not len(test):
        raise FileError(f"{name} has no test pictures", "fill its test part, or leave it out")
    outside = train.take(np.arange(0)) if read.outside is None else read.outside
    return PictureSplit(
        source, name, licence, tuple(read.names), train, test, outside, tuple(read.notes)
    )


def cifar_test(side: int) -> Pictures | None:
    """CIFAR-10's test part, if it is on this machine."""
    if get_dataset(CIFAR).missing:
        return None
    folder = place(CIFAR)
    if (folder / CIFAR_ARCHIVE).is_file():
        return _read_cifar(folder / CIFAR_ARCHIVE, side).test
    return gather(*read_table(folder / "test.parquet", list("0123456789")), side)


def _read_official(side: int) -> Read:
    """Kaggle's archive, or a part of it as tables; CIFAR-10's other classes are strangers."""
    folder, names = place("cats-vs-dogs"), ("cat", "dog")
    outside = None
    if (others := cifar_test(side)) is not None:
        strange = [kind for kind, name in enumerate(CIFAR_CLASSES) if name not in names]
        outside = others.take(np.flatnonzero(np.isin(others.classes, strange)))
    if not (folder / KAGGLE_ARCHIVE).is_file():
        train, test = (
            gather(*read_table(folder / f"{part}.parquet", names), side) for part in PARTS
        )
        return Read(names, train, test, outside)
    try:
        with zipfile.ZipFile(folder / KAGGLE_ARCHIVE) as archive:
            files = sorted(name for name in archive.namelist() if name.lower().endswith(".jpg"))
            kinds = [int(Path(name).name.startswith("dog")) for name in files]
            train = gather(map(archive.read, files), kinds, files, side)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(folder / KAGGLE_ARCHIVE, error) from None
    return Read(names, train, outside=outside)


def _read_own(folder: Path, side: int | None) -> Read:
    """A folder of folders, or of one of the other forms that are read."""
    if not folder.is_dir():
        raise FileError(f"{folder} is no folder", "a folder with a folder for each class is needed")
    if (folder / CIFAR_ARCHIVE).is_file():
        return _read_cifar(folder / CIFAR_ARCHIVE, side or CIFAR_SIDE)
    if (folder / "train.parquet").is_file():
        return _read_tables(folder, side)
    return _read_folder(folder, side)


def _read_cifar(archive: Path, side: int) -> Read:
    """Both parts of CIFAR-10 in its authors' binary form."""
    batches: dict[str, NDArray[np.uint8]] = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.name.endswith(".bin") and (file := tar.extractfile(member)):
                    rows = np.frombuffer(file.read(), np.uint8).reshape(-1, CIFAR_BYTES)
                    batches[Path(member.name).name] = rows
        test = batches.pop("test_batch.bin")
        train = np.concatenate([batches[name] for name in sorted(batches)])
        if max(train[:, 0].max(), test[:, 0].max()) >= len(CIFAR_CLASSES):
            raise ValueError("a label beyond 9")
    except (OSError, EOFError, tarfile.TarError, ValueError, KeyError) as error:
        raise _unreadable(archive, error) from None
    return Read(CIFAR_CLASSES, _of_rows(train, side), _of_rows(test, side))


def _unreadable(archive: Path, error: Exception) -> FileError:
    said = f"{type(error).__name__}: {error!s:.100}"
    return FileError(f"{archive} cannot be read ({said})", "get it anew")


def _of_rows(rows: NDArray[np.uint8], side: int) -> Pictures:
    pixels = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    squashed = np.stack([squash(np.ascontiguousarray(one), side) for one in pixels])
    files = list(map(str, range(len(rows))))
    digests = (digest(row.tobytes()) for row in rows)
    return Pictures.of(squashed, rows[:, 0].astype(np.int64), files, digests)


def _read_tables(folder: Path, side: int | None) -> Read:
    """`train.parquet` and maybe `test.parquet`, as data sets on the Hugging Face hub have them."""
    notes: list[Finding] = []
    train, test = (folder / f"{part}.parquet" for part in PARTS)
    try:
        labels = pd.read_parquet(train)["label"].astype(str)
        names = sorted(labels.unique(), key=lambda name: (len(name), name))
        if NONE in names:
            raise ValueError(f"a label {NONE!r}, which is what strangers are called")
        _require_classes(names, f"the label column of {train}")
        side = side or _usual_side(_readable(read_table(train, names)[0], train))
        seen = gather(*read_table(train, names), side, notes)
        tested = gather(*read_table(test, names), side, notes) if test.is_file() else None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FileError(
            f"{folder} has no tables of pictures that can be read ({type(error).__name__}: "
            f"{error!s:.100})",
            "columns image (the bytes of a file) and label; or a folder for each class",
        ) from None
    return Read(names, seen, tested, notes=notes)


def _read_folder(folder: Path, side: int | None) -> Read:
    """A folder for each class, maybe in `train/` and `test/`."""
    notes: list[Finding] = []
    inner, measured = find_parts(folder, notes)
    names = _class_folders(inner)
    require_flat([inner / name for name in names])
    paths = (path for path in sorted(inner.rglob("*")) if path.suffix.lower() in ENDINGS)
    side = side or _usual_side(_readable(paths, inner))
    train, test = read_folders(inner, names, side, notes), None
    if measured is not None:
        if extra := sorted(set(_class_folders(measured)) - set(names)):
            raise FileError(
                f"{measured.name}/ has the classes {', '.join(extra[:5])}, which {inner.name}/ "
                "has not",
                "name the folders in both parts alike",
            )
        test = read_folders(measured, names, side, notes)
    places = [place / NONE for place in (measured, folder, inner) if place is not None]
    strange = next((place for place in places if place.is_dir()), None)
    outside = read_folders(strange, [""], side, notes) if strange else None
    return Read(names, train, test, outside, notes)


def _usual_side(pictures: Iterable[Rgb]) -> int:
    """Small pictures are not blown up: what half of them have at least, rounded to eights."""
    longer = float(np.median([max(picture.shape[:2]) for picture in pictures]))
    return int(min(SIDE, max(SMALLEST, longer // 8 * 8)))


def _readable(contents: Iterable[bytes | Path], place: Path) -> list[Rgb]:
    """The first few pictures that can be read, from which their size is told."""
    found: list[Rgb] = []
    for content in contents:
        with suppress(ValueError):
            content = read_file(content) if isinstance(content, Path) else content
            found.append(read_rgb(content, LONGEST))
        if len(found) == LOOKED_AT:
            break
    if not found:
        raise FileError(
            f"{place} has no PNG, JPEG or WebP pictures that can be read",
            "put the pictures of each class into a folder of its name: cat/a.jpg, dog/b.jpg",
        )
    return found


def _class_folders(folder: Path) -> list[str]:
    """The names of the classes."""
    found = sorted(
        path.name for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name != NONE
    )  # fmt: skip
    _require_classes(found, f"{folder}, with a folder for each,")
    return found


def _require_classes(names: Sequence[str], place: str) -> None:
    """Two classes at least, and names that can be written down."""
    if not 2 <= len(names) <= MOST_CLASSES:
        raise FileError(
            f"{place} has {len(names)} classes; there must be from 2 to {MOST_CLASSES:,}",
            "put the pictures of each class into a folder of its name: cat/a.jpg, dog/b.jpg",
        )
    if strange := [name for name in names if not name.isprintable() or not name.strip()]:
        raise FileError(f"{strange[0]!a} is no name of a class", "rename it, in UTF-8")


def _require_enough(pictures: Pictures, names: Sequence[str], folder: str, fewest: int) -> None:
    """Each class often enough to be split."""
    groups, kinds = pictures.groups, range(len(names))
    different = [len(np.unique(groups[pictures.classes == kind])) for kind in kinds]
    few = {name: n for name, n in zip(names, different, strict=True) if n < fewest}
    if few:
        have = ", ".join(f"{name}: {n}" for name, n in list(few.items())[:5])
        raise FileError(
            f"{folder} has too few different pictures of these classes: {have}",
            f"{fewest} of each are needed, as PNG, JPEG or WebP; near-duplicates count once "
            "(alike=1: only copies do, for pictures that are alike by nature: of a still camera)",
        )
