"""Backbones: what sees in a net that looks at pictures.

A backbone maps pictures `(n, 3, side, side)` in [0, 1] of any side to a map `(n, width, rows,
columns)` of what is where. There are two kinds: a small one of our own, whose weights come with the
package, and whatever the `transformers` library reads (ResNet, EfficientNet, MobileNet, ViT, ...).
"""

from __future__ import annotations

import json
import math
from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mlfolio.core.errors import FileError
from mlfolio.parts.hub import find_model, load_pretrained, untrained
from mlfolio.parts.torch.training import evaluating

from .pictures import Pixels

SMALL: Final = "small"  # the name of our own
SCRATCH: Final = "scratch"  # the same net, untrained
WEIGHTS: Final = Path(__file__).with_name("small.safetensors")
WIDTHS: Final = (64, 128, 256)  # channels of its blocks
PATCHES: Final = 2**20  # that its first layer is made from
IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
IMAGENET_SIDE: Final = 224  # pixels, of backbones by name that do not say theirs
SIDES: Final = range(16, 641)  # pixels that a side may have
OTHERS: Final = 16  # tokens that may stand for no patch: of the class, registers
RETRAIN: Final = "train it anew"


class Backbone(nn.Module):
    """What sees. Its colours are standardised inside, so an exported graph needs nothing else.

    Args:
        body: Maps standardised pictures to the map.
        width: Channels of the map.
        facts: From which `make_backbone` makes the same net, untrained; JSON.
        mean: Of each colour, in [0, 1].
        std: Likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, body: nn.Module, width: int, facts: dict[str, Any],
        mean: tuple[float, ...] = IMAGENET[0], std: tuple[float, ...] = IMAGENET[1],
    ) -> None:  # fmt: skip
        super().__init__()
        self.body = body
        self.width = width
        self.facts = facts
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, pictures: Tensor) -> Tensor:
        """What is where, shape (n, width, rows, columns)."""
        seen: Tensor = self.body((pictures - self.mean) / self.std)
        return seen


def get_backbone(name: str, seed: int, fetch: bool = False) -> Backbone:
    """A backbone, its weights learned from other pictures unless it is `scratch`.

    Args:
        name: `small`, `scratch`, a folder (of a transformers model, or of a stored model of the
            system `pictures`), or a model's name on the Hugging Face hub.
        seed: Draws the weights of `scratch`.
        fetch: Whether it may be downloaded from the hub.

    Raises:
        FileError: There is no such backbone here.
    """
    if name in (SMALL, SCRATCH):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = make_backbone({"kind": SMALL, "widths": list(WIDTHS)})
        if name == SMALL:
            _fill(net, WEIGHTS)
        return net
    folder = _find(name, fetch)
    if stored := _stored(folder):
        net = make_backbone(stored.get("backbone", {}))
        _fill(net, folder / "net.safetensors")
        return net
    return _pretrained(folder)


def native_side(name: str, fetch: bool = False) -> int | None:
    """Pixels a side of the pictures that a backbone has learned from; None: it is used to any.

    Args:
        name: As of `get_backbone`.
        fetch: Likewise.

    Raises:
        FileError: There is no such backbone here.
    """
    if name in (SMALL, SCRATCH):
        return None
    folder = _find(name, fetch)
    stored = _stored(folder)
    side = stored.get("side") if stored else _json(folder / "config.json").get("image_size")
    side = side[0] if isinstance(side, list) and side else side
    return side if isinstance(side, int) and side in SIDES else IMAGENET_SIDE


def _find(name: str, fetch: bool) -> Path:
    """The folder of a backbone that is not ours."""
    folder = find_model(name, fetch, "backbone", f"use {SMALL!r}, which comes with the package")
    return folder / "model" if (folder / "model").is_dir() else folder  # of a run


def _stored(folder: Path) -> dict[str, Any]:
    """What a model of the system `pictures` says of itself; nothing if it is another's."""
    return _json(folder / "model.json")


def make_backbone(facts: dict[str, Any]) -> Backbone:
    """An untrained backbone.

    Args:
        facts: Of the one that it is to be like.

    Raises:
        FileError: They are those of no backbone.
    """
    match facts:
        case {"kind": "small", "widths": [int(), int(), int()] as widths} if min(widths) > 0:
            net = Backbone(_small(*widths), widths[-1], facts)
        case {"kind": "transformers", "config": dict(config), "mean": mean, "std": std}:
            try:
                body = Transformers(untrained(config))
            except (ImportError, MemoryError):  # nothing is wrong with it
                raise
            except Exception as error:  # whatever transformers says to what is no configuration
                raise FileError(
                    f"no backbone: {type(error).__name__}: {error!s:.200}", RETRAIN
                ) from None
            net = Backbone(body, body.width, facts, _colours(mean), _colours(std, above=0.0))
        case _:
            raise FileError(f"{facts!r:.200} is no backbone", RETRAIN)
    # Channels last is the layout in which CPUs convolve fastest.
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _small(*widths: int) -> nn.Sequential:
    """The net of Jordan (2024, 94% on CIFAR-10 in 3.29 seconds), narrower; an eighth a side.

    Its first layer is set by `whiten` and not trained; each block halves the sides.
    """
    first = nn.Conv2d(3, 24, 2)
    first.weight.requires_grad_(False)
    layers: list[nn.Module] = [first, nn.GELU()]
    for before, width in pairwise((first.out_channels, *widths)):
        layers += [_convolution(before, width, pool=True), _convolution(width, width)]
    return nn.Sequential(*layers)


