"""A sentence encoder fine-tuned on questions and texts that answer them.

Each question has to find its text among those of a whole batch and some that look like it: in-batch
negatives (Henderson et al., 2017, Efficient Natural Language Response Suggestion) with hard ones
beside them (Karpukhin et al., 2020, Dense Passage Retrieval, EMNLP).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Generator, Tensor

from mlfolio.core.run import Run
from mlfolio.parts.hub import fuse_attention, load_pretrained
from mlfolio.parts.retrieval.cross_training import Example, drawn, require_both
from mlfolio.parts.text.embed import Encoder, Tokens, find_encoder
from mlfolio.parts.torch.device import best_device
from mlfolio.parts.torch.training import Recipe, shuffled, train

BATCH: Final = 32  # questions of a step: each is a wrong answer's question to the others
WRONG: Final = 1  # texts that look right, beside each right one
TEMPERATURE: Final = 0.05  # of the cosines, as sentence-transformers has it (a scale of 20)


def fit_encoder(
    examples: Sequence[Example], recipe: Recipe, run: Run, base: str, folder: Path
) -> Encoder:
    """Fine-tunes an encoder; a killed run goes on (see `train`).

    Vectors of words are left as they are, for few texts change few words.

    Args:
        examples: That are learned from; those without a right or a wrong text are not.
        recipe: How.
        run: Whose seed, progress bar and folder it is.
        base: The encoder to begin with, as `embed.get_encoder` takes it.
        folder: Where the new one is written; it is made.

    Raises:
        FileError: There is no such encoder.
        UserError: No example has both kinds of texts.
    """
    tasks = require_both(examples)
    source = find_encoder(base, fetch=True)
    net: Any = load_pretrained(source, "encoder")
    tokens = Tokens(source)
    device = best_device()
    net.to(device).float().get_input_embeddings().requires_grad_(False)
    fuse_attention(net)

    def vectors(texts: Sequence[str]) -> Tensor:
        ids, mask = (part.to(device) for part in tokens(texts))
        states = net(input_ids=ids, attention_mask=mask).last_hidden_state
        return tokens.pool(states.float(), mask)

    def loss(rows: Tensor, rng: Generator) -> Tensor:
        met = [tasks[row] for row in rows.tolist()]
        right = [text for _, text in met]
        wrong = [text for example, _ in met for text in drawn(example.wrong, WRONG, rng)]
        texts = [*right, *wrong]
        asked = vectors([example.question for example, _ in met])
        scores = asked @ vectors(texts).T / TEMPERATURE
        # What answers a question too is no wrong answer to it.
        also = [[text in example.right for text in texts] for example, _ in met]
        own = torch.eye(len(met), len(texts), dtype=torch.bool)
        scores = scores.masked_fill((torch.tensor(also) & ~own).to(device), -torch.inf)
        return F.cross_entropy(scores, torch.arange(len(met), device=device))

    size = min(BATCH, max(2, len(tasks) // 10), len(tasks))
    train(net, shuffled(len(tasks), size, run.seed), loss, recipe, run, "encoder")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.bin"))
    net.cpu().save_pretrained(folder)
    return Encoder(base, folder)
