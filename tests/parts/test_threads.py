"""Torch keeps to one thread where it is asked to, and has all of them again afterwards."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest

pytest.importorskip("torch")

import torch

from mlfolio.parts.torch.threads import in_pool, one_thread


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def taken() -> set[int]:
    """The threads that torch and what it computes with would take."""
    said = torch.__config__.parallel_info()
    return set(map(int, re.findall(r"(?:get_num_threads|get_max_threads)\(\) : (\d+)", said)))


def test_one_inside_another() -> None:
    with one_thread():
        with one_thread(), one_thread(when=False):
            assert taken() == {1}
        assert taken() == {1}
    assert taken() == {2}


def test_two_threads_that_take_turns_leave_what_there_was() -> None:
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with one_thread():
            first_is_in.set()
            second_is_in.wait(10)
        first_is_out.set()

    def second() -> None:
        first_is_in.wait(10)
        with one_thread():
            second_is_in.set()
            first_is_out.wait(10)

    threads = [threading.Thread(target=each) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    seen = []
    late = threading.Thread(target=lambda: seen.append(taken()))
    late.start()
    late.join()
    assert seen == [{2}], "a thread that torch meets now takes what was set last"


def test_a_pool_works_alone() -> None:
    seen = in_pool(lambda batch: (batch, taken()), range(20))

    assert [batch for batch, _ in seen] == list(range(20)), "in the order of the batches"
    assert {1} == set().union(*(threads for _, threads in seen))
    assert taken() == {2}
    assert in_pool(lambda batch: batch + 1, [1]) == [2]
    assert in_pool(str, []) == []
