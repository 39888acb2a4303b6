"""The page of iris: the flower as a star among those it was learned from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlfolio.core.page import Ask
from mlfolio.parts.tabular.star import star

PARTS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
NAMES = {part: f"{part.replace('_', ' ')} (cm)" for part in PARTS}  # as Fisher measured them


def build(ask: Ask) -> None:
    """The usual form, and beside the answer where the flower lies."""

    def place(row: Mapping[str, Any]) -> str:
        picture = star(ask.run, row, "the flower as a star among the training flowers")
        return f"<h4>Among the flowers it was learned from</h4>{picture}" if picture else ""

    ask.form(place, NAMES)
