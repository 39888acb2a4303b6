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

_INLINE = {"a", "abbr", "b", "bdi", "br", "cite", "code", "em", "font", "i", "kbd", "label",
           "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "tt", "u", "var",
           "time", "del", "ins"}  # fmt: skip


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
        yield from _html_blocks(part)


def _main_parts(root: Any) -> list[Any]:
    for main in _MAINS:
        parts: list[Any] = root.xpath(f"//*[{main}][not(ancestor::*[{main}])]")
        if sum(len(part.text_content()) for part in parts) > 200:
            return parts
    body = root.find("body")
    return [root if body is None else body]


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
        elif tag in _INLINE:
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
