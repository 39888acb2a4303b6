"""MNIST, scikit-learn's small digits as the sample, or the user's own pictures.

The user's own data are a folder with MNIST's four idx files, or with a folder of PNG and JPEG
pictures for each digit, `0/` to `9/`; these may lie in `train/` and `test/`.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from mlfolio.core.errors import FileError
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo, Finding
from mlfolio.data.datasets import get_dataset, place
from mlfolio.data.doctor import find_copies, find_imbalance, shared_finding
from mlfolio.data.fingerprint import fingerprint
from mlfolio.data.splits import holdout

from .normalise import BOX, SIDE, Grey, normalise, open_picture

DIGITS = [str(digit) for digit in range(10)]
ENDINGS = {".png", ".jpg", ".jpeg"}
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
       "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")  # fmt: skip
SPLIT_SEED = 0  # the test part stays the same whatever the run's seed
TEST_SHARE = 0.2
FEWEST = 10  # pictures of each digit that occurs


@dataclass(frozen=True)
class Pictures:
    """Pictures `(n, 28, 28)` uint8 in MNIST's form (255 = ink) and their digits `(n,)` int64."""

    pixels: NDArray[np.uint8]
    digits: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.digits)

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> Pictures:
        return Pictures(self.pixels[rows], self.digits[rows])

    @property
    def ink(self) -> NDArray[np.float32]:
        """The pictures as nets want them, `(n, 28, 28)` in [0, 1]."""
        return self.pixels.astype(np.float32) / np.float32(255)

    def as_keys(self) -> list[bytes]:
        """For each picture its bytes: equal for identical pictures."""
        return [picture.tobytes() for picture in self.pixels]


@dataclass(frozen=True)
class DigitSplit:
    """Pictures to train on and to test on; `remarks` is what was noticed while reading them."""

    source: Source
    dataset: str
    licence: str
    train: Pictures
    test: Pictures
    remarks: tuple[Finding, ...] = ()

    @cached_property
    def info(self) -> DataInfo:
        """What identifies these data."""
        test = (self.test.pixels, self.test.digits)
        return DataInfo(
            source=self.source,
            dataset=self.dataset,
            licence=self.licence,
            fingerprint=fingerprint(self.train.pixels, self.train.digits, *test),
            test_fingerprint=fingerprint(*test),
            rows={"train": len(self.train), "test": len(self.test)},
        )

    def check(self) -> list[Finding]:
        """What the data doctor has to say."""
        known = set(self.train.as_keys())
        shared = sum(key in known for key in self.test.as_keys())
        findings = [*shared_finding(shared, len(self.test)), *self.remarks]
        findings += find_copies(
            pd.DataFrame({"picture": self.train.as_keys()}), "training pictures"
        )
        blank = int((np.ptp(self.train.pixels, (1, 2)) == 0).sum())
        if blank:
            findings.append(_finding("blank pictures", f"{blank} training pictures are blank"))
        return findings + find_imbalance(self.train.digits)

    def without_test(self) -> Self:
        """The same data with no test pictures."""
        return replace(self, test=self.test[:0])


def load_digits(source: Source) -> DigitSplit:
    """The pictures of a source, split into a training and a test part.

    Raises:
        DataUnavailableError: MNIST is not here and cannot be fetched.
        FileError: The user's folder has no such pictures, or too few of a digit.
    """
    record = get_dataset("mnist")
    if source.kind == "official":
        train, test = _read_idx_files(place("mnist"))
        return DigitSplit(source, record.title, record.licence, train, test)
    if source.path is None:
        name, licence = "scikit-learn's 8x8 digits, enlarged", "CC BY 4.0"
        train, test = _split(_enlarged())
        return DigitSplit(source, name, licence, train, test)
    folder = source.path
    remarks: list[Finding] = []
    if any((folder / f"{IDX[0]}{ending}").is_file() for ending in ("", ".gz")):
        train, test = _read_idx_files(folder)
    elif (folder / "train").is_dir() and (folder / "test").is_dir():
        train, test = (_read_folder(folder / part, remarks) for part in ("train", "test"))
    else:
        inner = folder / "train" if (folder / "train").is_dir() else folder
        train, test = _split(_read_folder(inner, remarks))
    _require_enough(train, folder.name)
    return DigitSplit(source, folder.name, "the user's own", train, test, tuple(remarks))


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Reads an idx file of unsigned bytes (magic number, lengths, values), gzipped or not.

    Raises:
        FileError: It is not there, or is no whole idx file with so many dimensions.
    """
    path = path if path.is_file() else path.with_name(f"{path.name}.gz")
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path} cannot be read: {error}", "get the file anew") from None
    start = 4 + 4 * dimensions
    shape = np.frombuffer(raw[4:start].ljust(start - 4, b"\0"), ">i4")
    if raw[:4] != bytes([0, 0, 8, dimensions]) or len(raw) - start != int(shape.prod()):
        raise FileError(
            f"{path.name} is no whole idx file with {dimensions} dimensions of bytes",
            "it may be cut off; get it anew, or give a folder of pictures in 0/ to 9/",
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(tuple(shape)).copy()


def _read_idx_files(folder: Path) -> tuple[Pictures, Pictures]:
    """Training and test pictures from MNIST's four files."""
    parts = []
    for images, labels in (IDX[:2], IDX[2:]):
        pixels, digits = read_idx(folder / images, 3), read_idx(folder / labels, 1)
        if pixels.shape != (len(digits), SIDE, SIDE) or not len(digits) or digits.max() > 9:
            raise FileError(
                f"{images} has the shape {pixels.shape} and {labels} {len(digits)} labels up to "
                f"{digits.max(initial=0)}",
                "as many 28x28 pictures as labels from 0 to 9 are needed",
            )
        parts.append(Pictures(pixels, digits.astype(np.int64)))
    return parts[0], parts[1]


