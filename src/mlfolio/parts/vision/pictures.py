"""Pictures with their classes, and which of them are the same picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from mlfolio.core.system import Finding
from mlfolio.data.doctor import find_copies, shared_finding
from mlfolio.data.splits import copies, holdout

THUMB: Final = 8  # pixels a side in which pictures are compared
ALIKE: Final = 0.985  # correlation of two thumbnails from which they are one picture
BLOCK: Final = 512  # pictures that are compared with all others at once

FAINT: Final = 4.0  # norm of a thumbnail's deviations, one a value, below which it is one colour
DIGEST: Final = 16  # bytes
HUES: Final = 8  # levels apart that two pictures of one colour may be, about

Pixels = NDArray[np.uint8]  # (n, side, side, 3)


@dataclass(frozen=True)
class Pictures:
    """Pictures and their classes.

    Attributes:
        pixels: Squashed to squares, shape (n, side, side, 3).
        classes: Number of each one's class, shape (n,).
        files: What each is called.
        groups: Equal numbers for what is the same picture, or nearly, shape (n,).
        digests: Of what was read, whatever was made of it, shape (n, 16).
    """

    pixels: Pixels
    classes: NDArray[np.int64]
    files: tuple[str, ...]
    groups: NDArray[np.int64]
    digests: NDArray[np.uint8]

    @classmethod
    def of(
        cls, pixels: Pixels, classes: NDArray[np.int64], files: Sequence[str],
        digests: Iterable[bytes] | None = None,
    ) -> Self:  # fmt: skip
        """Each of them a group of its own, until they are compared (see `grouped`).

        Args:
            pixels: Squashed to squares, shape (n, side, side, 3).
            classes: Number of each one's class, shape (n,).
            files: What each is called.
            digests: Of what they were made from (see `digest`); None: of their pixels.
        """
        digests = (digest(one.tobytes()) for one in pixels) if digests is None else digests
        known = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST)
        return cls(pixels, classes, tuple(files), np.arange(len(classes)), known)

    def __len__(self) -> int:
        return len(self.classes)

    def take(self, rows: NDArray[np.int64]) -> Pictures:
        """Some of them, by their places."""
        files = tuple(self.files[row] for row in rows)
        groups, digests = self.groups[rows], self.digests[rows]
        return Pictures(self.pixels[rows], self.classes[rows], files, groups, digests)

    def split(self, share: float, seed: int) -> tuple[Pictures, Pictures]:
        """Two parts, stratified, near-duplicates on one side; the second has the share."""
        groups = pd.DataFrame({"group": self.groups})
        part, rest = holdout(groups, self.classes, share, seed)
        return self.take(part), self.take(rest)


def digest(content: bytes) -> bytes:
    """What tells a file from others."""
    return hashlib.blake2b(content, digest_size=DIGEST).digest()


def grouped(parts: Sequence[Pictures], alike: float = ALIKE) -> list[Pictures]:
    """The same, near-duplicates known, across parts too.

    Args:
        parts: Pictures.
        alike: As of `near_duplicates`.
    """
    groups = near_duplicates(np.concatenate([part.pixels for part in parts]), alike)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    pairs = zip(parts, np.split(groups, ends), strict=True)
    return [replace(part, groups=found) for part, found in pairs]


def find_repeats(train: Pictures, test: Pictures, what: str) -> list[Finding]:
    """What the data doctor says of pictures that are there more than once.

    Args:
        train: What is learned from, near-duplicates known (see `grouped`).
        test: What is measured on, likewise.
        what: They are called.
    """
    keys = pd.DataFrame({"picture": [one.tobytes() for one in train.pixels]})
    findings = find_copies(keys, f"training {what}")
    shared = int(np.isin(test.groups, train.groups).sum())
    findings += shared_finding(shared, len(test))
    repeats = len(train) - len(np.unique(train.groups))
    if few := repeats - int(keys.duplicated().sum()):
        findings.append(
            Finding(
                level="note", check="near-duplicates",
                message=f"{few:,} training {what} are nearly the same as another one",
                fix="validation keeps them on one side; drop them if they are mistakes",
            )
        )  # fmt: skip
    return findings


def near_duplicates(pixels: Pixels, alike: float = ALIKE) -> NDArray[np.int64]:
    """Which pictures are the same but for size, compression or a mirror: equal numbers, (n,).

    They are compared as thumbnails, by correlation; those of one colour, by that colour.

    Args:
        pixels: Shape (n, side, side, 3).
        alike: Correlation from which two are one; 1: only those with the same pixels are.
    """
    if alike >= 1:
        return copies(pd.DataFrame({"picture": [digest(one.tobytes()) for one in pixels]}))
    if not len(pixels):
        return np.zeros(0, dtype=np.int64)
    thumbs = torch.cat(
        [_thumbs(part) for part in np.array_split(pixels, -(-len(pixels) // 512))]
    )  # (n, 3, 8, 8)
    plain, turned = _unit(thumbs), _unit(thumbs.flip(3))
    groups = _by_colour(thumbs, plain)
    for start in range(0, len(plain), BLOCK):
        some = plain[start : start + BLOCK]
        pairs = [(some @ others[start:].T > alike).nonzero().numpy() for others in (plain, turned)]
        # Linked block by block: copies of one picture have as many pairs as their square.
        groups = _linked(groups, np.concatenate(pairs) + start)
    return groups


def _by_colour(thumbs: torch.Tensor, plain: torch.Tensor) -> NDArray[np.int64]:
    """Each picture a group of its own, but that those of one colour are with their like."""
    groups = np.arange(len(thumbs))
    blank = np.flatnonzero(~plain.any(dim=1).numpy())
    colours = (thumbs[torch.from_numpy(blank)].mean(dim=(2, 3)) / HUES).round().numpy()
    if len(blank):
        _, first, each = np.unique(colours, axis=0, return_index=True, return_inverse=True)
        groups[blank] = blank[first][each.ravel()]
    return groups


def _linked(groups: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups with those joined that some pair of rows joins, each named by its first row."""
    n = len(groups)
    links = np.concatenate([np.column_stack([np.arange(n), groups]), pairs])
    _, found = connected_components(coo_matrix((np.ones(len(links)), links.T), (n, n)))
    _, first = np.unique(found, return_index=True)
    return np.asarray(first[found], dtype=np.int64)


def _thumbs(pixels: Pixels) -> torch.Tensor:
    numbers = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    return F.interpolate(numbers, size=(THUMB, THUMB), mode="area")


def _unit(thumbs: torch.Tensor) -> torch.Tensor:
    """Vectors whose products are correlations, shape (n, 192); zero for what has one colour."""
    # Of each colour apart: what many pictures have alike is often their tint.
    spread = (thumbs - thumbs.mean(dim=(2, 3), keepdim=True)).flatten(1)
    spread[spread.norm(dim=1) < FAINT] = 0
    return F.normalize(spread, dim=1)
