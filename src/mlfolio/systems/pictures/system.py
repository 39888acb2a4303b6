"""Pictures: a net that was trained on other pictures, taught the user's own classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run, some_for_reference
from mlfolio.core.score import Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.parts.stats import mean_score
from mlfolio.parts.torch.device import best_device
from mlfolio.parts.torch.figures import learning_curve
from mlfolio.parts.torch.training import Recipe
from mlfolio.parts.vision.backbone import SCRATCH, SMALL, get_backbone, native_side, whiten
from mlfolio.parts.vision.learning import Altering, calibrate, fit_head, fit_net, plan
from mlfolio.parts.vision.nets import PictureNet, logits_of, small_net
from mlfolio.parts.vision.pictures import ALIKE, Pictures

from . import figures
from .card import CARD
from .data import CIFAR_SIDE, PictureSplit, cifar_test, load_pictures
from .model import Picture, PicturesModel
from .strange import Strangeness

NET, FROM_SCRATCH, FROZEN, TRIVIAL = "net", "same net from scratch", "frozen backbone", "majority"
EPOCHS: Final = 16
VALIDATION: Final = 0.1  # of the training part, for the temperature and what is strange
RATE, SCRATCH_RATE, NAMED_RATE = 2e-3, 6e-3, 2e-4  # of our own backbone, untrained, and by name
PROTOCOL = "the test part, fitted and calibrated on the training part alone"


class PictureSystem(System):
    """Which of the user's classes a picture shows, or none of them."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = PicturesModel

    backbone: str = Field(
        SMALL,
        description="what sees: small (comes with the package, trained on CIFAR-10), scratch "
        "(the same, untrained), a folder, or a model's name on the Hugging Face hub",
    )
    size: int | None = Field(
        None, ge=16, le=640,
        description="pixels a side that pictures are squashed to; unset: 64, or less if they are "
        "smaller, and for a backbone by name what it has learned from, mostly 224",
    )  # fmt: skip
    epochs: int | None = Field(
        None, ge=0, le=1000,
        description="passes of the whole net over the training pictures; unset: 16, or as "
        "many as make 150 steps; 0 trains the head alone",
    )  # fmt: skip
    learning_rate: float | None = Field(
        None, gt=0, le=1, description="its peak; unset: 0.002, from scratch 0.006, by name 0.0002"
    )
    weight_decay: float = Field(0.05, ge=0, le=1, description="pull of the weights towards zero")
    alter: float = Field(
        1.0, ge=0, le=3,
        description="how strongly pictures are altered while the net learns: turned, moved, "
        "zoomed, relit, partly greyed out (under 48 pixels a side: moved and greyed out); short "
        "trainings from scratch want less",
    )  # fmt: skip
    alike: float = Field(
        ALIKE, ge=0.9, le=1,
        description="correlation of thumbnails from which two pictures are one; 1: only copies, "
        "for pictures that are alike by nature",
    )  # fmt: skip
    refused: float = Field(
        0.02, gt=0, le=0.5,
        description="share of the pictures of your classes that may be called none of these",
    )  # fmt: skip

    def load(self, source: Source) -> PictureSplit:
        """Cats and dogs, the sample, or the user's folder of folders."""
        side = self.size or native_side(self.backbone, fetch=True)
        return load_pictures(source, side, self.alike)

    def fit(self, data: PictureSplit, run: Run) -> PicturesModel:
        """A head on the frozen backbone, then all of it; a tenth of the pictures is held out."""
        figures.describe(data, run)
        seen, unseen = data.train.split(VALIDATION, run.seed)
        net = self._train(self.backbone, seen, unseen, len(data.names), run, "net")
        usual = Strangeness.of(net, seen, unseen, self.refused)
        first = seen.pixels[np.unique(seen.classes, return_index=True)[1][:10]]
        model = PicturesModel(net, data.names, data.side, usual, first)
        figures.where(model, unseen, run)
        return model

    def evaluate(self, model: PicturesModel, data: PictureSplit, run: Run) -> Evaluation:
        """The net beside the same net from scratch, its own start, and the majority."""
        truth, chances = data.test.classes, {}
        chances[NET], strange = model.judge(data.test.pixels)
        shares = np.bincount(data.train.classes, minlength=len(data.names)) / len(data.train)
        chances[TRIVIAL] = np.broadcast_to(shares, chances[NET].shape)
        if self.backbone != SCRATCH and self.epochs != 0:
            chances[FROZEN] = self._rival(self.backbone, data, run, epochs=0)
        if self.backbone == SMALL and self.epochs != 0:
            chances[FROM_SCRATCH] = self._rival(SCRATCH, data, run)
        right = {name: rows.argmax(axis=1) == truth for name, rows in chances.items()}
        figures.judge(data, chances, right, run)
        some = some_for_reference(len(truth))
        asked = [Picture(image=pixels) for pixels in data.test.pixels[some]]
        run.keep_reference(asked, model.predict(asked), [data.names[each] for each in truth[some]])
        figures.strangers(strange, model.judge(data.outside.pixels)[1], run)
        scores = _scores(right, chances, truth)
        said = f"{PROTOCOL}; what is called none of these counts as wrong"
        answered = {NET: right[NET] & (strange <= 1)}
        scores.append(mean_score("accuracy as answered", answered, NET, protocol=said))
        return Evaluation(scores=(*scores, *self._of_backbone(data.source)))

    def _train(
        self, backbone: str, seen: Pictures, unseen: Pictures, classes: int, run: Run, name: str,
        epochs: int | None = None,
    ) -> PictureNet:  # fmt: skip
        """A calibrated net on some backbone."""
        device = best_device()
        sees = get_backbone(backbone, run.seed, fetch=True)
        net = PictureNet(sees, classes, run.seed, both_ways=True).to(device)
        passes, size = plan(len(seen), self.epochs if epochs is None else epochs, EPOCHS)
        if backbone == SCRATCH:
            whiten(net.backbone, seen.pixels)
        if backbone != SCRATCH or not passes:
            fit_head(net, seen)
        if passes:
            wanted = self.learning_rate if backbone == self.backbone else None
            recipe = Recipe(
                passes, wanted or _rate(backbone, net), self.weight_decay, warm_up=0.2, clip=5.0,
                betas=(0.9, 0.99),
            )  # fmt: skip
            alter = Altering.of(seen.pixels.shape[1], self.alter)
            history = fit_net(net, seen, unseen, recipe, size, alter, run, name)
            run.note(f"The {name} was trained for {passes} epochs in {history.seconds:.0f} s.")
            learning_curve(history, run, title=f"Learning curve of the {name}")
        calibrate(net, unseen)
        return net

    def _rival(
        self, backbone: str, data: PictureSplit, run: Run, epochs: int | None = None
    ) -> NDArray[np.float64]:
        """Probabilities that another net gives to the test pictures, shape (n, classes)."""
        seen, unseen = data.train.split(VALIDATION, run.seed)
        name = FROM_SCRATCH if backbone == SCRATCH else FROZEN
        net = self._train(backbone, seen, unseen, len(data.names), run, name, epochs)
        return np.asarray(logits_of(net, data.test.pixels).double().softmax(dim=1).numpy())

    def _of_backbone(self, source: Source) -> list[Score]:
        """How good the small backbone is at what it was trained for, with the head it had."""
        if source.kind != "official" or self.backbone != SMALL:
            return []
        if (test := cifar_test(CIFAR_SIDE)) is None:
            return []
        answers = logits_of(small_net(), test.pixels).argmax(dim=1).numpy()
        right = {SMALL: answers == test.classes, TRIVIAL: test.classes == 0}
        protocol = "CIFAR-10's test part, by the net that the small backbone was taken from"
        return [mean_score("CIFAR-10 accuracy", right, SMALL, trivial=TRIVIAL, protocol=protocol)]


