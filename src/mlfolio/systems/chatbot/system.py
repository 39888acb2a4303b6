"""Chatbot: fits what understands, measures it beside two peers, plays the test stories."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from threadpoolctl import threadpool_limits

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run, some_for_reference
from mlfolio.core.score import Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.data.splits import folds
from mlfolio.parts.stats import mean_score, metric_score, roc_area
from mlfolio.parts.text.embed import BUNDLED

from . import figures
from .card import CARD
from .data import Questions, load_questions
from .model import ChatbotModel, ChatMessage
from .peers import EMBEDDED, Judge, Judgement, peers
from .stories import run_stories
from .suggest import suggest
from .understanding import FOLDS, Examples, Understanding

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
SYSTEM: Final = "this system"
COMMON, ALL_KNOWN = "always the commonest intent", "nothing is refused"


class Chatbot(System):
    """What somebody wants who writes to a desk, and what to answer."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = ChatbotModel

    text: str = Field("", description="column of the texts in your own table; empty: by its name")
    intent: str = Field("", description="column of the intents, likewise")
    keep: float = Field(
        0.95, gt=0.5, lt=1, description="share of the questions in scope that are not refused"
    )
    encoder: str = Field(BUNDLED, description="sentence encoder: a folder, or a name on the hub")

    def load(self, source: Source) -> Questions:
        """Examples, desk and stories, and what a served bot did not understand."""
        return load_questions(source, self.text, self.intent, self.card.slug)

    def fit(self, data: Questions, run: Run) -> ChatbotModel:
        """Fits what understands; the desk is taken as it is."""
        figures.describe(data, run)
        suggest(data.asked, run)
        return ChatbotModel(self._learn(data.train, data.validation, run.seed), data.desk)

    def evaluate(self, model: ChatbotModel, data: Questions, run: Run) -> Evaluation:
        """Intents and scope of unseen questions beside two peers; then stories, and Banking77."""
        if data.test is None:
            tested, answers = data.train, self._cross_validate(data, run)
            protocol = f"{FOLDS}-fold cross-validation of the whole fit, near-duplicates in one"
        else:
            tested = data.test
            judges = self._judges(model.understanding, data.train, data.validation, run.seed)
            answers = {who: judge(tested) for who, judge in judges.items()}
            protocol = "the test part, after a fit on the training part, calibrated on validation"
            some = tested.all_texts[some_for_reference(len(tested.all_texts))]
            asked = [ChatMessage(text=text) for text in some]
            run.keep_reference(asked, model.predict(asked))
        figures.judge(tested, answers[SYSTEM], run)
        scores = self._scores(tested, answers, protocol, run.seed)
        if data.second is not None:
            scores.append(self._second(*data.second, run))
        if data.stories:
            scores.append(_play(data, model, run))
        return Evaluation(scores=tuple(scores))

    def _learn(self, train: Examples, validation: Examples | None, seed: int) -> Understanding:
        return Understanding.fit(
            train, validation=validation, keep=self.keep, encoder=self.encoder, seed=seed
        )

    def _judges(
        self, mine: Understanding, train: Examples, validation: Examples | None, seed: int
    ) -> dict[str, Judge]:
        with threadpool_limits(1):
            return {SYSTEM: judge_of(mine), **peers(train, validation, self.keep, seed)}

    def _cross_validate(self, data: Questions, run: Run) -> dict[str, Judgement]:
        """What was said of each training text by fits that did not see its group."""
        splits = folds(pd.DataFrame({"group": data.groups}), data.train.labels, FOLDS, run.seed)
        told: dict[str, list[Judgement]] = {}
        for train, test in run.progress(splits, "folds"):
            seen = data.train.take(train)
            mine = self._learn(seen, None, run.seed)
            for who, judge in self._judges(mine, seen, None, run.seed).items():
                told.setdefault(who, []).append(judge(data.train.take(test)))
        order = np.argsort(np.concatenate([test for _, test in splits]))
        return {
            who: Judgement(*(np.concatenate(column)[order] for column in zip(*parts, strict=True)))
            for who, parts in told.items()
        }

    def _scores(
        self, tested: Examples, answers: dict[str, Judgement], protocol: str, seed: int
    ) -> list[Score]:
        """Accuracy in scope before anything is refused; how well the rest is told apart."""
        n, truth = len(tested.texts), np.array(tested.intents)
        right = {who: told.intents[:n] == truth for who, told in answers.items()}
        names, counts = np.unique(truth, return_counts=True)
        right[COMMON] = truth == names[counts.argmax()]
        kept = {who: told.known[:n] for who, told in answers.items()}
        refused = {who: ~told.known[n:] for who, told in answers.items()}
        kept[ALL_KNOWN] = np.ones(n, dtype=bool)
        refused[ALL_KNOWN] = np.zeros(len(tested.outside), dtype=bool)

        def share(name: str, values: dict[str, Bools], trivial: str) -> Score:
            return mean_score(
                name, values, SYSTEM, trivial=trivial, strong=EMBEDDED, protocol=protocol, seed=seed
            )

        scores = [share("in-scope accuracy", right, COMMON)]
        if tested.outside:
            scores.append(_ranking(n, answers, protocol, seed))
            scores.append(share("out-of-scope recall", refused, ALL_KNOWN))
        return [*scores, share("in scope and not refused", kept, ALL_KNOWN)]

    def _second(self, train: Examples, test: Examples, run: Run) -> Score:
        """Accuracy on Banking77, by a fit of its own."""
        judges = self._judges(self._learn(train, None, run.seed), train, None, run.seed)
        truth = np.array(test.intents)
        right = {who: judge(test).intents == truth for who, judge in judges.items()}
        for who, hits in right.items():
            run.note(f"Banking77, {who}: accuracy {hits.mean():.4f}.")
        names, counts = np.unique(train.intents, return_counts=True)
        right[COMMON] = truth == names[counts.argmax()]
        return mean_score(
            "Banking77 accuracy", right, SYSTEM, trivial=COMMON, strong=EMBEDDED, seed=run.seed,
            protocol="the test part of Banking77, after a fit on its training part",
        )  # fmt: skip


