"""Segments: groups that are there are found, groups that are not are denied, and tills are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score, silhouette_samples

import mlfolio
from mlfolio.core.errors import FileError, KnobError, UnknownNameError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.run import Run
from mlfolio.core.source import SAMPLE, Source
from mlfolio.systems.segments import choose, clusters, judge, page, purchases, words
from mlfolio.systems.segments.data import Customers, generate, load_customers
from mlfolio.systems.segments.model import CUT, SegmentOutput, SegmentsModel
from mlfolio.systems.segments.purchases import Names
from mlfolio.systems.segments.system import Segments
from tests import till
from tests.conftest import Cli

QUICK = {"resamples": 10, "folds": 2, "max_k": 6}


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    points, kinds = make_blobs(300, centers=[[0, 0], [6, 0], [0, 6], [6, 6]], random_state=0)
    return clusters.Scale.learn(points).apply(points), kinds


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[SegmentsModel, Customers, Path]:
    """The model of the sample, its customers and its run's folder."""
    folder = tmp_path_factory.mktemp("shop")
    data = Segments().load(SAMPLE)
    return Segments(resamples=20).fit(data, Run("segments", folder)), data, folder


def load(table: pd.DataFrame, folder: Path, *columns: str, **names: str) -> Customers:
    table.to_csv(folder / "my.csv", index=False)
    return load_customers(Source.own(folder / "my.csv"), columns, Names(**names))


@pytest.mark.parametrize("k", [2, 3, 5])
def test_groups_that_are_there_are_found(k: int) -> None:
    turns = 2 * np.pi * np.arange(k) / k + 0.8
    points, kinds = make_blobs(
        150, centers=8 * np.column_stack([np.cos(turns), np.sin(turns)]), random_state=k
    )

    found = choose.evidence(clusters.Scale.learn(points).apply(points), 8, seed=0)

    assert found.grouped
    assert found.k == k
    labels, _ = clusters.nearest(points, clusters.k_means(points, k, seed=0))
    assert adjusted_rand_score(kinds, labels) > 0.98


@pytest.mark.slow
def test_groups_that_are_not_there_are_denied() -> None:
    """Of twenty crowds without groups at most two may be told to have some: one in 21 is chance."""
    rng = np.random.default_rng(0)
    crowds = [rng.uniform(size=(100, 2)) for _ in range(10)]
    crowds += [rng.normal(size=(100, 3)) for _ in range(10)]

    seen = [choose.evidence(clusters.Scale.learn(c).apply(c), 5, seed=0) for c in crowds]

    assert sum(found.grouped for found in seen) <= 2
    assert all(found.votes["gap"] == 1 for found in seen if not found.grouped)


@pytest.mark.slow
def test_a_crowd_without_groups_is_told_so_loudly(home: Path) -> None:
    rng = np.random.default_rng(0)
    pd.DataFrame(rng.uniform(size=(120, 2)), columns=["a", "b"]).to_csv("noise.csv", index=False)

    result = mlfolio.run("segments", data="noise.csv", **QUICK)

    assert "NO SEGMENTS" in (result.folder / "report.html").read_text("utf-8")
    model = mlfolio.load("segments")
    assert CUT in model.predict({"a": 0.5, "b": 0.5}).warnings
    silhouette = result.scores[0]
    assert silhouette.trivial is not None
    assert silhouette.value == pytest.approx(silhouette.trivial.value, abs=0.04)


def test_the_rule_for_k() -> None:
    votes = {"elbow": 4, "silhouette": 5, "Calinski-Harabasz": 9, "gap": 5}
    assert choose.decide(votes) == 5
    assert choose.decide(votes | {"gap": 9}) == 9
    assert choose.decide(votes | {"gap": 6}) == 5, "the silhouette's, where all differ"
    assert choose.decide(votes | {"gap": 4}) == 5, "the elbow does not vote"
    assert choose.elbow(np.array([100.0, 60, 20, 18, 16, 14])) == 3
    assert choose.within_one_error(np.array([0.1, 0.5, 0.9, 0.95]), np.full(4, 0.1)) == 3


