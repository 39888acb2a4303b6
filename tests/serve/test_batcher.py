"""The queue before a model: batches, bounds, failures."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from mlfolio.serve.batcher import Batcher, QueueFullError


def test_everybody_gets_the_answers_to_their_own_questions() -> None:
    sizes: list[int] = []

    async def main() -> None:
        batcher = Batcher[int, int](lambda qs: [q * 2 for q in qs], told=sizes.append)
        answers = await asyncio.gather(*(batcher.ask([i, i + 1000]) for i in range(50)))
        assert answers == [[2 * i, 2 * i + 2000] for i in range(50)]
        assert await batcher.ask([]) == []
        await batcher.close()

    asyncio.run(main())
    assert sum(sizes) == 100
    assert max(sizes) > 2, "nobody shared a batch"


def test_a_batch_is_no_larger_than_it_may_be() -> None:
    sizes: list[int] = []

    async def main() -> None:
        batcher = Batcher[int, int](list, max_batch=8, told=sizes.append)
        await asyncio.gather(*(batcher.ask([1, 2, 3]) for _ in range(20)), batcher.ask([0] * 50))
        await batcher.close()

    asyncio.run(main())
    assert sorted(sizes)[-1] == 50, "one request stays together"
    assert sorted(sizes)[-2] <= 8


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
        assert batcher.waiting == 0
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
        assert batcher.waiting == 0
        await batcher.close()

    asyncio.run(main())


def test_who_hangs_up_is_not_computed_for() -> None:
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
        assert batcher.waiting == 0
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
