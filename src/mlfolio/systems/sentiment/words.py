"""Reviews as numbers: words and marks, a vocabulary, and chunks of equal length."""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PADDING, UNKNOWN = 0, 1  # numbers of no words
# Tags are skipped; "isn't" is a word, and "!" and "?" say something too.
TAG = re.compile(r"<[^<>]{1,40}>")
PIECE = re.compile(rf"{TAG.pattern}|([a-z0-9]+(?:['’][a-z]+)?|[!?.,])", re.IGNORECASE)
MOST = 4000  # words of a review that are read: its first and its last half of that

Ids = NDArray[np.int64]


class Word(NamedTuple):
    """A word, in small letters, and where it stands in the text."""

    word: str
    start: int
    end: int

    @property
    def is_mark(self) -> bool:
        """Whether it is a mark, which alone says nothing."""
        return not self.word[0].isalnum()


def words_of(text: str, most: int | None = None) -> list[Word]:
    """The words and marks of a text, in its order, or the first so many of them."""
    return list(map(_word, islice(_found_in(text), most)))


def has_words(text: str) -> bool:
    """Whether there is more to read in a text than marks."""
    return not all(_word(found).is_mark for found in _found_in(text))


def ends_of(text: str) -> tuple[list[Word], int]:
    """What is read of a text's words, all or the first and the last of very many; how many it has.

    Of what stands between no words are made, and the text is gone through once.
    """
    half, found = MOST // 2, _found_in(text)
    first = list(islice(found, half))
    last = deque(enumerate(found, half + 1), maxlen=half)
    words = [_word(each) for each in (*first, *(each for _, each in last))]
    return words, last[-1][0] if last else len(first)


def _found_in(text: str) -> Iterator[re.Match[str]]:
    return (match for match in PIECE.finditer(text) if match.lastindex)


def _word(found: re.Match[str]) -> Word:
    return Word(found[1].lower().replace("’", "'"), *found.span(1))


class Vocabulary:
    """The words that a model knows, and their numbers.

    Args:
        words: In the order of their numbers, which begin at 2.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._ids = {word: number for number, word in enumerate(words, 2)}

    @classmethod
    def of(cls, texts: Iterable[str], fewest: int, most: int) -> Vocabulary:
        """The words that so many texts have, at most so many of them, the commonest first."""
        counts = Counter(word for text in texts for word in {w.word for w in words_of(text)})
        common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls([word for word, count in common[:most] if count >= fewest])

    def __len__(self) -> int:
        """How many numbers there are, those of no words included."""
        return len(self.words) + 2

    def read(self, text: str) -> Ids:
        """The numbers of the words of a text that are read."""
        return self.ids(ends_of(text)[0])

    def ids(self, words: Sequence[Word]) -> Ids:
        """The numbers of words, shape (words,)."""
        found = [self._ids.get(word.word, UNKNOWN) for word in words]
        return np.array(found, dtype=np.int64)


class Batch(NamedTuple):
    """Some reviews, cut into chunks.

    Attributes:
        tokens: Numbers of the words, padded with 0, shape (chunks, longest).
        lengths: Words of each chunk, at least 1, shape (chunks,).
        owner: Which review each chunk belongs to, from 0, shape (chunks,).
        size: How many reviews there are.
    """

    tokens: Tensor
    lengths: Tensor
    owner: Tensor
    size: int

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        tokens, lengths, owner = (part.to(device) for part in self[:3])
        return Batch(tokens, lengths, owner, self.size)


def to_batch(reviews: Sequence[Ids], longest: int) -> Batch:
    """Cuts each review into chunks of about the same length, none longer than `longest`."""
    pieces, owner = [], []
    for number, ids in enumerate(reviews):
        whole = ids if len(ids) else np.array([UNKNOWN])
        parts = np.array_split(whole, math.ceil(len(whole) / longest))
        pieces += parts
        owner += [number] * len(parts)
    lengths = torch.tensor([len(piece) for piece in pieces])
    tokens = torch.zeros(len(pieces), int(lengths.max()), dtype=torch.int64)
    for row, piece in enumerate(pieces):
        tokens[row, : len(piece)] = torch.from_numpy(piece)
    return Batch(tokens, lengths, torch.tensor(owner), len(reviews))
