"""Threads for work of one kind, so that no kind of work can take another's threads.

A thread cannot be stopped: work whose client has given up goes on. So the places are counted by
the threads, not by who waits for them, and what finds no place is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from mlfolio.core.trace import carried
from mlfolio.serve.batcher import QueueFullError

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A few threads with a bounded queue before them.

    Args:
        name: What they are called.
        count: How many work at the same time.
        waiting: How much work may wait for one of them; beyond, `QueueFullError`.
    """

    def __init__(self, name: str, count: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._free = count + waiting

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns.

        Raises:
            QueueFullError: Too much waits already.
        """
        return await asyncio.wrap_future(self.submit(work, *args, **kwargs))

    def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begins work whose end need not be waited for; as `run`. It is traced as the caller's."""
        if self._free <= 0:
            raise QueueFullError(1.0)
        self._free -= 1
        loop = asyncio.get_running_loop()
        future = self._executor.submit(carried(work), *args, **kwargs)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        return future

    def close(self) -> None:
        """Takes nothing more; does not wait for what cannot be stopped."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _leave(self) -> None:
        self._free += 1
