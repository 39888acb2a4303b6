"""The page of segments: beside the answer the customer as a star among the others."""

from __future__ import annotations

from mlfolio.core.page import Ask
from mlfolio.parts.tabular.star import star


def build(ask: Ask) -> None:
    """The usual form and answer, and the star."""
    alt = "the customer as a star among the customers of the run"
    ask.form(lambda row: star(ask.run, row, alt))
