"""Fits "does a passage support this sentence?" on SciTLDR, and says how well it does.

    python benchmarks/support.py FOLDER-OF-SCITLDR-A

A summary that people wrote of a paper stands for what a language model says: its abstract supports
it. What does not: the abstract, of all others, that is nearest to the summary. Papers of
train.jsonl fit a logistic model; those of dev.jsonl measure it. Prints the constants of
`mlfolio.parts.retrieval.support.SUPPORT`, by which nine in ten supported sentences pass.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from mlfolio.parts.retrieval.logistic import Logistic
from mlfolio.parts.retrieval.support import Signals, signals
from mlfolio.parts.stats import bootstrap_ci95
from mlfolio.parts.text.embed import get_encoder

PAPERS = 600  # of each part


def main() -> None:
    """Reads, looks, fits, prints."""
    folder = Path(sys.argv[1])
    fitted, truth, _ = look(folder / "train.jsonl")
    model = Logistic.fit(fitted[truth], fitted[~truth])
    print(f"Logistic({model.bias:.3f}, {Signals(*model.weights)}, {model.threshold:.3f})")
    tested, truth, sums = look(folder / "dev.jsonl")
    chance = np.array([model(row) for row in tested])
    passed = chance >= model.threshold
    low, high = bootstrap_ci95(roc_auc_score, truth, chance)
    print(
        f"n {len(truth)}, AUROC {roc_auc_score(truth, chance):.3f} ({low:.3f} to {high:.3f}; "
        f"cosine alone {roc_auc_score(truth, tested[:, 0]):.3f}, terms alone "
        f"{roc_auc_score(truth, tested[:, 1]):.3f}); passed: "
        f"{passed[truth].mean():.3f} of the supported, "
        f"{passed[~truth].mean():.3f} of the others; {sums} papers"
    )


def look(path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """The signals of each summary with its own and with the nearest other abstract."""
    papers = [json.loads(line) for line in path.read_text("utf-8").splitlines()[:PAPERS]]
    abstracts = [" ".join(paper["source"]) for paper in papers]
    summaries = [paper["target"][0] for paper in papers]
    encoder = get_encoder()
    near = encoder.encode(summaries) @ encoder.encode(abstracts).T
    np.fill_diagonal(near, -1)
    rows, truth = [], []
    for at, summary in enumerate(summaries):
        for other, is_own in ((at, True), (int(near[at].argmax()), False)):
            rows.append(signals(encoder, summary, [abstracts[other]]))
            truth.append(is_own)
    return np.array(rows), np.array(truth), len(papers)


if __name__ == "__main__":
    main()
