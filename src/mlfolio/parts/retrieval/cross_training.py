"""A cross-encoder of one's own, from questions with texts that answer them and texts that do not.

The loss is a softmax over one right text and some wrong ones (Gao, Dai and Callan, 2021, Rethink
Training of BERT Rerankers in Multi-Stage Retrieval Pipeline, ECIR): wrong texts that a first search
found are those it will be asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Generator, Tensor, nn

from mlfolio.core.errors import UserError
from mlfolio.core.run import Run
from mlfolio.parts.hub import fuse_attention, load_scorer
from mlfolio.parts.retrieval.cross_encoder import CrossEncoder, answers, pairs_of
from mlfolio.parts.retrieval.metrics import reciprocal_rank
from mlfolio.parts.text.embed import BUNDLED, find_encoder
from mlfolio.parts.torch.device import best_device
from mlfolio.parts.torch.training import Recipe, shuffled, train

BATCH: Final = 8  # questions of a step
WRONG: Final = 4  # texts beside each right one: a step on a CPU takes seconds
NAME: Final = "cross-encoder"


@dataclass(frozen=True, slots=True)
class Example:
    """A question and how some texts answer it.

    Attributes:
        question: As it is asked.
        right: Texts that answer it.
        wrong: Texts that do not, though they look like it.
    """

    question: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]


def fit_cross_encoder(
    examples: Sequence[Example], recipe: Recipe, run: Run, base: str = BUNDLED,
    held_out: Sequence[Example] = (), wrong: int = WRONG,
) -> CrossEncoder:  # fmt: skip
    """Trains a cross-encoder; a killed run goes on (see `train`).

    Each right text is met once an epoch, beside some wrong ones of its question that are drawn
    anew each time. Vectors of words are left as they are, for few texts change few words.

    Args:
        examples: That are learned from; those without a right or a wrong text are not.
        recipe: How.
        run: Whose seed, progress bar and folder it is.
        base: An encoder to begin with: `all-MiniLM-L6-v2` (bundled), a folder, or a model's name
            on the Hugging Face hub. One that is a cross-encoder already keeps its head.
        held_out: Examples whose mean reciprocal rank is the score after each epoch.
        wrong: Texts beside each right one.

    Raises:
        FileError: There is no such encoder.
        UserError: No example has both kinds of texts.
    """
    tasks = require_both(examples)
    encoder = _untrained(base, run.seed)
    net, pairs = encoder.net.to(best_device()), encoder.pairs

    def loss(rows: Tensor, rng: Generator) -> Tensor:
        met = []
        for row in rows.tolist():
            example, text = tasks[row]
            met += pairs(example.question, [text, *drawn(example.wrong, wrong, rng)])
        said = answers(net, pairs.batch(met)).view(len(rows), 1 + wrong)
        return F.cross_entropy(said, torch.zeros(len(rows), dtype=torch.int64, device=said.device))

    size = min(BATCH, max(2, len(tasks) // 20), len(tasks))
    tested = [each for each in held_out if each.right and each.wrong]
    score = (lambda: mean_reciprocal_rank(encoder, tested)) if tested else None
    train(net, shuffled(len(tasks), size, run.seed), loss, recipe, run, NAME, score)
    net.cpu()
    return encoder


def mean_reciprocal_rank(encoder: CrossEncoder, examples: Sequence[Example]) -> float:
    """Mean of 1 / rank of the best right text among those of its question, 0 to 1."""
    found = []
    for each in examples:
        texts = [*each.wrong, *each.right]  # wrong ones first: of equals the right one is behind
        order = np.argsort(-encoder.score(each.question, texts), kind="stable")
        ranking = [str(at) for at in order]
        right = {str(at): 1.0 for at in range(len(each.wrong), len(texts))}
        found.append(reciprocal_rank(ranking, right, len(texts)))
    return float(np.mean(found))


def _untrained(base: str, seed: int) -> CrossEncoder:
    """A pretrained body whose head says 0 of everything."""
    folder = find_encoder(base, fetch=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # some bodies come without the layer below the head
        net, missing = load_scorer(folder, NAME)
    if missing:
        linear = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
        head = next(layer for layer in reversed(linear) if layer.out_features == 1)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    body: nn.Module = net.get_input_embeddings()  # type: ignore[operator]
    body.requires_grad_(False)
    fuse_attention(net)
    return CrossEncoder(net, pairs_of(net, folder))


def require_both(examples: Sequence[Example]) -> list[tuple[Example, str]]:
    """What is learned from: each right text of an example that has wrong ones too.

    Raises:
        UserError: There is none.
    """
    tasks = [(each, text) for each in examples if each.wrong for text in each.right]
    if not tasks:
        raise UserError(
            "it is learned from questions with right and wrong texts, and there are none",
            "give each question a text that answers it and one that does not",
        )
    return tasks


def drawn(texts: Sequence[str], count: int, rng: Generator) -> list[str]:
    """So many texts in random order; where there are fewer, some more than once."""
    order = torch.randperm(len(texts), generator=rng).tolist()
    return [texts[at] for at in islice(cycle(order), count)]
