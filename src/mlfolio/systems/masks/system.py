"""Masks: faces are found, and a small net tells who wears a mask."""

from __future__ import annotations

from typing import ClassVar, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.parts.stats import mean_score
from mlfolio.parts.torch.device import best_device
from mlfolio.parts.torch.figures import learning_curve
from mlfolio.parts.torch.threads import one_thread
from mlfolio.parts.torch.training import Recipe
from mlfolio.parts.vision.backbone import SCRATCH, SMALL, get_backbone, whiten
from mlfolio.parts.vision.learning import calibrate, plan
from mlfolio.parts.vision.nets import PictureNet
from mlfolio.parts.vision.pictures import Pictures, Pixels

from . import figures, scenes
from .card import CARD
from .data import NAMES, MaskSplit, load_masks
from .detect import HAAR, Haar, make_detector
from .hands import behave
from .learning import CLASSES, COVERED, MASKED, fit_faces
from .model import MasksModel

NET, HOG, TRIVIAL = "net", "HOG and logistic regression", "majority"
OWN, PLAIN = "found and told", "Haar as in OpenCV's tutorial"
SIDE, SAMPLE_SIDE = 48, 32  # pixels of the squares that the net sees
EPOCHS: Final = 12
VALIDATION: Final = 0.1  # of the training part, for the temperature
FEW: Final = 1000  # faces below which one thread is as fast
PROTOCOL = "the test part, one face to a picture, fitted and calibrated on the training part alone"


class Masks(System):
    """Who in a picture wears a mask."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = MasksModel

    detector: str = Field(
        HAAR,
        description="what finds faces: haar, or the path of YuNet's or CenterFace's ONNX file",
    )
    backbone: str = Field(
        SMALL,
        description="what the net begins with: small (comes with the package, trained on "
        "CIFAR-10), scratch (the same, untrained), or a folder",
    )
    size: int | None = Field(
        None, ge=16, le=256,
        description="pixels a side of the faces that the net sees; unset: 48, of the sample 32",
    )  # fmt: skip
    epochs: int | None = Field(
        None, ge=1, le=1000,
        description="passes over the training faces; unset: 12, or as many as make 150 steps",
    )  # fmt: skip
    learning_rate: float = Field(2e-3, gt=0, le=1, description="its peak; it warms up and falls")
    covered: float = Field(
        0.3, ge=0, le=0.9,
        description="share of the training faces that get a drawn hand or thing over the mouth",
    )  # fmt: skip
    sure: float = Field(
        0.8, ge=0.5, lt=1, description="probability below which a face is called not sure"
    )
    most_nothing: float = Field(
        0.5, gt=0, le=1, description="probability of no face from which a find is dropped"
    )

    def load(self, source: Source) -> MaskSplit:
        """Faces and scenes of the official set, the drawn sample, or the user's folder."""
        return load_masks(source, self.size or (SAMPLE_SIDE if source.is_sample else SIDE))

    def fit(self, data: MaskSplit, run: Run) -> MasksModel:
        """Trains all of the net on nine tenths of the training part; the rest calibrates it."""
        detector = make_detector(self.detector)
        figures.describe(data, run)
        seen, unseen = data.train.split(VALIDATION, run.seed)
        epochs, size = plan(len(seen), self.epochs, EPOCHS)
        backbone = get_backbone(self.backbone, run.seed)
        if self.backbone == SCRATCH:
            whiten(backbone, seen.pixels)
        net = PictureNet(backbone, CLASSES, run.seed).to(best_device())
        recipe = Recipe(
            epochs, self.learning_rate, weight_decay=0.05, warm_up=0.2, clip=5.0, betas=(0.9, 0.99)
        )
        with one_thread(len(seen) < FEW):
            history = fit_faces(net, seen, unseen, recipe, size, self.covered, run)
            calibrate(net, unseen, among=COVERED)
        run.note(f"The net was trained in {history.seconds:.0f} s.")
        learning_curve(history, run)
        side = data.train.pixels.shape[1]
        model = MasksModel(net, side, self.sure, self.most_nothing, detector)
        figures.drawn(model, run)
        return model

    def evaluate(self, model: MasksModel, data: MaskSplit, run: Run) -> Evaluation:
        """The net on faces beside HOG and the majority; the whole on scenes."""
        test, truth = data.test, data.test.classes
        chances = {
            NET: model.judge(test.pixels)[0],
            HOG: _by_hog(data.train, test.pixels),
            TRIVIAL: np.full(len(test), (data.train.classes == MASKED).mean()),
        }
        right = {name: (each < 0.5) == truth for name, each in chances.items()}
        figures.judge(test, chances[NET], right, run)
        table, spared = behave(model, test, run.seed)
        if spared:
            figures.behaviour(table, run)
        worn = any(label in NAMES for scene in data.scenes for label in scene.labels)
        found = _on_scenes(model, data) if worn else {}
        figures.scenes(found, run)
        losses = {
            name: -np.log(np.clip(np.where(truth == MASKED, each, 1 - each), 1e-7, 1))
            for name, each in chances.items()
        }
        sure = np.maximum(chances[NET], 1 - chances[NET]) >= model.sure
        scored = [
            _share("accuracy", right, PROTOCOL),
            mean_score(
                "log loss", losses, NET, trivial=TRIVIAL, strong=HOG, protocol=PROTOCOL,
                direction="lower", seed=run.seed,
            ),
            mean_score("share that is sure", {NET: sure}, NET, protocol=PROTOCOL),
        ]  # fmt: skip
        if sure.any():
            kept = {name: each[sure] for name, each in right.items()}
            said = f"{PROTOCOL}; without those called not sure"
            scored.append(_share("accuracy where sure", kept, said))
        if spared:
            said = (
                "test faces without a mask, a hand of another's skin pasted over the mouth; those "
                "that are taken for no face left out"
            )
            metric = "covered faces not called masked"
            scored.append(mean_score(metric, {NET: spared}, NET, protocol=said))
        else:
            run.note("In no test face without a mask was a face found that a hand could cover.")
        if found:
            scored += scenes.scores(found, OWN, PLAIN)
        return Evaluation(scores=tuple(scored))