def judge_of(understanding: Understanding) -> Judge:
    """What understands, in the form of its peers."""

    def judge(asked: Examples) -> Judgement:
        guesses = understanding.understand(asked.all_texts)
        return Judgement(
            np.array([guess.intent for guess in guesses]),
            np.array([guess.in_scope for guess in guesses]),
            np.array([guess.known for guess in guesses]),
            np.array([guess.probability for guess in guesses]),
        )

    return judge


def _ranking(n: int, answers: dict[str, Judgement], protocol: str, seed: int) -> Score:
    """How well texts in scope, the first `n`, are put before the others, at any threshold."""
    sure = {who: told.scores for who, told in answers.items()}
    total = len(sure[SYSTEM])
    return metric_score(
        "out-of-scope AUROC", roc_area, np.arange(total) < n, {**sure, "chance": np.zeros(total)},
        SYSTEM, trivial="chance", strong=EMBEDDED, protocol=protocol, seed=seed,
    )  # fmt: skip


def _play(data: Questions, model: ChatbotModel, run: Run) -> Score:
    """The share of the stories that go as they say; they are tests of the desk, written with it."""
    failures = run_stories(data.stories, data.desk, model.understanding.understand)
    for failure in failures:
        run.note(f"Story {failure}.")
    failed = {failure.story for failure in failures}
    passed = np.array([story.name not in failed for story in data.stories])
    nothing = "nothing is understood"
    return mean_score(
        "test stories passed", {SYSTEM: passed, nothing: np.zeros(len(passed), dtype=bool)}, SYSTEM,
        trivial=nothing, protocol="conversations that were written together with the desk",
    )  # fmt: skip
