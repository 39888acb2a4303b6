"""The stored model of segments: a scale, centres, how far is far, and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import PlainSerializer, PlainValidator, TypeAdapter
from scipy.spatial.distance import cdist

from mlfolio.core.model import Input, Output, Reason
from mlfolio.core.run import write_json
from mlfolio.parts.tabular.schema import Schema

from .clusters import Floats, Scale, Typical, agreeing, nearest
from .words import Segment

STRANGE = (
    "unlike anyone seen: farther from every segment than {share:.1%} of ordinary customers are"
)
CUT = (
    "these customers fall into no groups (gap statistic): the segment is a cut through one crowd, "
    "not a group that exists"
)
NEARNESS = "nearness to this segment rather than to the next, in squared standard deviations"
Points = Annotated[Floats, PlainValidator(np.asarray), PlainSerializer(np.ndarray.tolist)]


class SegmentOutput(Output):
    """The segment of a customer.

    Attributes:
        answer: Its name.
        confidence: Share of fits to resampled customers that put this one into the same segment;
            None for a customer unlike anyone seen, whom such an agreement says nothing of.
        segment: Its number, from 1.
        description: The segment in words.
        suggestion: An idea to test in it, not a finding.
        distance: To its centre, in standard deviations of the columns.
        typical: Share of ordinary customers at least as far from their centres, in (0, 1].
        unlike_anyone: Whether that share is so small that no segment fits.
        second: Name of the next nearest segment.
    """

    answer: str
    segment: int
    description: str
    suggestion: str
    distance: float
    typical: float
    unlike_anyone: bool
    second: str


@dataclass(eq=False)
class SegmentsModel:
    """Assigns customers to segments.

    Attributes:
        schema: The columns that the customers were segmented by.
        scale: From measurements to points.
        centres: Of the segments, among points, shape (k, d).
        refits: Of fits to bootstrap samples, in the same order, shape (samples, k, d).
        usual: How far ordinary customers are from their centres.
        segments: The segments in words.
        grouped: Whether there are groups at all, or one crowd that was cut.
        ignored: Columns of the table that it does not use; allowed in files.
    """

    output_type: ClassVar[type[Output]] = SegmentOutput

    schema: Schema
    scale: Scale
    centres: Points
    refits: Points
    usual: Typical
    segments: list[Segment]
    grouped: bool = True
    ignored: tuple[str, ...] = ()

    @cached_property
    def input_type(self) -> type[Input]:
        """A customer: a number for each column."""
        return self.schema.row_type()

    def predict(self, inputs: Sequence[Input]) -> list[SegmentOutput]:
        """The segment of each customer."""
        if not inputs:
            return []
        points = self._points(inputs)
        labels, distances = nearest(points, self.centres)
        shares = self.usual.share_beyond(labels, distances).tolist()
        agreed = agreeing(points, self.centres, self.refits).tolist()
        found = zip(inputs, points, distances.tolist(), shares, agreed, strict=True)
        return [self._output(*each) for each in found]

    def _output(
        self, row: Input, point: Floats, distance: float, share: float, agreed: float
    ) -> SegmentOutput:
        first, second = (self.segments[number] for number in self._order(point)[:2])
        strange = share <= self.usual.alarm
        warnings = self.schema.warnings(row)
        if strange:
            warnings.append(STRANGE.format(share=1 - self.usual.alarm))
        if not self.grouped:
            warnings.append(CUT)
        return SegmentOutput(
            answer=first.name,
            confidence=None if strange else agreed,
            warnings=warnings,
            segment=first.number,
            description=first.description,
            suggestion=first.suggestion,
            distance=distance,
            typical=share,
            unlike_anyone=strange,
            second=second.name,
        )

    def explain(self, inputs: Sequence[Input]) -> list[list[Reason]]:
        """For each customer what each column adds to (distance to the next segment)² - (to its)².

        The shares add up exactly; positive ones speak for the segment.
        """
        return [self._reasons(row) for row in inputs]

    def _reasons(self, row: Input) -> list[Reason]:
        point = self._points([row])[0]
        first, second = self.centres[self._order(point)[:2]]
        shares = ((point - second) ** 2 - (point - first) ** 2).tolist()
        reasons = [
            Reason(feature=name, value=f"{value:g}", effect=share, unit=NEARNESS)
            for name, value, share in zip(
                self.schema.names, self.schema.values(row), shares, strict=True
            )
        ]
        return sorted(reasons, key=lambda reason: -abs(reason.effect))

    def examples(self) -> list[Input]:
        """A few customers of the table."""
        return [self.input_type.model_validate(row) for row in self.schema.example]

    def save(self, folder: Path) -> None:
        """Writes `model.json`."""
        write_json(folder / "model.json", TypeAdapter(type(self)).dump_python(self, mode="json"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads a stored model."""
        return TypeAdapter(cls).validate_json((folder / "model.json").read_bytes())

    def _order(self, point: Floats) -> list[int]:
        """The numbers of the segments, the nearest first."""
        found: list[int] = cdist(point[None], self.centres)[0].argsort(kind="stable").tolist()
        return found

    def _points(self, inputs: Sequence[Input]) -> Floats:
        return self.scale.apply([self.schema.values(row) for row in inputs])
