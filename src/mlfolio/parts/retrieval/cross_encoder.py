"""Cross-encoders: a transformer that reads question and passage together and says one number.

Nogueira and Cho (2019), Passage Re-ranking with BERT. They know more of a pair than two vectors
do, and cost a pass through the net for each, so they read only what a first search has found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor, nn

from mlfolio.core.errors import FileError
from mlfolio.core.run import DAMAGED
from mlfolio.parts.hub import find_model, load_scorer, places
from mlfolio.parts.retrieval.rerank import Scores
from mlfolio.parts.torch.device import autocast
from mlfolio.parts.torch.threads import in_pool

LONGEST: Final = 512  # tokens of a pair
_BATCH_TOKENS: Final = 2048  # padded tokens that are read at once


class Pairs:
    """Makes of a question and texts what a cross-encoder reads.

    Of a pair that is too long the text is cut. A question keeps all its words up to three quarters
    of the room, so that something of every text is read.

    Args:
        tokenizer: Of the transformer.
        net: The transformer with its head; it says what it takes.

    Attributes:
        longest: Tokens of a pair at most.
    """

    def __init__(self, tokenizer: Tokenizer, net: nn.Module) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        config: Any = net.config
        body: Any = net
        self.tokenizer = tokenizer
        self.longest = min(LONGEST, places(body.base_model))
        self._padding = int(config.pad_token_id or 0)
        self._tells_apart = getattr(config, "type_vocab_size", 0) > 1

    def __call__(self, question: str, texts: Sequence[str]) -> list[Encoding]:
        """The pair of a question with each text."""
        asked = self.tokenizer.encode(question, add_special_tokens=False)
        asked.truncate(self.longest * 3 // 4)
        marks = self.tokenizer.num_special_tokens_to_add(True)
        room = self.longest - len(asked) - marks
        found = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        for each in found:
            each.truncate(room)
        return [self.tokenizer.post_process(asked, each) for each in found]

    def batch(self, pairs: Sequence[Encoding]) -> dict[str, Tensor]:
        """What the net takes, each of shape (pairs, tokens of the longest)."""
        shape = len(pairs), max(map(len, pairs))
        ids = torch.full(shape, self._padding)
        mask, types = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, pair in enumerate(pairs):
            ids[row, : len(pair)] = torch.tensor(pair.ids)
            types[row, : len(pair)] = torch.tensor(pair.type_ids)
            mask[row, : len(pair)] = 1
        batch = {"input_ids": ids, "attention_mask": mask}
        return batch | ({"token_type_ids": types} if self._tells_apart else {})


class CrossEncoder:
    """Says how well texts answer a question: a `Reranker`.

    Pairs are sorted by length and go in batches of about equal token count to a pool with a thread
    a core, as texts do in `embed.Encoder`. bf16 where the device multiplies it natively.

    Attributes:
        net: Of the transformers library, with one number for an answer, in evaluation mode.
        pairs: Makes what it reads.
    """

    def __init__(self, net: nn.Module, pairs: Pairs) -> None:
        self.net = net
        self.pairs = pairs

    def score(self, question: str, texts: Sequence[str]) -> Scores:
        """How well each text answers, shape (n,): higher is better, comparable in one question."""
        pairs = self.pairs(question, texts)
        batches = list(_batches(pairs))
        scores: Scores = np.zeros(len(pairs), dtype=np.float32)
        parts = [[pairs[row] for row in rows] for rows in batches]
        for rows, values in zip(batches, in_pool(self._read, parts), strict=True):
            scores[rows] = values
        return scores

    def _read(self, pairs: Sequence[Encoding]) -> Scores:
        # Both contexts belong to a thread, so each call enters them.
        with torch.inference_mode(), autocast(next(self.net.parameters()).device):
            values: Scores = answers(self.net, self.pairs.batch(pairs)).cpu().numpy()
            return values

    def save(self, folder: Path) -> None:
        """Writes weights as safetensors, the rest as JSON: a folder as the hub has them."""
        net: Any = self.net
        net.save_pretrained(folder)
        self.pairs.tokenizer.save(str(folder / "tokenizer.json"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote, or what the hub has; no code is run from there.

        Raises:
            FileError: It holds no cross-encoder, or a damaged one.
        """
        net, missing = load_scorer(folder, "cross-encoder")
        if missing:
            raise FileError(
                f"{folder} holds no cross-encoder: it lacks {missing[0]}",
                "an encoder of single texts becomes one by `fit_cross_encoder`",
            )
        made = cls(net.eval(), pairs_of(net, folder))
        try:  # some of what a configuration says shows only when the net is asked
            works = bool(np.isfinite(made.score("film", ["A film."])).all())
        except Exception:  # the library's own
            works = False
        if not works:
            raise FileError(f"the cross-encoder in {folder} gives no numbers", DAMAGED)
        return made


def get_cross_encoder(name: str, fetch: bool = False) -> CrossEncoder:
    """The cross-encoder called `name`, loaded once a process.

    Args:
        name: A folder, or a model's name on the Hugging Face hub, such as
            `cross-encoder/ms-marco-MiniLM-L-6-v2` or `BAAI/bge-reranker-base`.
        fetch: Whether it may be downloaded from the hub; else it has to be on this machine.

    Raises:
        FileError: There is none, and it cannot be fetched.
    """
    return _load(find_model(name, fetch, "cross-encoder", "use none"))


@lru_cache(maxsize=2)
def _load(folder: Path) -> CrossEncoder:
    return CrossEncoder.load(folder)


def pairs_of(net: nn.Module, folder: Path) -> Pairs:
    """What makes pairs for a net.

    Raises:
        FileError: There is no tokenizer, or one with tokens that the net does not have.
    """
    body: Any = net
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        body.get_input_embeddings()(torch.tensor(max(tokenizer.get_vocab().values())))
        return Pairs(tokenizer, net)
    except Exception as error:  # tokenizers raises bare Exception
        raise FileError(
            f"{folder} holds no cross-encoder that reads texts ({type(error).__name__})",
            "it needs tokenizer.json beside its weights",
        ) from None


def answers(net: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The numbers that a net says, shape (pairs,)."""
    device = next(net.parameters()).device
    said: Tensor = net(**{name: each.to(device) for name, each in batch.items()}).logits
    return said.squeeze(1).float()


def _batches(pairs: Sequence[Encoding]) -> Iterator[list[int]]:
    """Rows of each batch, the longest first, so that one too big for memory fails at once."""
    order = sorted(range(len(pairs)), key=lambda row: len(pairs[row]))
    while order:
        size = max(1, _BATCH_TOKENS // len(pairs[order[-1]]))
        yield order[-size:]
        order = order[:-size]
