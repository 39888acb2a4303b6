"""CommonMark with tables, and with front matter."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from mlfolio.parts.retrieval.blocks import Block, decode, squeeze
from mlfolio.parts.retrieval.formats.html import INLINE
from mlfolio.parts.retrieval.front_matter import FRONT_MATTER, metadata_of

# Hostile files are read too: no pattern here may go over the same text again and again.
_ANCHOR = re.compile(r"\s*\{[ :]?[#.][^{}]{0,200}\}\s*$")  # "Title { #first-steps }"
_FENCE = r"^[ \t]*(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^[ \t]*(?P=fence)|\Z)"
_DIRECTIVE = r"^(?:///[^\n]*|:::[^\n]*|\{\*[^\n]*\*\})[ \t]*$"
_FENCE_OR_DIRECTIVE = re.compile(f"{_FENCE}|{_DIRECTIVE}", re.DOTALL | re.MULTILINE)
_TAG = re.compile(r"</?([a-zA-Z][\w-]*)[^<>]*>")
_UNSEEN = re.compile(r"(?is)<!--.*?(?:-->|\Z)|<(script|style)\b[^<>]*(?<!/)>.*?(?=</\1|\Z)")


def read(data: bytes) -> Iterator[Block]:
    """The labels of the front matter, then headings, paragraphs, items, code and table rows.

    Link targets, images, and HTML's tags, comments, scripts and styles are left out: they are the
    half of many files and only noise to an encoder.
    """
    text = decode(data).replace("\r\n", "\n")
    if front := FRONT_MATTER.match(text):
        yield from metadata_of(front[1])
        text = text[front.end() :]
    # What looks like a directive inside a fence is code: Rust's doc comments begin with ///.
    text = _FENCE_OR_DIRECTIVE.sub(lambda match: match[0] if match["fence"] else "", text)
    kind, level, row = "text", 0, list[str]()
    stack = list[str]()
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(text):
        if token.type in ("heading_open", "list_item_open", "tr_open"):
            stack.append(token.type)
            level, row = int(token.tag[1]) if token.type == "heading_open" else 0, []
        elif token.type in ("heading_close", "list_item_close"):
            stack.pop()
        elif token.type == "tr_close":
            stack.pop()
            yield Block("table", " | ".join(row))
        elif token.type in ("fence", "code_block"):
            yield Block("code", token.content.strip("\n"))
        elif token.type == "html_block":
            yield Block("text", squeeze(_TAG.sub(_gap, _UNSEEN.sub(" ", token.content))))
        elif token.type == "inline":
            words = _inline(token)
            kind = stack[-1] if stack else ""
            if kind == "tr_open":
                row.append(words)
            elif kind == "heading_open":
                yield Block("heading", _ANCHOR.sub("", words), level)
            else:
                yield Block("item" if kind == "list_item_open" else "text", words)


def _inline(token: Token) -> str:
    """The words of a paragraph."""
    parts, is_unseen = [], False
    for child in token.children or []:
        if tag := _TAG.fullmatch(child.content) if child.type == "html_inline" else None:
            parts.append(_gap(tag))
            if tag[1].lower() in ("script", "style"):
                is_unseen = tag[0][1] != "/" and tag[0][-2] != "/"
        elif is_unseen:
            continue
        elif child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            parts.append(" ")
    return squeeze("".join(parts))


def _gap(tag: re.Match[str]) -> str:
    """What is left of a tag: nothing within a word, else a blank."""
    return "" if tag[1].lower() in INLINE else " "