def _share(name: str, right: dict[str, NDArray[np.bool_]], protocol: str) -> Score:
    return mean_score(name, right, NET, trivial=TRIVIAL, strong=HOG, protocol=protocol)


def _on_scenes(model: MasksModel, data: MaskSplit) -> dict[str, list[list[scenes.Pair]]]:
    """What becomes of the faces of each scene, beside what a tutorial's settings would give."""
    plain = MasksModel(model.net, model.side, model.sure, 1.0, Haar("frontalface_default", 1.1, 5))
    found: dict[str, list[list[scenes.Pair]]] = {}
    for name, each in {OWN: model, PLAIN: plain}.items():
        found[name] = []
        for scene in data.scenes:
            boxes, masked = each.look(scene.picture)
            said = [each.label(chance) for chance in masked.tolist()]
            found[name].append(scenes.match(scene, boxes, said))
    return found


def _by_hog(train: Pictures, pixels: Pixels) -> NDArray[np.float64]:
    """Probability of a mask by logistic regression on HOG (Dalal and Triggs, 2005)."""
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=1000))
    linear.fit(_hog(train.pixels), train.classes == MASKED)
    if not len(pixels):
        return np.zeros(0)
    return np.asarray(linear.predict_proba(_hog(pixels))[:, 1], np.float64)


def _hog(pixels: Pixels) -> NDArray[np.float32]:
    describe = cv2.HOGDescriptor((64, 64), (16, 16), (8, 8), (8, 8), 9)
    large = [cv2.resize(one, (64, 64), interpolation=cv2.INTER_LINEAR) for one in pixels]
    return np.stack([np.asarray(describe.compute(one), np.float32).ravel() for one in large])
