"""Spam: a choice among linear filters, a threshold for few false alarms, nested measurement."""

from __future__ import annotations

from collections import defaultdict
from itertools import compress
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Evaluation
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.data.fingerprint import fingerprint
from mlfolio.parts.text.tfidf import count

from . import figures
from .card import CARD
from .clean import form_of, read, undisguise
from .data import Messages, load_messages
from .learning import KINDS, Rows, learn
from .model import CLASSES, READ, Message, SpamModel
from .scores import BASE, BAYES, STRONG, SYSTEM, Floats, Ints, brier, ranking, rates

ONE_OF_A_KIND = "F1 of spam, one of a kind"
CORRECTION = 2.0  # messages that a correction counts for: with one, some are outvoted


class Spam(System):
    """Whether a message is spam, from its words, its characters and its form."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = SpamModel

    text: str = Field("", description="column of the texts in your own table; empty: by its name")
    label: str = Field("", description="column of the labels in your own table; empty: by its name")
    precision: float = Field(
        0.99, ge=0.5, le=0.9999, description="of what is called spam, the share that has to be"
    )
    feedback: bool = Field(True, description="learn from what users said of earlier answers")
    folds: int = Field(5, ge=2, le=20, description="outer folds of the nested cross-validation")
    inner_folds: int = Field(5, ge=2, le=20, description="folds of the choice inside them")

    def load(self, source: Source) -> Messages:
        """All messages, and the corrections of users from the prediction log."""
        return load_messages(source, self.text, self.label, self.card.slug, self.feedback)

    def fit(self, data: Messages, run: Run) -> SpamModel:
        """Chooses a filter, its calibration and its threshold, and fits it on everything."""
        figures.describe(data, run)
        rows = prepare(data)
        with threadpool_limits(1):
            learned = learn(rows, self.inner_folds, self.precision, run.seed)
        figures.choice(learned, run)
        if not learned.safe:
            run.note(
                f"There is too little spam to show a precision of {self.precision}: the threshold "
                "has kept it out of fold, which may be luck."
            )
        longest = min(READ, max(map(len, data.texts)))
        return SpamModel(learned.encoder, learned.linear, learned.threshold, longest)

    def evaluate(self, model: SpamModel, data: Messages, run: Run) -> Evaluation:
        """Nested cross-validation: the whole of `fit` is repeated on each outer training part."""
        rows = prepare(data)
        with threadpool_limits(1):
            answers = self._out_of_fold(data, rows, run)
        truth, group = rows.spam[rows.judged], rows.group[rows.judged]
        figures.judge(truth, answers["chance"], answers[SYSTEM].astype(np.int64), run)
        asked = [Message(text=text) for text in compress(data.texts, data.first)]
        told = model.answer(asked, answers["chance"])
        run.keep_reference(asked, told, [CLASSES[each] for each in truth], out_of_fold=True)
        protocol = f"nested {self.folds}x{self.inner_folds}-fold cross-validation, each text once"
        protocol += ", near-duplicates in one fold" + _told(data)
        alone = f"{protocol}, one message of each group of near-duplicates"
        _, first = np.unique(group, return_index=True)
        one = {name: values[first] for name, values in answers.items()}
        measured = rates(truth, answers, group, protocol, run.seed)
        apart = rates(truth[first], one, group[first], alone, run.seed)["F1 of spam"]
        more = (
            ranking(truth, answers, group, protocol, run.seed),
            brier(truth, answers, group, protocol, run.seed),
            apart.model_copy(update={"name": ONE_OF_A_KIND}),
        )
        return Evaluation(scores=(*measured.values(), *more))

    def _out_of_fold(self, data: Messages, rows: Rows, run: Run) -> dict[str, Floats]:
        """What was said of each judged message by fits that did not see its group.

        Returns:
            Under `chance` and `bayes chance` probabilities of spam, under the names of the system
            and its rivals 1 for what they call spam, under `margin` the SVM's scores.
        """
        answers: dict[str, Floats] = defaultdict(lambda: np.zeros(len(rows)))
        texts = np.array([*data.texts, *data.corrections.texts], dtype=object)
        splits = rows.folds(self.folds, run.seed)
        for number, (train, test) in enumerate(run.progress(splits, "outer folds")):
            seen, unseen = rows[train], rows[test]
            learned = learn(seen, self.inner_folds, self.precision, run.seed)
            chances = learned.chances(unseen)
            answers["chance"][test] = chances
            answers[SYSTEM][test] = chances >= learned.threshold
            answers[BASE][test] = seen.spam.mean()
            for name, told in _rivals(texts[train], seen.spam, texts[test], run.seed).items():
                answers[name][test] = told
            run.note(f"Outer fold {number + 1} chose {learned.chosen}.")
            run.log(number, threshold=learned.threshold, alarms=float(
                ((chances >= learned.threshold) & (unseen.spam == 0) & unseen.judged).sum()
            ))  # fmt: skip
        return {name: values[rows.judged] for name, values in answers.items()}


def prepare(data: Messages) -> Rows:
    """Messages, then corrections, as they are learned from; nothing in it was learned."""
    told = data.corrections
    plain = [undisguise(text[:READ]) for text in (*data.texts, *told.texts)]
    ones, own = np.ones(len(data.texts)), np.zeros(len(told.texts), dtype=bool)
    return Rows(
        counted=count([read(text) for text in plain], KINDS),
        form=form_of(plain),
        spam=np.concatenate([data.spam, np.array(told.spam, dtype=np.int64)]),
        group=data.groups,
        weight=np.concatenate([ones, np.full(len(told.texts), CORRECTION)]),
        judged=np.concatenate([data.first, own]),
    )


def _rivals(texts: NDArray[Any], spam: Ints, unseen: NDArray[Any], seed: int) -> dict[str, Floats]:
    """What two filters of five lines say, each learned from all training messages."""
    pieces = TfidfVectorizer(analyzer="char", ngram_range=(2, 5))
    svm = make_pipeline(pieces, LinearSVC(random_state=seed))
    bayes = make_pipeline(CountVectorizer(), MultinomialNB()).fit(texts, spam)
    margin = svm.fit(texts, spam).decision_function(unseen)
    chance = bayes.predict_proba(unseen)[:, 1]
    return {STRONG: margin > 0, "margin": margin, BAYES: chance >= 0.5, "bayes chance": chance}


def _told(data: Messages) -> str:
    """What the protocol says of corrections: with others, a score is another score."""
    told = data.corrections
    if not told.texts:
        return ""
    which = fingerprint(pd.DataFrame(told._asdict()))[:8]
    return f", with {len(told.texts)} corrections of users ({which}) in the training folds"
