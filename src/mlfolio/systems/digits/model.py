"""The model that `fit` returns: pictures in, digits with calibrated confidence out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from safetensors.torch import load_file, save_file

from mlfolio.core.model import Input, Output
from mlfolio.core.run import write_json
from mlfolio.parts.torch.threads import one_thread
from mlfolio.parts.vision.reading import decode_base64, write_base64

from .data import Pictures, to_bytes
from .nets import CLASSES, SIDE, DigitNet, cnn
from .normalise import Grey, Normalised, normalise, open_picture
from .training import logits_of

FORMS = (
    "a PNG or JPEG in base64 or as a data: URL, or 28 rows of 28 numbers in 0..255 (on the command "
    "line: image=@FILE)"
)


def read_picture(value: Any) -> Grey:
    """A picture in any of the forms that people send, as grey `(height, width)` in [0, 1].

    Args:
        value: Base64 text or a `data:` URL of a PNG or JPEG, its bytes, or a 28x28 array of
            numbers in 0..255. Text is never taken for a path: a client could name any file.

    Raises:
        ValueError: It is none of these, or too large.
    """
    if isinstance(value, str):
        value = decode_base64(value, FORMS)
    if isinstance(value, bytes):
        return open_picture(value)
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (SIDE, SIDE):
        raise ValueError(f"no picture; a picture is {FORMS}")
    if not ((array >= 0) & (array <= 255)).all():  # NaN is in no range
        raise ValueError("has values that are not in 0..255")
    if array.max() <= 1 and (array % 1).any():
        raise ValueError("has values in 0..1 only; numbers go from 0 to 255, so multiply by 255")
    return (array / 255).astype(np.float32)


def write_picture(grey: Grey) -> str:
    """A grey picture as PNG in base64; what `read_picture` makes of it is the same picture."""
    return write_base64(to_bytes(grey))


class DigitPicture(Input):
    """A picture of one handwritten digit, of any size, light on dark or dark on light."""

    image: Annotated[
        Grey,
        PlainValidator(read_picture),
        PlainSerializer(write_picture),
        WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": FORMS}),
    ]


class DigitAnswer(Output):
    """A digit with the probability of each, `"0"` to `"9"`."""

    answer: int
    probabilities: dict[str, float]


class DigitsModel:
    """A convolutional net behind the normalisation that its pictures need.

    Attributes:
        net: The net, in evaluation mode.
        pictures: A few training pictures, the model's examples.
    """

    input_type: type[Input] = DigitPicture
    output_type: type[Output] = DigitAnswer

    def __init__(self, net: DigitNet, pictures: NDArray[np.uint8]) -> None:
        self.net = net.eval()
        self.pictures = pictures

    def predict(self, inputs: Sequence[DigitPicture]) -> list[DigitAnswer]:
        """Answers a batch in one pass through the net."""
        if not inputs:
            return []
        seen = [normalise(question.image) for question in inputs]
        chances = self.probabilities(np.stack([one.ink for one in seen]))
        return [_answer(one, row) for one, row in zip(seen, chances, strict=True)]

    def probabilities(self, ink: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated probabilities `(n, 10)` for normalised ink `(n, 28, 28)` in [0, 1]."""
        with one_thread():
            chances = logits_of(self.net, ink).double().softmax(dim=1)
        return np.asarray(chances.numpy(), np.float64)

    def saliency(self, ink: NDArray[np.float32]) -> NDArray[np.float32]:
        """How strongly each pixel moves the chosen digit's logit, `(n, 28, 28)`, at least 0.

        The absolute gradient of Simonyan et al. (2014), Deep inside convolutional networks.
        """
        pixels = torch.from_numpy(ink)[:, None].clone().requires_grad_()
        best = self.net(pixels).max(dim=1).values.sum()
        (gradient,) = torch.autograd.grad(best, pixels)
        return np.asarray(gradient.abs()[:, 0].numpy(), np.float32)

    def activations(self, ink: NDArray[np.float32], layers: int) -> NDArray[np.float32]:
        """What the first `layers` convolutions make of ink `(n, 28, 28)`: `(n, channels, h, w)`."""
        first = self.net.body[:layers]  # type: ignore[index]
        with torch.inference_mode():
            return np.asarray(first(torch.from_numpy(ink)[:, None]).numpy(), np.float32)

    def examples(self) -> list[DigitPicture]:
        """One training picture of each digit."""
        return [DigitPicture(image=picture) for picture in self.pictures]

    def save(self, folder: Path) -> None:
        """Writes weights, temperature and examples as safetensors, and their shape as JSON."""
        tensors = {f"net.{k}": v.contiguous() for k, v in self.net.state_dict().items()}
        tensors["examples"] = torch.from_numpy(self.pictures)
        save_file(tensors, folder / "model.safetensors")
        weights = sum(weight.numel() for weight in self.net.parameters())
        write_json(folder / "model.json", {"net": "cnn", "weights": weights})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        tensors = load_file(folder / "model.safetensors")
        pictures = tensors.pop("examples").numpy()
        net = cnn()
        net.load_state_dict({k.removeprefix("net."): v for k, v in tensors.items()})
        return cls(net, pictures)

    def export_onnx(self, path: Path) -> None:
        """Writes the net as ONNX: `ink` float32 `(n, 1, 28, 28)` in [0, 1] to `probabilities`.

        Normalising pictures (`normalise.py`) is left to whoever runs it.
        """
        whole = torch.nn.Sequential(self.net, torch.nn.Softmax(dim=1)).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own, about torch's insides
            torch.onnx.export(
                whole, (torch.zeros(2, 1, SIDE, SIDE),), path, dynamo=True, verbose=False,
                input_names=["ink"], output_names=["probabilities"], external_data=False,
                dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
            )  # fmt: skip


def pick_examples(pictures: Pictures) -> NDArray[np.uint8]:
    """The first picture of each digit, `(up to 10, 28, 28)`."""
    return pictures.pixels[np.unique(pictures.digits, return_index=True)[1]]


def _answer(seen: Normalised, chances: NDArray[np.float64]) -> DigitAnswer:
    """A blank picture gets even chances: there is nothing to see."""
    if seen.blank:
        chances = np.full(CLASSES, 1 / CLASSES)
    best = int(chances.argmax())
    return DigitAnswer(
        answer=best,
        confidence=float(chances[best]),
        probabilities={str(digit): float(chance) for digit, chance in enumerate(chances)},
        warnings=list(seen.warnings),
    )
