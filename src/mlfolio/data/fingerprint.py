"""Fingerprints: two data sets with the same one are the same data."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd


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
        # As objects hashed by their text: 1 and 1.0 of two readings of a file are the same value.
        hashes = pd.util.hash_pandas_object(part.astype(str), index=False)
        return [names.encode(), hashes.to_numpy().tobytes()]
    raise TypeError(f"cannot fingerprint a {type(part).__name__}")
