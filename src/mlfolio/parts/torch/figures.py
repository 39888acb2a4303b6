"""What a report shows of a training."""

from __future__ import annotations

from matplotlib.figure import Figure

from mlfolio.core.run import Run

from .checkpoint import History


def learning_curve(
    history: History, run: Run, score: str = "validation accuracy",
    title: str = "Learning curve", caption: str = "",
) -> None:  # fmt: skip
    """The loss, and the score of the validation part if there is one, epoch by epoch.

    Args:
        history: Of the training.
        run: Whose report it is.
        score: What was measured on the validation part.
        title: Of the figure.
        caption: What to see in it.
    """
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(history.losses) + 1)
    left.plot(epochs, history.losses, marker="o")
    left.set(xlabel="epoch", ylabel="training loss")
    if history.scores:
        right.plot(epochs, history.scores, marker="o")
        right.axvline(history.best + 1, color="grey", linewidth=1)
        right.set(xlabel="epoch", ylabel=score)
    else:
        right.axis("off")
    run.figure(title, figure, caption)
