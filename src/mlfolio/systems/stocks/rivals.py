"""What else could be done: copy a price, or fit a cheaper model on lags and indicators."""

from __future__ import annotations

import lightgbm
import numpy as np
from sklearn.linear_model import LinearRegression
from threadpoolctl import threadpool_limits

from .bars import Floats
from .windows import Panel, Rows, Scaler

LSTM, LAST, SEASON, LINEAR, BOOST = "LSTM", "last value", "seasonal naive", "linear", "LightGBM"
LAGS = 20  # days whose returns the linear model and LightGBM see, beside today's indicators


def forecasts(panel: Panel, seen: Rows, unseen: Rows, asked: Rows, seed: int) -> dict[str, Floats]:
    """Closes of some rows by each rival.

    Args:
        panel: All rows.
        seen: Those that are learned from.
        unseen: Those that LightGBM stops by; the linear model learns from them too.
        asked: Those to answer.
        seed: Of LightGBM.
    """
    scaler = Scaler.of(panel.features[panel.ends[seen]])
    known, moves = np.concatenate([seen, unseen]), panel.moves
    with threadpool_limits(1):
        linear = LinearRegression().fit(_lagged(panel, known, scaler), moves[known])
        boost = _boost(panel, seen, unseen, scaler, seed)
        table = _lagged(panel, asked, scaler)
        said = {LINEAR: linear.predict(table), BOOST: np.asarray(boost.predict(table))}
    return {
        LAST: panel.last[asked],
        SEASON: panel.season[asked],
        **{name: panel.prices(each, asked) for name, each in said.items()},
    }


def _boost(
    panel: Panel, seen: Rows, unseen: Rows, scaler: Scaler, seed: int
) -> lightgbm.LGBMRegressor:
    model = lightgbm.LGBMRegressor(
        n_estimators=500, learning_rate=0.02, num_leaves=8, min_child_samples=50, subsample=0.7,
        subsample_freq=1, colsample_bytree=0.5, n_jobs=1, verbose=-1, random_state=seed,
    )  # fmt: skip
    return model.fit(
        _lagged(panel, seen, scaler), panel.moves[seen],
        eval_X=_lagged(panel, unseen, scaler), eval_y=panel.moves[unseen],
        callbacks=[lightgbm.early_stopping(50, verbose=False)],
    )  # fmt: skip


def _lagged(panel: Panel, rows: Rows, scaler: Scaler) -> Floats:
    """Today's indicators and the returns of the days before, shape (n, features + lags)."""
    days, ends = scaler(panel.features), panel.ends[rows]
    lags = days[ends[:, None] - np.arange(1, LAGS + 1), 0]
    return np.column_stack([days[ends], lags]).astype(np.float64)
