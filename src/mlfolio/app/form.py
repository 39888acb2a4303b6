"""From the type of an input to a form, and from its cells back to a row."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from mlfolio.app import words
from mlfolio.core.inputs import file_fields
from mlfolio.core.model import Model

MANY = 12  # choices that fit beside each other; more go into a list
SHOWN = 5  # examples
STEPS = 200  # of a slider, about, where the numbers have no steps of their own


@dataclass(frozen=True)
class Field:
    """One field of a form.

    Attributes:
        name: As the API calls it.
        schema: Its JSON schema.
        example: Its value in the example that the form starts with.
        names: How people say its label and its values, where they differ.
        is_file: Whether a file fills it.
        folded: Whether it is one of many that are not asked for, and begins empty.
    """

    name: str
    schema: Mapping[str, Any]
    example: Any
    names: Mapping[str, str]
    is_file: bool
    folded: bool = False

    @property
    def label(self) -> str:
        """What people read."""
        return words.said(self.name, self.names)

    @property
    def choices(self) -> list[tuple[str, Any]]:
        """The values of a choice, as they are said; none if it is no choice."""
        numbers = self.schema.get("choices")
        if numbers:
            return [(f"{number:g}", number) for number in numbers]
        found = [] if self._is_number else self.schema.get("seen") or []
        return [(words.valued(self.name, str(value), self.names), value) for value in found]

    @property
    def can_be_unknown(self) -> bool:
        """Whether it may be left out, and its widget cannot be emptied."""
        optional = any(part.get("type") == "null" for part in self.schema.get("anyOf", []))
        fixed = "seen" in self.schema and len(self.choices) <= MANY
        return optional and fixed and not self.folded

    def widget(self) -> gr.components.Component:
        """What people fill in: a slider for a range, a choice for few values, a file for bytes."""
        about: dict[str, Any] = {"label": self.label, "elem_id": f"field-{self.name}"}
        choices = self.choices
        if self.is_file:
            return gr.File(type="binary", height=140, **about)
        if self.folded:  # widgets that can be empty
            if choices:
                return gr.Dropdown(choices, value=None, allow_custom_value=True, **about)
            return gr.Number(value=None, **about) if self._is_number else gr.Textbox(**about)
        if choices and len(choices) <= MANY:
            return gr.Radio(choices, value=self.example, **about)
        if choices:
            return gr.Dropdown(choices, value=self.example, allow_custom_value=True, **about)
        if self._is_number and self.schema.get("seen"):
            low, high = self.schema["seen"]
            low, high, step = scale(low, high, self.schema.get("step"))
            return gr.Slider(low, high, value=self.example, step=step, **about)
        if self._is_number:
            return gr.Number(value=self.example, **about)
        if self._kind == "boolean":
            return gr.Checkbox(value=bool(self.example), **about)
        lines = 3 if self.schema.get("maxLength", 0) > 10_000 else 1
        hint = self.schema.get("description")
        return gr.Textbox(value=self.example, lines=lines, placeholder=hint, **about)

    @property
    def _is_number(self) -> bool:
        return self._kind in ("number", "integer")

    @property
    def _kind(self) -> str:
        """The JSON type, of several the first that is not null."""
        parts = [self.schema, *self.schema.get("anyOf", [])]
        kinds = [part["type"] for part in parts if part.get("type") not in (None, "null")]
        return str(kinds[0]) if kinds else "string"


class Form:
    """The widgets of a model's input, made where they are to stand.

    Beside the fields there is one choice of those that are not known: a slider always says a
    number, also where there is none to say.

    Args:
        model: Whose input it is; its first example fills the form.
        names: How people say the names of fields, where they differ.
        first: The fields that are asked for; the others are folded away. Empty for all.
    """

    def __init__(self, model: Model, names: Mapping[str, str], first: Collection[str] = ()) -> None:
        fields = fields_of(model, names, first)
        folded = [field for field in fields if field.folded]
        self._asked = [field for field in fields if not field.folded]
        self._fields = [*self._asked, *folded]
        self._widgets = [field.widget() for field in self._asked]
        if folded:
            with gr.Accordion(
                f"{len(folded)} more fields; what stays empty is typical", open=False
            ):
                self._widgets += [field.widget() for field in folded]
        self._optional = [field for field in self._fields if field.can_be_unknown]
        self._unknown = self._choose_unknown() if self._optional else None

    @property
    def inputs(self) -> list[gr.components.Component]:
        """What an event takes, and `row` reads."""
        return [*self._widgets, *([self._unknown] if self._unknown else [])]

    def row(self, values: Sequence[Any]) -> dict[str, Any]:
        """What the form holds, as the API takes it; what is empty or not known is not given."""
        unknown = set(values[len(self._fields)] or ()) if self._unknown else set()
        pairs = zip(self._fields, values, strict=False)  # the last value is what is not known
        return {
            field.name: value
            for field, value in pairs
            if value is not None and value != "" and field.name not in unknown
        }

    def examples(self, model: Model) -> None:
        """Rows of the training data that fill the form; files are no text that could be shown."""
        if any(field.is_file for field in self._fields):
            return
        rows = [row.model_dump(mode="json", by_alias=True) for row in model.examples()[:SHOWN]]
        samples = [[row.get(field.name) for field in self._asked] for row in rows]
        filled = self._widgets[: len(self._asked)]
        if self._unknown is not None:
            filled.append(self._unknown)
            for sample, row in zip(samples, rows, strict=True):
                sample.append(self._missing(row))
        gr.Examples(samples, filled, label="examples")

    def _choose_unknown(self) -> gr.CheckboxGroup:
        first = {field.name: field.example for field in self._optional}
        unknown = gr.CheckboxGroup(
            [(field.label, field.name) for field in self._optional], value=self._missing(first),
            label="not known", elem_id="unknown",
        )  # fmt: skip
        for field, widget in zip(self._fields, self._widgets, strict=True):
            if field in self._optional:  # whoever sets it knows it
                known = f"(names) => [names.filter((name) => name !== {json.dumps(field.name)})]"
                event(widget, "input")(None, unknown, unknown, js=known)
        return unknown

    def _missing(self, row: Mapping[str, Any]) -> list[str]:
        return [field.name for field in self._optional if row.get(field.name) is None]


def event(component: gr.components.Component, name: str) -> Any:
    """An event of a component; Gradio makes them at run time, so no type knows them."""
    return getattr(component, name)


def fields_of(model: Model, names: Mapping[str, str], asked: Collection[str] = ()) -> list[Field]:
    """The fields of a model's input, with the values of its first example.

    Args:
        model: Whose input it is.
        names: How people say their names, where they differ.
        asked: Those that are not folded away; empty for all.
    """
    examples = model.examples()
    first = examples[0].model_dump(mode="json", by_alias=True) if examples else {}
    schema = model.input_type.model_json_schema(by_alias=True)
    files = file_fields(model.input_type)
    folded = set(schema["properties"]) - set(asked) if asked else set()
    return [
        Field(name, _flat(part), first.get(name), names, name in files, name in folded)
        for name, part in schema["properties"].items()
    ]


def scale(low: float, high: float, step: float | None) -> tuple[float, float, float]:
    """Round ends and a round step of a slider: 0 to 80 by 0.1 for ages of 0.42 to 80.

    Args:
        low: The least value seen.
        high: The greatest.
        step: What the values are multiples of, where they are.
    """
    if step == 1:
        return low, high, 1
    fine = 10.0 ** math.floor(math.log10((high - low) / STEPS)) if high > low else 0.1
    step = max(fine, step or 0)
    round_ = 10 * step
    ends = math.floor(low / round_) * round_, math.ceil(high / round_) * round_
    return round(ends[0], 9), round(ends[1], 9), round(step, 9)


def _flat(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with what its alternatives say of ranges and encodings."""
    merged: dict[str, Any] = {}
    for part in (*schema.get("anyOf", []), schema):
        merged |= {k: v for k, v in part.items() if v != "null"}
    return merged
