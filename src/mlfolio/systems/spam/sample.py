"""Messages of our own invention: a phone and a mailbox in a town that does not exist.

Each message is put together from the pieces of `sample.json`: an opening, a body and a closing, in
which # is a digit and {name} a word of a kind. Some ham talks of prizes, parcels and payments, some
spam chats, and one message in eight is an earlier one with other names and numbers.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path


def generate(count: int, spam_share: float = 0.25, seed: int = 0) -> list[tuple[str, bool]]:
    """Messages, each with whether it is spam.

    Args:
        count: How many.
        spam_share: How many of them are spam, about.
        seed: Seed of the chance.
    """
    pieces = json.loads(Path(__file__).with_name("sample.json").read_text("utf-8"))
    draw = random.Random(seed)  # noqa: S311 - no secrets here
    made: list[tuple[str, bool]] = []
    patterns: list[tuple[str, bool]] = []
    while len(made) < count:
        if patterns and draw.random() < 0.125:
            pattern, spam = draw.choice(patterns)
        else:
            spam = draw.random() < spam_share
            parts = pieces["spam" if spam else "ham"].values()
            pattern = " ".join(filter(None, map(draw.choice, parts)))
            patterns.append((pattern, spam))
        chosen = {kind: draw.choice(words) for kind, words in pieces["words"].items()}
        text = re.sub("#", lambda _: str(draw.randrange(10)), pattern.format(**chosen))
        made.append((text, spam))
    return made
