"""The pictures of digits: what it learned, what it looks at, what it confuses, how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

from mlfolio.core.run import Run

from .data import Pictures
from .model import DigitsModel


def describe(train: Pictures, run: Run) -> None:
    """Ten pictures of each digit, as the net gets them."""
    rows = [list(train.pixels[train.digits == d][:10]) for d in np.unique(train.digits)]
    run.figure("Training pictures", _mosaic(rows), "The first ten of each digit.")


def insides(model: DigitsModel, run: Run) -> None:
    """The filters of the first layer, what three layers make of examples, and saliency."""
    kernels = list(model.net.get_parameter("body.0.0.weight").detach()[:, 0].numpy())
    caption = "Its sixteen 3x3 kernels; light is plus."
    run.figure("Filters of the first layer", _mosaic([kernels[:8], kernels[8:]]), caption)
    ink = model.pictures.astype(np.float32) / np.float32(255)
    for layers in (1, 3):
        maps = model.activations(ink[:4], layers)
        rows = [[one, *channels[:9]] for one, channels in zip(ink, maps, strict=False)]
        caption = "Four pictures and what nine channels see in each."
        run.figure(f"Activations after convolution {layers}", _mosaic(rows), caption)
    caption = "Above the pictures, below how strongly each pixel moves the answer's logit."
    run.figure("Saliency", _mosaic([list(ink), list(model.saliency(ink))]), caption)


def held_out(chances: NDArray[np.float64], test: Pictures, run: Run) -> None:
    """Confusion matrix, the pictures of the pairs confused most, and reliability."""
    answers, confidence = chances.argmax(axis=1), chances.max(axis=1)
    figure = Figure(figsize=(6, 5.5))
    ConfusionMatrixDisplay.from_predictions(
        test.digits, answers, labels=range(10), ax=figure.subplots(), colorbar=False, cmap="Blues"
    )
    run.figure("Confusion matrix", figure, "Test part: true digit down, answer across.")
    _confused_pairs(answers, confidence, test, run)
    figure = Figure(figsize=(4, 4))
    share, mean = calibration_curve(answers == test.digits, confidence, strategy="quantile")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axis.plot(mean, share, marker="o")
    low = min(share.min(), mean.min()) - 0.01
    axis.set(xlabel="confidence", ylabel="share of right answers", xlim=(low, 1), ylim=(low, 1.002))
    caption = "Test part, in bins of equal size; on the line, confidence is what it says."
    run.figure("Reliability", figure, caption)


def _confused_pairs(
    answers: NDArray[np.int64], confidence: NDArray[np.float64], test: Pictures, run: Run
) -> None:
    """For the four pairs of digits confused most often, the mistakes that were surest."""
    table = confusion_matrix(test.digits, answers, labels=range(10))
    both = np.triu(table + table.T, 1)
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots(4, 5)
    pairs = np.argsort(-both, axis=None, kind="stable")
    for row, pair in zip(axes, pairs, strict=False):
        one, other = divmod(int(pair), 10)
        wrong = np.isin(test.digits, (one, other)) & (answers == one + other - test.digits)
        surest = np.argsort(np.where(wrong, -confidence, 1), kind="stable")
        for axis, item in zip(row, surest, strict=False):
            axis.set_axis_off()
            if wrong[item] and one != other:
                axis.imshow(test.pixels[item], cmap="gray")
                title = f"{test.digits[item]} taken for {answers[item]}\n{confidence[item]:.0%}"
                axis.set_title(title, fontsize=8)
    caption = "The pairs confused most, one a row, with the mistakes it was surest about."
    run.figure("Most confused pairs", figure, caption)


def _mosaic(rows: Sequence[Sequence[NDArray[Any]]]) -> Figure:
    """Square pictures side by side, all rows of one length, each scaled to its own range."""
    side = max(picture.shape[0] for row in rows for picture in row)
    tiles = [[_tile(picture, side) for picture in row] for row in rows]
    figure = Figure(figsize=(0.8 * len(rows[0]), 0.8 * len(rows)), layout="constrained")
    axis = figure.subplots()
    axis.imshow(np.block(tiles), cmap="gray")
    axis.set_axis_off()
    return figure


def _tile(picture: NDArray[Any], side: int) -> NDArray[np.float64]:
    """A picture scaled to [0, 1] and to `side`, with a margin of nothing."""
    span = max(float(np.ptp(picture)), 1e-9)
    large = np.kron((picture - float(picture.min())) / span, np.ones((side // len(picture),) * 2))
    return np.pad(large, (0, side + 1 - len(large)), constant_values=np.nan)
