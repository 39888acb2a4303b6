"""Web pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import lxml.html
from lxml import etree

from mlfolio.parts.retrieval.blocks import Block, Kind, UnreadableError, decode, squeeze

_FLOW: dict[str, Kind] = {"p": "text", "li": "item", "pre": "code", "dt": "item", "dd": "text",
         "blockquote": "text", "figcaption": "text", "summary": "text"}  # fmt: skip
_PARTS = ("p", "li", "pre", "table", "dd")  # what holds one of them is not one block
_SKIP = ("script", "style", "noscript", "template", "nav", "footer", "aside", "iframe", "svg",
         "button", "input", "select", "textarea", "datalist")  # fmt: skip
_MAINS = ("self::main or @role='main'", "self::article")

# Within a line: any other tag parts the words on its two sides.
INLINE = {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn",
          "em", "font", "i", "img", "ins", "kbd", "label", "mark", "nobr", "q", "s", "samp",
          "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var",
          "wbr"}  # fmt: skip


def read(data: bytes) -> Iterator[Block]:
    """The main part of a page (its <main> or <article>s, else the body without its furniture)."""
    # lxml refuses str with an encoding declaration
    text = re.sub(r"\A\s*<\?xml[^>]*\?>", "", decode(data))
    try:
        root = lxml.html.document_fromstring(text)
    except (etree.ParserError, ValueError) as error:
        raise UnreadableError("no HTML in it", "save the page again") from error
    etree.strip_elements(root, etree.Comment, *_SKIP, with_tail=False)
    for part in _main_parts(root):
        _break_lines(part)
        yield from _html_blocks(part)


def _main_parts(root: Any) -> list[Any]:
    for main in _MAINS:
        parts: list[Any] = root.xpath(f"//*[{main}][not(ancestor::*[{main}])]")
        if sum(len(part.text_content()) for part in parts) > 200:
            return parts
    body = root.find("body")
    return [root if body is None else body]


def _break_lines(part: Any) -> None:
    """Writes the line breaks into the text that a browser would show, or words run together."""
    for element in part.iterdescendants("*"):
        if element.tag not in INLINE:
            element.tail = "\n" + (element.tail or "")
            if element.tag != "br":
                element.text = "\n" + (element.text or "")


def _html_blocks(element: Any) -> Iterator[Block]:
    """Walk down; whatever holds no block element itself is one block."""
    loose = [element.text or ""]
    for child in element:
        tag = child.tag
        if re.fullmatch(r"h[1-6]", tag):
            yield from _flush(loose)
            yield Block("heading", squeeze(child.text_content()).rstrip("¶# "), int(tag[1]))
        elif tag == "pre":
            yield from _flush(loose)
            yield Block("code", child.text_content().strip("\n"))
        elif tag == "tr":
            yield from _flush(loose)
            yield Block("table", " | ".join(squeeze(cell.text_content()) for cell in child))
        elif tag in _FLOW and next(child.iterdescendants(*_PARTS), None) is None:
            yield from _flush(loose)
            yield Block(_FLOW[tag], squeeze(child.text_content()))
        elif tag in INLINE or tag == "br":
            loose.append(child.text_content())
        else:
            yield from _flush(loose)
            yield from _html_blocks(child)
        loose.append(child.tail or "")
    yield from _flush(loose)


def _flush(loose: list[str]) -> Iterator[Block]:
    text = squeeze("".join(loose))
    loose.clear()
    if text:
        yield Block("text", text)
