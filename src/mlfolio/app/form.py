"""From the type of an input to a form, and from its cells back to a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from mlfolio.core.model import Model

MANY = 12  # choices that fit beside each other; more go into a list


@dataclass(frozen=True)
class Field:
    """One field of a form.

    Attributes:
        name: As the API calls it.
        schema: Its JSON schema.
        example: Its value in the example that the form starts with.
    """

    name: str
    schema: Mapping[str, Any]
    example: Any

    @property
    def label(self) -> str:
        """What people read: the name in words."""
        return self.name.replace("_", " ")

    def widget(self) -> gr.components.Component:
        """What people fill in: a slider for a range, a choice for few values, a file for bytes."""
        kind, seen = self._kind(), self.schema.get("seen")
        about: dict[str, Any] = {"label": self.label, "elem_id": f"field-{self.name}"}
        if self.schema.get("contentEncoding") == "base64":
            return gr.Image(type="filepath", sources=["upload", "clipboard"], **about)
        if kind in ("number", "integer") and seen:
            low, high = seen
            step = 1 if float(low).is_integer() and float(high).is_integer() else 0.1
            start = self.example if self.example is not None else (low + high) / 2
            return gr.Slider(low, high, value=start, step=step, **about)
        if kind in ("number", "integer"):
            return gr.Number(value=self.example, **about)
        if kind == "boolean":
            return gr.Checkbox(value=bool(self.example), **about)
        if seen and len(seen) <= MANY:
            return gr.Radio(list(seen), value=self.example, **about)
        if seen:
            return gr.Dropdown(list(seen), value=self.example, allow_custom_value=True, **about)
        lines = 3 if self.schema.get("maxLength", 0) > 10_000 else 1
        return gr.Textbox(
            value=self.example, lines=lines, placeholder=self.schema.get("description"), **about
        )

    def _kind(self) -> str:
        """The JSON type, of several the first that is not null."""
        parts = [self.schema, *self.schema.get("anyOf", [])]
        kinds = [part["type"] for part in parts if part.get("type") not in (None, "null")]
        return kinds[0] if kinds else "string"


def fields_of(model: Model) -> list[Field]:
    """The fields of a model's input, with the values of its first example."""
    examples = model.examples()
    first = examples[0].model_dump(mode="json", by_alias=True) if examples else {}
    schema = model.input_type.model_json_schema(by_alias=True)
    return [
        Field(name, _flat(part), first.get(name)) for name, part in schema["properties"].items()
    ]


def row_of(fields: list[Field], values: tuple[Any, ...]) -> dict[str, Any]:
    """What the form holds, as the API takes it; fields left empty are not given."""
    row: dict[str, Any] = {}
    for field, value in zip(fields, values, strict=True):
        if value is None or value == "":
            continue
        if field.schema.get("contentEncoding") == "base64":
            value = Path(value).read_bytes()
        row[field.name] = value
    return row


def _flat(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with what its alternatives say of ranges and encodings."""
    merged: dict[str, Any] = {}
    for part in (*schema.get("anyOf", []), schema):
        merged |= {k: v for k, v in part.items() if v != "null"}
    return merged
