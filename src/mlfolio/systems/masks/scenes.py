"""The whole on scenes, finding and telling: what was found is matched with what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.score import Score
from mlfolio.parts.stats import grouped_score

from .data import NAMES, WITH, WRONG, Scene
from .detect import Boxes, overlap

MATCHED: Final = 0.5  # intersection over union from which a box is that of a face
Pair = tuple[str | None, str | None]  # what a face wears, what is said; None: no face, overlooked
Column = NDArray[np.int64]
RULE: Final = (
    "scenes with boxes, IoU of at least 0.5, each face matched once, the surest find first; "
    "bootstrap over scenes"
)


def match(scene: Scene, boxes: Boxes, said: Sequence[str]) -> list[Pair]:
    """What became of each face and of each find.

    Args:
        scene: What is there.
        boxes: What was found, the surest first, shape (n, 4).
        said: Of each find.
    """
    shared = overlap(boxes, scene.boxes)
    pairs: list[Pair] = []
    free = np.ones(len(scene.boxes), dtype=bool)
    for row, label in zip(shared, said, strict=True):
        open_ = np.where(free, row, 0.0)
        if len(open_) and open_.max() >= MATCHED:
            best = int(open_.argmax())
            free[best] = False
            pairs.append((scene.labels[best], label))
        else:
            pairs.append((None, label))
    return pairs + [(scene.labels[row], None) for row in np.flatnonzero(free)]


def scores(found: Mapping[str, Sequence[Sequence[Pair]]], of: str, plain: str) -> list[Score]:
    """Precision and recall over scenes, of faces that are found and named rightly, and of finding.

    "Not sure" names nothing: it costs recall, not precision. Masks worn wrongly were never learned:
    finding them counts, naming them does not.

    Args:
        found: For each way of looking the pairs of each scene.
        of: The name, in `found`, of the system's own.
        plain: Likewise, of a simple one.
    """
    trivial = f"all {WITH}"
    all_masked = [
        [(true, said and WITH) for true, said in pairs] for pairs in found[of]
    ]  # boxes and nothing else
    ways = {**found, trivial: all_masked}
    named = f"{RULE}; box and label are right, masks worn wrongly left out"
    metrics = {
        "scene precision": (_right, _claimed, named),
        "scene recall": (_right, _worn, named),
        "scene detection precision": (_found, _finds, f"{RULE}; the box is right"),
        "scene detection recall": (_found, _faces, f"{RULE}; the box is right"),
    }
    scores = []
    for name, (part, whole, protocol) in metrics.items():
        columns = {
            way: [
                np.array([sum(map(counted, pairs)) for pairs in scenes])
                for counted in (part, whole)
            ]
            for way, scenes in ways.items()
        }
        group = np.arange(len(found[of]))
        scores.append(
            grouped_score(
                name, _share, columns, of, group, trivial=trivial, strong=plain, protocol=protocol
            )
        )
    return scores


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _right(pair: Pair) -> bool:
    return pair[0] in NAMES and pair[0] == pair[1]


def _claimed(pair: Pair) -> bool:
    return pair[1] in NAMES and pair[0] != WRONG


def _worn(pair: Pair) -> bool:
    return pair[0] in NAMES


def _found(pair: Pair) -> bool:
    return None not in pair


def _finds(pair: Pair) -> bool:
    return pair[1] is not None


def _faces(pair: Pair) -> bool:
    return pair[0] is not None


def table(pairs: Sequence[Pair]) -> pd.DataFrame:
    """How many faces of each kind were called what."""
    frame = pd.DataFrame(pairs, columns=["is", "called"])
    frame = frame.fillna({"is": "no face", "called": "overlooked"})
    return pd.crosstab(frame["is"], frame["called"])
