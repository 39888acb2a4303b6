"""What is strange to a net: pictures that look like none of its classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from mlfolio.parts.conformal import conformal_quantile
from mlfolio.parts.vision.nets import PictureNet, features_of
from mlfolio.parts.vision.pictures import Pictures


@dataclass(frozen=True)
class Strangeness:
    """How far pictures are from all classes, by what the net sees of them.

    Mahalanobis distance with one covariance for all classes (Lee et al., 2018, A simple unified
    framework for detecting out-of-distribution samples).

    Attributes:
        means: Of each class, shape (classes, width).
        whitening: What makes the covariance one, shape (width, width).
        limit: Distance from which a picture is of none of the classes.
    """

    means: NDArray[np.float32]
    whitening: NDArray[np.float32]
    limit: float

    @classmethod
    def of(cls, net: PictureNet, seen: Pictures, unseen: Pictures, refused: float) -> Strangeness:
        """Learns what is usual.

        Args:
            net: Trained.
            seen: What it was trained on.
            unseen: What it was not: of these a share is too far, by which the limit is set.
            refused: That share.
        """
        features = features_of(net.backbone, seen.pixels, net.both_ways).astype(np.float64)
        n_classes = net.head.out_features
        means = np.stack([features[seen.classes == kind].mean(axis=0) for kind in range(n_classes)])
        spread = features - means[seen.classes]
        covariance = spread.T @ spread / len(features)
        floor = 1e-3 * np.trace(covariance) / len(covariance) + 1e-9
        values, vectors = np.linalg.eigh(covariance + floor * np.eye(len(covariance)))
        whitening = vectors / np.sqrt(values)
        usual = cls(means.astype(np.float32), whitening.astype(np.float32), math.inf)
        distances = usual.distances(features_of(net.backbone, unseen.pixels, net.both_ways))
        return cls(usual.means, usual.whitening, conformal_quantile(distances, 1 - refused))

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """From the nearest class, shape (n,), of features of shape (n, width)."""
        to = self.whitening.astype(np.float64)
        nearest: NDArray[np.float64] = cdist(features @ to, self.means @ to).min(axis=1)
        return nearest
