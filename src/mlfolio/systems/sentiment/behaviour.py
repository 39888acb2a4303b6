"""Behavioural tests, which a test part does not hold (Ribeiro et al., 2020, Beyond accuracy).

Sentences whose side is plain, most of them by a negation; and real reviews with other names or with
typing errors, which should be judged as before.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Chances = Callable[[Sequence[str]], NDArray[np.float64]]

THINGS: Final = ("film", "movie", "plot", "acting", "ending")
GOOD: Final = ("good", "great", "wonderful", "interesting", "funny")
BAD: Final = ("bad", "terrible", "awful", "boring", "disappointing")
NEGATED: Final = (
    ("The {thing} is not {good}.", 0), ("I do not think the {thing} is {good}.", 0),
    ("There is nothing {good} about the {thing}.", 0), ("The {thing} was never {good}.", 0),
    ("The {thing} is not {bad}.", 1), ("I do not find the {thing} {bad} at all.", 1),
    ("There is nothing {bad} about the {thing}.", 1), ("The {thing} was never {bad}.", 1),
)  # fmt: skip
PLAIN: Final = (
    ("The {thing} is {good}.", 1), ("What a {good} {thing}!", 1), ("I found the {thing} {bad}.", 0),
    ("A really {bad} {thing}.", 0),
)  # fmt: skip
NAMES: Final = ("John", "Mary", "David", "Michael", "James", "Robert", "Peter", "Tom", "Jack",
                "Paul", "George", "Sarah", "Anna", "Richard")  # fmt: skip
OTHERS: Final = ("Aisha", "Wei", "Lakshmi", "Diego", "Fatima", "Kwame", "Olga", "Hiroshi")
NAME: Final = re.compile(rf"\b(?:{'|'.join(NAMES)})\b")
TYPOS: Final = 20  # letters between two errors, about
MOST: Final = 500  # reviews that are changed


class Behaviour(NamedTuple):
    """What came of one test.

    Attributes:
        name: What was tried.
        passed: For each case whether it went as it should, shape (n,).
    """

    name: str
    passed: NDArray[np.bool_]


def behave(chances: Chances, reviews: Sequence[str], seed: int = 0) -> list[Behaviour]:
    """Tries all of them.

    Args:
        chances: Gives probabilities of being positive.
        reviews: Real ones, for the tests that change them.
        seed: Seed of the changes.
    """
    draw = random.Random(seed)  # noqa: S311 - no secrets here
    named = [text for text in reviews if NAME.search(text)][:MOST]
    found = [
        Behaviour("plain praise and blame", _told(chances, PLAIN)),
        Behaviour("negation", _told(chances, NEGATED)),
    ]
    changes: dict[str, tuple[Sequence[str], Callable[[str], str]]] = {
        "first names swapped": (named, lambda text: NAME.sub(lambda _: draw.choice(OTHERS), text)),
        "typing errors": (reviews[:MOST], lambda text: with_typos(text, draw)),
    }
    for name, (texts, change) in changes.items():
        if texts:
            before, after = chances(texts), chances([change(text) for text in texts])
            found.append(Behaviour(name, (before >= 0.5) == (after >= 0.5)))
    return found


def with_typos(text: str, draw: random.Random) -> str:
    """A text in which now and then two letters of a word have changed places."""
    letters = list(text)
    for at in range(len(letters) - 1):
        if letters[at].isalpha() and letters[at + 1].isalpha() and draw.random() < 1 / TYPOS:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def _told(chances: Chances, templates: Sequence[tuple[str, int]]) -> NDArray[np.bool_]:
    """Whether sentences are taken for what they are."""
    cases = [
        (template.format(thing=thing, good=good, bad=bad), side)
        for template, side in templates
        for thing, good, bad in product(THINGS, GOOD, BAD)
    ]
    cases = list(dict.fromkeys(cases))  # few templates have both words
    found = chances([text for text, _ in cases])
    return np.asarray((found >= 0.5) == np.array([side == 1 for _, side in cases]))
