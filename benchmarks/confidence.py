"""Fits "is the answer in the documents?" on SQuAD 2.0, and says how well it does.

    python benchmarks/confidence.py dev-v2.0.json

All paragraphs are indexed as documents. Half of the articles fit a logistic model on answerable
questions against the same questions with their article left out; the other half measure it, against
those and against SQuAD's unanswerable questions, which were written to look answerable. Prints the
constants of `mlfolio.parts.retrieval.extract.CONFIDENCE`, and how often the first sentence that is
quoted holds the answer.
"""

from __future__ import annotations

import json
import random
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from mlfolio.parts.retrieval.extract import Signals, extract
from mlfolio.parts.retrieval.logistic import Logistic
from mlfolio.parts.retrieval.search import best_hits, find
from mlfolio.parts.retrieval.stores.lance import LanceIndex
from mlfolio.parts.retrieval.sync import Document, sync
from mlfolio.parts.stats import bootstrap_ci95
from mlfolio.parts.text.embed import get_encoder
from mlfolio.systems.documents.official import confidence_parts

QUESTIONS = 1000  # of either kind
PASSAGES = 5
KINDS = ("there", "taken away", "adversarial")


class Row(NamedTuple):
    """A question as it was met: its article, whether its answer was there, and what was seen."""

    article: str
    kind: str  # one of KINDS
    signals: Signals
    right: bool  # the best sentence holds the answer


def main() -> None:
    """Reads, asks, fits, prints."""
    articles = json.loads(Path(sys.argv[1]).read_text("utf-8"))["data"]
    paragraphs = [
        (f"{article['title']}/{number}", article["title"], paragraph)
        for article in articles
        for number, paragraph in enumerate(article["paragraphs"])
    ]
    asked = [(name, title, q) for name, title, p in paragraphs for q in p["qas"]]
    draw = random.Random(0)
    there = [row for row in asked if not row[2]["is_impossible"]]
    not_there = [row for row in asked if row[2]["is_impossible"]]
    asked = [*draw.sample(there, QUESTIONS), *draw.sample(not_there, QUESTIONS)]
    encoder = get_encoder()
    with tempfile.TemporaryDirectory() as place:
        index = LanceIndex(Path(place), encoder.dimension)
        sync(index, [Document.of_text(n, t.replace("_", " "), p["context"])
                     for n, t, p in paragraphs], encoder)  # fmt: skip
        rows = [row for _, title, q in asked for row in meet(index, title, q)]
    fitted, _ = confidence_parts(name for name, _, _ in paragraphs)
    report(rows, {name.rpartition("/")[0] for name in fitted})


def meet(index: LanceIndex, title: str, asked: dict[str, Any]) -> list[Row]:
    """A question with its article and, where it has an answer, without."""
    encoder, question = get_encoder(), asked["question"]
    candidates = find(index, encoder, question, 200)
    of_article = {name for name in index.documents() if name.startswith(f"{title}/")}
    kinds = ["adversarial"] if asked["is_impossible"] else ["there", "taken away"]
    rows = []
    for kind in kinds:
        seen = candidates.without(of_article) if kind == "taken away" else candidates
        hits = best_hits(index, seen, PASSAGES)
        quotes, signals = extract(encoder, question, seen.vector, hits, 1)
        gold = [plain(answer["text"]) for answer in asked["answers"]]
        right = bool(quotes) and any(text in plain(quotes[0].text) for text in gold)
        rows.append(Row(title, kind, signals, right))
    return rows


def plain(text: str) -> str:
    """Words alone, for comparing answers."""
    return re.sub(r"\W+", " ", text.lower()).strip()


def report(rows: list[Row], first: set[str]) -> None:
    """Fits on half of the articles and prints what the other half says."""
    fitted = [row for row in rows if row.article in first]
    by_kind = {kind: [r.signals for r in fitted if r.kind == kind] for kind in KINDS}
    model = Logistic.fit(by_kind["there"], by_kind["taken away"])
    print(f"Logistic({model.bias:.3f}, {Signals(*model.weights)}, {model.threshold:.3f})")
    for other in ("taken away", "adversarial"):
        tested = [r for r in rows if r.article not in first and r.kind in ("there", other)]
        truth = np.array([row.kind == "there" for row in tested])
        chance = np.array([model(row.signals) for row in tested])
        low, high = bootstrap_ci95(roc_auc_score, truth, chance)
        said = chance >= model.threshold
        print(
            f"{other}: n {len(tested)}, AUROC {roc_auc_score(truth, chance):.3f} ({low:.3f} to "
            f"{high:.3f}); answered: {said[truth].mean():.3f} of those there, "
            f"{said[~truth].mean():.3f} of the others"
        )
    right = [row.right for row in rows if row.kind == "there"]
    print(f"the first sentence quoted holds the answer: {np.mean(right):.3f} of {len(right)}")


if __name__ == "__main__":
    main()
