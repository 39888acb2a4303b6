"""How spam is disguised, and how much of it mlfolio's filter still finds.

    python benchmarks/disguises.py

On the SMS Spam Collection and the folds of `mlfolio run spam`: each spam is judged by a filter that
saw neither it nor its near-duplicates. The last column is for disguises that are not undone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_limits

from mlfolio.core.source import OFFICIAL
from mlfolio.systems.spam.clean import form_of, read, undisguise
from mlfolio.systems.spam.learning import Learned, learn
from mlfolio.systems.spam.model import features
from mlfolio.systems.spam.system import Spam, prepare

SEED = 0

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


def found(learned: Learned, texts: list[str]) -> int:
    """How many of some texts, read as they are, are called spam."""
    X = features(learned.encoder, [read(text) for text in texts], form_of(texts))
    return int((expit(learned.linear.scores(X)[:, 0]) >= learned.threshold).sum())


def main() -> None:
    """Prints the table."""
    system = Spam(feedback=False)
    data = system.load(OFFICIAL)
    rows, texts = prepare(data), np.array(data.texts, dtype=object)
    total = {name: np.zeros(2) for name in ATTACKS}
    for train, test in rows.folds(system.folds, SEED):
        with threadpool_limits(1):
            learned = learn(rows[train], system.inner_folds, system.precision, SEED)
        spam = texts[test[(rows.spam[test] == 1) & rows.judged[test]]].tolist()
        for name, attack in ATTACKS.items():
            draw = random.Random(SEED)
            sent = [attack(text, draw) for text in spam]
            total[name] += found(learned, [undisguise(text) for text in sent]), found(learned, sent)
    print("| disguise | found | if disguises were not undone |")
    print("|---|---|---|")
    for name, (undone, left) in total.items():
        count = rows.spam[rows.judged].sum()
        print(f"| {name} | {undone / count:.3f} | {left / count:.3f} |")


if __name__ == "__main__":
    main()
