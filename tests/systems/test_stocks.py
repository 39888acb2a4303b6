"""Stocks through its public doors: reading, indicators, bands, money, asking, own data."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from mlfolio.core.errors import DataUnavailableError, FileError, InputError, KnobError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.run import Run
from mlfolio.core.source import OFFICIAL, SAMPLE, Source
from mlfolio.data.tables import read_table
from mlfolio.parts.torch.training import Recipe
from mlfolio.systems.stocks import data as stocks_data
from mlfolio.systems.stocks.backtest import trade
from mlfolio.systems.stocks.bands import Band, adaptive_reaches
from mlfolio.systems.stocks.bars import Bars, find_splits, messages, read_bars
from mlfolio.systems.stocks.candles import candles
from mlfolio.systems.stocks.data import load_market
from mlfolio.systems.stocks.indicators import WARM_UP, features, macd, rsi
from mlfolio.systems.stocks.judge import Judge, diebold_mariano
from mlfolio.systems.stocks.model import DISCLAIMER, PriceAnswer, PriceModel
from mlfolio.systems.stocks.page import _chart
from mlfolio.systems.stocks.rivals import LAST, LSTM, SEASON
from mlfolio.systems.stocks.sample import foreseeable, unforeseeable
from mlfolio.systems.stocks.walk import CONSTANT, NORMALISED, Learner, part_by_time, stretches, walk
from mlfolio.systems.stocks.windows import Panel

MADE = unforeseeable(900, seed=5)
HASTY = Learner(window=20, hidden=4, recipe=Recipe(epochs=1, learning_rate=1e-3))


def csv(bars: Bars, **changes: object) -> str:
    return bars.frame.assign(**changes).to_csv(index=False)


def read(text: str, name: str = "my.csv") -> tuple[Bars, str]:
    """The bars of a text, and what was noticed."""
    path = Path(name)
    path.write_text(text, "utf-8")
    bars, found = read_bars(read_table(path), name)
    return bars, " | ".join(messages(found))


# Indicators


@settings(max_examples=30)
@given(day=st.integers(1, 399), factor=st.floats(0.2, 5), seed=st.integers(0, 5))
def test_no_indicator_looks_ahead(day: int, factor: float, seed: int) -> None:
    """Whatever comes after a day changes nothing of it."""
    bars = unforeseeable(400, seed)
    later = np.where(np.arange(400) >= day, factor, 1.0)
    other = Bars(
        bars.dates, bars.open * later, bars.high * later, bars.low * later,
        bars.close * later, bars.volume * later,
    )  # fmt: skip
    np.testing.assert_array_equal(features(bars)[:day], features(other)[:day])
    if abs(factor - 1) > 0.01:
        assert (features(bars)[day] != features(other)[day]).any()


def test_a_longer_past_changes_nothing_after_the_warm_up() -> None:
    """So that a model answers a year of prices as it was taught on twenty."""
    long, short = features(MADE), features(MADE.last(WARM_UP + 60))
    np.testing.assert_allclose(long[-60:], short[-60:], atol=0.02)


def test_rsi_is_wilders() -> None:
    close = np.array([10, 11, 10.5, 11.5, 12, 11.0])
    # of 3 days: ups 1, 0, 1, 0.5, 0 and downs 0, 0.5, 0, 0, 1
    up, down = 2 / 3, 0.5 / 3
    wanted = [100 * up / (up + down)]
    for rise, fall in ((0.5, 0), (0, 1)):
        up, down = (2 * up + rise) / 3, (2 * down + fall) / 3
        wanted.append(100 * up / (up + down))
    assert rsi(close, 3)[3:] == pytest.approx(wanted)
    assert rsi(np.full(30, 5.0)).tolist() == [50.0] * 30
    assert rsi(np.arange(1.0, 31.0))[-1] == 100


def test_macd_is_the_difference_of_two_averages() -> None:
    close = np.array([10.0, 13, 10])
    fast, slow = 10 + 3 * 2 / 3, 10 + 3 * 2 / 4
    fast, slow = fast + (10 - fast) * 2 / 3, slow + (10 - slow) * 2 / 4
    line, signal = macd(close, fast=2, slow=3, signal=1)
    assert line[-1] == pytest.approx(fast - slow)
    assert signal.tolist() == line.tolist()


# Files


def test_both_orders_of_columns_are_the_same(home: Path) -> None:
    frame = MADE.frame.assign(**{"Adj Close": MADE.close})
    new, _ = read(frame.to_csv(index=False))
    old, _ = read(
        frame[["Date", "Open", "High", "Low", "Close", "Volume", "Adj Close"]].to_csv(index=False)
    )
    for one, other in zip(new.frame.items(), old.frame.items(), strict=True):
        assert one[1].equals(other[1])


def test_a_split_is_made_good_by_adj_close_or_told(home: Path) -> None:
    halved = np.where(np.arange(900) < 500, 2.0, 1.0)
    raw = MADE.frame.copy()
    for column in ("Open", "High", "Low", "Close"):
        raw[column] *= halved
    bars, told = read(raw.to_csv(index=False))
    assert (
        f"looks like a split that prices are not adjusted for: {MADE.dates[500]} (2 for 1)" in told
    )
    bars, told = read(raw.assign(**{"Adj Close": MADE.close}).to_csv(index=False))
    assert "Adj Close does not" in told
    np.testing.assert_allclose(bars.close, MADE.close)
    np.testing.assert_allclose(bars.open, MADE.open)
    assert not find_splits(bars)


def test_a_dividend_is_in_the_return(home: Path) -> None:
    paid = np.where(np.arange(900) < 500, 0.98, 1.0)
    bars, _ = read(csv(MADE, **{"Adj Close": MADE.close * paid}))
    assert bars.close[-1] == MADE.close[-1]
    assert bars.close[500] / bars.close[499] == pytest.approx(
        MADE.close[500] / MADE.close[499] / 0.98
    )


def test_odd_files_are_read(home: Path) -> None:
    frame = MADE.frame
    bars, told = read(frame[::-1].to_csv(index=False))
    assert "put in order" in told
    assert bars.dates.tolist() == MADE.dates.tolist()
    bars, told = read(pd.concat([frame, frame[-1:].assign(Close=1.0)]).to_csv(index=False))
    assert (len(bars), bars.close[-1]) == (900, 1.0)
    assert "1 dates more than once" in told
    bars, told = read(frame.drop(columns="Volume").to_csv(index=False, sep=";", decimal=","))
    assert "my.csv has no volumes" in told
    _, told = read(csv(MADE, Volume=""))
    assert "my.csv has no volumes" in told
    np.testing.assert_allclose(bars.close, MADE.close)
    prices = [f"${price * 1000:,.2f}" for price in frame["Close"]]
    dates = frame["Date"].dt.strftime("%m/%d/%Y")
    dear = frame.assign(Close=prices, High=1e9 - 1, Low=1.0, Date=dates)
    bars, _ = read(dear.to_csv(index=False))
    np.testing.assert_allclose(bars.close, MADE.close * 1000, atol=0.01)
    assert bars.dates.tolist() == MADE.dates.tolist()
    text = frame.astype({"Close": object})
    text.loc[3:5, "Close"] = "null"
    bars, told = read(text.to_csv(index=False))
    assert len(bars) == 897
    assert "3 rows without a date or a price" in told
    bars, told = read(frame.drop(index=range(100, 200)).to_csv(index=False))
    assert "1 gaps of more than 10 days, the longest of 143" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Date,Close\n2020-01-01,1\n", "lacks 3 of the columns"),
        ("Date,Open,High,Low,Close\n2020-01-01,1,1,1,-1\n", "2020-01-01: prices are above nought"),
        ("Date,Open,High,Low,Close\n2020-01-01,1,1,1,0\n", "2020-01-01: prices are above nought"),
        ("Date,Open,High,Low,Close\n2020-01-01,1,1,2,1\n", "2020-01-01: low is not above high"),
        ("Date,Open,High,Low,Close\n2020-01-01,1,inf,1,1\n", "prices are below 1,000,000,000"),
        ("Date,Open,High,Low,Close\n2020-01-01,1,1,1,abc\n", "'abc'"),
        ("Date,Open,High,Low,Close\n2020-01-01,1,1,1,'0,9,7'\n".replace("'", '"'), "'0,9,7'"),
        ("Date,Open,High,Low,Close\n2020-01-01,1,1,1e-320,1\n", "prices are 1e-09 or more"),
        ("Date,Open,High,Low,Close,Adj Close\n2020-01-01,1,1,1,1,1e8\n", "Adj Close is near"),
        ("Date,Open,High,Low,Close\nsoon,1,1,1,1\n", "'soon'"),
        ("Date,Open,High,Low,Close\n2020-01-01,,1,1,1\n", "no row with a date and all prices"),
        ("Date,Open,High,Low,Close,Volume\n2020-01-01,1,1,1,1,-5\n", "volumes are not below"),
    ],
)
def test_what_prices_cannot_be_is_refused(home: Path, text: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read(text)


@pytest.mark.parametrize(
    ("factor", "form", "unit", "warned"),
    [
        (1, "{:.2f}", 1, False),
        (1, "{:.3f}", 1000, True),  # 50,123: nothing tells
        (1000, "{:.2f}", 1, False),  # 50,123.40
        (0.01, "{:.3f}", 1, False),  # 0,501
        (100, "{:.3f}", 1, False),  # 5012,340
    ],
)
def test_all_commas_together_say_what_they_are(
    home: Path, factor: float, form: str, unit: int, warned: bool
) -> None:
    """And if they do not, how they were read is said."""
    prices = MADE.frame[["Open", "High", "Low", "Close"]] * factor
    grouped = factor == 1000
    texts = prices.map(
        lambda price: f"{price:,.2f}" if grouped else form.format(price).replace(".", ",")
    )
    bars, told = read(MADE.frame.assign(**texts).to_csv(index=False))
    np.testing.assert_allclose(bars.close, MADE.close * factor * unit, rtol=2e-3)
    assert ("were read as" in told) == warned
    assert ("if the comma is before decimals, write" in told) == warned
    if warned:
        bars, told = read(MADE.frame.assign(**texts, Volume="1,234,567").to_csv(index=False))
        assert "were read as" not in told, "the volumes have commas between thousands"
        assert len(bars) == 900


def test_rows_that_are_no_days_of_the_past_are_told(home: Path) -> None:
    weeks = pd.date_range("2000-01-07", periods=900, freq="W")
    assert (
        "most rows are 7 days apart; the model is for trading days"
        in read(csv(MADE, Date=weeks))[1]
    )
    months = pd.date_range("1930-01-01", periods=900, freq="MS")
    _, told = read(csv(MADE, Date=months))
    assert "most rows are 31 days apart" in told
    assert "gaps" not in told
    soon = pd.bdate_range(end=pd.Timestamp.now() + pd.Timedelta(days=30), periods=900)
    assert "days are in the future" in read(csv(MADE, Date=soon))[1]
    assert "future" not in read(csv(MADE))[1]


@pytest.mark.parametrize("adjusted", [False, True])
def test_what_yfinance_writes_is_read(home: Path, adjusted: bool) -> None:
    frame = MADE.frame[["Date", "Close", "High", "Low", "Open", "Volume"]]
    if adjusted:
        frame.insert(1, "Adj Close", MADE.close)
    names, *days = frame.to_csv(index=False).splitlines()
    more = names.count(",")
    head = [names.replace("Date", "Price"), "Ticker" + ",AAPL" * more, "Date" + "," * more]
    bars, told = read("\n".join([*head, *days]))
    pd.testing.assert_frame_equal(bars.frame, MADE.frame)
    assert not told


def test_a_day_is_that_of_the_exchange(home: Path) -> None:
    local = [f"{day:%Y-%m-%d} 00:00:00+09:00" for day in MADE.frame["Date"]]
    bars, _ = read(csv(MADE, Date=local))
    assert bars.dates.tolist() == MADE.dates.tolist()


def test_a_price_that_stands_still_is_refused(home: Path) -> None:
    still = np.where(np.arange(900) < 700, MADE.close, MADE.close[699])
    prices = dict.fromkeys(("Open", "High", "Low", "Close"), still)
    Path("halted.csv").write_text(csv(MADE, **prices), "utf-8")
    day = MADE.dates[699]
    with pytest.raises(FileError, match=f"from {day} on the close does not move for 201 days"):
        load_market(Source.own("halted.csv"), "")


def test_two_files_of_one_ticker_are_refused(home: Path) -> None:
    folder = home / "two"
    folder.mkdir()
    for name in ("AAPL.csv", "aapl.csv"):
        (folder / name).write_text(csv(MADE), "utf-8")
    with pytest.raises(FileError, match=r"AAPL.csv and aapl.csv are of one ticker"):
        load_market(Source.own(folder), "")


def test_own_files_and_folders(home: Path) -> None:
    Path("MINE.csv").write_text(csv(MADE))
    data = load_market(Source.own("MINE.csv"), "")
    assert list(data.series) == ["MINE"]
    assert data.info.rows == {"series": 1, "days": 900}
    Path("folder").mkdir()
    for name in ("AA", "BB"):
        Path(f"folder/{name}.csv").write_text(csv(MADE))
    assert list(load_market(Source.own("folder"), "").series) == ["AA", "BB"]
    assert list(load_market(Source.own("folder"), "BB").series) == ["BB"]
    with pytest.raises(KnobError, match="no 'CC' in folder"):
        load_market(Source.own("folder"), "CC")
    with pytest.raises(KnobError, match="its own series"):
        load_market(SAMPLE, "AAPL")
    Path("short.csv").write_text(csv(MADE.last(499)))
    with pytest.raises(FileError, match="499 days; at least 500"):
        load_market(Source.own("short.csv"), "")
    Path("empty").mkdir()
    with pytest.raises(FileError, match="no CSV in"):
        load_market(Source.own("empty"), "")
    rare = np.repeat(MADE.close[::2], 2)
    Path("stale.csv").write_text(csv(MADE, Open=rare, High=rare, Low=rare, Close=rare))
    assert "the close is that of the day before" in load_market(
        Source.own("stale.csv"), "").check()[-1].message  # fmt: skip


def test_official_prices_by_hand_or_from_yahoo(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yfinance", None)
    monkeypatch.setattr("mlfolio.systems.stocks.yahoo.find_spec", lambda name: None)
    with pytest.raises(DataUnavailableError, match=r"AAPL\.csv"):
        load_market(OFFICIAL, "")
    with pytest.raises(FileError, match="no prices of 'NVDA'"):
        load_market(OFFICIAL, "NVDA")
    with pytest.raises(KnobError, match=r"'\.\./x' is none"):
        load_market(OFFICIAL, "../x")
    asked = []

    class Ticker:
        def __init__(self, name: str) -> None:
            self.name = name

        def history(self, **options: object) -> pd.DataFrame:
            asked.append(self.name)
            if self.name == "GONE":
                raise RuntimeError("no network")
            if self.name == "NONE":
                return pd.DataFrame()
            frame = MADE.frame.set_index(pd.DatetimeIndex(MADE.frame["Date"], tz="UTC"))
            return frame.drop(columns="Date").assign(**{"Adj Close": MADE.close, "Dividends": 0.0})

    monkeypatch.setattr("mlfolio.systems.stocks.yahoo.find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "yfinance", SimpleNamespace(Ticker=Ticker))
    data = load_market(OFFICIAL, "NVDA")
    np.testing.assert_allclose(data.series["NVDA"].close, MADE.close)
    load_market(OFFICIAL, "NVDA")
    assert asked == ["NVDA"], "what is there is not fetched again"
    kept = home / "data" / "stocks" / "NVDA.csv"
    os.utime(kept, (0, 0))
    assert not load_market(OFFICIAL, "NVDA").notes
    assert asked == ["NVDA", "NVDA"], "but after a day"
    assert kept.stat().st_mtime > 0
    gone, fixed = kept.with_name("GONE.csv"), kept.with_name("AAPL.csv")
    for path in (gone, fixed):
        path.write_bytes(kept.read_bytes())
        os.utime(path, (time.time() - 10 * 86_400,) * 2)
    (told,) = load_market(OFFICIAL, "GONE").check()
    assert told.message == "GONE.csv is 10.0 days old, and so may be its last price"
    assert "no network" in told.fix
    (told,) = load_market(OFFICIAL, "AAPL").check()
    assert "put a newer one there" in told.fix
    assert asked[2:] == ["GONE"], "the data set stays what scores were measured on"
    gone.unlink()
    for name, message in (("GONE", "no network"), ("NONE", "Yahoo gave no prices")):
        with pytest.raises(DataUnavailableError, match=message):
            load_market(OFFICIAL, name)
    assert len(load_market(OFFICIAL, "").series) == 8
    assert not list((home / "data" / "stocks").glob(".*")), "nothing half-written is left"


# Measuring


def test_nothing_is_learned_from_what_is_answered() -> None:
    panel = Panel.of({"a": MADE, "b": MADE.last(700)}, 60)
    parts = list(stretches(panel, 4))
    asked = np.concatenate([asked for _, asked in parts])
    assert len(np.unique(asked)) == len(asked)
    for known, asked in parts:
        gap = np.busday_count(panel.dates[known].max(), panel.dates[asked].min())
        assert gap > 5
        seen, unseen = part_by_time(panel, known)
        assert np.busday_count(panel.dates[seen].max(), panel.dates[unseen].min()) > 5


def test_rows_are_what_they_say() -> None:
    panel = Panel.of({"a": MADE}, 60, season=5)
    day = 300 - (WARM_UP + 59)
    assert panel.last[day] == MADE.close[300]
    assert panel.truth[day] == MADE.close[301]
    assert panel.season[day] == MADE.close[296]
    assert panel.dates[day] == MADE.dates[301]
    assert panel.prices(panel.moves, panel.everything) == pytest.approx(panel.truth)


@pytest.mark.slow
def test_the_net_finds_what_is_there_and_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    """The positive control, and the negative one beside it."""
    run = Run("control", tmp_path, seed=0)
    learner = Learner(30, 16, Recipe(20, 5e-3, clip=1.0, betas=(0.9, 0.99), patience=5))
    found = {}
    for name, bars in (("waves", foreseeable(1500)[0]), ("chance", unforeseeable(1500, 3))):
        panel = Panel.of({name: bars}, 30, season=20)
        judge = Judge(panel, walk(panel, learner, 1, 0.9, run, name), "a test", 0)
        found[name] = judge.mase("MASE", LAST), judge.tests()[LSTM]
    waves, test = found["waves"]
    assert waves.ci95[1] < 0.9 * waves.trivial.value
    assert waves.trivial.name == SEASON
    assert test.p < 0.001
    chance, test = found["chance"]
    assert chance.value == pytest.approx(chance.strong.value, rel=0.03)
    assert test.p > 0.01


def test_bands_hold_as_often_as_they_say(tmp_path: Path) -> None:
    panel = Panel.of({str(seed): unforeseeable(900, seed) for seed in range(6)}, 20)
    found = walk(panel, HASTY, 2, 0.8, Run("bands", tmp_path), "walk")
    judge = Judge(panel, found, "a test", 0)
    coverage, width = judge.bands(0.8)
    assert coverage.value == pytest.approx(0.8, abs=0.03)
    assert coverage.ci95[0] <= coverage.value <= coverage.ci95[1]
    assert width.value > 0
    calm = panel.unit[found.rows] < np.median(panel.unit[found.rows])
    off = {kind: abs(judge.inside(kind)[calm].mean() - judge.inside(kind)[~calm].mean())
           for kind in (NORMALISED, CONSTANT)}  # fmt: skip
    assert off[NORMALISED] < off[CONSTANT], "in calm and in wild times alike"
    rises = panel.truth[found.rows] > panel.last[found.rows]
    assert found.chances.mean() == pytest.approx(rises.mean(), abs=0.05)


def test_the_adaptive_band_catches_up_when_markets_turn_wild() -> None:
    rng = np.random.default_rng(0)
    calm, wild = np.abs(rng.normal(size=2000)), np.abs(rng.normal(size=3000)) * 1.6
    reaches = adaptive_reaches(calm, wild, 0.9)
    fixed = Band(np.sort(np.concatenate([calm, -calm]))).reach(0.9)
    assert (wild <= fixed).mean() < 0.75
    assert (wild <= reaches)[1000:].mean() == pytest.approx(0.9, abs=0.02)
    assert reaches[0] == pytest.approx(np.quantile(calm, 0.9), abs=0.02)


def test_diebold_mariano_knows_chance_from_skill() -> None:
    rng = np.random.default_rng(1)
    one = rng.normal(size=500) ** 2
    assert diebold_mariano(one, one + 0.5).p < 1e-6
    assert diebold_mariano(one, one + 0.5 * rng.random(500)).statistic < 0
    assert diebold_mariano(one, one).p == 1
    ps = [diebold_mariano(*rng.normal(size=(2, 200)) ** 2).p for _ in range(400)]
    assert np.mean(np.array(ps) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_costs_are_paid_for_each_change() -> None:
    dates = np.repeat(np.arange("2020-01-01", "2020-01-05", dtype="datetime64[D]"), 2)
    series = np.tile([0, 1], 4)
    held = np.array([1, 0, 1, 0, 0, 1, 0, 1], dtype=bool)
    moves = np.array([0.1, 0.5, -0.1, 0.5, 0.5, 0.02, 0.5, 0.0])
    account = trade(dates, series, held, moves, cost_bps=100)
    assert account.returns.tolist() == pytest.approx([0.045, -0.05, 0.0, 0.0])
    assert account.turnover.tolist() == pytest.approx([0.5, 0.0, 1.0, 0.0])
    assert account.facts["worst drawdown"] == pytest.approx(-0.05)


def test_a_day_on_which_others_trade_costs_nothing() -> None:
    dates = np.array(
        ["2020-01-01", "2020-01-01", "2020-01-02", "2020-01-03", "2020-01-03"], "M8[D]"
    )
    series, held = np.array([0, 1, 0, 0, 1]), np.ones(5, dtype=bool)
    account = trade(dates, series, held, np.zeros(5), cost_bps=100)
    assert account.turnover.tolist() == [1.0, 0.0, 0.0]


# Asking


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PriceModel:
    panel = Panel.of({"UP": MADE}, 20)
    run = Run("model", tmp_path_factory.mktemp("model"))
    learned = HASTY.learn(panel, panel.everything, run, "net")
    return PriceModel(learned.forecaster, learned.band, 0.9, {"UP": MADE})


def ask(model: PriceModel, **row: object) -> PriceAnswer:
    (answer,) = model.predict(parse_inputs(model, [row]))
    return answer


def test_prices_in_any_form_get_the_answer_of_the_ticker(model: PriceModel) -> None:
    known, text = ask(model, ticker="up"), csv(MADE)
    assert known.low < known.answer < known.high
    assert known.disclaimer == DISCLAIMER
    assert known.day.isoformat() == str(MADE.dates[-1])
    assert known.last == pytest.approx(MADE.close[-1], rel=1e-5)
    assert sum(known.probabilities.values()) == pytest.approx(1)
    for form in (text, text.encode(), base64.b64encode(text.encode()).decode()):
        sent = ask(model, prices=form)
        assert (sent.answer, sent.low, sent.high) == pytest.approx(
            (known.answer, known.low, known.high)
        )


def test_the_unit_of_a_price_does_not_matter(model: PriceModel) -> None:
    cents = MADE.frame
    cents[["Open", "High", "Low", "Close"]] *= 100
    assert ask(model, prices=cents.to_csv(index=False)).answer == pytest.approx(
        100 * ask(model, ticker="UP").answer, rel=1e-4
    )


def test_a_penny_coin_has_a_price(model: PriceModel) -> None:
    coins = MADE.frame
    coins[["Open", "High", "Low", "Close"]] *= 1e-6
    answer = ask(model, prices=coins.to_csv(index=False))
    assert answer.answer == pytest.approx(1e-6 * ask(model, ticker="UP").answer, rel=1e-4)
    assert 0 < answer.low < answer.answer < answer.high


def test_wilder_days_get_wider_bands(model: PriceModel) -> None:
    calm = MADE.last(200).frame
    wild = calm.copy()
    wild.loc[wild.index[-1], ["Low", "Close"]] = 0.8 * wild["Low"].iloc[-1]
    one, other = (ask(model, prices=each.to_csv(index=False)) for each in (calm, wild))
    assert (other.high - other.low) / other.last > 1.5 * (one.high - one.low) / one.last
    assert "the last day moved by -" in other.warnings[-1]
    assert not one.warnings


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "give a ticker or prices"),
        ({"ticker": "UPP"}, "did you mean 'UP'"),
        ({"prices": "/etc/passwd"}, "no prices; they are"),
        ({"prices": "a\nb\n"}, "lacks 5 of the columns"),
        ({"prices": b"\x89PNG\r\n"}, "a picture"),
        ({"prices": ""}, "empty"),
        ({"prices": csv(MADE.last(50))}, "50 days; at least 120"),
        ({"prices": "x" * 8_000_000}, "6,000,000 bytes; prices may have 5,242,880"),
        ({"prices": b"x" * 5_242_881}, "5,242,881 bytes; prices may have 5,242,880"),
        ({"prices": csv(MADE, Low=1e6)}, "low is not above high"),
        ({"prices": 5}, "no prices"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    model: PriceModel, row: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        parse_inputs(model, [row])


def test_rows_of_days_are_told_how_to_ask(model: PriceModel) -> None:
    rows = MADE.frame.astype({"Date": str}).to_dict("records")
    with pytest.raises(FileError, match=r"each row is a day's prices.*\n.*prices=@FILE"):
        parse_inputs(model, rows)


def test_what_was_noticed_in_the_prices_is_said(model: PriceModel) -> None:
    newest_first = MADE.frame[::-1].to_csv(index=False)
    assert "put in order" in ask(model, prices=newest_first).warnings[0]
    other = unforeseeable(300, seed=9)
    both = ask(model, prices=csv(other), ticker="UP")
    assert both.last == pytest.approx(other.close[-1], rel=1e-5)
    assert both.warnings == ["prices were sent, so UP was not looked at"]


def test_a_stored_model_answers_the_same(model: PriceModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    loaded = PriceModel.load(tmp_path)
    assert ask(loaded, ticker="UP") == ask(model, ticker="UP")
    assert loaded.examples() == [] or loaded.examples()[0].ticker == "UP"
    logged = parse_inputs(model, [{"prices": csv(MADE)}])[0].model_dump(mode="json")
    again = ask(loaded, **{name: value for name, value in logged.items() if value is not None})
    assert again.answer == ask(model, ticker="UP").answer


@pytest.mark.parametrize(
    ("fact", "values"),
    [
        ("series", [[], "UP", ["UP", "UP"], ["DOWN"], [5], None]),
        ("features", [[], ["return"], "return", None]),
        ("hidden", [-4, 0, 5, 4.5, "4", True, 10**9, None]),
        ("window", [-20, 0, 121, 100, 20.5, "20", None]),
        ("level", [0, 1, -0.9, 2, "0.9", True, float("nan"), None]),
    ],
)
def test_stored_facts_that_cannot_be_are_refused(
    model: PriceModel, tmp_path: Path, fact: str, values: list[object]
) -> None:
    model.save(tmp_path)
    path = tmp_path / "model.json"
    facts = json.loads(path.read_text("utf-8"))
    for value in values:
        path.write_text(json.dumps(facts | {fact: value}), "utf-8")
        with pytest.raises(FileError):
            PriceModel.load(tmp_path)


Change = Callable[[Tensor], Tensor]


def last(value: float) -> Change:
    """What puts a value at the end of a tensor."""
    return lambda old: torch.cat([old.flatten()[:-1], old.new_tensor([value])]).reshape(old.shape)


SHAPES: list[Change] = [
    lambda old: old[:0], lambda old: old[None], lambda old: old.bool(),
    lambda old: old.to(torch.float16), lambda old: old.to(torch.int32),
]  # fmt: skip
NO_NUMBERS = [last(value) for value in (float("nan"), float("inf"), -float("inf"))]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("lstm.weight_hh_l0", [*NO_NUMBERS, lambda old: old[:, :-1]]),
        ("head.weight", NO_NUMBERS),
        ("head.bias", [*NO_NUMBERS, last(3e38)]),
        ("mean", [*NO_NUMBERS, lambda old: old[:-1]]),
        ("deviation", [*NO_NUMBERS, last(0.0), last(-1.0), lambda old: old[:-1]]),
        ("errors", [*NO_NUMBERS, last(-9.0), lambda old: old * 1e9]),
        ("dates/UP", [last(0), last(10**6), last(-(2**63)), last(2**63 - 1), lambda old: old[1:]]),
        ("close/UP", [*NO_NUMBERS, last(0.0), last(-1.0), last(1e300), lambda old: old[1:]]),
        ("low/UP", [*NO_NUMBERS, last(1e9)]),
        ("volume/UP", [*NO_NUMBERS, last(-1.0)]),
    ],
)
def test_stored_tensors_that_cannot_be_are_refused(
    model: PriceModel, tmp_path: Path, name: str, changes: list[Change]
) -> None:
    model.save(tmp_path)
    is_weight = name.startswith(("lstm", "head"))
    path = tmp_path / f"{'net' if is_weight else 'series'}.safetensors"
    tensors = load_file(path)
    for change in [*SHAPES, *changes]:
        save_file(tensors | {name: change(tensors[name]).contiguous()}, path)
        with pytest.raises(FileError):
            PriceModel.load(tmp_path)
    del tensors[name]
    save_file(tensors, path)
    with pytest.raises(FileError, match=name):
        PriceModel.load(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileError, match=r"damaged|no weights"):
        PriceModel.load(tmp_path)
    path.unlink()
    with pytest.raises(FileError, match=r"damaged|no weights"):
        PriceModel.load(tmp_path)


def test_a_title_is_no_formula(tmp_path: Path) -> None:
    bands = pd.DataFrame({"forecast": [1.0], "low": [0.9], "high": [1.1]}, index=MADE.dates[-1:])
    candles(MADE.last(30), bands, "US$_x^$").savefig(tmp_path / "chart.png")


def test_the_chart_shows_candles_band_and_disclaimer(model: PriceModel) -> None:
    html = _chart(model, {"ticker": "UP"})
    assert "data:image/png;base64," in html
    assert DISCLAIMER.capitalize() in html
    assert _chart(model, {"prices": b"nothing"}) == ""
    short = MADE.last(model.fewest)
    bands = model.bands(short, 61)
    assert len(bands) == 1
    assert candles(short, bands, "short").axes


def test_own_data_through_the_command_line(home: Path, cli: object) -> None:
    Path("my.csv").write_text(csv(MADE))
    done = cli("run", "stocks", "folds=1", "epochs=1", "--data", "my.csv", "--json")  # type: ignore[operator]
    assert done.code == 0, done.err
    answered = cli("predict", "stocks", "prices=@my.csv")  # type: ignore[operator]
    assert answered.code == 0, answered.err
    assert DISCLAIMER in answered.out
    table = cli("predict", "stocks", "--input", "my.csv")  # type: ignore[operator]
    assert (table.code, "mlfolio predict stocks prices=@FILE" in table.err) == (2, True)
    coins = MADE.frame
    coins[["Open", "High", "Low", "Close"]] *= 1e-6
    coins.to_csv("coins.csv", index=False)
    coin = cli("predict", "stocks", "prices=@coins.csv").out  # type: ignore[operator]
    assert "e-05" in coin.split("low: ")[1].splitlines()[0]
    report = next((home / "runs" / "stocks").glob("*/report.html")).read_text("utf-8")
    assert "Copying yesterday" in report
    assert "Positive control" in report
    assert stocks_data.FEWEST == 500
