"""Who stocks is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=10,
    slug="stocks",
    title="Stock prices",
    summary="Daily prices in; tomorrow's close as a band, and proof of how little can be known.",
    kind="series",
    level="intermediate",
    dataset="stocks",
    extra="deep",
    promises=(
        Promise(metric="relative RMSE", target=0.05, direction="lower"),
        Promise(metric="relative MAE", direction="lower"),
        Promise(metric="MASE", direction="lower"),
        Promise(metric="direction accuracy"),
        Promise(metric="interval coverage"),
        Promise(metric="relative interval width", direction="lower"),
        Promise(metric="Sharpe ratio after costs"),
        Promise(metric="control: MASE", direction="lower"),
    ),
    method=(
        "An LSTM reads 60 days of indicators, none of which looks ahead, and says the next day's "
        "return in units of its expected volatility; normalised conformal intervals say how sure "
        "that is. One net for all tickers. Walk-forward evaluation beside last value, seasonal "
        "naive, linear regression and LightGBM; a backtest with costs beside buy-and-hold; and a "
        "control, in which the same code finds what was put into a made-up series."
    ),
    intended_use="Learning how to measure forecasts. It is not financial advice.",
    limits=(
        "For learning, not financial advice: a price RMSE below 5 % is what copying yesterday's "
        "price reaches, and no forecast of the direction is promised.",
        "Official data are seven large American stocks that still exist and one index: those that "
        "went under are not in it, so buy-and-hold looks better than it was.",
        "The backtest trades at the closing price that it has just seen, pays costs in proportion, "
        "moves no price, and gets no interest while it holds nothing.",
        "Intervals hold on average over days and tickers, less often when markets turn wild.",
        "The stored model holds the last year of each series that it was fitted on.",
    ),
)
