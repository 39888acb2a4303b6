"""The stored model of pictures: the net, its classes, and what is strange to it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from safetensors.torch import load_file, save_file

from mlfolio.core.model import Input, Output
from mlfolio.core.run import write_json
from mlfolio.parts.torch.stored import Stored
from mlfolio.parts.torch.threads import one_thread
from mlfolio.parts.vision.backbone import SIDES
from mlfolio.parts.vision.field import DESCRIBED, GIVEN, taken
from mlfolio.parts.vision.gather import LONGEST
from mlfolio.parts.vision.nets import PictureNet, features_of, grad_cam, restore_net
from mlfolio.parts.vision.reading import Rgb, squash

from .data import NONE
from .strange import Strangeness

FLAT: Final = 2.0  # standard deviation of each colour below which there is nothing to see


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("two classes of one name")
    return names


class Picture(Input):
    """A picture of one thing."""

    image: Annotated[Rgb, taken(LONGEST), GIVEN, DESCRIBED]


class PictureAnswer(Output):
    """Which class a picture shows, or `none of these`.

    Attributes:
        answer: The class, or `none of these` where the picture is far from all that was seen.
        confidence: That the answer is right; None for `none of these`.
        probabilities: Of each class, if it is one of them.
        strangeness: Distance from what the classes look like, 1 where strangers begin.
    """

    answer: str
    probabilities: dict[str, float]
    strangeness: float


class Facts(Stored):
    """What is stored as JSON."""

    names: Annotated[tuple[str, ...], AfterValidator(_distinct)] = Field(min_length=2)
    side: int = Field(ge=SIDES.start, lt=SIDES.stop)
    backbone: dict[str, Any]
    limit: float = Field(ge=0, allow_inf_nan=False)


class PicturesModel:
    """Tells pictures apart with a net.

    Attributes:
        net: In evaluation mode, on the CPU.
        names: Of the classes.
        side: Pixels of a square's side, as the net sees it.
        usual: What is strange to it.
        pictures: A few training pictures, the model's examples, shape (n, side, side, 3).
    """

    input_type: ClassVar[type[Input]] = Picture
    output_type: ClassVar[type[Output]] = PictureAnswer

    def __init__(
        self, net: PictureNet, names: Sequence[str], side: int, usual: Strangeness,
        pictures: NDArray[np.uint8],
    ) -> None:  # fmt: skip
        self.net = net.cpu().eval()
        self.names = tuple(names)
        self.side = side
        self.usual = usual
        self.pictures = pictures

    def predict(self, inputs: Sequence[Picture]) -> list[PictureAnswer]:
        """Judges each picture."""
        if not inputs:
            return []
        with one_thread():
            found = self.judge(np.stack([squash(row.image, self.side) for row in inputs]))
        flat = [float(row.image.std(axis=(0, 1)).max()) < FLAT for row in inputs]
        return list(map(self._answer, *found, flat))

    def judge(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probabilities of the classes, and how strange each picture is.

        Args:
            pixels: Squares, shape (n, side, side, 3).

        Returns:
            Shapes (n, classes) and (n,); strangers begin at 1.
        """
        seen = torch.from_numpy(features_of(self.net.backbone, pixels, self.net.both_ways))
        with torch.inference_mode():
            chances = self.net.judge(seen).double().softmax(dim=1).numpy()
        return chances, self.usual.distances(seen.numpy()) / max(self.usual.limit, 1e-9)

    def likeliest(self, picture: Rgb) -> str:
        """The likeliest class of a picture, were it one of them."""
        with one_thread():
            chances, _ = self.judge(squash(picture, self.side)[None])
        return self.names[int(chances[0].argmax())]

    def heat(self, picture: Rgb, name: str) -> NDArray[np.float32]:
        """Where a picture speaks for a class: Grad-CAM, shape (rows, columns), in [0, 1]."""
        kind = np.array([self.names.index(name)])
        with one_thread():
            found = grad_cam(self.net, squash(picture, self.side)[None], kind)
        return np.asarray(found[0])

    def examples(self) -> list[Picture]:
        """A training picture of each of the first classes."""
        return [Picture(image=picture) for picture in self.pictures]

    def save(self, folder: Path) -> None:
        """Writes weights, distances and examples as safetensors, the rest as JSON."""
        tensors = {name: each.contiguous() for name, each in self.net.state_dict().items()}
        save_file(tensors, folder / "net.safetensors")
        arrays = {
            "means": torch.from_numpy(self.usual.means),
            "whitening": torch.from_numpy(self.usual.whitening),
            "pictures": torch.from_numpy(self.pictures),
        }
        save_file(
            {name: each.contiguous() for name, each in arrays.items()}, folder / "usual.safetensors"
        )
        facts = Facts(
            names=self.names, side=self.side, backbone=self.net.backbone.facts,
            limit=self.usual.limit,
        )  # fmt: skip
        write_json(folder / "model.json", facts.model_dump())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        facts = Facts.read(folder / "model.json")
        net = restore_net(
            facts.backbone, len(facts.names), facts.side, folder / "net.safetensors", both_ways=True
        )
        width, side = net.backbone.width, facts.side
        arrays = {n: each.numpy() for n, each in load_file(folder / "usual.safetensors").items()}
        usual = Strangeness(arrays["means"], arrays["whitening"], facts.limit)
        shapes = usual.means.shape, usual.whitening.shape, arrays["pictures"].shape[1:]
        if shapes != ((len(facts.names), width), (width, width), (side, side, 3)):
            raise ValueError(f"what is usual has the shapes {shapes}")
        if not (np.isfinite(usual.means).all() and np.isfinite(usual.whitening).all()):
            raise ValueError("what is usual holds no numbers")
        return cls(net, facts.names, side, usual, arrays["pictures"].astype(np.uint8, casting="no"))

    def export_onnx(self, path: Path) -> None:
        """Writes the net as ONNX: `pictures` float32 `(n, 3, side, side)` to `probabilities`.

        Pictures are red, green and blue in [0, 1]. Squashing them to squares is left to whoever
        runs it, and so is what is strange.
        """
        whole = torch.nn.Sequential(self.net, torch.nn.Softmax(dim=1)).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own, about torch's insides
            torch.onnx.export(
                whole, (torch.zeros(2, 3, self.side, self.side),), path, dynamo=True, verbose=False,
                input_names=["pictures"], output_names=["probabilities"], external_data=False,
                dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
            )  # fmt: skip

    def _answer(
        self, chances: NDArray[np.float64], strangeness: float, is_flat: bool
    ) -> PictureAnswer:
        best = int(chances.argmax())
        is_none = strangeness > 1 or is_flat
        return PictureAnswer(
            answer=NONE if is_none else self.names[best],
            confidence=None if is_none else float(chances[best]),
            probabilities=dict(zip(self.names, map(float, chances), strict=True)),
            strangeness=float(strangeness),
            warnings=["there is nothing to see in it: it has one colour"] if is_flat else [],
        )
