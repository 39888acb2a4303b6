"""What an answer took: tokens, dollars where prices are known, seconds.

`MLFOLIO_LLM_PRICES` says what a million tokens cost in dollars, in and out, by the model's name:
`gpt-5-mini=0.25/2, claude-haiku-4-5=1/5`. It may also name a file that has one such price a line.
No prices are built in, for they change; of a model that has none no cost is claimed.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from mlfolio.core.errors import UserError
from mlfolio.core.trace import Called, Spent

LOG = logging.getLogger(__name__)
VARIABLE: Final = "MLFOLIO_LLM_PRICES"
_EXAMPLE = "write MODEL=IN/OUT in dollars a million tokens: gpt-5-mini=0.25/2"


class Price(NamedTuple):
    """Dollars for a million tokens, read and written."""

    input: float
    output: float


class Usage(BaseModel):
    """What one answer took.

    Attributes:
        input_tokens: That language models read; None where one of them did not tell.
        output_tokens: That they wrote, likewise.
        cost: In dollars: 0 where none was asked; None where a price or a count is not known.
        seconds: Of each stage; those of a stage within another are in both.
        remembered: Whether the answer had been given before, so that it cost nothing but what
            understanding the question did.
    """

    model_config = ConfigDict(frozen=True)

    input_tokens: int | None = Field(0, ge=0)
    output_tokens: int | None = Field(0, ge=0)
    cost: float | None = Field(0.0, ge=0)
    seconds: dict[str, float] = {}
    remembered: bool = False


def usage(spent: Spent, remembered: bool = False) -> Usage:
    """What was counted, as an answer tells it."""
    read = [call.input_tokens for call in spent.calls]
    written = [call.output_tokens for call in spent.calls]
    costs = [cost(call) for call in spent.calls]
    return Usage(
        input_tokens=_sum(read),
        output_tokens=_sum(written),
        cost=None if None in costs else math.fsum(each for each in costs if each is not None),
        seconds={name: round(seconds, 6) for name, seconds in spent.seconds.items()},
        remembered=remembered,
    )


def cost(call: Called) -> float | None:
    """Dollars of a call; None where its price or its tokens are not known.

    An answer is not lost for a file of prices that has gone since it began to be served.
    """
    try:
        price = prices().get(call.model)
    except UserError as error:
        LOG.error("no cost is claimed: %s", error.message)
        return None
    if price is None or call.input_tokens is None or call.output_tokens is None:
        return None
    return (call.input_tokens * price.input + call.output_tokens * price.output) / 1e6


def prices() -> Mapping[str, Price]:
    """The prices of `MLFOLIO_LLM_PRICES`, by model; none where it is not set.

    Raises:
        UserError: It cannot be read.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return {}
    if "=" in text:
        return _parsed(text)
    try:
        return _parsed(_content(text, Path(text).stat().st_mtime_ns))
    except (OSError, ValueError) as error:
        raise UserError(f"{VARIABLE}={text!r} is no file of prices: {error}", _EXAMPLE) from None


@lru_cache(maxsize=1)
def _content(path: str, changed: int) -> str:
    """A file's text; `changed` lets a new one be read."""
    return Path(path).read_text("utf-8")


@lru_cache(maxsize=4)
def _parsed(text: str) -> Mapping[str, Price]:
    found = {}
    for line in re.split(r"[,\n]", text):
        if not (line := line.partition("#")[0].strip()):
            continue
        model, _, price = line.rpartition("=")
        number = r"\s*(\d+(?:\.\d+)?)\s*"
        match = re.fullmatch(f"{number}/{number}", price)
        if not model.strip() or match is None:
            raise UserError(f"{VARIABLE} holds {line!r}, which is no price", _EXAMPLE)
        found[model.strip()] = Price(float(match[1]), float(match[2]))
    return found


def _sum(counts: list[int | None]) -> int | None:
    return None if None in counts else sum(count for count in counts if count is not None)
