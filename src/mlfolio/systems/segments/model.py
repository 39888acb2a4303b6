"""The stored model of segments: a scale, centres, how far is far, and words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.spatial.distance import cdist

from mlfolio.core.model import Input, Output, Reason
from mlfolio.core.run import write_json
from mlfolio.parts.tabular.schema import Schema

from .clusters import Floats, Scale, Typical, agreeing
from .words import Segment

STRANGE = (
    "unlike anyone seen: farther from every segment than {share:.1%} of ordinary customers are"
)
CUT = (
    "these customers fall into no groups (gap statistic): the segment is a cut through one crowd, "
    "not a group that exists"
)
NEARNESS = "nearness to this segment rather than to the next, in squared standard deviations"


class SegmentOutput(Output):
    """The segment of a customer.

    Attributes:
        answer: Its name.
        confidence: Share of fits to resampled customers that put this one into the same segment;
            None for a customer unlike anyone seen, whom such an agreement says nothing of.
        segment: Its number, from 1.
        description: The segment in words.
        distance: To its centre, in standard deviations of the columns.
        typical: Share of ordinary customers at least as far from their centres, in (0, 1].
        unlike_anyone: Whether that share is so small that no segment fits.
        second: Name of the next nearest segment.
        second_distance: To the centre of that one.
    """

    answer: str
    segment: int
    description: str
    distance: float
    typical: float
    unlike_anyone: bool
    second: str
    second_distance: float


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

    def __init__(
        self,
        schema: Schema,
        scale: Scale,
        centres: Floats,
        refits: Floats,
        usual: Typical,
        segments: Sequence[Segment],
        grouped: bool = True,
        ignored: Sequence[str] = (),
    ) -> None:
        self.schema = schema
        self.scale = scale
        self.centres = centres
        self.refits = refits
        self.usual = usual
        self.segments = list(segments)
        self.grouped = grouped
        self.ignored = tuple(ignored)

    @cached_property
    def input_type(self) -> type[Input]:
        """A customer: a number for each column."""
        return self.schema.row_type()

    def predict(self, inputs: Sequence[Input]) -> list[SegmentOutput]:
        """The segment of each customer."""
        if not inputs:
            return []
        points = self._points(inputs)
        distances = cdist(points, self.centres)
        order = np.argsort(distances, axis=1, kind="stable")[:, :2]
        near = np.take_along_axis(distances, order, axis=1)
        shares = self.usual.share_beyond(order[:, 0], near[:, 0])
        agreed = agreeing(points, self.centres, self.refits)
        found = zip(
            inputs, order.tolist(), near.tolist(), shares.tolist(), agreed.tolist(), strict=True
        )
        return [self._output(*each) for each in found]

    def _output(
        self, row: Input, order: list[int], near: list[float], share: float, agreed: float
    ) -> SegmentOutput:
        first, second = (self.segments[number] for number in order)
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
            distance=near[0],
            typical=share,
            unlike_anyone=strange,
            second=second.name,
            second_distance=near[1],
        )

    def explain(self, inputs: Sequence[Input]) -> list[list[Reason]]:
        """For each customer what each column adds to (distance to the next segment)² - (to its)².

        The shares add up exactly; positive ones speak for the segment.
        """
        if not inputs:
            return []
        points = self._points(inputs)
        order = np.argsort(cdist(points, self.centres), axis=1, kind="stable")
        first, second = (self.centres[order[:, place]] for place in (0, 1))
        effects = (points - second) ** 2 - (points - first) ** 2
        return [
            sorted(
                (Reason(feature=name, value=f"{value:g}", effect=effect, unit=NEARNESS)
                 for name, value, effect in zip(
                     self.schema.names, self.schema.values(row), shares, strict=True)),
                key=lambda reason: -abs(reason.effect),
            )
            for row, shares in zip(inputs, effects.tolist(), strict=True)
        ]  # fmt: skip

    def examples(self) -> list[Input]:
        """A few customers of the table."""
        return [self.input_type.model_validate(row) for row in self.schema.example]

    def save(self, folder: Path) -> None:
        """Writes `model.json`."""
        facts = {
            "schema": self.schema,
            "scale": self.scale,
            "centres": self.centres.tolist(),
            "refits": self.refits.tolist(),
            "usual": self.usual,
            "segments": self.segments,
            "grouped": self.grouped,
            "ignored": self.ignored,
        }
        write_json(folder / "model.json", facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads a stored model."""
        facts = json.loads((folder / "model.json").read_text("utf-8"))
        return cls(
            schema=Schema.model_validate(facts["schema"]),
            scale=Scale.model_validate(facts["scale"]),
            centres=np.array(facts["centres"]),
            refits=np.array(facts["refits"]),
            usual=Typical.model_validate(facts["usual"]),
            segments=[Segment.model_validate(segment) for segment in facts["segments"]],
            grouped=facts["grouped"],
            ignored=facts["ignored"],
        )

    def _points(self, inputs: Sequence[Input]) -> Floats:
        return self.scale.apply([self.schema.values(row) for row in inputs])
