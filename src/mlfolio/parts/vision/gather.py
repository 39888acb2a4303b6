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

from .pictures import Pictures, Pixels, digest
from .reading import ENDINGS, read_file, read_rgb, squash

# What people call the parts of a data set.
PARTS: Final = {
    "train": "train", "training": "train", "test": "test", "testing": "test", "val": "val",
    "valid": "val", "validation": "val",
}  # fmt: skip
LONGEST: Final = 640  # pixels that are kept of a picture's longer side, learning and answering
Decoded = tuple[Pixels, bytes] | ValueError  # a square and the file's digest

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


def find_parts(folder: Path, notes: list[Finding]) -> tuple[Path, Path | None]:
    """The folders to learn from and to measure on; the folder itself where it has no such parts.

    A part holds folders, and no pictures: so `train/` beside `bus/` may be a class.

    Raises:
        FileError: There is a part to measure on and none to learn from.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if (part := PARTS.get(path.name.lower())) and path.is_dir() and _holds_folders(path):
            found.setdefault(part, path)
    if not found:
        return folder, None
    if "train" not in found:
        alone = next(iter(found.values())).name
        raise FileError(
            f"{folder} has {alone}/ alone", f"give both train/ and {alone}/, or neither of them"
        )
    if "val" in found:
        used = "test" not in found
        said = "what is measured on" if used else "left out: a part of train/ is held out instead"
        notes.append(
            Finding(
                level="note", check="parts", message=f"{found['val'].name}/ is {said}",
                fix="" if used else "put its pictures into train/, if they are to be learned from",
            )
        )  # fmt: skip
    return found["train"], found.get("test", found.get("val"))


def _holds_folders(folder: Path) -> bool:
    """Whether a folder has folders in it, and no pictures but in these."""
    inside = list(folder.iterdir())
    is_bare = not any(path.suffix.lower() in ENDINGS for path in inside if path.is_file())
    return is_bare and any(path.is_dir() for path in inside)


def require_flat(folders: Sequence[Path]) -> None:
    """Sees that the folders of classes are not those of parts by another name.

    Raises:
        FileError: They hold no pictures themselves, and each the same folders.
    """
    if len(folders) < 2 or not all(map(_holds_folders, folders)):
        return
    inner = [{path.name for path in each.iterdir() if path.is_dir()} for each in folders]
    if len(shared := sorted(set.intersection(*inner))) >= 2:
        names = ", ".join(folder.name for folder in folders[:3])
        raise FileError(
            f"each of {names} in {folders[0].parent} holds the folders {', '.join(shared[:3])}: "
            "these look like the classes",
            "rename the outer ones train/ and test/, or name one of them",
        )


def read_folders(folder: Path, names: Sequence[str], side: int, notes: list[Finding]) -> Pictures:
    """All pictures of some classes; what cannot be read is left out and told."""
    paths = [
        (kind, path)
        for kind, name in enumerate(names)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith(".")
    ]
    files = [printable(path.relative_to(folder)) for _, path in paths]
    contents, kinds = [path for _, path in paths], [kind for kind, _ in paths]
    return gather(contents, kinds, files, side, notes)


def printable(path: Path) -> str:
    """A path with forward slashes; bytes that are no UTF-8 (of an old archive, say) escaped."""
    return path.as_posix().encode(errors="surrogateescape").decode(errors="backslashreplace")


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

    digests: list[bytes] = []

    def decode(content: bytes | Path) -> Decoded:
        try:
            content = read_file(content) if isinstance(content, Path) else content
            return squash(read_rgb(content, LONGEST), side), digest(content)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, one in enumerate(_ahead(pool, decode, contents)):
            if isinstance(one, ValueError):
                if notes is None:
                    raise FileError(f"{files[row]}: {one}", "get the data set anew")
                broken.append(f"{files[row]} ({one})")
            else:
                pixels[row], known = one
                digests.append(known)
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
    classes = np.array(kinds, dtype=np.int64)[rows]
    return Pictures.of(whole, classes, [files[row] for row in kept], digests)


def _ahead(
    pool: ThreadPoolExecutor, decode: Callable[[bytes | Path], Decoded],
    contents: Iterable[bytes | Path],
) -> Iterator[Decoded]:  # fmt: skip
    """In order, a few hundred files at a time: they are not all in memory at once."""
    rest = iter(contents)
    while some := list(islice(rest, 256)):
        yield from pool.map(decode, some)
