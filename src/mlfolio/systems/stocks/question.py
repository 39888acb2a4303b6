"""What the model is asked: the next close of a series that it knows, or of prices that are sent."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    create_model,
    model_validator,
)

from mlfolio.core.errors import FileError, nearest
from mlfolio.core.model import Input
from mlfolio.data.tables import read_table

from .bars import PRICES, Bars, messages, read_bars

MAX_BYTES = 5 * 2**20
FORMS = (
    "a CSV with Yahoo's columns (Date, Open, High, Low, Close, perhaps Adj Close and Volume), a "
    "row a trading day: its text, or the file in base64 (on the command line: prices=@FILE)"
)


class Asked(NamedTuple):
    """Prices that somebody asks about.

    Attributes:
        bars: The days.
        notes: What was noticed in them.
    """

    bars: Bars
    notes: list[str]


def read_prices(value: Any, fewest: int) -> Asked | None:
    """The prices in any of the forms that people send.

    Args:
        value: The text of a CSV, that in base64, or its bytes. Text is never taken for a path.
        fewest: Days that there must be.

    Raises:
        ValueError: It is none of these, too large, or holds what prices cannot be.
    """
    if value is None or isinstance(value, Asked):
        return value
    if not isinstance(value, str | bytes):
        raise ValueError(f"no prices; they are {FORMS}")
    content = value if isinstance(value, bytes) else _bytes_of(value)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{len(content):,} bytes; prices may have {MAX_BYTES:,}")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "prices"
        path.write_bytes(content)
        try:
            bars, found = read_bars(read_table(path), "prices")
        except FileError as error:
            raise ValueError(f"{error.message} ({error.fix})") from None
    if len(bars) < fewest:
        raise ValueError(f"{len(bars)} days; at least {fewest} are needed")
    return Asked(bars, messages(found))


def _bytes_of(text: str) -> bytes:
    """Of a CSV, which has lines, or of base64, which has none."""
    if "\n" in text.strip():
        return text.encode()
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"no prices; they are {FORMS}") from None


def write_prices(asked: Asked | None) -> str | None:
    """The same prices as the text of a CSV."""
    return None if asked is None else asked.bars.frame.to_csv(index=False)


class Question(Input):
    """One series: by its prices, or by its name where the model was fitted on it."""

    @model_validator(mode="before")
    @classmethod
    def _no_day(cls, row: Any) -> Any:
        """A table of prices has a day in each row, and none of them asks anything."""
        if isinstance(row, dict) and {str(name).lower() for name in row}.issuperset(PRICES):
            raise FileError(
                "each row is a day's prices; the model is asked about all days at once",
                "mlfolio predict stocks prices=@FILE.csv; in JSON, prices is the file's text",
            )
        return row

    @model_validator(mode="after")
    def _something(self) -> Question:
        if all(getattr(self, name) is None for name in ("ticker", "prices")):
            raise ValueError("give a ticker or prices")
        return self


def question_type(tickers: Collection[str], fewest: int) -> type[Question]:
    """The questions that a model takes which was fitted on some tickers.

    Args:
        tickers: Their names.
        fewest: Days that prices must have.
    """
    known = AfterValidator(partial(_known, tickers=tickers))
    ticker = Field(
        None, description="a series that the model was fitted on, where no prices are sent",
        json_schema_extra={"seen": list(tickers)},
    )  # fmt: skip
    prices = Annotated[
        Asked | None,
        PlainValidator(partial(read_prices, fewest=fewest)),
        PlainSerializer(write_prices),
        WithJsonSchema(
            {"anyOf": [{"type": "string", "contentEncoding": "base64"}, {"type": "null"}]}
        ),
    ]
    return create_model(
        "PriceQuestion",
        __base__=Question,
        ticker=(Annotated[str, known] | None, ticker),
        prices=(prices, Field(None, description=f"{FORMS}; {fewest} days at least")),
    )


def _known(ticker: str, tickers: Collection[str]) -> str:
    """A ticker by its own name, in whatever case."""
    by_upper = {name.upper(): name for name in tickers}
    if ticker.upper() not in by_upper:
        near = nearest(ticker, tickers)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ValueError(f"the model knows {', '.join(tickers)}{hint}")
    return by_upper[ticker.upper()]