def _rate(backbone: str, net: PictureNet) -> float:
    """The usual learning rate: what has learned more is changed less."""
    if net.backbone.facts["kind"] != SMALL:
        return NAMED_RATE
    return SCRATCH_RATE if backbone == SCRATCH else RATE


def _scores(
    right: Mapping[str, NDArray[np.bool_]], chances: Mapping[str, NDArray[np.float64]],
    truth: NDArray[np.int64],
) -> list[Score]:  # fmt: skip
    strong = FROZEN if FROZEN in right else None
    true = {name: rows[np.arange(len(truth)), truth] for name, rows in chances.items()}
    losses = {name: -np.log(np.clip(rows, 1e-7, 1)) for name, rows in true.items()}
    said = f"{PROTOCOL}; the likeliest class, whether or not a picture is called none of these"
    scores = [mean_score("accuracy", right, NET, trivial=TRIVIAL, strong=strong, protocol=said)]
    if FROM_SCRATCH in right:
        gain = right[NET].astype(float) - right[FROM_SCRATCH]
        said = f"{PROTOCOL}; accuracy less that of the {FROM_SCRATCH}, trained as long"
        scores.append(mean_score("gain over scratch", {NET: gain}, NET, protocol=said))
    loss = mean_score(
        "log loss", losses, NET, trivial=TRIVIAL, strong=strong, protocol=PROTOCOL,
        direction="lower",
    )  # fmt: skip
    return [*scores, loss]
