"""The page of segments: the segment in words, and the customer as a star among the others."""

from __future__ import annotations

import io
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from mlfolio.core.inputs import parse_inputs
from mlfolio.core.page import Ask
from mlfolio.report.words import png_url

from .figures import POINTS, among
from .model import SegmentsModel


def build(ask: Ask) -> None:
    """The usual form; beside the answer what the segment is and where the customer lies."""

    def about(row: Mapping[str, Any]) -> str:
        model, file = ask.model, ask.run / POINTS
        if not isinstance(model, SegmentsModel):
            return ""
        if any(not isinstance(row.get(name), int | float) for name in model.schema.names):
            return ""
        (output,) = model.predict(parse_inputs(model, [row]))
        segment = model.segments[output.segment - 1]
        lines = [
            output.description,
            f"The next segment: {output.second}. {output.typical:.0%} of ordinary customers are "
            "at least as far from the centre of theirs.",
            f"An idea to test, not a finding: {segment.suggestion}",
        ]
        words = "".join(f"<p>{escape(line)}</p>" for line in lines)
        if not file.is_file():
            return words
        buffer = io.BytesIO()
        among(pd.read_csv(file), row, model.scale).savefig(buffer, dpi=110)
        alt = "the customer as a star among the customers of the run"
        return f'{words}<img alt="{alt}" src="{png_url(buffer.getvalue())}">'

    ask.form(about)
