"""Files of JSON lines that people write: an object a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlfolio.core.errors import FileError


def read_json_lines(
    path: Path, take: Callable[[dict[str, Any]], object], what: str, form: str
) -> None:
    """Reads a file line by line; empty ones are left out.

    Args:
        path: The file.
        take: Is given each line's object; raises what Python raises for a wrong one.
        what: A line is.
        form: Of a line, as an example.

    Raises:
        FileError: It cannot be read, or a line is not that; the number of the line is told.
    """
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read: {error}", "name a file of JSON lines") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            take(json.loads(line))
        except FileError as error:
            raise FileError(f"{path.name}, line {number}: {error.message}", error.fix) from None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise FileError(
                f"{path.name}, line {number}: {line[:80]!r} is no {what} "
                f"({type(error).__name__}: {error})",
                f"write {form} on each line",
            ) from None
