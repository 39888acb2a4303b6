"""Fingerprints: two data sets with the same one are the same data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def fingerprint(*parts: Any) -> str:
    """sha256 over data frames, arrays, byte strings and texts, in the order given.

    Frames count by column names, values and order, not by index or exact numeric type.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: A part is of another type.
    """
    digest = hashlib.sha256()
    for part in parts:
        for chunk in _chunks(part):
            digest.update(chunk)
        digest.update(b"\x00|")
    return digest.hexdigest()


def fingerprint_of_parts(frames: Iterable[pd.DataFrame]) -> str:
    """What `fingerprint` says of frames that stand one under the other, without joining them.

    Args:
        frames: Of the same columns, each of one type in all of them.
    """
    digest = hashlib.sha256()
    for number, frame in enumerate(frames):
        names, hashes = _chunks(frame)
        digest.update(hashes if number else names + hashes)
    digest.update(b"\x00|")
    return digest.hexdigest()


def row_hashes(frame: pd.DataFrame) -> NDArray[np.uint64]:
    """One number for each row, shape (n,); equal rows have equal ones.

    All numbers count as floats, for one reading of a file has 1 where another has 1.0; everything
    else counts by its text.
    """
    plain = {
        column: values.astype(np.float64)
        if pd.api.types.is_numeric_dtype(values)
        else values.astype(str).where(values.notna(), "")
        for column, values in frame.items()
    }
    hashes = pd.util.hash_pandas_object(pd.DataFrame(plain, index=frame.index), index=False)
    return np.asarray(hashes, dtype=np.uint64)


def _chunks(part: Any) -> list[bytes]:
    if part is None:
        return [b"none"]
    if isinstance(part, str):
        return [part.encode()]
    if isinstance(part, bytes):
        return [part]
    if isinstance(part, np.ndarray):
        return [str((part.shape, part.dtype)).encode(), np.ascontiguousarray(part).tobytes()]
    if isinstance(part, pd.Series):
        part = part.to_frame(name=str(part.name))
    if isinstance(part, pd.DataFrame):
        names = "\x1f".join(str(column) for column in part.columns)
        return [names.encode(), row_hashes(part).tobytes()]
    raise TypeError(f"cannot fingerprint a {type(part).__name__}")
