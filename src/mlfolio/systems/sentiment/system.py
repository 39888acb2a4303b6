"""Sentiment: an LSTM that reads reviews, measured beside NB-SVM."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.data.splits import holdout
from mlfolio.parts.stats import mean_score
from mlfolio.parts.text.duplicates import near_duplicates
from mlfolio.parts.text.embed import BUNDLED
from mlfolio.parts.torch.checkpoint import History
from mlfolio.parts.torch.device import best_device
from mlfolio.parts.torch.figures import learning_curve
from mlfolio.parts.torch.threads import one_thread
from mlfolio.parts.torch.training import Recipe

from . import figures
from .behaviour import behave
from .card import CARD
from .data import Reviews, ReviewSplit, load_reviews, require_words
from .learning import Examples, fit_net
from .lstm import Chunk, LstmReader
from .model import SentimentModel, Sure
from .nbsvm import NbSvm
from .net import ReviewNet
from .transformer import FEWEST, TransformerReader, fit_transformer, get_transformer
from .words import Vocabulary, has_words

NET, NB_SVM, TRIVIAL = "net", "NB-SVM", "majority"
SMALL = 5_000  # reviews below which one thread is as fast
MANY = 10_000  # reviews from which on two passes are enough: more learn the names in them
MOST_HELD_OUT = 1_250  # reviews, which are plenty for a temperature
FEW_WORDS = 2_000  # training reviews below which every word that two have is kept
Floats = NDArray[np.float64]


class Sentiment(System):
    """Whether a review speaks well of what it is about."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = SentimentModel

    text: str = Field("", description="column of the texts in your own table; empty: by its name")
    label: str = Field("", description="column of the labels, likewise")
    reader: Literal["lstm", "transformer"] = Field(
        "lstm", description="which net reads: one that learns from nothing, or a pretrained one"
    )
    transformer: str = Field(
        BUNDLED, description="which pretrained one: a folder, or a name on the Hugging Face hub"
    )
    pieces: int = Field(
        256, ge=FEWEST, le=8192, description="pieces of words that the transformer reads in one "
        "go; a longer review is read in parts",
    )  # fmt: skip
    epochs: int | None = Field(
        None, ge=1, le=100,
        description="passes over the training reviews at most; unset: 4, of the transformer, or "
        f"over {MANY:,} reviews or more, 2",
    )  # fmt: skip
    patience: int = Field(2, ge=1, le=100, description="passes without a better one, then it stops")
    learning_rate: float | None = Field(
        None, gt=0, le=1, description="its peak; unset: 0.003, of the transformer 0.0001"
    )
    width: int = Field(96, ge=2, le=1024, description="of the word embeddings")
    hidden: int = Field(96, ge=2, le=1024, description="width of the NET, in each direction")
    chunk: Chunk = Field(100, description="words that the LSTM reads in one go")
    most_words: int = Field(30_000, ge=100, le=500_000, description="words of the vocabulary")
    sure: Sure = Field(0.65, description="probability below which a review is called mixed")

    def load(self, source: Source) -> ReviewSplit:
        """IMDB with its own halves, the sample, or the user's table."""
        return load_reviews(source, self.text, self.label)

    def fit(self, data: ReviewSplit, run: Run) -> SentimentModel:
        """Trains a net on nine tenths of the training part or more; the rest says when to stop."""
        figures.describe(data.train, run)
        groups = pd.DataFrame({"group": near_duplicates(data.train.texts)})
        share = min(0.1, MOST_HELD_OUT / len(groups))
        part, rest = holdout(groups, data.train.positive, share, run.seed)
        seen, unseen = data.train.take(part), data.train.take(rest)
        fit = self._fit_lstm if self.reader == "lstm" else self._fit_transformer
        reader, history = fit(seen, unseen, run)
        learning_curve(history, run, caption="The line is at the epoch that was taken.")
        if isinstance(reader, LstmReader):
            figures.word_map(reader, data.train, run)
        return SentimentModel(reader, self.sure, data.columns)

    def _recipe(self, epochs: int, rate: float, **others: Any) -> Recipe:
        return Recipe(
            self.epochs or epochs, self.learning_rate or rate, clip=1.0, patience=self.patience,
            **others,
        )  # fmt: skip

    def _fit_lstm(self, seen: Reviews, unseen: Reviews, run: Run) -> tuple[LstmReader, History]:
        require_words(list(map(has_words, seen.texts)))
        fewest = 5 if len(seen.texts) >= FEW_WORDS else 2
        vocabulary = Vocabulary.of(seen.texts, fewest, self.most_words)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            net = ReviewNet(len(vocabulary), self.width, self.hidden).to(best_device())
        epochs = 2 if len(seen.texts) >= MANY else 4
        recipe = self._recipe(epochs, 3e-3, weight_decay=1e-3, betas=(0.9, 0.99))
        known, new = _read(seen, vocabulary), _read(unseen, vocabulary)
        with one_thread(len(seen.texts) < SMALL):
            history = fit_net(net, known, new, recipe, self.chunk, run)
        return LstmReader(net, vocabulary, self.chunk), history

    def _fit_transformer(
        self, seen: Reviews, unseen: Reviews, run: Run
    ) -> tuple[TransformerReader, History]:
        net, cutter = get_transformer(self.transformer, self.pieces)
        recipe = self._recipe(2, 1e-4)
        return fit_transformer(
            net, cutter, seen.texts, seen.positive, unseen.texts, unseen.positive, recipe, run
        )

    def evaluate(self, model: SentimentModel, data: ReviewSplit, run: Run) -> Evaluation:
        """The net beside NB-SVM and the majority, on reviews that neither has seen."""
        test, truth = data.test, data.test.positive
        started = time.perf_counter()
        linear = NbSvm.fit(data.train.texts, data.train.positive)
        run.note(f"NB-SVM was fitted in {time.perf_counter() - started:.0f} s.")

        def read(texts: Sequence[str]) -> Floats:
            return np.asarray(expit(model.reader.log_odds(texts)))

        judged = model.reader.judge(test.texts)
        asked = [model.input_type(text=text) for text in test.texts]
        sides = ["positive" if each else "negative" for each in truth]
        run.keep_reference(asked, list(map(model.answer, judged)), sides)
        net = np.asarray(expit([found.odds for found in judged]))
        base = np.full(len(truth), data.train.positive.mean())
        chances = {NET: net, NB_SVM: linear.chances(test.texts), TRIVIAL: base}
        figures.judge(test, chances[NET], run)
        models = {NET: read, NB_SVM: linear.chances}
        figures.behaviour({name: behave(each, test.texts) for name, each in models.items()}, run)
        right = {name: (each >= 0.5) == truth for name, each in chances.items()}
        losses = {
            name: -np.log(np.clip(np.where(truth == 1, each, 1 - each), 1e-7, 1))
            for name, each in chances.items()
        }
        sure = np.array(list(map(model.is_sure, judged)))
        protocol = "the test part, fitted and calibrated on the training part alone"

        def share(name: str, rows: NDArray[np.bool_], protocol: str) -> Score:
            kept = {who: values[rows] for who, values in right.items()}
            return mean_score(name, kept, NET, trivial=TRIVIAL, strong=NB_SVM, protocol=protocol)

        scores = [
            share("accuracy", np.ones(len(truth), dtype=bool), protocol),
            mean_score(
                "log loss", losses, NET, trivial=TRIVIAL, strong=NB_SVM, protocol=protocol,
                direction="lower", seed=run.seed,
            ),
            mean_score("share that is sure", {NET: sure}, NET, protocol=protocol),
        ]  # fmt: skip
        if sure.any():
            said = f"{protocol}; without those called mixed"
            scores.append(share("accuracy where sure", sure, said))
        if data.known.any() and not data.known.all():
            alone = f"{protocol}; without the {data.known.sum()} reviews that training has too"
            scores.append(share("accuracy on new reviews", ~data.known, alone))
        return Evaluation(scores=tuple(scores))


def _read(reviews: Reviews, vocabulary: Vocabulary) -> Examples:
    """Reviews as numbers."""
    return Examples(list(map(vocabulary.read, reviews.texts)), reviews.positive)
