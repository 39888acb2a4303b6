"""YAML that people write, read strictly: small, every value a text, every fault with its line.

Values are texts until a pydantic model says otherwise, so `no` is the word and not a falsehood.
Anchors and aliases, tags, and keys that are there twice are refused: of each of them a file means
something else than it shows, or grows when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from mlfolio.core.errors import FileError, nearest

MAX_BYTES = 2_000_000
MAX_DEPTH = 12
SHOWN = 10  # faults of one file
# libyaml's parser is twenty times as fast; not every PyYAML has it.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Place = tuple[str | int, ...]
Lines = dict[Place, int]


class Part(BaseModel):
    """A mapping in such a file. Keys with nothing behind them count as not written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_fields(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        for name in given:
            if name not in cls.model_fields:
                near = nearest(str(name), cls.model_fields)
                hint = f"did you mean {near!r}? " if near else ""
                known = ", ".join(cls.model_fields)
                raise wrong(f"there is no field {name!r}; {hint}fields: {known}", name)
        return {name: value for name, value in given.items() if value is not None}


Kind = TypeVar("Kind", bound=BaseModel)


def wrong(said: str, *at: str | int) -> PydanticCustomError:
    """An error for a validator to raise: what is wrong, and where below the validated part."""
    return PydanticCustomError("wrong", "{said}", {"said": said, "at": at})


def read_yaml(path: Path, kind: type[Kind]) -> Kind:
    """The file at a path as a model.

    Raises:
        FileError: It cannot be read, is no such YAML, or does not fit, with line, field and value.
    """
    text = _text_of(path)
    try:
        _refuse_tricks(path, text)
        root = yaml.compose(text, LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise FileError(f"{path.name}{line}: {error.problem}", "it has to be YAML") from None
    except yaml.YAMLError as error:
        raise FileError(f"{path.name} is no YAML: {error}", "save it as plain text") from None
    lines: Lines = {}
    try:
        return kind.model_validate(_plain(path, root, (), lines))
    except ValidationError as error:
        faults = [_fault(details, lines) for details in error.errors()[:SHOWN]]
        raise FileError(
            "\n".join([f"{path.name} cannot be used:", *(f"  {fault}" for fault in faults)]),
            "mend these lines",
        ) from None


def _text_of(path: Path) -> str:
    try:
        if not path.is_file():
            raise FileError(f"there is no file {str(path)!r}", "check the path")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}", "check who may") from None
    if len(content) > MAX_BYTES:
        raise FileError(f"{path.name} has more than {MAX_BYTES:,} bytes", "write a shorter one")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(f"{path.name}, line {line}: is not UTF-8", "save it as UTF-8") from None


def _refuse_tricks(path: Path, text: str) -> None:
    """Goes through a file without building anything."""

    def refuse(event: Any, what: str, fix: str) -> None:
        raise FileError(f"{path.name}, line {event.start_mark.line + 1}: {what}", fix)

    depth = 0
    event: Any
    for event in yaml.parse(text, LOADER):
        if getattr(event, "anchor", None):
            refuse(event, f"an anchor or alias ({event.anchor!r})", "write it out each time")
        if getattr(event, "tag", None):
            refuse(event, f"a tag ({event.tag!r})", "leave it out: values are texts")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            refuse(event, f"nested more than {MAX_DEPTH} deep", "check the indentation")


def _plain(path: Path, node: yaml.Node | None, at: Place, lines: Lines) -> Any:
    """A node as mappings, lists and texts; None where nothing is written."""
    if node is None:
        return {}
    lines[at] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_plain(path, item, (*at, n), lines) for n, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return dict(_pairs(path, node, at, lines))
    written = node.value or getattr(node, "style", None)  # '' in quotes is a text too
    return node.value if written else None


def _pairs(
    path: Path, node: yaml.MappingNode, at: Place, lines: Lines
) -> Iterator[tuple[str, Any]]:
    seen = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise FileError(f"{path.name}, line {line}: a key that is no text", "name it")
        if key.value in seen:
            raise FileError(f"{path.name}, line {line}: {key.value!r} is there twice", "join them")
        seen.add(key.value)
        plain = _plain(path, value, (*at, key.value), lines)
        lines[*at, key.value] = line  # of the key, where people look
        yield key.value, plain


def _fault(details: Any, lines: Lines) -> str:
    """One fault: line, place, what is wrong and the value. Pydantic's places may end in types."""
    place: Place = (*details["loc"], *details.get("ctx", {}).get("at", ()))
    known = next(place[:n] for n in range(len(place), -1, -1) if place[:n] in lines or not n)
    line = lines.get(known, 1)
    if details["type"] == "missing":
        return f"line {line}, {'.'.join(map(str, place))}: is missing"
    shown = repr(details["input"])
    value = (
        "" if details["type"] == "wrong" else f" (it is {shown[:60]}{'...' * (len(shown) > 60)})"
    )
    return f"line {line}, {'.'.join(map(str, known)) or 'the file'}: {details['msg']}{value}"
