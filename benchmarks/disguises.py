"""How spam is disguised, to measure what a disguise gains."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

_LOOK: Final = str.maketrans("aceiopsxyABEHKMOPTX", "асеіорѕхуАВЕНКМОРТХ")  # Cyrillic
_LEET: Final = str.maketrans("aeiosAEIOS", "4310543105")
FRIENDLY: Final = (
    "ok", "lol", "sorry", "later", "home", "tomorrow", "love", "gonna", "dinner", "mum", "haha",
)  # fmt: skip
_HIDDEN: Final = "\u200b"  # a blank of no width


def look_alikes(text: str, draw: random.Random) -> str:
    """Half of the letters that have a Cyrillic twin are replaced by it."""
    return _some(text, draw, lambda c: c.translate(_LOOK))


def hidden_signs(text: str, draw: random.Random) -> str:
    """Half of the letters are followed by a sign that nobody sees."""
    return _some(text, draw, lambda c: c + _HIDDEN)


def full_width(text: str, draw: random.Random) -> str:
    """Half of the letters become full-width ones."""
    return _some(text, draw, lambda c: chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c)


def digits_for_letters(text: str, draw: random.Random) -> str:
    """Half of the letters that have a digit like them are replaced by it: fr33."""
    return _some(text, draw, lambda c: c.translate(_LEET))


def spaced_letters(text: str, draw: random.Random) -> str:
    """Half of the words are written with blanks between their letters."""
    return " ".join(" ".join(w) if draw.random() < 0.5 else w for w in text.split())


def good_words(text: str, draw: random.Random) -> str:
    """Ten words that friends write are put behind it (Lowd and Meek, 2005)."""
    return f"{text} {' '.join(draw.sample(FRIENDLY, 10))}"


ATTACKS: Final[dict[str, Callable[[str, random.Random], str]]] = {
    "none": lambda text, draw: text,
    "look-alike letters": look_alikes,
    "hidden signs": hidden_signs,
    "full-width letters": full_width,
    "digits for letters": digits_for_letters,
    "spaced letters": spaced_letters,
    "ten good words": good_words,
}


def _some(text: str, draw: random.Random, change: Callable[[str], str]) -> str:
    """A text with half of its letters changed."""
    return "".join(change(c) if c.isalpha() and draw.random() < 0.5 else c for c in text)
