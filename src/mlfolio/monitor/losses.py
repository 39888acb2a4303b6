"""How far an answer is from the truth, for any kind of answer: what two models are compared by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

CERTAIN = 1e-6  # a chance of nought that came true costs no more than this one


def is_number(output: Mapping[str, Any]) -> bool:
    """Whether an output, by field, answers with a number, and not with a class that is one."""
    return (
        isinstance(output["answer"], int | float)
        and not isinstance(output["answer"], bool)
        and "probabilities" not in output
    )


def error(output: Mapping[str, Any], truth: Any) -> float:
    """The absolute error of a number; else 0 for the right answer, and 1."""
    if is_number(output):
        return abs(float(output["answer"]) - float(truth))
    return float(name_of(output["answer"]) != name_of(truth))


def surprise(output: Mapping[str, Any], truth: Any) -> float:
    """The log loss, in nats: how little was expected what was true."""
    return -math.log(max(CERTAIN, output["probabilities"].get(name_of(truth), 0.0)))


def name_of(label: Any) -> str:
    """A class as probabilities call it: in a file 1 may be 1.0, or text."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)
