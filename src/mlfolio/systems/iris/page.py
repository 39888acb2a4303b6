"""The page of iris: the flower as a star among those it was learned from."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pandas as pd

from mlfolio.core.page import Ask
from mlfolio.parts.tabular.model import TabularModel
from mlfolio.report.words import png_url

from .figures import POINTS, among

PARTS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
NAMES = {part: f"{part.replace('_', ' ')} (cm)" for part in PARTS}  # as Fisher measured them


def build(ask: Ask) -> None:
    """The usual form, and beside the answer where the flower lies."""

    def place(row: Mapping[str, Any]) -> str:
        model, file = ask.model, ask.run / POINTS
        if not isinstance(model, TabularModel) or not file.is_file():
            return ""
        names = model.schema.names
        if any(not isinstance(row.get(name), int | float) for name in names):
            return ""
        points = pd.read_csv(file)
        target = str(points.columns[-1])
        buffer = io.BytesIO()
        among(points[[*names, target]], row, target).savefig(buffer, dpi=110)
        url = png_url(buffer.getvalue())
        alt = "the flower as a star among the training flowers"
        return f'<h4>Among the flowers it was learned from</h4><img alt="{alt}" src="{url}">'

    ask.form(place, NAMES)
