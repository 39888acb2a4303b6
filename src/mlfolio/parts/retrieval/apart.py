"""Reading files in a process of its own, which may take so much memory and time and no more.

A small hostile file can make a reader take gigabytes or hours, or crash it, and with it whoever
called it: the readers stand on C libraries (pdfium, libxml2) and expand what is packed. No look at
the file beforehand tells all of that (a PDF draws one stream a thousand times, or packs it twice),
so the operating system holds the limit. The process is used again for the next file, so that an
ordinary one costs a millisecond more than it would here.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import IO, Any, cast

from mlfolio.parts.retrieval.blocks import Block, UnreadableError
from mlfolio.parts.retrieval.parse import MAX_BYTES, parse_bytes

MEMORY = 2**30  # bytes of address space
SECONDS = 30  # of CPU, and one more for each MB of the file
PATIENCE = 600  # seconds in all: for readers that hang, and systems without limits (Windows)
_FRESH = MEMORY // 2  # bytes; a process that goes on holding more reads no second file
_FIX = "split it, or save it again from its program"
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from mlfolio.parts.retrieval import apart; apart.serve()"
)


def parse_file(path: Path) -> list[Block]:
    """The blocks of a file, in reading order.

    Raises:
        UnreadableError: The file cannot be opened, is empty, too big, damaged, encrypted, without
            text, or of a format that nobody here reads.
    """
    return parse_apart(path.name, content(path))


def content(path: Path) -> bytes:
    """What is in a file.

    Raises:
        UnreadableError: It cannot be opened, or is too big.
    """
    try:
        size = path.stat().st_size
        if size <= MAX_BYTES:
            return path.read_bytes()
    except OSError as error:
        raise UnreadableError(
            f"it cannot be read ({error.strerror or error})", "check its permissions"
        ) from error
    raise UnreadableError(
        f"{size / 2**20:.0f} MB is over the limit of {MAX_BYTES // 2**20} MB", "split it"
    )


def parse_apart(name: str, data: bytes) -> list[Block]:
    """The blocks of a file's content, read in another process.

    Args:
        name: Its name: the suffix says the format where the first bytes do not.
        data: Its content.

    Raises:
        UnreadableError: As `parse_file`; or it takes too much memory or time, or crashes its
            reader.
    """
    with _turns:
        reader = _take()
        try:
            said = reader.ask(Path(name).suffix, data)
        finally:
            if reader.is_fresh:
                _idle.append(reader)
            else:
                reader.close()
    if "error" in said:
        raise UnreadableError(*said["error"])
    return [Block(*block) for block in said["blocks"]]


class _Reader:
    """Another process that reads one file after the other."""

    def __init__(self) -> None:
        self.is_fresh = True
        self.owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        # Popen's type does not know that a pipe which was asked for is there.
        self._questions = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked, by this process: a fork of its owner has only its pipes."""
        return self.owner == os.getpid() and self._process.poll() is None

    def ask(self, suffix: str, data: bytes) -> dict[str, Any]:
        """What it says to a file: its blocks, or why there are none."""
        timer = threading.Timer(PATIENCE, self._process.kill)
        timer.start()
        self.is_fresh = False  # unless all of this goes well
        try:
            with suppress(BrokenPipeError):
                asked = [suffix, len(data), _seconds(len(data))]
                self._questions.write(f"{json.dumps(asked)}\n".encode())
                self._questions.write(data)
                self._questions.flush()
            line = self._answers.readline()
            hung = not timer.is_alive()
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            seconds = PATIENCE if hung else _seconds(len(data))
            return {"error": (self._why_dead(hung, seconds), _FIX)}
        said: dict[str, Any] = json.loads(line)
        self.is_fresh = said.pop("fresh")
        return said

    def close(self) -> None:
        """Ends it; in a fork of its owner only what that has of it."""
        if self.owner == os.getpid():
            self._process.kill()
            self._process.wait()
        for pipe in (self._questions, self._answers):
            with suppress(BrokenPipeError):
                pipe.close()

    def _why_dead(self, hung: bool, seconds: float) -> str:
        code = self._process.wait()
        if hung or code == -getattr(signal, "SIGXCPU", 0):
            return f"reading it takes over {seconds} seconds"
        if code > 0:
            return f"its reader ends with code {code}: is mlfolio being installed?"
        return f"reading it takes over {MEMORY // 2**20:,} MB of memory, or crashes its reader"


_turns = threading.BoundedSemaphore(2)  # files that are read at the same time
_idle: list[_Reader] = []  # they end when this process does, even if that is killed


@atexit.register
def close() -> None:
    """Ends the processes that read; the next file starts one anew."""
    while _idle:
        _idle.pop().close()


def _take() -> _Reader:
    with suppress(IndexError):
        reader = _idle.pop()
        if reader.is_alive:
            return reader
        reader.close()
    return _Reader()


def serve() -> None:
    """Reads the files that standard input brings; runs in the other process."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _limit_memory()
    while line := sys.stdin.buffer.readline():
        suffix, size, seconds = json.loads(line)
        _limit_seconds(seconds)
        answers.write(_answer(suffix, sys.stdin.buffer.read(size)) + b"\n")
        answers.flush()


def _answer(suffix: str, data: bytes) -> bytes:
    try:
        said = _read(suffix, data)
        return json.dumps({**said, "fresh": _held_memory() < _FRESH}).encode()
    except MemoryError:
        why = f"reading it takes over {MEMORY // 2**20:,} MB of memory"
        return json.dumps({"error": (why, _FIX), "fresh": False}).encode()


def _read(suffix: str, data: bytes) -> dict[str, Any]:
    try:
        return {"blocks": [astuple(block) for block in parse_bytes(f"file{suffix}", data)]}
    except UnreadableError as error:
        return {"error": (error.message, error.fix)}


def _seconds(size: int) -> int:
    return SECONDS + size // 2**20


def _limit_memory() -> None:
    with suppress(ImportError, OSError, ValueError):  # Windows has no limits, macOS not this one
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _limit_seconds(seconds: int) -> None:
    """Lets this process live for so many seconds of CPU more."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        end = int(used.ru_utime + used.ru_stime) + 1 + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))


def _held_memory() -> int:
    """Bytes of address space that this process has now; 0 where that is not told."""
    with suppress(ImportError, OSError):
        import resource

        pages = Path("/proc/self/statm").read_text().split()[0]
        return int(pages) * resource.getpagesize()
    return 0
