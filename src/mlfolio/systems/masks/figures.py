"""What the report of masks shows: faces, what the net makes of them, and scenes with boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import CalibrationDisplay

from mlfolio.core.run import Run
from mlfolio.parts.vision.pictures import Pictures, Pixels

from . import drawing, sample
from .data import NAMES, MaskSplit
from .model import MasksModel
from .scenes import Pair, table

SHOWN: Final = 12


def describe(data: MaskSplit, run: Run) -> None:
    """How many faces there are, and a few of them."""
    parts = {"train": data.train, "test": data.test}
    counts = {part: np.bincount(faces.classes, minlength=2) for part, faces in parts.items()}
    run.table("Faces", pd.DataFrame(counts, index=list(NAMES)))
    rows = np.random.default_rng(0).permutation(len(data.train))[:SHOWN]
    names = [NAMES[kind] for kind in data.train.classes[rows]]
    run.figure(
        "Some training faces", _grid(data.train.pixels[rows], names), "As the net sees them."
    )


def judge(
    test: Pictures, masked: NDArray[np.float64], right: Mapping[str, NDArray[np.bool_]], run: Run
) -> None:
    """The net beside others, its calibration, and its surest mistakes."""
    each = {
        name: {
            kind: f"{ok[test.classes == number].mean():.4f}" for number, kind in enumerate(NAMES)
        }
        | {"all": f"{ok.mean():.4f}"}
        for name, ok in right.items()
    }
    run.table("Accuracy beside others", pd.DataFrame(each).T)
    figure = Figure(figsize=(4, 4))
    CalibrationDisplay.from_predictions(
        test.classes == 0, masked, n_bins=8, strategy="quantile", ax=figure.subplots(), name="net"
    )
    run.figure("Calibration", figure, "On the test part; on the line, probabilities are true.")
    wrong = np.flatnonzero(~next(iter(right.values())))
    worst = wrong[np.argsort(-np.abs(masked[wrong] - 0.5))][:SHOWN]
    if len(worst):
        said = [f"{NAMES[test.classes[row]]}: {masked[row]:.0%} mask" for row in worst]
        caption = "Test faces that it was surest of and got wrong; before the colon the truth."
        run.figure("Surest mistakes", _grid(test.pixels[worst], said), caption)


def behaviour(found: pd.DataFrame, run: Run) -> None:
    """What is said of faces behind hands and things."""
    run.table(
        "Mouths behind something", found,
        "Test faces without a mask, with something pasted over the mouth: shares of what is said. "
        "It stands in for photos of such faces, of which there are none.",
    )  # fmt: skip


def scenes(found: Mapping[str, Sequence[Sequence[Pair]]], run: Run) -> None:
    """What faces of scenes were called. The scenes are not shown: they are people's."""
    for name, pairs in found.items():
        frame = table([pair for scene in pairs for pair in scene])
        run.table(f"Faces of scenes: {name}", frame, "A row for what is there.")


def drawn(model: MasksModel, run: Run) -> None:
    """A drawn scene with what is seen in it."""
    picture, _, _ = sample.draw_scene(sample.PLACES, np.random.default_rng(2))
    both = [drawing.draw(picture, model.faces(picture), blur) for blur in (False, True)]
    figure = Figure(figsize=(9, 3), layout="constrained")
    for axis, shown in zip(figure.subplots(1, 2), both, strict=True):
        axis.imshow(shown)
        axis.axis("off")
    run.figure("A drawn scene", figure, "With boxes, and with faces blurred.")


def _grid(pictures: Pixels, titles: Sequence[str]) -> Figure:
    columns = min(6, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(1.5 * columns, 1.75 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis in axes:
        axis.axis("off")
    for axis, picture, title in zip(figure.axes, pictures, titles, strict=False):
        axis.imshow(picture)
        axis.set_title(title, fontsize=8)
    return figure
