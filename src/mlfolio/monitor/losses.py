"""How far an answer is from the truth, for any kind of answer: what two models are compared by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

CERTAIN = 1e-6  # a chance of nought that came true costs no more than this one


def is_class(output: Mapping[str, Any]) -> bool:
    """Whether an output, by field, answers with one of the classes it has probabilities of."""
    return name_of(output.get("answer")) in output.get("probabilities", ())


def is_amount(output: Mapping[str, Any]) -> bool:
    """Whether it answers with a number that can be nearly right, and not with a class that is one.

    A price beside the chances that it rises or falls is an amount.
    """
    answer = output.get("answer")
    is_number = isinstance(answer, int | float) and not isinstance(answer, bool)
    return is_number and not is_class(output)


def classes_of(outputs: Sequence[Mapping[str, Any]], truths: Sequence[Any]) -> list[str]:
    """The classes that probabilities are of; none where most truths are none of them.

    A chatbot's are of intents, and what would have been right is a text.
    """
    names = dict.fromkeys(name for output in outputs for name in output.get("probabilities", ()))
    among = sum(name_of(truth) in names for truth in truths)
    return list(names) if 2 * among >= len(truths) else []


def error(output: Mapping[str, Any], truth: Any) -> float:
    """The absolute error of an amount; else 0 for the right answer, and 1."""
    if is_amount(output):
        return abs(float(output["answer"]) - float(truth))
    return float(name_of(output["answer"]) != name_of(truth))


def surprise(output: Mapping[str, Any], truth: Any) -> float:
    """The log loss, in nats: how little was expected what was true."""
    return -math.log(max(CERTAIN, output["probabilities"].get(name_of(truth), 0.0)))


def brier(output: Mapping[str, Any], truth: Any) -> float:
    """Squared distance of probabilities from the truth, halved: in [0, 1]."""
    chances, true = output["probabilities"], name_of(truth)
    rest = sum(chance**2 for name, chance in chances.items() if name != true)
    return float(((1 - chances.get(true, 0.0)) ** 2 + rest) / 2)


def name_of(label: Any) -> str:
    """A class as probabilities call it: in a file 1 may be 1.0, or text."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)
