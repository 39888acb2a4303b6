"""Text of others in what a language model is asked: marked as data that cannot leave its mark."""

from __future__ import annotations

import html
import re

# What nobody sees and a model reads: tags of Unicode, marks that turn the direction of writing
# round, spaces without width. Instructions are hidden in them, or words broken so that no one
# finds them. Joiners (emoji, Persian) are left.
_UNSEEN = re.compile("[\u00ad\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def marked(mark: str, text: str, **about: object) -> str:
    """A text between tags that it cannot end, and no others begin in it.

    Args:
        mark: Name of the tag.
        text: Anything.
        about: Attributes of the tag, any text too; those that are None are left out.
    """
    said = "".join(
        f' {name}="{_seen(html.escape(str(value)))}"'
        for name, value in about.items()
        if value is not None
    )
    return f"<{mark}{said}>\n{_seen(html.escape(text, quote=False))}\n</{mark}>"


def _seen(text: str) -> str:
    return _UNSEEN.sub("", text)
