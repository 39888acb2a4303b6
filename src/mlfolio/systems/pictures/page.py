"""The page of pictures: bring one, and see the class and what in the picture speaks for it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from mlfolio.core.page import Ask
from mlfolio.parts.vision.gather import LONGEST
from mlfolio.parts.vision.reading import read_rgb, write_png
from mlfolio.report.words import png_url

from .figures import overlay
from .model import PicturesModel

SHOWN = 320  # pixels that the longer side of a picture is shown at


def build(ask: Ask) -> None:
    """The usual form, and beside the answer where the net looked."""

    def beside(row: Mapping[str, Any]) -> str:
        if not isinstance(ask.model, PicturesModel):
            return ""
        try:
            picture = read_rgb(row.get("image"), LONGEST)
        except ValueError:  # which the answer says
            return ""
        name = ask.model.likeliest(picture)
        mixed = overlay(picture, ask.model.heat(picture, name))
        scale = SHOWN / max(picture.shape[:2])
        width, height = (max(1, round(picture.shape[axis] * scale)) for axis in (1, 0))
        return (
            f"<h4>What speaks for {escape(name)}</h4>"
            f'<img width="{width}" height="{height}" style="border-radius: 6px; max-width: 100%" '
            f'alt="the picture, bright where it speaks for {escape(name, quote=True)}" '
            f'src="{png_url(write_png(mixed))}">'
        )

    ask.form(beside)
