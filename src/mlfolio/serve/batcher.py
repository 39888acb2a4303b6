"""Micro-batching: the questions of many clients go to the model together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Generic, NamedTuple, TypeVar

from mlfolio.core.errors import InputError
from mlfolio.core.trace import done_for

Q = TypeVar("Q")
A = TypeVar("A")

MAX_BATCH = 256  # questions
BATCH_S = 0.25  # what a batch may take: a client with a thousand questions lets others in between


class QueueFullError(Exception):
    """More waits than may; `retry_after` says in how many seconds there is room again."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after = max(1.0, retry_after)
        super().__init__(f"the queue is full; try again in {self.retry_after:.0f} s")


class Told:
    """Hears of what a batcher does; the base class does nothing with it."""

    def batch(self, size: int) -> None:
        """So many questions go to the function."""

    def waiting(self, change: int) -> None:
        """So many more questions wait, or fewer."""

    def failed(self) -> None:
        """The function has raised an error."""


class _Waiting(NamedTuple, Generic[Q, A]):
    questions: list[Q]
    answers: asyncio.Future[list[A]]
    context: Context  # of whoever asks: what is done is traced as a part of that


class Batcher(Generic[Q, A]):
    """A queue before a function that answers many questions at little more than the cost of one.

    While the function works, questions gather; whatever has gathered is the next batch. After a
    quiet time the first question opens a window of `window_s`, so that clients who ask at the same
    moment share a batch. The function runs on a thread of its own, one batch at a time. A request
    of many questions is asked in parts, between those of others, and no further once its client
    no longer waits. A batch is traced as a part of the first request in it, with links to the
    others.

    Args:
        answer: Takes a list of questions and gives as many answers.
        max_batch: Questions in one batch; fewer where they take long.
        max_waiting: Questions that may wait; beyond, `QueueFullError`.
        window_s: How long the first question waits for others, in seconds.
        told: Hears of every batch.
    """

    def __init__(
        self,
        answer: Callable[[list[Q]], Sequence[A]],
        *,
        max_batch: int = MAX_BATCH,
        max_waiting: int = 2000,
        window_s: float = 0.0005,
        told: Told | None = None,
    ) -> None:
        self._answer = answer
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._window_s = window_s
        self._told = told or Told()
        self._queue: deque[_Waiting[Q, A]] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._seconds_each = 0.001  # a running mean: what one question takes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._worker = asyncio.create_task(self._work())
        self._waiting = 0

    async def ask(self, questions: Sequence[Q]) -> list[A]:
        """The answers to some questions.

        Raises:
            QueueFullError: Too many wait already.
            InputError: The model refuses a question.
            RuntimeError: The batcher is closed.
        """
        if self._closing:
            raise RuntimeError("the batcher is closed")
        if self._waiting and self._waiting + len(questions) > self._max_waiting:
            raise QueueFullError(self._waiting * self._seconds_each)
        self._wait(len(questions))
        answers: list[A] = []
        try:
            while len(answers) < len(questions):
                part = questions[len(answers) : len(answers) + self._size()]
                try:
                    answers += await self._ask(list(part))
                except InputError as error:  # what only the model can tell, of its part
                    raise error.after(len(answers)) from None
        finally:
            self._wait(-len(questions))
        return answers

    async def close(self) -> None:
        """Answers what waits, then ends."""
        self._closing = True
        self._arrived.set()
        await self._worker
        self._thread.shutdown(wait=False)

    async def _ask(self, questions: list[Q]) -> list[A]:
        answers = asyncio.get_running_loop().create_future()
        request = _Waiting[Q, A](questions, answers, copy_context())
        self._queue.append(request)
        self._arrived.set()
        return await request.answers

    def _wait(self, change: int) -> None:
        self._waiting += change
        self._told.waiting(change)
        if self._closing:
            self._arrived.set()  # that was perhaps the last one

    def _size(self) -> int:
        """How many questions a batch takes."""
        return max(1, min(self._max_batch, int(BATCH_S / self._seconds_each)))

    async def _work(self) -> None:
        while True:
            if not self._queue:
                if self._closing and not self._waiting:
                    return
                self._arrived.clear()
                await self._arrived.wait()
                await asyncio.sleep(self._window_s)
                continue
            batch = self._take()
            if batch:
                self._told.batch(sum(len(request.questions) for request in batch))
                await self._serve(batch)

    def _take(self) -> list[_Waiting[Q, A]]:
        """The next batch; who no longer waits is left out."""
        batch: list[_Waiting[Q, A]] = []
        size, most = 0, self._size()
        while self._queue and (not batch or size + len(self._queue[0].questions) <= most):
            request = self._queue.popleft()
            if not request.answers.done():
                batch.append(request)
                size += len(request.questions)
        return batch

    async def _serve(self, batch: list[_Waiting[Q, A]]) -> None:
        """Asks the function; its error goes to everybody in the batch, alone if need be."""
        questions = [question for request in batch for question in request.questions]
        started = time.perf_counter()
        loop, context = asyncio.get_running_loop(), batch[0].context
        context.run(done_for, [request.context for request in batch[1:]])
        try:
            work = loop.run_in_executor(self._thread, context.run, self._answer, questions)
            answers = list(await work)
            if len(answers) != len(questions):  # else somebody got another's answer
                raise RuntimeError(f"{len(answers)} answers to {len(questions)} questions")
        except Exception as error:  # whatever a model raises concerns its clients, not the queue
            if len(batch) > 1:  # one bad question must not spoil the others' answers
                for request in batch:
                    await self._serve([request])
                return
            if not isinstance(error, InputError):
                self._told.failed()
            if not batch[0].answers.done():
                batch[0].answers.set_exception(error)
            return
        spent = (time.perf_counter() - started) / len(questions)
        self._seconds_each = max(1e-6, 0.9 * self._seconds_each + 0.1 * spent)
        at = 0
        for request in batch:
            if not request.answers.done():
                request.answers.set_result(answers[at : at + len(request.questions)])
            at += len(request.questions)
