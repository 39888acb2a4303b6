"""Messages as the model reads them, and what their form says beyond their words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

LATIN: Final = 0.25  # share of Latin letters from which look-alikes among the others are a disguise
LONG: Final = 200  # characters, about the longest SMS
_ALIKE: Final = {
    "a": "аα", "b": "ЬƄ", "c": "сϲ", "d": "ԁ", "e": "еє", "g": "ɡ", "h": "һ", "i": "іιɩ", "j": "јϳ",
    "k": "κк", "l": "ӏ", "n": "ո", "o": "оοσ", "p": "рρ", "q": "ԛ", "s": "ѕ", "t": "τт", "u": "υս",
    "v": "νѵ", "w": "ԝω", "x": "хχ", "y": "уγү", "A": "АΑ", "B": "ВΒ", "C": "СϹ", "E": "ЕΕ",
    "H": "НΗ", "I": "ІΙӀ", "J": "Ј", "K": "КΚ", "M": "МΜ", "N": "Ν", "O": "ОΟ", "P": "РΡ", "S": "Ѕ",
    "T": "ТΤ", "X": "ХΧ", "Y": "УΥҮ", "Z": "Ζ",
}  # fmt: skip
_LATIN_OF: Final = str.maketrans({like: a for a, alike in _ALIKE.items() for like in alike})
PATTERNS: Final = {
    "a phone number": r"\d(?:[ -]?\d){8,}",
    "a short code": r"(?<!\d)\d{5,6}(?!\d)",
    "a price": r"[£$€¥₹]|\b(?:gbp|usd|eur|p/min|ppm)\b|\d+p\b",
    "an address": r"https?:|www\.|\S\.(?:com|net|org|co|uk|info|biz)\b|\S@\S",
}
FORM: Final = ("length", "capitals", "digits", "exclamation marks", *PATTERNS)


def undisguise(text: str) -> str:
    """A text in plain signs: full-width and styled letters, look-alikes and hidden signs undone.

    Letters of other scripts that look Latin are taken for Latin where the text has Latin letters
    too; a text in another script stays as it is.
    """
    text = unicodedata.normalize("NFKC", text)
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cn", "Co", "Mn"))
    letters = [c for c in text if c.isalpha()]
    latin = sum(c < "ɐ" for c in letters)
    return text.translate(_LATIN_OF) if LATIN * len(letters) <= latin < len(letters) else text


def read(text: str) -> str:
    """What the model reads of a text that was undisguised: small letters, single blanks."""
    return " ".join(text.lower().split())


def form_of(texts: Sequence[str]) -> NDArray[np.float64]:
    """What the form of texts says, in the order of `FORM`, shape (n, 8), each from 0 to 1."""
    return np.array([_form(text) for text in texts]).reshape(-1, len(FORM))


def _form(text: str) -> list[float]:
    letters = [c for c in text if c.isalpha()]
    size = max(len(text), 1)
    return [
        min(len(text) / LONG, 1.0),
        sum(c.isupper() for c in letters) / max(len(letters), 1),
        sum(c.isdigit() for c in text) / size,
        min(text.count("!") / 3, 1.0),
        *(float(re.search(p, text, re.IGNORECASE) is not None) for p in PATTERNS.values()),
    ]
