"""Texts and pictures that are no longer like those of before, and which of them look newest."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlfolio.monitor.rows import Row
from mlfolio.monitor.watching import SHOWN, Watched, watch

PLACES = ("Oslo", "Porto", "Lyon", "Ghent", "Turin", "Graz", "Brno", "Lodz", "Cork", "Bern")
DAYS = ("Monday", "Tuesday", "Friday", "Sunday", "1 May", "3 June", "7 July", "9 August")
JOURNEYS = ("When does the train to {} leave on {}?", "A seat by the window to {} for {}, please.")
DISHES = ("How long do {} potatoes boil, said on {}?", "A recipe of {} for a cake on {}.")

Make = Callable[[np.random.Generator], str]


def text(rng: np.random.Generator, sentences: Sequence[str]) -> str:
    sentence, place, day = (str(rng.choice(each)) for each in (sentences, PLACES, DAYS))
    return f"{sentence.format(place, day)} ({rng.integers(10_000)})"


def picture(rng: np.random.Generator, is_round: bool) -> str:
    """A light disc or square somewhere on dark noise, as a PNG in base64."""
    x, y = rng.integers(-4, 5, 2)
    rows, columns = np.mgrid[-16:16, -16:16]
    size = 8
    apart = (
        np.hypot(rows - y, columns - x) if is_round else np.maximum(abs(rows - y), abs(columns - x))
    )
    pixels = rng.integers(0, 60, (32, 32, 3)) + 150 * (apart < size)[..., None]
    Image.fromarray(pixels.astype(np.uint8)).save(file := io.BytesIO(), "png")
    return base64.b64encode(file.getvalue()).decode()


KINDS: dict[str, tuple[Make, Make]] = {
    "text": (lambda rng: text(rng, JOURNEYS), lambda rng: text(rng, DISHES)),
    "picture": (lambda rng: picture(rng, True), lambda rng: picture(rng, False)),
}


def row(value: str, number: int | None = None) -> Row:
    output: dict[str, Any] = {"answer": "yes", "confidence": 0.9}
    return Row({"value": value}, output, id=None if number is None else f"row {number}")


def watched(kind: str, new: int) -> Watched:
    """A look at 120 rows of which the last so many are of a kind that was not there before."""
    usual, unusual = KINDS[kind]
    rng = np.random.default_rng(0)
    before = [row(usual(rng)) for _ in range(120)]
    now = [row((usual if at < 120 - new else unusual)(rng), at) for at in range(120)]
    return watch("any", before, now)


@pytest.mark.parametrize("kind", KINDS)
def test_new_ones_are_an_alarm_and_are_shown(kind: str) -> None:
    found = watched(kind, new=60)

    assert found.drifted == ("value",)
    assert [alarm.kind for alarm in found.alarms] == ["input drift"]
    assert "a classifier tells then from now" in found.alarms[0].message
    (newest,) = found.newest
    assert newest.column == "value"
    assert len(set(newest.predictions)) == SHOWN
    assert all(int(name.removeprefix("row ")) >= 60 for name in newest.predictions)
    assert len(newest.texts) == (SHOWN if kind == "text" else 0)
    assert all("potatoes" in each or "recipe" in each for each in newest.texts)


@pytest.mark.parametrize("kind", KINDS)
def test_more_of_the_same_is_none(kind: str) -> None:
    found = watched(kind, new=0)

    assert (found.alarms, found.newest, found.notes) == ((), (), ())
    assert "value" in {check.column for check in found.checks if check.kind == "input drift"}
