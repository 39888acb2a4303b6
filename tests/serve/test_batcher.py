"""The queue before a model: batches, bounds, failures."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from mlfolio.serve.batcher import Batcher, QueueFullError, Told


class Counts(Told):
    """What a batcher has told."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.queue = 0
        self.failures = 0

    def batch(self, size: int) -> None:
        self.sizes.append(size)

    def waiting(self, change: int) -> None:
        self.queue += change

    def failed(self) -> None:
        self.failures += 1


def test_everybody_gets_the_answers_to_their_own_questions() -> None:
    counts = Counts()

    async def main() -> None:
        batcher = Batcher[int, int](lambda qs: [q * 2 for q in qs], told=counts)
        answers = await asyncio.gather(*(batcher.ask([i, i + 1000]) for i in range(50)))
        assert answers == [[2 * i, 2 * i + 2000] for i in range(50)]
        assert await batcher.ask([]) == []
        await batcher.close()

    asyncio.run(main())
    assert sum(counts.sizes) == 100
    assert max(counts.sizes) > 2, "nobody shared a batch"
    assert counts.queue == 0


def test_a_batch_is_no_larger_than_it_may_be() -> None:
    counts = Counts()

    async def main() -> None:
        batcher = Batcher[int, int](list, max_batch=8, told=counts)
        *_, long = await asyncio.gather(
            *(batcher.ask([1, 2, 3]) for _ in range(20)), batcher.ask(range(50))
        )
        assert long == list(range(50)), "a long request comes back whole, and in order"
        await batcher.close()

    asyncio.run(main())
    assert max(counts.sizes) <= 8
    assert sum(counts.sizes) == 110


def test_a_long_slow_request_lets_others_in_between() -> None:
    order: list[int] = []

    def slow(questions: list[int]) -> list[int]:
        time.sleep(0.1 * len(questions))
        order.extend(questions)
        return questions

    async def main() -> None:
        batcher = Batcher[int, int](slow, max_batch=4)
        await batcher.ask([0] * 4)  # now it knows how slow it is
        long = asyncio.create_task(batcher.ask([1] * 12))
        await asyncio.sleep(0.05)
        assert await batcher.ask([2]) == [2]
        assert not long.done()
        await long
        await batcher.close()

    asyncio.run(main())
    assert order.index(2) < len(order) - 4


def test_a_model_that_answers_too_little_gives_nobody_anothers_answer() -> None:
    counts = Counts()

    async def main() -> None:
        batcher = Batcher[int, int](lambda questions: questions[1:], told=counts)
        found = await asyncio.gather(*(batcher.ask([i]) for i in range(3)), return_exceptions=True)
        assert [type(answer) for answer in found] == [RuntimeError] * 3
        await batcher.close()

    asyncio.run(main())
    assert counts.failures == 3
    assert counts.queue == 0


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    gate = threading.Event()

    def slow(questions: list[int]) -> list[int]:
        gate.wait(10)
        return questions

    async def main() -> None:
        batcher = Batcher[int, int](slow, max_batch=1, max_waiting=3)
        waiting = [asyncio.create_task(batcher.ask([i])) for i in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(QueueFullError) as caught:
            await batcher.ask([3])
        assert caught.value.retry_after >= 1
        gate.set()
        assert await asyncio.gather(*waiting) == [[0], [1], [2]]
        assert await batcher.ask([4]) == [4]
        await batcher.close()

    asyncio.run(main())


def test_one_bad_question_fails_alone() -> None:
    def picky(questions: list[int]) -> list[int]:
        if -1 in questions:
            raise ValueError("minus one")
        return questions

    async def main() -> None:
        batcher = Batcher[int, int](picky)
        found = await asyncio.gather(
            *(batcher.ask([i]) for i in (1, -1, 2)), return_exceptions=True
        )
        assert found[0] == [1]
        assert isinstance(found[1], ValueError)
        assert found[2] == [2]
        await batcher.close()

    asyncio.run(main())


def test_who_no_longer_waits_is_not_computed_for() -> None:
    seen: list[int] = []
    gate = threading.Event()

    def watch(questions: list[int]) -> list[int]:
        gate.wait(10)
        seen.extend(questions)
        return questions

    async def main() -> None:
        batcher = Batcher[int, int](watch, max_batch=1)
        first = asyncio.create_task(batcher.ask([1]))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(batcher.ask([2]))
        await asyncio.sleep(0.05)
        second.cancel()
        gate.set()
        assert await first == [1]
        assert await batcher.ask([3]) == [3]
        await batcher.close()

    asyncio.run(main())
    assert seen == [1, 3]


def test_closing_answers_what_waits() -> None:
    def slow(questions: list[int]) -> list[int]:
        time.sleep(0.01)
        return questions

    async def main() -> None:
        batcher = Batcher[int, int](slow, max_batch=2)
        waiting = [asyncio.create_task(batcher.ask([i])) for i in range(10)]
        await asyncio.sleep(0)
        await batcher.close()
        assert await asyncio.gather(*waiting) == [[i] for i in range(10)]
        with pytest.raises(RuntimeError, match="closed"):
            await batcher.ask([1])

    asyncio.run(main())