def test_skewed_columns_become_logarithms() -> None:
    rng = np.random.default_rng(0)
    values = np.column_stack(
        [rng.lognormal(3, 1, 500), rng.normal(size=500), -rng.lognormal(size=500)]
    )
    scale = clusters.Scale.learn(values)
    assert scale.logged == [True, False, False]
    points = scale.apply(values)
    assert np.allclose(points.mean(axis=0), 0)
    assert np.allclose(points.std(axis=0), 1)
    assert np.isfinite(scale.apply([[-5.0, 1e300, -1e300]])).all()
    still = clusters.Scale.learn(np.column_stack([np.full(9, 7.0), 1e9 + 1e-9 * np.arange(9)]))
    assert still.logged == [False, False]
    assert np.isfinite(still.apply([[7.0, 1e9]])).all()


def test_bootstrap_agreement_tells_groups_from_noise(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    there = clusters.bootstrap(blobs[0], clusters.means, 4, 20, seed=0)
    noise = clusters.bootstrap(
        np.random.default_rng(0).uniform(size=(300, 2)), clusters.means, 5, 20, seed=0
    )
    assert there.mean() > 0.95
    assert noise.mean() < 0.85


def test_new_silhouettes_are_silhouettes(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    """A new point among others has the silhouette that it would have as one of them."""
    points, _ = blobs
    labels = clusters.means(4, seed=0).fit(points[:-1]).predict(points)
    found = judge.silhouettes_among(points[-1:], labels[-1:], points[:-1], labels[:-1])
    assert found[0] == pytest.approx(silhouette_samples(points, labels)[-1])


def test_few_ordinary_customers_are_unlike_anyone() -> None:
    """Measured on thousands who were not there when the distances were learned."""
    rng = np.random.default_rng(0)
    honest, naive = [], []
    for seed in range(10):
        kinds = rng.normal(scale=3, size=(8, 3))
        points, new = (
            kinds[rng.integers(8, size=n)] + rng.normal(size=(n, 3)) for n in (100, 1000)
        )
        honest.append(judge.unlike_anyone(new, points, 8, seed).mean())
        centres = clusters.k_means(points, 8, seed)
        (near, within), (far, beyond) = (clusters.nearest(p, centres) for p in (points, new))
        radii = clusters.radii(points, centres)
        farthest = np.quantile(within / radii[near], 1 - clusters.ALARM)
        naive.append((beyond / radii[far] > farthest).mean())
    assert 0.003 < np.mean(honest) < 0.02
    assert np.mean(naive) > 2 * np.mean(honest), (
        "the distances of customers from centres that they made are too short"
    )


def test_a_stranger_is_unlike_anyone_and_nothing_is_sure(
    shop: tuple[SegmentsModel, Customers, Path],
) -> None:
    model, _, _ = shop
    usual, strange = _ask(
        model,
        {"age": 24, "visits per month": 9, "basket in EUR": 12},
        {"age": 90, "visits per month": 15, "basket in EUR": 120},
    )
    assert not usual.unlike_anyone
    assert usual.confidence is not None
    assert usual.confidence > 0.9
    assert usual.typical > 0.05
    assert strange.unlike_anyone
    assert strange.confidence is None
    assert any("unlike anyone seen" in warning for warning in strange.warnings)
    assert strange.distance > 3 * usual.distance


@pytest.mark.slow
def test_confidence_is_how_often_the_whole_population_agrees() -> None:
    """Kinds that overlap: what a small sample is sure of, held against all there are."""
    rng = np.random.default_rng(0)
    kinds = np.array([[0, 0], [2.5, 0], [0, 2.5], [2.5, 2.5]])

    def customers(n: int) -> np.ndarray:
        return kinds[rng.integers(4, size=n)] + rng.normal(size=(n, 2))

    everybody = clusters.k_means(customers(10_000), 4, seed=0)
    sure, true = [], []
    for seed in range(8):
        points, new = customers(150), customers(2000)
        centres = clusters.k_means(points, 4, seed)
        answers, truth = (clusters.nearest(new, each)[0] for each in (centres, everybody))
        true.append(clusters.matched(truth, answers, 4)[truth] == answers)
        sure.append(clusters.agreeing(new, centres, clusters.refitted(points, centres, 25, seed)))
    said, came = np.concatenate(sure), np.concatenate(true)
    bins = np.digitize(said, [0.5, 0.7, 0.9])
    errors = [abs(said[bins == b].mean() - came[bins == b].mean()) for b in range(4)]
    assert max(errors) < 0.12
    assert np.average(errors, weights=np.bincount(bins)) < 0.06


def test_confidence_falls_between_segments(shop: tuple[SegmentsModel, Customers, Path]) -> None:
    model, _, _ = shop
    one, other = model.centres[:2]
    middle = (one + other) / 2
    near = clusters.agreeing(np.array([one, middle]), model.centres, model.refits)
    assert near[0] == 20.5 / 21, "all refits agree, which makes nothing certain"
    assert near[1] < 0.95


def test_reasons_add_up_to_the_difference_of_squared_distances(
    shop: tuple[SegmentsModel, Customers, Path],
) -> None:
    model, data, _ = shop
    points = model.scale.apply(data.X.head(5))
    distances = np.sort(np.linalg.norm(points[:, None] - model.centres, axis=2), axis=1)
    rows = parse_inputs(model, data.X.head(5).to_dict("records"))
    for (near, next_, *_), reasons in zip(distances, model.explain(rows), strict=True):
        total = sum(reason.effect for reason in reasons)
        assert total == pytest.approx(next_**2 - near**2)
        assert total >= 0
        assert {reason.feature for reason in reasons} == set(model.schema.names)


def test_every_customer_is_in_the_table_of_segments(
    shop: tuple[SegmentsModel, Customers, Path],
) -> None:
    model, data, folder = shop
    table = pd.read_csv(folder / "segments.csv")
    assert list(table["customer_id"]) == list(data.table["customer_id"])
    assert table["segment"].value_counts().sort_index().tolist() == [
        segment.customers for segment in model.segments
    ]
    answers = model.predict(parse_inputs(model, data.X.head(20).to_dict("records")))
    assert [answer.segment for answer in answers] == list(table["segment"].head(20))  # type: ignore[attr-defined]


def test_segments_have_names_of_their_own_and_units(
    shop: tuple[SegmentsModel, Customers, Path],
) -> None:
    model, _, _ = shop
    names = [segment.name for segment in model.segments]
    assert len(set(names)) == len(names) == 4
    assert any("young" in name for name in names)
    sizes = [segment.customers for segment in model.segments]
    assert sizes == sorted(sizes, reverse=True)
    assert "basket in EUR: median" in model.segments[0].description
    assert "% of customers" in model.segments[0].description


def test_segments_that_are_called_the_same_are_told_apart() -> None:
    rows = pd.DataFrame({"height (cm)": [100.0] * 4 + [180] * 4 + [181] * 4, "x": [0.0] * 12})
    rows.loc[6:7, "x"] = 1.0
    found = words.describe(rows, np.repeat([0, 1, 2], 4), 3)
    assert len({segment.name for segment in found}) == 3
    assert found[0].name == "low height"
    same = words.describe(rows.assign(**{"height (cm)": 1.0}), np.repeat([0, 1, 2], 4), 3)
    assert len({segment.name for segment in same}) == 3


@pytest.mark.parametrize(
    ("column", "low", "high"),
    [
        ("Age", "young", "older"),
        ("Annual Income (k$)", "low income", "high income"),
        ("days_since_login", "low days since login", "high days since login"),
        ("wage [EUR]", "low wage", "high wage"),
        ("(%)", "low (%)", "high (%)"),
    ],
)
def test_words_for_columns(column: str, low: str, high: str) -> None:
    assert (words.phrase(column, "low"), words.phrase(column, "high")) == (low, high)


def test_the_order_of_segments_does_not_depend_on_the_seed(
    blobs: tuple[np.ndarray, np.ndarray],
) -> None:
    one, other = (clusters.k_means(blobs[0], 4, seed) for seed in (1, 2))
    assert np.allclose(one, other)


def test_the_malls_customers_are_five_segments() -> None:
    """What was promised of the official data, as it was measured on them."""
    found = json.loads(
        files("mlfolio.systems.segments").joinpath("results.json").read_text("utf-8")
    )
    assert found["scores"][0]["protocol"].startswith("5 segments by Annual Income (k$), Spending")
    assert found["knobs"]["k"] is None


TILL = pd.DataFrame(
    [
        ("1", 7, "2024-01-01 10:00", 2, 5.0),
        ("1", 7, "2024-01-01 10:00", 1, 10.0),
        ("2", 7, "2024-01-09 23:00", 1, 4.0),
        ("C2", 7, "2024-01-10 08:00", -1, 4.0),
        ("3", 8, "2024-01-05 10:00", 1, 3.0),
        ("C3", 8, "2024-01-06 10:00", -1, 3.0),
        ("4", None, "2024-01-07 10:00", 1, 99.0),
        ("5", 9, "2024-01-10 22:00", 3, 1.0),
        ("6", 9, "2024-01-10 23:00", 1, 0.0),
    ],
    columns=["InvoiceNo", "CustomerID", "InvoiceDate", "Quantity", "UnitPrice"],
)


def test_customers_are_built_from_a_till(home: Path) -> None:
    names = purchases.find_names(TILL, Names(), "till.csv")
    assert names is not None
    customers, notes = purchases.by_customer(TILL, names, "till.csv")

    assert customers.to_dict("list") == {
        "CustomerID": [7, 9],
        "recency": [2.0, 1.0],
        "frequency": [2.0, 1.0],
        "monetary": [20.0, 3.0],
    }
    said = " ".join(note.message for note in notes)
    assert "days before 2024-01-11" in said
    assert "taken off the money: 2" in said
    assert "lack of customer, date or amount: 1" in said
    assert "gave back all they bought: 1" in said


@pytest.mark.slow
def test_a_till_over_the_command_line(cli: Cli, home: Path) -> None:
    table = till.purchases(90).rename(columns={"CustomerID": "who", "InvoiceDate": "when"})
    table.to_csv(home / "till.csv", index=False)

    outcome = cli("run", "segments", "customer=who", "date=when", "resamples=10", "folds=2",
                  "max_k=6", "--data", "till.csv")  # fmt: skip

    assert outcome.code == 0, outcome.err
    (folder,) = (home / "runs" / "segments").iterdir()
    assert set(pd.read_csv(folder / "segments.csv").columns) == {
        "who", "segment", "name", "distance",
    }  # fmt: skip
    assert "customers were built from" in (folder / "report.html").read_text("utf-8")
    answer = json.loads(
        cli("predict", "segments", "recency=3", "frequency=20", "monetary=900", "--json").out
    )
    assert " days, half of them" in answer["description"]
    assert {reason["feature"] for reason in answer["reasons"]} == {*purchases.RFM}
    assert "monetary" in cli("predict", "segments", "recency=3", "frequency=20").err


def people(rows: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "client_id": np.arange(rows) + 5,
            "spent": rng.lognormal(3, 1, rows).round(2),
            "visits": rng.integers(1, 30, rows),
            "member": rng.integers(0, 2, rows),
            "city": rng.choice(["Oslo", "Bergen"], rows),
            "note": [f"called on day {i}" for i in range(rows)],
        }
    )


def test_what_parts_the_customers_and_what_does_not_is_said(home: Path) -> None:
    table = people()
    table.loc[:3, "spent"] = np.nan
    data = load(table, home)
    assert data.features == ("spent", "visits")
    assert data.others == ("member", "city")
    assert data.ids == "client_id"
    said = " ".join(finding.message for finding in data.check())
    assert "in no segment, for lack of spent, visits: 4 of 80" in said
    assert "column 'note' is left out: it is free text" in said
    assert "column 'city' only describes the segments: it holds categories" in said
    assert "column 'member' only describes the segments: it has two values" in said
    assert len(data.known) == 76
    assert load(people(), home, "visits", "member").features == ("visits", "member")
    renamed = load(people().rename(columns={"spent": "paid", "client_id": "clientID"}), home)
    assert renamed.features == ("paid", "visits")
    assert renamed.ids == "clientID"


def test_columns_that_say_the_same_are_warned_of(home: Path) -> None:
    findings = load(people().assign(cents=lambda t: t["spent"] * 100), home).check()
    assert any("'spent' and 'cents' say the same" in finding.message for finding in findings)
    twice = load(pd.concat([people(), people()[:1]]), home).check()
    assert any("who stood there before, by 'client_id': 1" in f.message for f in twice)


@pytest.mark.parametrize(
    ("change", "columns", "said"),
    [
        (lambda t: t[:20], (), "20 different customers"),
        (lambda t: t[["client_id", "city", "note"]], (), "0 columns of numbers"),
        (lambda t: t, ("city", "spent"), "'city' is no column of numbers"),
        (lambda t: t, ("visits",), "1 columns of numbers"),
        (lambda t: t.assign(spent=1.0), ("visits", "spent"), "takes two that vary"),
        (lambda t: t.assign(spent=[1e200, *range(79)]), (), "is 1e\\+200 in row 1"),
        (lambda t: t.assign(spent=[np.inf, *range(79)]), (), "is infinite in row 1"),
    ],
)
def test_tables_that_cannot_be_used_are_explained(
    home: Path, change: object, columns: tuple[str, ...], said: str
) -> None:
    with pytest.raises(FileError, match=said):
        load(change(people()), home, *columns)  # type: ignore[operator]


def test_knobs_that_do_not_fit_are_explained(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'visits'"):
        load(people(), home, "visit", "spent")
    with pytest.raises(UnknownNameError, match="did you mean 'client_id'"):
        load(people(), home, customer="clientid")
    with pytest.raises(FileError, match="no column that looks like the date"):
        load(people(), home, customer="client_id")
    with pytest.raises(KnobError, match="your own purchases"):
        Segments(customer="x").load(SAMPLE)
    data = load(people(40), home)
    with pytest.raises(KnobError, match="k = 20 segments of 40 customers"):
        Segments(k=20).fit(data, Run("segments", tmp_path))


def test_a_thousand_equal_customers_break_nothing(home: Path, tmp_path: Path) -> None:
    """Some centres fall together, and some samples hold hardly anybody else."""
    table = pd.concat([people(60), *[people(1)] * 300], ignore_index=True)
    data = load(table.drop(columns="client_id"), home)
    system = Segments(resamples=10, folds=2, max_k=4)
    run = Run("segments", tmp_path)
    model = system.fit(data, run)
    assert system.evaluate(model, data, run)["silhouette"].n == 360


def test_the_page_shows_where_the_customer_lies(
    shop: tuple[SegmentsModel, Customers, Path],
) -> None:
    class Asked:
        model, run = shop[0], shop[2]

        def form(self, beside: Callable[[dict[str, Any]], str]) -> None:
            self.beside = beside

    asked = Asked()
    page.build(asked)  # type: ignore[arg-type]

    row = shop[0].examples()[0].model_dump(by_alias=True)
    assert 'src="data:image/png;base64,' in asked.beside(row)
    assert asked.beside({**row, "age": None}) == ""


@pytest.mark.slow
def test_many_customers_are_segmented_on_a_part_of_them(home: Path, tmp_path: Path) -> None:
    table = generate(30_000).drop(columns="card")
    table.to_parquet(home / "many.parquet")
    data = load_customers(Source.own(home / "many.parquet"), (), Names())
    model = Segments(resamples=10, max_k=5).fit(data, Run("segments", tmp_path))
    assert len(model.segments) == 4
    assert sum(segment.customers for segment in model.segments) == 30_000
    assert len(pd.read_csv(tmp_path / "points.csv")) == 1000
    assert len(model.usual.usual) == 1000


def _ask(model: SegmentsModel, *rows: dict[str, float]) -> list[SegmentOutput]:
    outputs = model.predict(parse_inputs(model, rows))
    assert all(isinstance(output, SegmentOutput) for output in outputs)
    return outputs  # type: ignore[return-value]