def _read_folder(folder: Path, remarks: list[Finding]) -> Pictures:
    """Pictures from a folder for each digit, normalised; broken ones are left out and told."""
    entries = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    pixels, digits, broken = [], [], []
    for digit in DIGITS:
        for path in sorted((folder / digit).glob("*")):
            if path.suffix.lower() in ENDINGS:
                try:
                    ink = normalise(open_picture(path.read_bytes())).ink
                except (OSError, ValueError) as error:
                    broken.append(f"{digit}/{path.name} ({error})")
                else:
                    pixels.append(to_bytes(ink))
                    digits.append(int(digit))
    if not pixels:
        raise FileError(
            f"{folder} has no readable PNG or JPEG pictures in folders 0 to 9 (it has: "
            f"{', '.join(entries[:10]) or 'nothing'})",
            "put the pictures of each digit into a folder of its name: 0/a.png, 7/b.jpg",
        )
    if broken:
        remarks.append(_finding("broken pictures", f"{len(broken)} left out: {broken[:5]}"))
    strange = [name for name in entries if name not in DIGITS and (folder / name).is_dir()]
    if strange:
        remarks.append(_finding("other folders", f"left out, for they are no digits: {strange}"))
    return Pictures(np.stack(pixels), np.asarray(digits, np.int64))


def _enlarged() -> Pictures:
    """The embedded sample: 1,797 pictures of 8x8 in 0..16, brought into the 20x20 box of 28x28."""
    from sklearn.datasets import load_digits as load_small

    small = load_small()
    ink = np.zeros((len(small.images), SIDE, SIDE), np.float32)
    edge = (SIDE - BOX) // 2
    for number, picture in enumerate(small.images.astype(np.float32) / 16):
        box = Image.fromarray(picture).resize((BOX, BOX), Image.Resampling.BICUBIC)
        ink[number, edge:-edge, edge:-edge] = np.asarray(box)
    return Pictures(to_bytes(ink), small.target.astype(np.int64))


def _split(pictures: Pictures) -> tuple[Pictures, Pictures]:
    """80 % to train on and 20 % to test on, stratified, identical pictures on one side."""
    _require_enough(pictures, "the folder")
    keys = pd.DataFrame({"picture": pictures.as_keys()})
    train, test = holdout(keys, pd.Series(pictures.digits), TEST_SHARE, SPLIT_SEED)
    return pictures[train], pictures[test]


def _require_enough(pictures: Pictures, name: str) -> None:
    """Two digits at least, each often enough to be split."""
    found, counts = np.unique(pictures.digits, return_counts=True)
    if len(found) < 2 or counts.min() < FEWEST:
        have = ", ".join(f"{d}: {n}" for d, n in zip(found, counts, strict=True))
        raise FileError(
            f"{name} has these pictures of each digit: {have}",
            f"two digits at least are needed, and {FEWEST} training pictures of each",
        )


def to_bytes(ink: Grey) -> NDArray[np.uint8]:
    """Ink in [0, 1] as bytes in 0..255."""
    return np.rint(np.clip(ink, 0, 1) * 255).astype(np.uint8)


def _finding(check: str, message: str) -> Finding:
    return Finding(level="warning", check=check, message=message, fix="look at them")
