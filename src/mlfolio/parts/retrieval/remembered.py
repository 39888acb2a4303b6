"""Answers that were given already, as long as nothing they rest on has changed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """The last answers about one state of an index.

    Of an older state nothing is kept, so that what was deleted is in no memory either.

    Args:
        size: Answers that are kept at most.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._state: Hashable = None
        self._answers: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, state: Hashable, asked: Hashable) -> T | None:
        """What was answered in this state; None where nothing was."""
        with self._lock:
            self._turn_to(state)
            if asked in self._answers:
                self._answers.move_to_end(asked)
            return self._answers.get(asked)

    def put(self, state: Hashable, asked: Hashable, answer: T) -> None:
        """Keeps an answer, unless the state has changed since."""
        with self._lock:
            if state == self._state:
                self._answers[asked] = answer
                while len(self._answers) > self.size:
                    self._answers.popitem(last=False)

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._answers)

    def _turn_to(self, state: Hashable) -> None:
        if state != self._state:
            self._answers.clear()
            self._state = state
