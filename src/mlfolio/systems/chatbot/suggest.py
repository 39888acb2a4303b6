"""Suggestions for new intents: what many users wrote, and the bot did not understand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from sklearn.cluster import AgglomerativeClustering

from mlfolio.core.run import Run
from mlfolio.parts.text.embed import get_encoder

FEWEST: Final = 5  # texts that are alike
ALIKE: Final = 0.5  # mean cosine of two of them
MOST: Final = 3000  # texts that are compared, the latest: each pair takes eight bytes
SHOWN: Final = 3


def alike(texts: Sequence[str]) -> list[list[str]]:
    """Groups of at least five texts that mean about the same, the largest first.

    Average linkage on the cosine of sentence vectors; the most typical text of a group comes first.
    """
    some = list(texts)[:MOST]
    if len(some) < FEWEST:
        return []
    vectors = get_encoder().encode(some)
    clusters = AgglomerativeClustering(
        n_clusters=None, metric="cosine", linkage="average", distance_threshold=1 - ALIKE
    ).fit_predict(vectors)
    found = []
    for rows in (np.flatnonzero(clusters == number) for number in range(clusters.max() + 1)):
        if len(rows) >= FEWEST:
            middle = vectors[rows] @ vectors[rows].mean(axis=0)
            found.append([some[row] for row in rows[np.argsort(-middle, kind="stable")]])
    return sorted(found, key=len, reverse=True)


def suggest(texts: Sequence[str], run: Run) -> None:
    """A table of what could be intents, if users wrote any such thing."""
    groups = alike(texts)
    if not groups:
        return
    rows = [{"texts": len(group), "such as": " | ".join(group[:SHOWN])} for group in groups]
    run.table(
        "Suggestions for new intents", pd.DataFrame(rows),
        f"Of {len(texts):,} texts in the prediction log that were not understood, those that at "
        f"least {FEWEST - 1} others are like.",
    )  # fmt: skip
