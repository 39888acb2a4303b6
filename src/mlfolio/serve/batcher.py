"""Micro-batching: the questions of many clients go to the model together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class QueueFullError(Exception):
    """More questions wait than may; `retry_after` says in how many seconds there is room again."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(f"the queue is full; try again in {retry_after:.0f} s")


class _Waiting(NamedTuple, Generic[Q, A]):
    questions: list[Q]
    answers: asyncio.Future[list[A]]


class Batcher(Generic[Q, A]):
    """A queue before a function that answers many questions at little more than the cost of one.

    While the function works, questions gather; whatever has gathered is the next batch. After a
    quiet time the first question opens a window of `window_s`, so that clients who ask at the same
    moment share a batch. The function runs on a thread of its own, one batch at a time.

    Args:
        answer: Takes a list of questions and gives as many answers.
        max_batch: Questions in one batch; a request with more goes alone and whole.
        max_waiting: Questions that may wait; beyond, `QueueFullError`.
        window_s: How long the first question waits for others, in seconds.
        told: Is called with the size of every batch.
    """

    def __init__(
        self,
        answer: Callable[[list[Q]], Sequence[A]],
        *,
        max_batch: int = 64,
        max_waiting: int = 2000,
        window_s: float = 0.0005,
        told: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._answer = answer
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._window_s = window_s
        self._told = told
        self._queue: deque[_Waiting[Q, A]] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._seconds_each = 0.001  # a running mean: what one question takes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._worker = asyncio.create_task(self._work())
        self.waiting = 0

    async def ask(self, questions: list[Q]) -> list[A]:
        """The answers to some questions, which stay together.

        Raises:
            QueueFullError: Too many wait already.
            RuntimeError: The batcher is closed.
        """
        if not questions:
            return []
        if self._closing:
            raise RuntimeError("the batcher is closed")
        if self.waiting and self.waiting + len(questions) > self._max_waiting:
            raise QueueFullError(max(1.0, self.waiting * self._seconds_each))
        request = _Waiting[Q, A](questions, asyncio.get_running_loop().create_future())
        self._queue.append(request)
        self.waiting += len(questions)
        self._arrived.set()
        return await request.answers

    async def close(self) -> None:
        """Answers what waits, then ends."""
        self._closing = True
        self._arrived.set()
        await self._worker
        self._thread.shutdown()

    async def _work(self) -> None:
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
                await asyncio.sleep(self._window_s)
                continue
            batch = self._take()
            if batch:
                await self._serve(batch)

    def _take(self) -> list[_Waiting[Q, A]]:
        """The next batch; who has hung up meanwhile is left out."""
        batch: list[_Waiting[Q, A]] = []
        size = 0
        while self._queue and (
            not batch or size + len(self._queue[0].questions) <= self._max_batch
        ):
            request = self._queue.popleft()
            if request.answers.cancelled():
                self.waiting -= len(request.questions)
                continue
            batch.append(request)
            size += len(request.questions)
        return batch

    async def _serve(self, batch: list[_Waiting[Q, A]]) -> None:
        """Asks the function; its error goes to everybody in the batch, alone if need be."""
        questions = [question for request in batch for question in request.questions]
        self._told(len(questions))
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            answers = list(await loop.run_in_executor(self._thread, self._answer, questions))
        except Exception as error:  # whatever a model raises concerns its clients, not the queue
            if len(batch) > 1:  # one bad question must not spoil the others' answers
                for request in batch:
                    await self._serve([request])
                return
            if not batch[0].answers.done():
                batch[0].answers.set_exception(error)
        else:
            spent = (time.perf_counter() - started) / len(questions)
            self._seconds_each += 0.1 * (spent - self._seconds_each)
            at = 0
            for request in batch:
                if not request.answers.done():
                    request.answers.set_result(answers[at : at + len(request.questions)])
                at += len(request.questions)
        self.waiting -= len(questions)
