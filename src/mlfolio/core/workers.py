"""Where the independent tasks of a run are done: one after the other here, or many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Workers(Protocol):
    """Who does the tasks of a run that do not need each other: the folds of a validation, say."""

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Does the same work on each item; what comes of it is in the order of the items.

        It may be done in another process, on another machine, at the same time as that on other
        items, and twice where a machine is lost. So the work changes nothing outside, seeds its own
        chance, limits its own threads, and what it says is returned: only the caller has the run.
        """
        ...


class Here:
    """This process, one item after the other."""

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Does the work on each item when it is asked for."""
        return map(work, items)
