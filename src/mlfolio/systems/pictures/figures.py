"""What the report of pictures shows: the data, where the net looks, and where it errs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import ConfusionMatrixDisplay, precision_recall_fscore_support

from mlfolio.core.run import Run
from mlfolio.parts.stats import roc_area
from mlfolio.parts.vision.pictures import Pictures, Pixels

from .data import PictureSplit
from .model import PicturesModel

SHOWN: Final = 12  # pictures of a figure
MOST_CLASSES: Final = 25  # of a confusion matrix that can be read


def describe(data: PictureSplit, run: Run) -> None:
    """Pictures of each class, and those whose label is likely wrong."""
    counts = np.bincount(data.train.classes, minlength=len(data.names))
    run.table("Training pictures", pd.DataFrame({"pictures": counts}, index=list(data.names)))
    rows = np.random.default_rng(0).permutation(len(data.train))[:SHOWN]
    names = [data.names[kind] for kind in data.train.classes[rows]]
    side = data.side
    run.figure(
        "Some training pictures", _grid(data.train.pixels[rows], names),
        f"As the net sees them: squashed to {side}x{side} pixels.",
    )  # fmt: skip
    if suspects := data.suspects[:SHOWN]:
        found = [each.row for each in suspects]
        said = [
            f"{data.names[data.train.classes[each.row]]}: {data.names[each.looks_like]}?"
            for each in suspects
        ]
        run.figure(
            "Likely wrong labels", _grid(data.train.pixels[found], said),
            f"The first of {len(data.suspects):,}; before the colon their label, after it what "
            "they look like. Labels may be right and the picture odd.",
        )  # fmt: skip


def where(model: PicturesModel, unseen: Pictures, run: Run) -> None:
    """Grad-CAM of a few pictures that were held out."""
    chances, _ = model.judge(unseen.pixels[:SHOWN])
    answers = [model.names[best] for best in chances.argmax(axis=1)]
    pairs = zip(unseen.pixels[:SHOWN], answers, strict=True)
    mixed = [overlay(picture, model.heat(picture, name)) for picture, name in pairs]
    run.figure(
        "Where it looks", _grid(mixed, answers),
        "Grad-CAM on pictures held out: what is bright speaks for the answer below it.",
    )  # fmt: skip


def overlay(picture: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """A picture, darker where it does not speak for the answer."""
    size = (picture.shape[1], picture.shape[0])
    share = np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BICUBIC))
    return np.rint(picture * (0.25 + 0.75 * share.clip(0, 1)[..., None])).astype(np.uint8)


def judge(
    data: PictureSplit, chances: Mapping[str, NDArray[np.float64]],
    right: Mapping[str, NDArray[np.bool_]], run: Run,
) -> None:  # fmt: skip
    """All nets beside each other; the first of them class by class, and its worst errors."""
    accuracy = {name: f"{each.mean():.4f}" for name, each in right.items()}
    run.table("Accuracy beside others", pd.DataFrame({"accuracy": accuracy}))
    mine, truth, names = next(iter(chances.values())), data.test.classes, list(data.names)
    answers = mine.argmax(axis=1)
    each = precision_recall_fscore_support(
        truth, answers, labels=range(len(names)), zero_division=0.0
    )
    titles = ["precision", "recall", "f1-score", "support"]
    run.table(
        "Each class", pd.DataFrame(dict(zip(titles, each, strict=True)), index=names).round(4)
    )
    if len(names) <= MOST_CLASSES:
        figure = Figure(figsize=(1.5 + len(names) / 1.6,) * 2)
        ConfusionMatrixDisplay.from_predictions(
            truth, answers, labels=range(len(names)), ax=figure.subplots(),
            display_labels=[name.replace("$", r"\$") for name in names],
            xticks_rotation="vertical", colorbar=False, cmap="Blues",
        )  # fmt: skip
        run.figure("Confusion matrix", figure, "On the test part.")
    wrong = np.flatnonzero(answers != truth)
    worst = wrong[np.argsort(-mine[wrong, answers[wrong]])][:SHOWN]
    if len(worst):
        said = [f"{names[truth[row]]}: {names[answers[row]]}?" for row in worst]
        caption = "Test pictures that it was surest of and got wrong; before the colon the truth."
        run.figure("Surest mistakes", _grid(data.test.pixels[worst], said), caption)


def strangers(known: NDArray[np.float64], strange: NDArray[np.float64], run: Run) -> None:
    """How well pictures of no class are told from those of some class."""
    facts = {"of the classes": f"{(known > 1).mean():.1%} of {len(known):,}"}
    if len(strange):
        truth = np.repeat([0, 1], [len(known), len(strange)])
        facts["of none of them"] = f"{(strange > 1).mean():.1%} of {len(strange):,}"
        facts["area under the ROC curve"] = f"{roc_area(truth, np.r_[known, strange]):.4f}"
    run.table(
        "None of these", pd.DataFrame({"called none of these": facts}),
        "Test pictures, and pictures of other things where there are any.",
    )  # fmt: skip


def _grid(pictures: Sequence[Pixels] | Pixels, titles: Sequence[str]) -> Figure:
    columns = min(6, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(1.5 * columns, 1.75 * rows), layout="constrained")
    for axis in figure.subplots(rows, columns, squeeze=False).flat:
        axis.axis("off")
    for axis, picture, title in zip(figure.axes, pictures, titles, strict=False):
        axis.imshow(picture)
        axis.set_title(title, fontsize=8, parse_math=False)  # a class may be called $
    return figure
