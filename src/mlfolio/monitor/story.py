"""What the loop did, step by step: a file of JSON lines beside the runs of a system.

It is all that the loop remembers: a watch that was killed goes on from it, Prometheus reads it,
and people can. What became of versions stands in the registry's history.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mlfolio.core.run import runs_folder, to_json

FILE = "loop.jsonl"
LOG = logging.getLogger(__name__)

What = Literal["looked", "training", "trained", "failed", "compared"]


class Step(BaseModel):
    """One thing that the loop did.

    Attributes:
        time: When, in seconds since 1970.
        what: What it was.
        reasons: Why, or what came of it, in plain words.
        version: The model that it is about, if any.
        facts: Numbers that go with it.
    """

    model_config = ConfigDict(frozen=True)

    time: float
    what: What
    reasons: tuple[str, ...] = ()
    version: int | None = None
    facts: dict[str, Any] = {}


def tell(system: str, what: What, *reasons: str, version: int | None = None, **facts: Any) -> Step:
    """Writes down what happened, at once and in one piece."""
    step = Step(time=time.time(), what=what, reasons=reasons, version=version, facts=facts)
    path = _path(system)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = to_json(step.model_dump(mode="json")) + "\n"
    with path.open("a+b") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        cut = file.read() not in (b"", b"\n")  # by a full disk
        file.write(b"\n" * cut + line.encode())
        file.flush()
        os.fsync(file.fileno())
    return step


def steps(system: str) -> list[Step]:
    """What happened, oldest first; a line that a full disk has cut is left out."""
    path = _path(system)
    if not path.is_file():
        return []
    found = path.stat()
    return list(_read(path, (found.st_mtime_ns, found.st_size)))


def latest(system: str, *whats: What) -> Step | None:
    """The last step of any of some kinds."""
    return next((step for step in reversed(steps(system)) if step.what in whats), None)


@lru_cache(maxsize=64)  # Prometheus asks every few seconds
def _read(path: Path, stamp: tuple[int, int]) -> tuple[Step, ...]:
    return tuple(_parse(path))


def _parse(path: Path) -> Iterator[Step]:
    lines = path.read_text("utf-8", errors="replace").split("\n")
    for number, line in enumerate(filter(None, lines), 1):
        try:
            yield Step.model_validate(json.loads(line))
        except (ValueError, ValidationError):
            LOG.warning("%s, line %d: is cut off and left out", path, number)


def _path(system: str) -> Path:
    return runs_folder() / system / FILE
