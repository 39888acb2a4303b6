"""A fine-tuned transformer as a reader: MiniLM, or any BERT by its name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Generator, Tensor, nn

from mlfolio.core.errors import FileError
from mlfolio.core.run import DAMAGED, Run, write_json
from mlfolio.parts.hub import fuse_attention, load_pretrained, places, untrained
from mlfolio.parts.text.embed import find_encoder, padded
from mlfolio.parts.torch.calibration import best_temperature
from mlfolio.parts.torch.checkpoint import History
from mlfolio.parts.torch.device import best_device
from mlfolio.parts.torch.stored import Stored, load_net
from mlfolio.parts.torch.threads import one_thread
from mlfolio.parts.torch.training import Recipe, bucketed, evaluating, train

from .data import require_words
from .readers import EXPLAINED, STEPS, Floats, Judged, Reader, Share
from .words import TAG, words_of

BATCH: Final = 32  # texts of a step
ANSWERED: Final = 64  # readings that are answered at once
CHARACTERS: Final = 100  # of a piece at most: BERT's tokenizers take no longer word
FEWEST: Final = 16  # pieces that are read in one go


class Facts(Stored):
    """What a transformer is stored with.

    Attributes:
        config: Of its body, as the transformers library has it.
        longest: Pieces of a text that are read in one go.
    """

    config: dict[str, Any]
    longest: Annotated[int, Field(ge=FEWEST)]


class Pieces(NamedTuple):
    """Pieces of words of a text.

    Attributes:
        ids: Their numbers, marks of beginning and end included, shape (pieces,).
        spans: Where each stands in what `Cutter.shortened` gives; (0, 0) for a mark.
        readings: Which of them are read in one go, places in `ids`.
        is_read: Whether any of them is a known one with a letter or a digit.
        is_cut: Whether the text has more.
    """

    ids: NDArray[np.int64]
    spans: list[tuple[int, int]]
    readings: list[NDArray[np.int64]]
    is_read: bool
    is_cut: bool

    @property
    def read(self) -> list[NDArray[np.int64]]:
        """The numbers of each reading; the first is what the net learns from."""
        return [self.ids[places] for places in self.readings]


class Cutter:
    """Cuts texts into pieces, and long ones into readings.

    Args:
        tokenizer: Of the transformer.
        longest: Pieces that are read in one go, marks included.

    Attributes:
        reach: Characters at either end of a text that are read, so that one of a megabyte does
            not take minutes.
    """

    def __init__(self, tokenizer: Tokenizer, longest: int) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.tokenizer = tokenizer
        self.longest = longest
        self.reach = longest // 2 * CHARACTERS
        self.unknown = tokenizer.token_to_id("[UNK]")  # as BERT has it

    def __call__(self, texts: Sequence[str]) -> list[Pieces]:
        """The pieces of each text."""
        short = list(map(self.shortened, texts))
        found = self.tokenizer.encode_batch(short)
        return [self._pieces(*each) for each in zip(texts, short, found, strict=True)]

    def shortened(self, text: str) -> str:
        """What is read of a text, all or both ends of a huge one; tags are as many blanks."""
        if len(text) > 2 * self.reach + 1:
            text = f"{text[: self.reach]} {text[-self.reach :]}"
        return TAG.sub(lambda tag: " " * len(tag[0]), text)

    def _pieces(self, text: str, short: str, found: Any) -> Pieces:
        ids, spans = found.ids, found.offsets
        is_read = any(
            number != self.unknown and any(map(str.isalnum, short[start:end]))
            for number, (start, end) in zip(ids, spans, strict=True)
        )
        parts = readings(len(ids), self.longest)
        return Pieces(np.array(ids, dtype=np.int64), spans, parts, is_read, len(short) < len(text))


def readings(n: int, longest: int) -> list[NDArray[np.int64]]:
    """Which of a text's pieces are read in one go: all, or of many several parts.

    The first part is both ends: "head+tail" of Sun et al. (2019, How to fine-tune BERT for text
    classification), which say most. Windows over the whole follow, each sharing a quarter with the
    next, between the marks of beginning and end.

    Args:
        n: Pieces of the text, marks included.
        longest: Of one reading.
    """
    if n <= longest:
        return [np.arange(n)]
    half, inner = longest // 2, longest - 2
    ends = [*range(half), *range(n - half, n)]
    last = n - 1 - inner
    starts = [*range(1, last, 3 * longest // 4), last]
    windows = [[0, *range(start, start + inner), n - 1] for start in starts]
    return [np.array(places) for places in (ends, *windows)]


class TransformerNet(nn.Module):
    """A transformer, the mean over its pieces, and one linear layer.

    Args:
        body: An encoder of the transformers library.
        dropout: Share of the mean that training leaves out.
    """

    temperature: Tensor

    def __init__(self, body: nn.Module, dropout: float = 0.1) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        config: Any = body.config
        self.head = nn.Linear(config.hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("temperature", torch.tensor(1.0))

    @property
    def embedding(self) -> nn.Module:
        """Numbers of pieces to vectors, before places are added."""
        body: Any = self.body
        found: nn.Module = body.get_input_embeddings()
        return found

    def forward(self, ids: Tensor, mask: Tensor, embedded: Tensor | None = None) -> Tensor:
        """Calibrated log-odds of being positive, shape (n,).

        Args:
            ids: Numbers of pieces, padded, shape (n, longest).
            mask: 1 for a piece, 0 for padding, the same shape.
            embedded: What stands for the pieces instead, shape (n, longest, width).
        """
        seen = {"input_ids": ids} if embedded is None else {"inputs_embeds": embedded}
        states = self.body(**seen, attention_mask=mask).last_hidden_state
        weights = mask[..., None].to(states.dtype)
        mean = (states * weights).sum(dim=1) / weights.sum(dim=1)
        odds: Tensor = self.head(self.dropout(mean)).squeeze(1).float()
        return odds / self.temperature


@dataclass(frozen=True)
class TransformerReader(Reader):
    """Reads texts with a transformer.

    Attributes:
        net: In evaluation mode, on the CPU.
        cutter: Makes pieces of texts.
    """

    net: TransformerNet
    cutter: Cutter
    kind: ClassVar[str] = "transformer"

    def judge(self, texts: Sequence[str]) -> list[Judged]:
        """What it makes of each text; pieces that its tokenizer does not know are not read."""
        pieces = self.cutter(texts)
        odds = log_odds(self.net, pieces).tolist()
        cut = [f"only its first and its last {self.cutter.reach:,} characters were read"]
        return [
            Judged(number, each.is_read, cut * each.is_cut)
            for number, each in zip(odds, pieces, strict=True)
        ]

    def shares(self, text: str) -> tuple[list[Share], float]:
        """What each of the first 400 words adds to the log-odds, and what is left of them."""
        (pieces,) = self.cutter([text])
        short = self.cutter.shortened(text)
        end = max((word.end for word in words_of(short, EXPLAINED)), default=0)
        is_told = np.array([start < stop <= end for start, stop in pieces.spans])
        effects = np.zeros(len(pieces.ids))
        with one_thread():
            for places, ids in zip(pieces.readings, pieces.read, strict=True):
                if is_told[places].any():
                    effects[places] += self._effects(ids) / len(pieces.readings)
            odds = float(log_odds(self.net, [pieces])[0])
        found = _of_words(short, pieces, effects.tolist())
        gap = len(text) - len(short)  # that words of the end have moved by
        moves = [gap if share.start > self.cutter.reach else 0 for share in found]
        placed = [
            Share(share.start + by, share.end + by, share.effect)
            for share, by in zip(found, moves, strict=True)
        ]
        return placed, odds - sum(share.effect for share in placed)

    def _effects(self, read: NDArray[np.int64]) -> Floats:
        """What each piece of a reading adds to its log-odds, shape (pieces,)."""
        ids, mask = padded([read])
        whole = self.net.embedding(ids).detach()
        way = (torch.arange(STEPS) + 0.5) / STEPS
        embedded = (way[:, None, None] * whole).requires_grad_()
        odds = self.net(ids.expand(STEPS, -1), mask.expand(STEPS, -1), embedded).sum()
        (gradient,) = torch.autograd.grad(odds, embedded)
        effects: Floats = (gradient.mean(dim=0) * whole[0]).sum(dim=1).double().numpy()
        return effects

    def save(self, folder: Path) -> None:
        """Writes weights as safetensors, the rest as JSON."""
        tensors = {name: each.contiguous() for name, each in self.net.state_dict().items()}
        save_file(tensors, folder / "net.safetensors")
        self.cutter.tokenizer.save(str(folder / "tokenizer.json"))
        config: Any = self.net.body.config
        facts = Facts(config=json.loads(config.to_json_string()), longest=self.cutter.longest)
        write_json(folder / "transformer.json", facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote; no code is run from there.

        Raises:
            FileError: It is damaged.
        """
        facts = Facts.read(folder / "transformer.json")
        net = load_net(lambda: TransformerNet(untrained(facts.config)), folder / "net.safetensors")
        reader = cls(net, _cutter(net.body, folder, facts.longest))
        try:  # some of what a configuration says shows only when the net is asked
            answers = bool(np.isfinite(reader.log_odds(["film"])).all())
        except Exception:  # the library's own
            answers = False
        if not answers or reader.cutter.longest < facts.longest:
            raise FileError(f"the transformer in {folder} does not fit its facts", DAMAGED)
        return reader


