"""Numbers and scores in words, the same on the screen, in reports and in cards."""

from __future__ import annotations

import base64
from typing import Any

from mlfolio.core.card import Card

FOREIGN = "Written for the official data; on yours some of it does not apply."


def title(card: Card, source: str, dataset: str) -> str:
    """The heading of a report: a system's title is about its official data."""
    return f"{card.title}, on {dataset}" if source == "own" else card.title


def number(value: Any, digits: int = 4) -> str:
    """A number as people write it: 0.8316, 12,345, or a dash where there is none."""
    if value is None or value == "":
        return "–"
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    if abs(number) >= 1_000 or (number.is_integer() and abs(number) >= 10):
        return f"{number:,.0f}"
    return f"{number:.{digits}g}" if 0 < abs(number) < 0.001 else f"{number:.{digits}f}"


def signed(value: float) -> str:
    """A share with its sign: +0.72, −23,460, +0.0003."""
    form = "+,.0f" if abs(value) >= 100 else "+.2g" if 0 < abs(value) < 0.01 else "+.2f"
    shown = format(value, form)
    return shown.replace("-", "−")


def interval(bounds: Any) -> str:
    """A 95 % interval, or a dash."""
    return f"{number(bounds[0], 3)} to {number(bounds[1], 3)}" if bounds else "–"


def verdict(score: dict[str, Any]) -> str:
    """What a score means, in a sentence: against its target and against the cheap baseline."""
    parts = []
    if score["target"] is not None:
        word = "reaches" if score["met"] else "falls short of"
        parts.append(f"{word} its target of {number(score['target'], 3)}")
    gain = score["gain_ci95"]
    if gain is not None:
        name = score["strong_baseline_name"]
        if gain[0] <= 0 <= gain[1]:
            parts.append(f"difference to {name} not significant ({interval(gain)})")
        else:
            better = (gain[0] > 0) == (score["direction"] == "higher")
            word = "better" if better else "worse"
            parts.append(
                f"{word} than {name} by {interval([abs(g) for g in sorted(gain, key=abs)])}"
            )
    return "; ".join(parts)


def megabytes(count: int) -> str:
    """A size in bytes as people say it."""
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else f"{count / 1024:.0f} kB"


def png_url(content: bytes) -> str:
    """A PNG as the source of an `<img>`, so that a page needs no second file."""
    return "data:image/png;base64," + base64.b64encode(content).decode()
