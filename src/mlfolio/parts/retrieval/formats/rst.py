"""reStructuredText, read lightly."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlfolio.parts.retrieval.blocks import Block, Kind, decode, squeeze

_RULE = re.compile(r"^([=\-`:'\"~^_*+#<>.])\1{2,}\s*$")
# The lengths are bounded, because a hostile file could make an unbounded search take hours.
_ROLE = re.compile(r":[\w:.+-]{1,60}:`([^`<]{0,500}?) ?(?:<[^`>]{0,500}>)?`")
_LINK = re.compile(r"`([^`<]{1,500}?) ?<[^`>]{0,500}>`_{1,2}")
_EXPLICIT = re.compile(r"^\.\. (?:([\w:-]+)::(.*)|.*)$")
_CODE = {"code", "code-block", "sourcecode", "parsed-literal", "testcode", "literalinclude"}
_PROSE = {"note", "tip", "warning", "important", "admonition", "seealso", "hint", "caution",
          "attention", "danger", "error", "topic", "versionadded", "versionchanged", "deprecated",
          "rubric", "dropdown", "list-table", "container", "only", "autosummary"}  # fmt: skip
_ITEM = re.compile(r"^(?:[-*+•]|\(?(?:\d{1,3}|#)[.)])\s+")  # no letters: "A. Einstein wrote"


def read(data: bytes) -> Iterator[Block]:
    """Section titles, paragraphs, lists and code of reStructuredText.

    A light reader on purpose: docutils drops the content of every directive and role that it
    does not know, and those of Sphinx are most of them.
    """
    levels = list[str]()  # the order in which adornments appear is the order of the levels
    lines = [line.expandtabs(4).rstrip() for line in decode(data).splitlines()]
    at = 0
    while at < len(lines):
        line, below = lines[at], lines[at + 1] if at + 1 < len(lines) else ""
        if not line:
            at += 1
        elif _RULE.match(line) and at + 2 < len(lines) and _is_under(below.strip(), lines[at + 2]):
            yield _rst_title(below, line[0] * 2, levels)
            at += 3
        elif not line.startswith(" ") and _is_under(line, below):
            yield _rst_title(line, below[0], levels)
            at += 2
        else:
            block, at = _rst_block(lines, at)
            if block is not None:
                yield block


def _is_under(title: str, rule: str) -> bool:
    return bool(title and _RULE.match(rule) and not _RULE.match(title)) and (
        len(rule) + 2 >= len(title)
    )


def _rst_title(title: str, adornment: str, levels: list[str]) -> Block:
    if adornment not in levels:
        levels.append(adornment)
    return Block("heading", _rst_inline(title), min(6, levels.index(adornment) + 1))


def _paragraph_end(lines: list[str], at: int) -> int:
    end = at + 1
    while end < len(lines) and lines[end] and not _ITEM.match(lines[end].lstrip()):
        end += 1
    return end


def _indented_end(lines: list[str], at: int, indent: int) -> int:
    """The first line after `at` that is neither empty nor indented more than `indent`."""
    while at < len(lines) and (not lines[at] or len(lines[at]) - len(lines[at].lstrip()) > indent):
        at += 1
    return at


def _rst_block(lines: list[str], at: int) -> tuple[Block | None, int]:
    first = lines[at].lstrip()
    indent = len(lines[at]) - len(first)
    explicit = _EXPLICIT.match(first)
    if explicit:
        name, argument = explicit.group(1) or "", (explicit.group(2) or "").strip()
        if name in _PROSE:  # its content is read as paragraphs; options are dropped below
            return (Block("text", _rst_inline(argument)) if argument else None), at + 1
        stop = _indented_end(lines, at + 1, indent)
        body = "\n".join(line for line in lines[at + 1 : stop] if not _is_option(line)).strip("\n")
        return (Block("code", body) if name in _CODE and body else None), stop
    if first.startswith(">>>"):
        stop = at + 1
        while stop < len(lines) and lines[stop]:
            stop += 1
        return Block("code", "\n".join(line[indent:] for line in lines[at:stop])), stop
    end = _paragraph_end(lines, at)
    text = " ".join(line.strip() for line in lines[at:end] if not _is_option(line))
    if text.endswith("::") and end < len(lines):
        stop = _indented_end(lines, end, indent)
        code = "\n".join(lines[end:stop]).strip("\n")
        return Block("code" if code else "text", f"{_rst_inline(text[:-1])}\n{code}".strip()), stop
    kind: Kind = "item" if _ITEM.match(text) else "text"
    return Block(kind, _rst_inline(_ITEM.sub("", text))), end


def _is_option(line: str) -> bool:
    return re.match(r"^\s+:[\w-]+:(\s|$)", line) is not None


def _rst_inline(text: str) -> str:
    text = _ROLE.sub(lambda match: match.group(1).lstrip("~!."), squeeze(text))
    text = _LINK.sub(r"\1", text)
    return squeeze(re.sub(r"``([^`]+)``|\*\*([^*]+)\*\*|\|([\w .-]+)\|", r"\1\2\3", text))
