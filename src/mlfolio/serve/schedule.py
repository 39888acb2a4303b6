"""`mlfolio serve --watch`: the loop beside the server, in processes of their own.

A training takes minutes and all cores it gets. In a process of its own, of low priority, it neither
slows the answers nor can it take the server down with it. What it must remember stands in its story
(`monitor.story`), so the schedule itself is kept in memory: after a restart it begins anew.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import NoReturn

from mlfolio.core.errors import MissingExtraError

LOG = logging.getLogger(__name__)
FIRST_S = 60.0  # after the start: models are loaded by then
END_S = 10.0  # that a look has to end when the server does
NICE = 10


@contextmanager
def scheduled(policy: Path, minutes: float, systems: Sequence[str] = ()) -> Iterator[None]:
    """Watches every so many minutes, for as long as the server runs; on the main thread.

    Args:
        policy: The policy file.
        minutes: From the beginning of a look to the next; one that takes longer is not overtaken.
        systems: Which; all in the policy if empty.

    Raises:
        MissingExtraError: APScheduler is not installed.
    """
    try:
        from apscheduler.schedulers.background import BackgroundScheduler
    except ModuleNotFoundError as error:
        raise MissingExtraError("watching", "monitor", error.name or "") from None
    watch = _Watch(policy, systems)
    scheduler = BackgroundScheduler(timezone=UTC)
    first = datetime.now(UTC) + timedelta(seconds=min(FIRST_S, minutes * 60))
    scheduler.add_job(
        watch, "interval", minutes=minutes, next_run_time=first, max_instances=1, coalesce=True
    )
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    # uvicorn has its process killed by the signal that it was ended with, if nobody else takes it:
    # a look would go on, train, and release.
    signal.signal(signal.SIGTERM, _leave)
    scheduler.start()
    try:
        yield
    finally:
        watch.end()
        scheduler.shutdown()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


class _Watch:
    """One look after the other, each a process."""

    def __init__(self, policy: Path, systems: Sequence[str]) -> None:
        self._command = [
            sys.executable, "-m", "mlfolio", "watch", *systems, "--once", "--policy", str(policy),
        ]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None
        self._ended = threading.Event()

    def __call__(self) -> None:
        """Looks, and decides, and does it."""
        if self._ended.is_set():
            return
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        if self._ended.is_set():  # since it was asked
            self._process.terminate()
        with suppress(OSError):  # it has ended already
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)
        said, _ = self._process.communicate()
        if self._process.returncode and not self._ended.is_set():
            LOG.error("watching failed: %s", said.strip()[-2000:])

    def end(self) -> None:
        """Ends what runs; a training that is cut off leaves the champion where it is."""
        self._ended.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