def get_transformer(name: str, longest: int) -> tuple[TransformerNet, Cutter]:
    """A pretrained transformer with an untrained head.

    Args:
        name: `all-MiniLM-L6-v2` (bundled), a folder, or a model's name on the Hugging Face hub.
        longest: Pieces of a text that are read in one go.

    Raises:
        FileError: There is no such model.
    """
    folder = find_encoder(name, fetch=True)
    body = load_pretrained(folder, "transformer")
    cutter = _cutter(body, folder, longest)
    return TransformerNet(body), cutter


def _cutter(body: Any, folder: Path, longest: int) -> Cutter:
    """What makes pieces for a transformer: so many, or as many as it has places for.

    Raises:
        FileError: There is none in the folder, or it has pieces that the transformer has not.
    """
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        body.get_input_embeddings()(torch.tensor(max(tokenizer.get_vocab().values())))
        most = places(body)
    except Exception as error:  # tokenizers raises bare Exception
        raise FileError(
            f"{folder} holds no transformer that reads texts ({type(error).__name__})",
            "it needs tokenizer.json beside its weights",
        ) from None
    if most < FEWEST:
        raise FileError(
            f"the transformer in {folder} has places for {most} pieces only",
            f"take one that reads {FEWEST} or more",
        )
    return Cutter(tokenizer, min(longest, most))


