"""Many pictures at once: from tables and folders, decoded on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mlfolio.core.errors import FileError, KnobError
from mlfolio.core.system import Finding

from .pictures import Pictures, Pixels
from .reading import ENDINGS, read_file, read_rgb, squash

MOST_BYTES: Final = 6 * 2**30  # of all pictures, as they are held in memory


def read_table(path: Path, names: Sequence[str]) -> tuple[Iterable[bytes], list[int], list[str]]:
    """A table of pictures: the bytes of each, the number of its class, and its name.

    Args:
        path: Of a parquet file with the columns `image` (the bytes of a file, bare or under `bytes`
            as the Hugging Face hub has them), `label` and maybe `file`.
        names: Of the classes, as the labels have them.

    Raises:
        ValueError: It has a label that is none of them.
    """
    table = pd.read_parquet(path)
    kinds = {name: kind for kind, name in enumerate(names)}
    if strange := sorted(set(table["label"].astype(str)) - set(names)):
        raise ValueError(f"{path.name} has the label {strange[0]!r}")
    contents = (cell["bytes"] if isinstance(cell, dict) else cell for cell in table["image"])
    files = table["file"] if "file" in table else pd.Series(range(len(table)))
    return contents, [kinds[str(label)] for label in table["label"]], files.astype(str).tolist()


def read_folders(folder: Path, names: Sequence[str], side: int, notes: list[Finding]) -> Pictures:
    """All pictures of some classes; what cannot be read is left out and told."""
    paths = [
        (kind, path)
        for kind, name in enumerate(names)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith(".")
    ]
    files = [path.relative_to(folder).as_posix() for _, path in paths]
    contents, kinds = [path for _, path in paths], [kind for kind, _ in paths]
    return gather(contents, kinds, files, side, notes)


def gather(
    contents: Iterable[bytes | Path], kinds: Sequence[int], files: Sequence[str], side: int,
    notes: list[Finding] | None = None,
) -> Pictures:  # fmt: skip
    """Decodes many pictures on all cores.

    Args:
        contents: The files, or what is in them.
        kinds: Number of each one's class.
        files: What each is called.
        side: Pixels of the squares that they become.
        notes: Where it is noted which cannot be read, and were left out.

    Raises:
        FileError: One cannot be read, and there are no `notes`.
        KnobError: They are too many for the memory at this side.
    """
    if len(files) * side * side * 3 > MOST_BYTES:
        raise KnobError(
            f"{len(files):,} pictures of {side}x{side} pixels take more than {MOST_BYTES >> 30} GB",
            "a smaller size=",
        )
    pixels = np.zeros((len(files), side, side, 3), np.uint8)
    kept: list[int] = []
    broken: list[str] = []

    def decode(content: bytes | Path) -> Pixels | ValueError:
        try:
            content = read_file(content) if isinstance(content, Path) else content
            return squash(read_rgb(content, 4 * side), side)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, one in enumerate(_ahead(pool, decode, contents)):
            if isinstance(one, ValueError):
                if notes is None:
                    raise FileError(f"{files[row]}: {one}", "get the data set anew")
                broken.append(f"{files[row]} ({one})")
            else:
                pixels[row] = one
                kept.append(row)
    if notes is not None and broken:
        notes.append(
            Finding(
                level="warning", check="broken pictures",
                message=f"{len(broken):,} cannot be read and were left out: {broken[:5]}",
                fix="get them anew",
            )
        )  # fmt: skip
    rows = np.array(kept, dtype=np.int64)
    whole = pixels if len(rows) == len(pixels) else pixels[rows]
    return Pictures.of(whole, np.array(kinds, dtype=np.int64)[rows], [files[row] for row in kept])


def _ahead(
    pool: ThreadPoolExecutor, decode: Callable[[bytes | Path], Pixels | ValueError],
    contents: Iterable[bytes | Path],
) -> Iterator[Pixels | ValueError]:  # fmt: skip
    """In order, a few hundred files at a time: they are not all in memory at once."""
    rest = iter(contents)
    while some := list(islice(rest, 256)):
        yield from pool.map(decode, some)
