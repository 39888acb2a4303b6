"""How many threads torch takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """Keeps torch to one thread on the calling thread for a while.

    A question or a small batch gains little from a second core, and loses a lot where another
    thread or process has that core.

    Args:
        when: False leaves the number of threads as it is.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if when else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
