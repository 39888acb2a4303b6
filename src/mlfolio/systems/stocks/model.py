"""The stored model of stocks: prices in, the next close as a band out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import Field

from mlfolio.core.errors import FileError
from mlfolio.core.model import Input, Output
from mlfolio.core.run import DAMAGED

from .bands import Band
from .bars import Bars, Floats, rounded
from .candles import SHOWN
from .indicators import FEATURES, WARM_UP, features, log_returns, volatility
from .net import Forecaster
from .question import question_type
from .stored import Parts, read_stored, write_stored
from .windows import WIDEST

DISCLAIMER = "for learning, not financial advice"
SHOCK = 5.0  # times its expected volatility, from which a move is told


class PriceAnswer(Output):
    """The next close, and how sure it is not.

    Confidence is None: the chance that a price is exactly right is nought.

    Attributes:
        answer: The next trading day's close, in the unit of the last one.
        low: Lower end of its band.
        high: Upper end.
        level: Share of days whose close lies within their bands, in (0, 1).
        probabilities: Of a close above the last one, and of one that is not.
        last: The last close.
        day: Of which day that is.
        disclaimer: What this is for.
    """

    answer: float
    low: float
    high: float
    level: float = Field(gt=0, lt=1)
    probabilities: dict[str, float]
    last: float
    day: date
    disclaimer: str = DISCLAIMER


class PriceModel:
    """A net, its band, and the last days of the series that it was fitted on.

    Attributes:
        forecaster: The net with its scaling.
        band: Its errors on days that it did not learn from.
        level: Share of days that bands are to cover.
        series: The last days of each series, by ticker.
    """

    output_type: ClassVar[type[Output]] = PriceAnswer

    def __init__(
        self, forecaster: Forecaster, band: Band, level: float, series: Mapping[str, Bars]
    ) -> None:
        forecaster.net.cpu().eval()
        self.forecaster = forecaster
        self.band = band
        self.level = level
        self.series = {name: bars.last(self.fewest + SHOWN) for name, bars in series.items()}

    @property
    def fewest(self) -> int:
        """Days that a series must have: a window, and a warm-up of the indicators before it."""
        return WARM_UP + self.forecaster.window

    @cached_property
    def input_type(self) -> type[Input]:
        """A ticker, or prices."""
        return question_type(tuple(self.series), self.fewest)

    def predict(self, inputs: Sequence[Any]) -> list[PriceAnswer]:
        """Answers each question."""
        # One by one: the same prices get the same answer, whoever asks at the same time.
        return [self._answer(row) for row in inputs]

    def bars_of(self, row: Any) -> Bars:
        """The days that a question is about; no more of them than matter."""
        if row.prices is None:
            return self.series[row.ticker]
        found: Bars = row.prices.bars.last(self.fewest + SHOWN)
        return found

    def bands(self, bars: Bars, days: int) -> pd.DataFrame:
        """Forecast and band of the last days, each from the day before, and of the one to come.

        Args:
            bars: At least `fewest` days.
            days: How many forecasts; fewer where there are too few days.

        Returns:
            Columns `forecast`, `low`, `high` and `move`, the latter in units of volatility; the
            last row is of the day to come.
        """
        return self._bands(bars, features(bars), days)

    def _bands(self, bars: Bars, known: Floats, days: int) -> pd.DataFrame:
        ends = np.arange(max(self.fewest, len(bars) - days + 1) - 1, len(bars))
        moves = self.forecaster.moves(known, ends)
        unit, reach = volatility(log_returns(bars.close))[ends], self.band.reach(self.level)
        close = bars.close[ends]
        sides = {"forecast": moves, "low": moves - reach, "high": moves + reach}
        prices = {name: close * np.exp(unit * each) for name, each in sides.items()}
        return pd.DataFrame({**prices, "move": moves})

    def examples(self) -> list[Input]:
        """The series that it was fitted on."""
        return [self.input_type.model_validate({"ticker": name}) for name in self.series]

    def save(self, folder: Path) -> None:
        """Writes tensors as safetensors, and what is no tensor as JSON."""
        write_stored(Parts(self.forecaster, self.band, self.level, self.series), folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote.

        Raises:
            FileError: It is damaged, or so changed that no forecast comes of it.
        """
        model = cls(*read_stored(folder))
        with np.errstate(over="ignore"):
            bands = model.bands(next(iter(model.series.values())), 1)
        if not np.isfinite(bands.to_numpy()).all():  # weights may be finite and absurd
            said = f"the model in {folder} is damaged: its forecasts are no numbers"
            raise FileError(said, DAMAGED)
        return model

    def _answer(self, row: Any) -> PriceAnswer:
        bars = self.bars_of(row)
        known, told = features(bars), list(row.prices.notes if row.prices else ())
        if row.prices is not None and row.ticker is not None:
            told.append(f"prices were sent, so {row.ticker} was not looked at")
        (last,) = self._bands(bars, known, 1).to_dict("records")
        rise = float(self.band.above(np.array([last["move"]]))[0])
        return PriceAnswer(
            answer=rounded(last["forecast"]),
            low=rounded(last["low"]),
            high=rounded(last["high"]),
            level=self.level,
            probabilities={"up": round(rise, 4), "not up": round(1 - rise, 4)},
            last=rounded(float(bars.close[-1])),
            day=bars.dates[-1].astype(date),
            warnings=[*told, *self._warnings(bars, known[-1:])],
        )

    def _warnings(self, bars: Bars, last: Floats) -> list[str]:
        """What of the last day is unusual: by its features, shape (1, features), or its move."""
        scaled = self.forecaster.scaler(last)[0]
        odd = [name for name, value in zip(FEATURES, scaled, strict=True) if abs(value) >= WIDEST]
        found = [f"the last day is unlike those of training: {', '.join(odd)}"] if odd else []
        returns = log_returns(bars.close)
        if abs(returns[-1]) > SHOCK * volatility(returns)[-2]:
            found.append(
                f"the last day moved by {np.expm1(returns[-1]):.1%}, far more than was to be "
                "expected: after such a day bands hold less often"
            )
        return found
