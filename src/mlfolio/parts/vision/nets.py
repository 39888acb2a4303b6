"""A net that tells pictures apart: a backbone that sees, the mean over all places, and a head."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from mlfolio.core.errors import FileError
from mlfolio.parts.torch.stored import load_net
from mlfolio.parts.torch.training import evaluating

from .backbone import RETRAIN, SMALL, WEIGHTS, WIDTHS, Backbone, make_backbone, to_tensor
from .pictures import Pixels

AT_ONCE: Final = 64 * 96**2  # pixels that are looked at together


class PictureNet(nn.Module):
    """A backbone, the mean over all places, and one linear layer.

    Args:
        backbone: What sees.
        classes: How many classes are told apart.
        seed: Draws the weights of the head.
        both_ways: Whether it answers by the mean of a picture and its mirror: surer, and twice
            the time (Krizhevsky et al., 2012, section 4.1).
    """

    temperature: Tensor

    def __init__(
        self, backbone: Backbone, classes: int, seed: int = 0, both_ways: bool = False
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.both_ways = both_ways
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(backbone.width, classes)
        self.register_buffer("temperature", torch.tensor(1.0))

    def forward(self, pictures: Tensor) -> Tensor:
        """Calibrated logits `(n, classes)` of pictures `(n, 3, side, side)` in [0, 1]."""
        both_ways = self.both_ways and not self.training
        return self.judge(_features(self.backbone, pictures, both_ways))

    def judge(self, features: Tensor) -> Tensor:
        """The logits of what the backbone saw on the whole, shape (n, width)."""
        logits: Tensor = self.head(features)
        return logits.float() / self.temperature


def small_net() -> PictureNet:
    """The net that the small backbone was taken from, with its head for CIFAR-10's ten classes."""
    net = PictureNet(make_backbone({"kind": SMALL, "widths": list(WIDTHS)}), 10, both_ways=True)
    net.load_state_dict(load_file(WEIGHTS))
    return net


def restore_net(
    facts: dict[str, Any], classes: int, side: int, path: Path, both_ways: bool = False
) -> PictureNet:
    """A net as it was stored.

    Args:
        facts: Of its backbone.
        classes: How many it tells apart.
        side: Pixels a side of the pictures that it is asked about.
        path: Of its weights.
        both_ways: As of `PictureNet`.

    Raises:
        FileError: They are those of no such net, or lead to no numbers.
    """
    net = load_net(lambda: PictureNet(make_backbone(facts), classes, 0, both_ways), path)
    blank = logits_of(net, np.zeros((1, side, side, 3), np.uint8))
    if not blank.isfinite().all():
        raise FileError(f"{path} holds a net whose answers are no numbers", RETRAIN)
    return net


def _features(backbone: Backbone, pictures: Tensor, both_ways: bool) -> Tensor:
    seen: Tensor = backbone(pictures).mean(dim=(2, 3))
    return (seen + _features(backbone, pictures.flip(3), False)) / 2 if both_ways else seen


def features_of(
    backbone: Backbone, pictures: Pixels, both_ways: bool = False
) -> NDArray[np.float32]:
    """The mean over all places of what a backbone sees, shape (n, width).

    Args:
        backbone: What sees.
        pictures: Shape (n, side, side, 3).
        both_ways: Whether it is the mean of each picture and its mirror.
    """
    found = np.zeros((len(pictures), backbone.width), np.float32)
    size = max(1, AT_ONCE // pictures.shape[1] ** 2)
    with evaluating(backbone):
        for at in range(0, len(pictures), size):
            some = to_tensor(pictures[at : at + size], backbone.mean.device)
            found[at : at + size] = _features(backbone, some, both_ways).float().cpu().numpy()
    return found


def logits_of(net: PictureNet, pictures: Pixels) -> Tensor:
    """Calibrated logits of pictures, shape (n, classes)."""
    features = torch.from_numpy(features_of(net.backbone, pictures, net.both_ways))
    with evaluating(net):
        return net.judge(features.to(net.temperature.device)).cpu()


def grad_cam(net: PictureNet, pictures: Pixels, classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Where each picture speaks for a class, shape (n, rows, columns), in [0, 1].

    Grad-CAM (Selvaraju et al., 2017), equations 1 and 2: channels of the map weighed by the mean
    gradient of the class's logit, what speaks against it cut off.

    Args:
        net: In evaluation mode.
        pictures: Shape (n, side, side, 3).
        classes: Number of each one's class, shape (n,).
    """
    with torch.no_grad():
        seen = net.backbone(to_tensor(pictures, net.temperature.device))
    seen.requires_grad_()
    logits = net.judge(seen.mean(dim=(2, 3)))
    chosen = logits[torch.arange(len(classes)), torch.from_numpy(classes)].sum()
    (gradient,) = torch.autograd.grad(chosen, seen)
    shares = (gradient.mean(dim=(2, 3), keepdim=True) * seen).sum(dim=1).relu().detach()
    top = shares.flatten(1).amax(dim=1).clamp_min(1e-9)
    return np.asarray((shares / top[:, None, None]).cpu().numpy(), np.float32)