def fit_transformer(
    net: TransformerNet, cutter: Cutter, seen: Sequence[str], positive: NDArray[np.int64],
    unseen: Sequence[str], truth: NDArray[np.int64], recipe: Recipe, run: Run,
) -> tuple[TransformerReader, History]:  # fmt: skip
    """Fine-tunes a transformer and calibrates it.

    Args:
        net: Trained in place; its embeddings are left as they are, for few texts change few words.
        cutter: Makes pieces of texts.
        seen: Texts that are learned from.
        positive: 1 or 0 for each, shape (n,).
        unseen: Texts that tell the accuracy after each epoch, and the temperature.
        truth: 1 or 0 for each of these.
        recipe: How.
        run: Whose.
    """
    device = best_device()
    net.to(device)
    net.embedding.requires_grad_(False)
    fuse_attention(net.body)
    pieces, held_out = cutter(seen), cutter(unseen)
    require_words([each.is_read for each in pieces])
    texts = [each.read[0] for each in pieces]
    wanted = torch.from_numpy(positive).float().to(device)

    def loss(rows: Tensor, _: Generator) -> Tensor:
        ids, mask = padded([texts[row] for row in rows.tolist()])
        return F.binary_cross_entropy_with_logits(
            net(ids.to(device), mask.to(device)), wanted[rows.to(device)]
        )

    def score() -> float:
        return float(((log_odds(net, held_out) > 0) == truth).mean())

    size = min(BATCH, max(4, len(texts) // 20), len(texts))
    batches = bucketed(list(map(len, texts)), size, run.seed)
    history = train(net, batches, loss, recipe, run, "transformer", score)
    odds = torch.from_numpy(log_odds(net, held_out)).float()
    logits = torch.stack([torch.zeros_like(odds), odds], dim=1)
    net.temperature.copy_(best_temperature(logits, torch.from_numpy(truth)))
    return TransformerReader(net.cpu().eval(), cutter), history


def log_odds(net: TransformerNet, texts: Sequence[Pieces]) -> Floats:
    """Log-odds of being positive, shape (n,): the mean over the readings of each text.

    Readings of about a length are answered together.
    """
    device = net.temperature.device
    read = [ids for each in texts for ids in each.read]
    order = np.argsort(list(map(len, read)), kind="stable")
    found = np.zeros(len(read))
    with evaluating(net):
        for at in range(0, len(order), ANSWERED):
            rows = order[at : at + ANSWERED]
            ids, mask = padded([read[row] for row in rows])
            found[rows] = net(ids.to(device), mask.to(device)).double().cpu().numpy()
    counts = [len(each.readings) for each in texts]
    owner = np.repeat(np.arange(len(texts)), counts)
    return np.bincount(owner, found, len(texts)) / counts


def _of_words(text: str, pieces: Pieces, effects: Sequence[float]) -> list[Share]:
    """Shares of pieces added up to those of the words that they are of."""
    at, found = 0, []
    inside = [
        (*span, e) for span, e in zip(pieces.spans, effects, strict=True) if span[0] < span[1]
    ]
    for word in words_of(text):
        parts = []
        while at < len(inside) and inside[at][0] < word.end:
            if inside[at][0] >= word.start:
                parts.append(inside[at][2])
            at += 1
        if parts:
            found.append(Share(word.start, word.end, sum(parts)))
    return found[:EXPLAINED]
