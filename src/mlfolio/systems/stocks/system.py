"""Stocks: an LSTM on sixty days of indicators, measured beside copying yesterday's price."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.parts.torch.figures import learning_curve
from mlfolio.parts.torch.training import Recipe
from mlfolio.report.words import number

from . import figures
from .backtest import accounts, sharpe_score
from .candles import SHOWN, candles
from .card import CARD
from .data import Market, load_market
from .judge import PROTOCOL, Judge, diebold_table, in_words
from .model import PriceModel
from .rivals import LINEAR, LSTM, SEASON
from .sample import CYCLE, foreseeable
from .stored import Hidden, Level, Window
from .walk import Learner, walk
from .windows import Panel

CONTROL_DAYS = 2000
GOAL = CARD.primary.target or 0.0


class Stocks(System):
    """The next day's close of any stock, as a band."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = PriceModel

    tickers: str = Field(
        "", description="which of Yahoo's or of your folder, separated by commas; empty: all"
    )
    folds: int = Field(5, ge=1, le=50, description="stretches that are answered, each learned for")
    epochs: int = Field(20, ge=1, le=500, description="passes over the training days at most")
    patience: int = Field(4, ge=1, le=100, description="passes without a better one, then it stops")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="its peak; it warms up and falls")
    window: Window = Field(60, description="days that the LSTM reads")
    hidden: Hidden = Field(32, description="width of the LSTM")
    level: Level = Field(0.9, description="share of days that bands are to cover")
    season: int = Field(5, ge=2, le=60, description="days after which seasonal naive repeats")
    cost_bps: float = Field(
        5.0, ge=0, le=1000, description="cost of a trade in the backtest, in basis points"
    )

    def load(self, source: Source) -> Market:
        """Yahoo's files, the sample, or the user's own."""
        return load_market(source, self.tickers)

    def fit(self, data: Market, run: Run) -> PriceModel:
        """Trains on all days; the last 15 % say when to stop and how far off forecasts are."""
        figures.describe(data.series, run)
        panel = Panel.of(data.series, self.window, self.season)
        learned = self._learner.learn(panel, panel.everything, run, "net")
        learning_curve(
            learned.history, run, "minus validation loss",
            caption="The line is at the epoch that was taken: there is little to learn.",
        )  # fmt: skip
        model = PriceModel(learned.forecaster, learned.band, self.level, data.series)
        name, bars = next(iter(model.series.items()))
        band = model.bands(bars, SHOWN + 1)
        caption = f"{self.level:.0%} bands, each from the day before; these days were learned from."
        run.figure("The last days", candles(bars, band, name), caption)
        return model

    def evaluate(self, model: PriceModel, data: Market, run: Run) -> Evaluation:
        """Walks forward beside the rivals, trades by what was said, and tries the control."""
        panel = Panel.of(data.series, self.window, self.season)
        found = walk(panel, self._learner, self.folds, self.level, run, "walk")
        judge = Judge(panel, found, PROTOCOL.format(folds=self.folds), run.seed)
        errors, tests = judge.errors(), judge.tests()
        if errors[0].strong is not None:
            run.note(in_words(errors[0], errors[0].strong, tests[LSTM], GOAL))
        run.table("Beside copying", diebold_table(judge, tests), "Diebold-Mariano against copying.")
        figures.beside_truth(panel, found, run)
        run.table("By ticker", judge.table(self.level), "RMSE and MAE in the unit of the price.")
        run.table("Bands, year by year", judge.by_year(self.level))
        fortunes = accounts(panel, found, self.cost_bps, run.seed)
        figures.fortunes(fortunes, self.cost_bps, run)
        protocol = (
            f"{judge.protocol}; {self.cost_bps:g} basis points a trade, equal shares of all tickers"
        )
        return Evaluation(
            scores=(
                *errors,
                judge.direction(),
                *judge.bands(self.level),
                sharpe_score(fortunes, protocol, run.seed),
                self._control(run),
            )
        )

    def _control(self, run: Run) -> Score:
        """The same code on a series with something to find: what is not found has to be not there.

        Without it, "no better than copying" could be a mistake in the program.
        """
        bars, _ = foreseeable(CONTROL_DAYS, run.seed)
        panel = Panel.of({"control": bars}, self.window, season=CYCLE)
        found = walk(panel, self._learner, 1, self.level, run, "control")
        protocol = (
            f"a made-up price that swings in about {CYCLE} days; learned from the first three "
            "fifths, measured on the rest; intervals by bootstrap over blocks of 20 days"
        )
        judge = Judge(panel, found, protocol, run.seed)
        score = judge.mase("control: MASE", strong=LINEAR)
        run.note(_of_control(score))
        return score

    @property
    def _learner(self) -> Learner:
        recipe = Recipe(
            self.epochs, self.learning_rate, clip=1.0, betas=(0.9, 0.99), patience=self.patience
        )
        return Learner(self.window, self.hidden, recipe)


def _of_control(score: Score) -> str:
    """Whether what was put into the series was found."""
    naive = score.trivial.value if score.trivial else 0.0
    low, high = score.ci95 or (score.value, score.value)
    beats, so = "beats", "Where there is something to find, it is found."
    if high >= naive:
        beats, so = "does not surely beat", "So what is not found above may be there all the same."
    return (
        f"Positive control: on a made-up price that swings, the same code {beats} {SEASON}, MASE "
        f"{number(score.value)} ({number(low)} to {number(high)}) against {number(naive)}. {so}"
    )
