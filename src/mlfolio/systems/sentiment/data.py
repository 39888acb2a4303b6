"""Reviews of films: IMDB's with its own halves, the user's own texts, or made-up ones.

The user's own data are a table with a column of texts and one of labels: positive or negative, in
one of the usual words. A fifth of them is held out, near-duplicates on one side.
"""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.errors import FileError, KnobError
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo, Finding
from mlfolio.data.datasets import get_dataset, place
from mlfolio.data.doctor import find_copies, find_imbalance
from mlfolio.data.fingerprint import fingerprint
from mlfolio.data.splits import holdout
from mlfolio.data.texts import read_texts
from mlfolio.parts.text.duplicates import near_duplicates, skeleton

from .sample import generate

TEST: Final = 0.2  # of own texts
FEWEST: Final = 20  # different texts of each kind
POSITIVE: Final = {"positive", "pos", "good", "1", "1.0", "true", "yes", "recommended"}
NEGATIVE: Final = {"negative", "neg", "bad", "0", "0.0", "-1", "-1.0", "false", "no"}
SIDES: Final = ("neg", "pos")


class Reviews(NamedTuple):
    """Texts and which of them are positive (1) or negative (0), shape (n,)."""

    texts: tuple[str, ...]
    positive: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> Reviews:
        """Some of them, by their places."""
        return Reviews(tuple(self.texts[row] for row in rows), self.positive[rows])

    @property
    def frame(self) -> pd.DataFrame:
        """The same as a table."""
        return pd.DataFrame({"text": self.texts, "positive": self.positive})


NONE: Final = Reviews((), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class ReviewSplit:
    """What is learned from, and what scores are measured on.

    Attributes:
        source: Where it came from.
        dataset: Name of the data set, or of the user's file.
        licence: As its publisher states it.
        train: To learn from.
        test: To measure on.
        notes: What was noticed while reading.
        columns: Of the user's table, that of the texts first.
    """

    source: Source
    dataset: str
    licence: str
    train: Reviews
    test: Reviews
    notes: tuple[Finding, ...] = ()
    columns: tuple[str, ...] = ("text",)

    @cached_property
    def info(self) -> DataInfo:
        """What identifies these data."""
        return DataInfo(
            source=self.source,
            dataset=self.dataset,
            licence=self.licence,
            fingerprint=fingerprint(self.train.frame, self.test.frame),
            test_fingerprint=fingerprint(self.test.frame),
            rows={"train": len(self.train.texts), "test": len(self.test.texts)},
        )

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Which test texts are in the training part too, but for case and marks, shape (n,)."""
        seen = set(map(skeleton, self.train.texts))
        return np.array([skeleton(text) in seen for text in self.test.texts], dtype=bool)

    def check(self) -> list[Finding]:
        """What the data doctor has to say."""
        findings = [*self.notes, *find_copies(self.train.frame[["text"]], "training texts")]
        if shared := int(self.known.sum()):
            message = f"{shared:,} of {len(self.known):,} test texts are in the training part too"
            fix = "the report has the accuracy without them"
            finding = Finding(level="warning", check="shared texts", message=message, fix=fix)
            findings.append(finding)
        return findings + find_imbalance(self.train.positive)

    def without_test(self) -> Self:
        """The same data with the test part emptied."""
        return replace(self, test=NONE)


def load_reviews(source: Source, text: str, label: str) -> ReviewSplit:
    """The reviews of a source.

    Args:
        source: IMDB, the generated sample, or the user's table.
        text: Column of the texts in the user's table; found by its name if empty.
        label: Column of the labels, likewise.

    Raises:
        DataUnavailableError: IMDB is not here and cannot be fetched.
        UserError: The texts cannot be used.
    """
    if source.kind != "own" and (text or label):
        raise KnobError(f"the {source} has its own columns", "name your own data: --data FILE")
    if source.kind == "official":
        return _official(source)
    if source.path is None:
        made = generate(600)
        return _split(source, "made-up reviews", "Apache-2.0", [t for t, _ in made],
                      np.array([good for _, good in made], dtype=np.int64))  # fmt: skip
    found = read_texts(source.path, text, label)
    name = source.path.name
    sides = [_side(each, name) for each in found.labels]
    data = _split(source, name, "the user's own", found.texts, np.array(sides, dtype=np.int64))
    return replace(data, notes=tuple(found.notes), columns=found.columns)


def _split(
    source: Source, name: str, licence: str, texts: list[str], positive: NDArray[np.int64]
) -> ReviewSplit:
    """Near-duplicates on one side, a fifth of the texts to measure on."""
    groups = pd.DataFrame({"group": near_duplicates(texts)})
    for side, word in enumerate(("negative", "positive")):
        different = groups["group"][positive == side].nunique()
        if different < FEWEST:
            raise FileError(
                f"{name} has {different} different {word} texts; at least {FEWEST} are needed",
                "add some; near-duplicates count once",
            )
    everything = Reviews(tuple(texts), positive)
    train, test = holdout(groups, positive, TEST, seed=0)
    return ReviewSplit(source, name, licence, everything.take(train), everything.take(test))


def require_words(read: Sequence[bool]) -> None:
    """Sees that there is something to learn from.

    Args:
        read: Of each text to learn from, whether there is anything in it that the net can read.

    Raises:
        FileError: There is not in most of them.
    """
    if sum(read) < len(read) / 2:
        raise FileError(
            "most texts have no words that are read",
            "the LSTM reads letters a to z; for others reader=transformer, and transformer= the "
            "name of one that knows them",
        )


def _side(label: str, name: str) -> int:
    word = label.strip().lower()
    if word in POSITIVE | NEGATIVE:
        return int(word in POSITIVE)
    raise FileError(
        f"{name}: the label {label[:40]!r} is neither positive nor negative",
        f"write positive and negative; also understood: {', '.join(sorted(POSITIVE | NEGATIVE))}",
    )


def _official(source: Source) -> ReviewSplit:
    """Both halves, from the authors' archive, or from Kaggle's table with an index of its rows."""
    record, folder = get_dataset("imdb"), place("imdb")
    archive = folder / record.files[0].name
    found = _of_archive(archive) if archive.is_file() else _of_table(folder)
    parts: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    for part, side, text in found:
        parts[part].append((text, SIDES.index(side)))
    train, test = (
        Reviews(tuple(text for text, _ in each), np.array([good for _, good in each]))
        for each in parts.values()
    )
    return ReviewSplit(source, record.title, record.licence, train, test)


def _of_archive(path: Path) -> Iterator[tuple[str, str, str]]:
    """Part, side and text of each review, negative and positive in turn."""
    texts: dict[tuple[str, int, str], str] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            place_in = Path(member.name).parts
            if len(place_in) != 4 or place_in[2] not in SIDES:
                continue
            if file := archive.extractfile(member):
                number = int(place_in[3].partition("_")[0])
                texts[place_in[1], number, place_in[2]] = file.read().decode("utf-8")
    return ((part, side, text) for (part, _, side), text in sorted(texts.items()))


def _of_table(folder: Path) -> Iterator[tuple[str, str, str]]:
    """The same from `IMDB Dataset.csv.zip`, where `index.csv.zip` says what each row is."""

    def rows(name: str) -> Iterator[dict[str, str]]:
        with zipfile.ZipFile(folder / f"{name}.zip") as archive, archive.open(name) as file:
            yield from csv.DictReader(io.TextIOWrapper(file, "utf-8", newline=""))

    for where, review in zip(rows("index.csv"), rows("IMDB Dataset.csv"), strict=True):
        yield where["split"], where["label"], review["review"]