def _convolution(channels: int, out: int, pool: bool = False) -> nn.Sequential:
    """Convolution, optional 2x2 max-pool, BatchNorm, GELU; it begins by passing on what comes."""
    convolution = nn.Conv2d(channels, out, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight.data[:channels])
    pooling = [nn.MaxPool2d(2)] if pool else []
    return nn.Sequential(convolution, *pooling, nn.BatchNorm2d(out), nn.GELU())


def whiten(backbone: Backbone, pictures: Pixels) -> None:
    """Sets the first layer of an untrained small backbone, by which patches lose what all share.

    Its filters are the directions in which patches of 2x2 pixels vary, each scaled to a variance
    of one, and their opposites (Page, 2018, How to train your ResNet; Jordan, 2024, section 3.2).

    Args:
        backbone: Changed in place.
        pictures: What it is going to learn from, shape (n, side, side, 3).
    """
    n = max(1, PATCHES // pictures.shape[1] ** 2)
    some = to_tensor(pictures[:: max(1, len(pictures) // n)][:n], torch.device("cpu"))
    some = (some - backbone.mean.cpu()) / backbone.std.cpu()
    patches = some.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    variances, directions = torch.linalg.eigh(patches.T.double().cov(correction=0))
    filters = (directions / (variances + 5e-4).sqrt()).T.reshape(12, 3, 2, 2)
    first: Any = backbone.body
    with torch.no_grad():
        first[0].weight.copy_(torch.cat([filters, -filters]))
        first[0].bias.zero_()


class Transformers(nn.Module):
    """A vision model of the transformers library, its last layer laid out as a map."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.config: Any = model.config
        self.interpolates = "interpolate_pos_encoding" in signature(model.forward).parameters
        with evaluating(self):
            self.width = int(self(torch.zeros(1, 3, *self._smallest()))[0].shape[0])

    def forward(self, pictures: Tensor) -> Tensor:
        """What is where; of a ViT the tokens of the picture's patches.

        Raises:
            ValueError: Its tokens lie in no square.
        """
        used = pictures.shape[2:] == self._smallest()
        # A ViT knows the places of the patches of one size; for others they are interpolated.
        how = {} if used or not self.interpolates else {"interpolate_pos_encoding": True}
        seen: Tensor = self.model(pixel_values=pictures, **how).last_hidden_state
        if seen.ndim == 4:
            return seen
        side = pictures.shape[2] // int(self.config.patch_size)
        others = seen.shape[1] - side**2  # tokens that stand for no patch; they come first
        if not 0 <= others <= OTHERS:  # Swin puts patches together on the way
            side, others = math.isqrt(seen.shape[1]), 0
        if side**2 + others != seen.shape[1]:
            raise ValueError(f"{seen.shape[1]} tokens of a square are no square")
        return seen[:, others:].transpose(1, 2).reshape(len(seen), seen.shape[2], side, side)

    def _smallest(self) -> tuple[int, int]:
        side = getattr(self.config, "image_size", 64)
        return (side, side) if isinstance(side, int) else (side[0], side[1])


def _pretrained(folder: Path) -> Backbone:
    """The model in a folder, as the transformers library reads it; no code is run from there."""
    model: Any = load_pretrained(folder, "backbone")
    try:
        body = Transformers(model)
    except Exception as error:  # whatever a model that takes no pictures says to one
        raise FileError(
            f"{folder} holds no backbone that can be used ({type(error).__name__}: {error!s:.200})",
            "a model that looks at pictures: ResNet, EfficientNet, MobileNet, ViT, ...",
        ) from None
    colours = _json(folder / "preprocessor_config.json")
    mean = _colours(colours.get("image_mean") or IMAGENET[0])
    std = _colours(colours.get("image_std") or IMAGENET[1], above=0.0)
    facts = {"kind": "transformers", "config": model.config.to_dict(), "mean": mean, "std": std}
    net = Backbone(body, body.width, json.loads(json.dumps(facts, default=str)), mean, std)
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _colours(values: Any, above: float = -math.inf) -> tuple[float, ...]:
    """One number for red, green and blue each."""
    if (
        not isinstance(values, list | tuple) or len(values) != 3
        or not all(isinstance(each, int | float) and above < each < math.inf for each in values)
    ):  # fmt: skip
        raise FileError(f"{values!r:.100} are no three colours of a backbone", RETRAIN)
    return tuple(map(float, values))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _fill(net: Backbone, path: Path) -> None:
    """Puts stored weights into a backbone; they may be those of a whole net, and halved."""
    try:
        stored, start = load_file(path).items(), "backbone."
        net.load_state_dict({n.removeprefix(start): w for n, w in stored if n.startswith(start)})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise FileError(f"{path} holds other weights: {error!s:.200}", RETRAIN) from None
    if not all(each.isfinite().all() for each in net.state_dict().values()):
        raise FileError(f"{path} holds weights that are no numbers", RETRAIN)


def to_tensor(pictures: Pixels, device: torch.device) -> Tensor:
    """Pictures as nets want them: `(n, 3, side, side)` in [0, 1]."""
    numbers = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2)
    return numbers.float().div_(255)  # laid out channels last already
