"""Digits: a small convolutional net, measured beside a dense net and logistic regression."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run, some_for_reference
from mlfolio.core.score import Evaluation
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.parts.stats import mean_score
from mlfolio.parts.torch.across import train_across
from mlfolio.parts.torch.checkpoint import History
from mlfolio.parts.torch.figures import learning_curve
from mlfolio.parts.torch.threads import one_thread
from mlfolio.parts.torch.training import Recipe, shuffled
from mlfolio.parts.vision.augment import Warp

from . import figures
from .card import CARD
from .data import DigitSplit, Pictures, load_digits
from .model import DigitPicture, DigitsModel, pick_examples
from .nets import SIDE, DigitNet, cnn, dense
from .training import SMALL, calibrate, logits_of, loss_of, make_net, plan

CNN, DENSE, LINEAR = "convolutional net", "dense net", "logistic regression"
TRIVIAL = "majority digit"
VALIDATION = 1 / 12  # of the training part, for the learning curve and the temperature
MILD = Warp(degrees=5, pixels=1, zoom=0.05, slant=0.05)  # a dense net cannot undo more


class Digits(System):
    """Which digit a picture shows."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = DigitsModel

    epochs: int | None = Field(
        None, ge=1, le=200,
        description="passes over the training pictures; unset: 8, or as many as make 400 steps",
    )  # fmt: skip
    batch_size: int | None = Field(
        None, ge=2, le=4096, description="pictures a step; unset: 128, or 32 below 10,000 pictures"
    )
    learning_rate: float = Field(6e-3, gt=0, le=1, description="its peak; it warms up and falls")
    weight_decay: float = Field(0.02, ge=0, le=1, description="pull of the weights towards zero")
    label_smoothing: float = Field(0.05, ge=0, lt=1, description="doubt put into the true labels")
    rotation: float = Field(10, ge=0, le=45, description="degrees a picture is turned by at most")
    shift: float = Field(2, ge=0, le=8, description="pixels a picture is shifted by at most")

    def load(self, source: Source) -> DigitSplit:
        """MNIST with its own test part, the sample, or the user's pictures."""
        return load_digits(source)

    def fit(self, data: DigitSplit, run: Run) -> DigitsModel:
        """Trains the convolutional net and calibrates it on a validation part."""
        figures.describe(data.train, run)
        part, validation = _hold_out(data.train, run.seed)
        model = DigitsModel(make_net(cnn, run.seed), pick_examples(part))

        def score() -> float:
            answers = logits_of(model.net, validation.ink).argmax(dim=1).numpy()
            return float(accuracy_score(validation.digits, answers))

        history = self._train(model.net, part, Warp(self.rotation, self.shift), run, "net", score)
        calibrate(model.net, validation)
        caption = "Training pictures are warped and labels smoothed: the loss ends well above zero."
        learning_curve(history, run, caption=caption)
        figures.insides(model, run)
        return model

    def evaluate(self, model: DigitsModel, data: DigitSplit, run: Run) -> Evaluation:
        """The net beside a dense net, logistic regression and the majority on the test part."""
        truth = data.test.digits
        chances = {
            CNN: model.probabilities(data.test.ink),
            DENSE: self._dense(data, run),
            LINEAR: _linear(data),
        }
        shares = np.bincount(data.train.digits, minlength=10) / len(data.train)
        chances[TRIVIAL] = np.broadcast_to(shares, chances[CNN].shape)
        figures.held_out(chances[CNN], data.test, run)
        some = data.test[some_for_reference(len(truth))]
        asked = [DigitPicture(image=picture) for picture in some.pixels]
        run.keep_reference(asked, model.predict(asked), some.digits.tolist())
        right = {name: rows.argmax(axis=1) == truth for name, rows in chances.items()}
        losses = {name: _log_losses(rows, truth) for name, rows in chances.items()}
        protocol = f"{len(truth):,} test pictures that no net was fitted or calibrated on"
        return Evaluation(
            scores=(
                mean_score("accuracy", right, CNN, trivial=TRIVIAL, strong=DENSE,
                           protocol=protocol),
                mean_score("dense accuracy", right, DENSE, trivial=TRIVIAL, strong=LINEAR,
                           protocol=protocol),
                mean_score("log loss", losses, CNN, trivial=TRIVIAL, strong=DENSE,
                           protocol=protocol, direction="lower"),
            )
        )  # fmt: skip

    def _train(
        self, net: DigitNet, part: Pictures, warp: Warp, run: Run, name: str,
        score: Callable[[], float] | None = None,
    ) -> History:  # fmt: skip
        """The rate falls to zero over all epochs, and the last is taken: no early stopping."""
        epochs, size = plan(len(part), self.epochs, self.batch_size)
        recipe = Recipe(
            epochs, self.learning_rate, self.weight_decay, warm_up=0.15, betas=(0.9, 0.99)
        )
        loss = loss_of(net, part, warp, self.label_smoothing)
        with one_thread(len(part) < SMALL):
            return train_across(
                net, shuffled(len(part), size, run.seed), loss, recipe, run, name, score
            )

    def _dense(self, data: DigitSplit, run: Run) -> NDArray[np.float64]:
        """Probabilities `(n, 10)` that a dense net gives, trained on the same pictures."""
        part, validation = _hold_out(data.train, run.seed)
        net = make_net(dense, run.seed)
        self._train(net, part, MILD, run, "dense net")
        calibrate(net, validation)
        return DigitsModel(net, part.pixels[:0]).probabilities(data.test.ink)


def _linear(data: DigitSplit) -> NDArray[np.float64]:
    """Probabilities `(n, 10)` of logistic regression on the pixels, as scikit-learn fits it."""
    chances = np.zeros((len(data.test), 10))
    with warnings.catch_warnings():
        # MNIST takes more than its hundred steps to converge; they do not answer better.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression().fit(data.train.ink.reshape(-1, SIDE**2), data.train.digits)
    chances[:, model.classes_] = model.predict_proba(data.test.ink.reshape(-1, SIDE**2))
    return chances


def _hold_out(pictures: Pictures, seed: int) -> tuple[Pictures, Pictures]:
    """The part to learn from, and a stratified twelfth for validation."""
    rows = np.arange(len(pictures))
    part, validation = train_test_split(
        rows, test_size=max(VALIDATION, 10 / len(rows)), stratify=pictures.digits, random_state=seed
    )
    return pictures[part], pictures[validation]


def _log_losses(chances: NDArray[np.float64], digits: NDArray[np.int64]) -> NDArray[np.float64]:
    """Negative log of the probability given to each true digit, `(n,)`; log loss is their mean."""
    true = chances[np.arange(len(digits)), digits]
    return -np.log(np.clip(true, np.finfo(np.float32).eps, 1))
