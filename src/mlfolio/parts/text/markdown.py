"""Text that stays text where Markdown is shown, and back."""

from __future__ import annotations

import re

SPECIAL = r"[\\`*_{}\[\]<>#!|~$&:@.]"  # what Markdown, HTML, links (www.) and formulas are made of


def plain(text: str) -> str:
    """Text that a page of Markdown shows as it is: people and documents may write anything.

    Their `![](http://...)` would otherwise be fetched by whoever reads it.
    """
    return re.sub(SPECIAL, r"\\\g<0>", text)


def as_said(shown: str) -> str:
    """`plain` undone."""
    return re.sub(rf"\\({SPECIAL})", r"\1", shown)
