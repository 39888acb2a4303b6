"""Segments: k-means, the evidence for its k, and how much of it comes back in other customers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from pydantic import Field
from sklearn.metrics import adjusted_rand_score

from mlfolio.core.card import Card
from mlfolio.core.errors import KnobError
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Evaluation
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.data.labelled import ColumnNames
from mlfolio.parts.tabular.schema import Schema
from mlfolio.parts.tabular.star import keep_points

from . import figures, judge
from .card import CARD
from .choose import FEWEST, Evidence, evidence
from .clusters import (
    Floats,
    Labels,
    Scale,
    Typical,
    k_means,
    mixture,
    nearest,
    quietly,
    refitted,
    some,
)
from .data import Customers, load_customers
from .model import SegmentsModel
from .purchases import Names
from .words import describe

NO_GROUPS = (
    "NO SEGMENTS: by the gap statistic these customers are one crowd, no more grouped than uniform "
    "noise. What follows cuts the crowd into parts; do not take them for groups that exist."
)


class Segments(System):
    """Which of a few segments a customer belongs to, and how sure it is that there are any."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = SegmentsModel

    k: int | None = Field(None, ge=2, le=20, description="how many segments; else the data decide")
    max_k: int = Field(10, ge=2, le=20, description="the most segments that are tried")
    columns: ColumnNames = Field((), description="columns to segment by, separated by commas")
    customer: str = Field("", description="in your purchases, the column that says who bought")
    date: str = Field("", description="in your purchases, the column that says when")
    amount: str = Field("", description="in your purchases, the column that says for how much")
    resamples: int = Field(50, ge=10, le=500, description="bootstrap samples that are segmented")
    folds: int = Field(5, ge=2, le=20, description="folds that hold customers out")

    def load(self, source: Source) -> Customers:
        """The customers; of purchases, each customer's recency, frequency and money."""
        names = Names(self.customer, self.date, self.amount)
        return load_customers(source, self.columns, names)

    def fit(self, data: Customers, run: Run) -> SegmentsModel:
        """Chooses k, finds the centres, and says in words what they are."""
        figures.look(data.described, run)
        with quietly():
            scale = Scale.learn(data.X.to_numpy(dtype=float))
            points = scale.apply(data.X)
            drawn = some(points, run.seed)
            found, k = self._choose(drawn, run)
            centres = k_means(drawn, k, run.seed)
            if len(drawn) < len(points):
                centres = k_means(points, k, run.seed, begin=centres)
            labels, distances = nearest(points, centres)
            model = SegmentsModel(
                schema=Schema.learn(data.X, complete=True),
                scale=scale,
                centres=centres,
                refits=refitted(drawn, centres, self.resamples, run.seed),
                usual=Typical.learn(drawn, centres, run.seed),
                segments=describe(data.described, labels, k),
                grouped=found.grouped,
                ignored=tuple(str(c) for c in data.table if c not in data.features),
            )
            self._compare(drawn, centres, run)
        _tell(model, data, labels, run)
        figures.plane(drawn, _names(model, nearest(drawn, centres)[0]), list(data.features), run)
        _write(model, data, labels, distances, run)
        return model

    def evaluate(self, model: SegmentsModel, data: Customers, run: Run) -> Evaluation:
        """Silhouettes, and what comes back when customers are held out or drawn anew."""
        values = some(data.X.to_numpy(dtype=float), run.seed)
        points, k = model.scale.apply(values), len(model.centres)
        with quietly():
            silhouette = judge.silhouette(points, model.centres, list(data.features), run)
            new, alarms = judge.new_customers(values, self.k, self.max_k, self.folds, run)
            stability = judge.stability(points, k, self.resamples, run)
        return Evaluation(scores=(silhouette, new, stability, alarms))

    def _choose(self, points: Floats, run: Run) -> tuple[Evidence, int]:
        """The evidence, shown, and the number of segments: the knob's or the rule's."""
        most = len(points) // FEWEST
        if self.k and self.k > most:
            raise KnobError(f"k = {self.k} segments of {len(points)} customers", f"at most {most}")
        found = evidence(points, self.max_k, run.seed)
        k = self.k or found.k
        votes = ", ".join(f"{criterion} {vote}" for criterion, vote in found.votes.items())
        rule = (
            "the knob says so" if self.k else "two of the last three say so, or else the silhouette"
        )
        figures.evidence(found, k, f"Segments by criterion: {votes}. Taken: {k}; {rule}.", run)
        if not found.grouped:
            run.note(NO_GROUPS)
        return found, k

    def _compare(self, points: Floats, centres: Floats, run: Run) -> None:
        """A Gaussian mixture beside k-means: how many components it would have, and which."""
        k, seed = len(centres), run.seed
        fits = {n: mixture(n, seed).fit(points) for n in {*range(1, self.max_k + 1), k}}
        best = min(fits, key=lambda n: float(fits[n].bic(points)))
        agreement = adjusted_rand_score(nearest(points, centres)[0], fits[k].predict(points))
        run.note(f"A Gaussian mixture of {k} components agrees with k-means by an adjusted Rand "
                 f"index of {agreement:.2f}; by BIC it would have {best}.")  # fmt: skip


def _names(model: SegmentsModel, labels: Labels) -> pd.Series:
    return pd.Series([model.segments[label].name for label in labels])


def _tell(model: SegmentsModel, data: Customers, labels: Labels, run: Run) -> None:
    """The segments in words and in medians; and some customers for the page."""
    for segment in model.segments:
        run.note(f"Segment {segment.number}, {segment.name}: {segment.description} "
                 f"An idea to test, not a finding: {segment.suggestion}")  # fmt: skip
    medians = data.described.groupby(labels + 1).median(numeric_only=True).rename_axis("segment")
    medians.insert(0, "customers", np.bincount(labels))
    run.table("Medians of the segments", medians.round(2))
    keep_points(data.X, _names(model, labels).to_list(), run)


def _write(
    model: SegmentsModel, data: Customers, labels: Labels, distances: Floats, run: Run
) -> None:
    """Writes `segments.csv`: every customer with a segment; none where a value is not known."""
    known = data.table[list(data.features)].notna().all(axis=1)
    ids = data.table[data.ids] if data.ids else pd.Series(np.arange(len(data.table)) + 1)
    table = ids.to_frame(data.ids or "row")
    table.loc[known, "segment"] = labels + 1
    table.loc[known, "name"] = _names(model, labels).to_numpy()
    table.loc[known, "distance"] = distances.round(4)
    table["segment"] = table["segment"].astype("Int64")
    table.to_csv(run.folder / "segments.csv", index=False)
    run.note(f"segments.csv: the segments of {len(labels):,} customers.")
