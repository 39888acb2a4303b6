"""Metadata at the head of a Markdown file, in YAML between two lines of `---`.

Hostile files are read too: nothing but plain values is made of what is written, each alone, so that
no alias and no merge key can make much of little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import yaml

from mlfolio.core.errors import FileError
from mlfolio.parts.retrieval.blocks import Block
from mlfolio.parts.retrieval.labels import MAX_KEYS, MAX_VALUE, labels_of

FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*\n", re.DOTALL)
MAX_CHARACTERS = 2**16
MAX_DEPTH = 20
# What PyYAML raises where a value is not what its tag says: `!!int ''`, `!!bool maybe`.
_BROKEN = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def metadata_of(text: str) -> Iterator[Block]:
    """The labels of a front matter; what is nested or breaks their rules is left out.

    Args:
        text: Between the two lines.

    Returns:
        Blocks of kind "label", or one of kind "odd" where it is no YAML.
    """
    if len(text) > MAX_CHARACTERS:
        yield Block("odd", f"front matter of over {MAX_CHARACTERS:,} characters")
        return
    try:
        _refuse_depth(text)
        root = yaml.compose(text, LOADER)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 2})" if mark else ""  # after the one of ---
        yield Block("odd", f"front matter that is no YAML{where}")
        return
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    known: dict[str, Any] = {}
    for key, node in pairs[: 4 * MAX_KEYS]:
        pair = {_plain(key): _plain(node)} if isinstance(key, yaml.ScalarNode) else {}
        if _fits(pair) and _fits(known | pair):
            known |= pair
    yield from (Block("label", label) for label in labels_of(known))


def _refuse_depth(text: str) -> None:
    """Goes through a text without building anything."""
    depth = 0
    for event in yaml.parse(text, LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError("nested too deeply")


def _fits(metadata: dict[Any, Any]) -> bool:
    try:
        labels_of(metadata)
    except FileError:
        return False
    return True


def _plain(node: yaml.Node) -> Any:
    """A value or a list of values; None for what is nested, long, or none."""
    if isinstance(node, yaml.SequenceNode):
        is_flat = all(isinstance(item, yaml.ScalarNode) for item in node.value)
        if not is_flat or len(node.value) > MAX_VALUE:  # an alias names one list many times
            return None
        return [value for item in node.value if (value := _plain(item)) is not None]
    if not isinstance(node, yaml.ScalarNode) or len(node.value) > MAX_VALUE:
        return None
    try:
        value = yaml.SafeLoader("").construct_object(node)
    except _BROKEN:  # or a tag is nobody's, a day the 31st of February
        return None
    return value.isoformat() if isinstance(value, date) else value
