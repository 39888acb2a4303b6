"""Text of others in what a language model is asked: marked as data that cannot leave its mark."""

from __future__ import annotations

import html
import re

# What nobody sees and a model reads: tags and variation selectors, marks that turn the direction of
# writing round, fillers, spaces without width. Instructions are hidden in them, or words broken so
# that no one finds them. It is what Unicode calls Default_Ignorable_Code_Point, and the marks of
# annotations; but for joiners (Persian, Indic scripts, emoji) and the two selectors of emoji, which
# have no meaning in a row.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_IN_A_ROW = re.compile("([\ufe0e\ufe0f]?+[\u200c\u200d]?+)[\ufe0e\ufe0f\u200c\u200d]+")


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
    return _IN_A_ROW.sub(r"\1", _UNSEEN.sub("", text))
