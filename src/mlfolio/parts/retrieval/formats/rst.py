"""reStructuredText, read lightly."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlfolio.parts.retrieval.blocks import Block, Kind, decode, squeeze

_RULE = re.compile(r"^([=\-`:'\"~^_*+#<>.])\1{2,}\s*$")
# The lengths are bounded, because a hostile file could make an unbounded search take hours.
_ROLE = re.compile(r":[\w:.+-]{1,60}:`([^`<]{0,500}?) ?(?:<[^`>]{0,500}>)?`")
_LINK = re.compile(r"`([^`<]{1,500}?) ?<[^`>]{0,500}>`_{1,2}")
# A directive or a footnote; else it is a comment, the target of a link or a substitution.
_EXPLICIT = re.compile(r"^\.\. +(?:([\w:.+-]+)::|\[[^\]]{1,80}\])(?: +(.*))?$")
_CODE = {"code", "code-block", "sourcecode", "parsed-literal", "testcode", "testoutput", "doctest",
         "ipython", "prompt", "literalinclude"}  # fmt: skip
# Directives that say nothing; what is not known here is read, its content as paragraphs.
_SILENT = {"contents", "currentmodule", "default-domain", "default-role", "digraph", "graph",
           "graphviz", "highlight", "image", "include", "index", "inheritance-diagram", "math",
           "mermaid", "meta", "module", "namespace", "plot", "raw", "role", "section-numbering",
           "sectnum", "tabularcolumns", "testcleanup", "testsetup", "toctree", "uml"}  # fmt: skip
_NAMES = {"class", "container", "cssclass", "figure", "ifconfig", "only", "rst-class"}  # no titles
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
    if _is_explicit(first):
        return _rst_explicit(lines, at, indent)
    if first.startswith(">>>"):
        stop = at + 1
        while stop < len(lines) and lines[stop]:
            stop += 1
        return Block("code", "\n".join(line[indent:] for line in lines[at:stop])), stop
    end = _paragraph_end(lines, at)
    text = " ".join(line.strip() for line in lines[at:end])
    if text.endswith("::") and end < len(lines):
        stop = _indented_end(lines, end, indent)
        code = "\n".join(lines[end:stop]).strip("\n")
        return Block("code" if code else "text", f"{_rst_inline(text[:-1])}\n{code}".strip()), stop
    kind: Kind = "item" if _ITEM.match(text) else "text"
    return Block(kind, _rst_inline(_ITEM.sub("", text))), end


def _is_explicit(line: str) -> bool:
    return line == ".." or line.startswith(".. ")


def _rst_explicit(lines: list[str], at: int, indent: int) -> tuple[Block | None, int]:
    """The title of a directive, its code, or a footnote."""
    if lines[at].strip() == ".." and not any(lines[at + 1 : at + 2]):
        return None, at + 1  # an empty comment: what follows is none
    explicit = _EXPLICIT.match(lines[at].lstrip())
    name = ((explicit and explicit[1]) or "").rpartition(":")[2].lower()  # "py:function"
    if explicit is None or name in _SILENT:
        return None, _indented_end(lines, at + 1, indent)
    if name in _CODE:
        start = _options_end(lines, at + 1)
        stop = _indented_end(lines, start, indent)
        body = "\n".join(lines[start:stop]).strip("\n")
        return (Block("code", body) if body else None), stop
    end = _title_end(lines, at + 1, indent)
    text = " ".join([explicit[2] or "", *(line.strip() for line in lines[at + 1 : end])])
    is_said = text.strip() and name not in _NAMES
    return (Block("text", _rst_inline(text)) if is_said else None), _options_end(lines, end)


def _title_end(lines: list[str], at: int, indent: int) -> int:
    """The first line from `at` on that does not go on with what a directive's own line says."""
    while at < len(lines):
        line = lines[at].lstrip()
        if len(lines[at]) - len(line) <= indent or _is_option(lines[at]):
            break
        if _ITEM.match(line) or _is_explicit(line) or line.startswith(">>>"):
            break
        at += 1
    return at


def _options_end(lines: list[str], at: int) -> int:
    """The first line from `at` on that is of no option; they end with an empty line."""
    if at < len(lines) and _is_option(lines[at]):
        while at < len(lines) and lines[at]:
            at += 1
    return at


def _is_option(line: str) -> bool:
    return re.match(r"^\s+:[\w-]+:(\s|$)", line) is not None


def _rst_inline(text: str) -> str:
    text = _ROLE.sub(lambda match: match.group(1).lstrip("~!."), squeeze(text))
    text = _LINK.sub(r"\1", text)
    return squeeze(re.sub(r"``([^`]+)``|\*\*([^*]+)\*\*|\|([\w .-]+)\|", r"\1\2\3", text))
