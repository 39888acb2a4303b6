"""How many threads torch takes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")
_lock = threading.Lock()
_inside = 0  # threads that keep torch to one
_before = 0  # threads that torch takes else
_mine = threading.local()


@contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """Keeps torch to one thread on the calling thread, and on those that it starts, for a while.

    A question or a small batch gains little from a second core, and loses a lot where another
    thread or process has that core.

    Args:
        when: False leaves the number of threads as it is.
    """
    global _inside, _before
    if not when or getattr(_mine, "is_inside", False):
        yield
        return
    with _lock:
        # A thread that torch does not know yet begins with what was set last: with one, where
        # another thread is inside. Who asked that thread would leave torch with one for good.
        if _inside == 0:
            _before = torch.get_num_threads()
        _inside, before = _inside + 1, _before
    torch.set_num_threads(1)
    _mine.is_inside = True
    try:
        yield
    finally:
        _mine.is_inside = False
        with _lock:
            _inside -= 1
        torch.set_num_threads(before)


def in_pool(work: Callable[[T], R], batches: Sequence[T]) -> list[R]:
    """Does work on each batch, in a pool with a thread a core, each with torch alone.

    On a busy machine two threads of torch's own that wait for each other are far slower.
    """
    with one_thread():
        if len(batches) <= 1:
            return list(map(work, batches))
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            return list(pool.map(work, batches))
