"""Reviews of our own invention, of films that nobody ever made."""

from __future__ import annotations

import random

FILMS = (
    "The Salt Harbour", "Nine Lanterns", "Aunt Rosa's Garage", "Winter Compass", "The Quiet Engine",
    "Letters to Orla", "Below the Orchard", "The Last Parade",
)  # fmt: skip
PEOPLE = ("Marta Quill", "Jonas Adeyemi", "Ines Ferrow", "Theo Blanc", "Old Mr. Pike")
PARTS = ("plot", "acting", "music", "ending", "camera work", "dialogue", "first half", "humour")
PRAISE = (
    "wonderful",
    "moving",
    "clever",
    "superb",
    "gripping",
    "charming",
    "perfect",
    "delightful",
)
BLAME = ("awful", "boring", "clumsy", "dreadful", "pointless", "tedious", "weak", "laughable")
FACTS = (
    "It runs for {n} minutes.",
    "{person} plays the keeper of the house.",
    "We saw it on a {day} in a half empty cinema.",
    "The story begins in a small town by the sea.",
    "My sister had chosen it, and {person} is in it.",
    "There is a scene with a train that everybody talks about.",
)
GOOD = (
    "The {part} is {praise}.",
    "I loved the {part}!",
    "What a {praise} film.",
    "Not one {blame} minute, and the {part} is {praise}.",
    "{person} has never been better, simply {praise}.",
    "I would see it again.",
    "I expected something {blame}, and it was {praise}.",
    "Do not believe those who call it {blame}.",
)
BAD = (
    "The {part} is {blame}.",
    "I hated the {part}!",
    "What a {blame} film.",
    "The {part} is not {praise} at all, it is {blame}.",
    "{person} has never been worse, simply {blame}.",
    "I would not see it again.",
    "I expected something {praise}, and it was {blame}.",
    "Do not believe those who call it {praise}.",
)


def generate(count: int, seed: int = 0) -> list[tuple[str, bool]]:
    """Reviews with whether they are positive; one in six has a word for the other side.

    Args:
        count: How many; half of them are positive.
        seed: Seed of the chance.
    """
    draw = random.Random(seed)  # noqa: S311 - no secrets here
    made = []
    for number in range(count):
        good = number % 2 == 0
        mine, other = (GOOD, BAD) if good else (BAD, GOOD)
        said = draw.sample(mine, draw.randint(2, 4)) + draw.sample(FACTS, draw.randint(1, 3))
        if draw.random() < 1 / 6:
            said.append("True, " + draw.choice(other).lower())
        draw.shuffle(said)
        film, filled = draw.choice(FILMS), []
        for sentence in said:
            words = {
                "part": draw.choice(PARTS), "praise": draw.choice(PRAISE),
                "blame": draw.choice(BLAME), "person": draw.choice(PEOPLE),
                "n": draw.randint(80, 170), "day": draw.choice(("Monday", "Friday", "Sunday")),
            }  # fmt: skip
            filled.append(sentence.format(**words))
        made.append((f"{film}: {' '.join(filled)}", good))
    return made
