"""Chatbot's understanding through its public doors: intents, scope, own data, suggestions."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest

import mlfolio
from mlfolio.core.errors import FileError, KnobError
from mlfolio.core.model import Output
from mlfolio.core.run import Run, read_exhibits
from mlfolio.core.source import SAMPLE, Source
from mlfolio.lifecycle import Result
from mlfolio.serve.journal import Entry, Journal
from mlfolio.systems.chatbot.data import Questions, load_questions
from mlfolio.systems.chatbot.figures import confused
from mlfolio.systems.chatbot.model import ChatMessage
from mlfolio.systems.chatbot.suggest import alike
from mlfolio.systems.chatbot.system import Chatbot
from mlfolio.systems.chatbot.understanding import Examples, Understanding
from mlfolio.track.log import database_url
from tests.conftest import SampleOf

WANTS = {
    "order": ["I want {}", "one {} please", "can I have {}", "{} for me", "I take {}"],
    "complain": ["the {} is cold", "my {} tastes bad", "{} was burnt", "I did not like the {}",
                 "there is a hair in the {}", "this {} is awful"],
}  # fmt: skip
DISHES = ("soup", "a pizza", "some pasta", "the salad", "a burger")
ELSEWHERE = ["how old is the moon", "play some music", "who won the match", "tell me a joke",
             "what is seven times nine", "when does my train leave"]  # fmt: skip
PAIRS = [(text.format(dish), intent) for intent, texts in WANTS.items() for text in texts
         for dish in DISHES]  # fmt: skip
TEXTS, INTENTS = zip(*PAIRS, strict=True)


@pytest.fixture(scope="module")
def result(sample_of: SampleOf) -> Result:
    return sample_of("chatbot").result


@pytest.fixture(scope="module")
def understanding() -> Understanding:
    return Understanding.fit(Examples(TEXTS, INTENTS, ELSEWHERE))


@pytest.mark.slow
def test_the_hotel_desk_is_understood_and_its_stories_pass(result: Result) -> None:
    scores = {score.name: score for score in result.scores}
    assert scores["in-scope accuracy"].value > 0.9
    assert scores["out-of-scope AUROC"].value > 0.95
    assert scores["out-of-scope recall"].value > 0.7
    assert 0.9 < scores["in scope and not refused"].value < 1
    assert scores["test stories passed"].value == 1, [e.title for e in read_exhibits(result.folder)]
    titles = {exhibit.title for exhibit in read_exhibits(result.folder)}
    assert titles >= {"Examples", "The 5 most confused intents"}


def test_a_few_examples_are_enough_to_tell_two_intents_apart(understanding: Understanding) -> None:
    asked = ["could I get the lasagne", "the lasagne has gone off", "is there life on Mars"]
    order, complaint, neither = understanding.understand(asked)
    assert (order.intent, complaint.intent) == ("order", "complain")
    assert order.known
    assert neither.in_scope < min(order.in_scope, complaint.in_scope)
    for guess in (order, complaint, neither):
        assert 0 <= guess.in_scope <= 1
        assert guess.probability + guess.others[0][1] == pytest.approx(1)


def test_what_is_stored_gives_the_same_answers(
    understanding: Understanding, tmp_path: Path
) -> None:
    understanding.save(tmp_path)
    again = Understanding.load(tmp_path)
    asked = [*TEXTS[::7], *ELSEWHERE, "", "東京 🚢", "word " * 200]
    for one, other in zip(understanding.understand(asked), again.understand(asked), strict=True):
        assert one.intent == other.intent
        assert one[1:3] == pytest.approx(other[1:3], abs=1e-5)
    assert understanding.understand([]) == []


def test_the_threshold_keeps_the_share_that_was_asked_for() -> None:
    validation = Examples([text.upper() for text in TEXTS], INTENTS, ELSEWHERE)
    examples = Examples(TEXTS, INTENTS, ELSEWHERE)
    for keep in (0.6, 0.95):
        made = Understanding.fit(examples, validation=validation, keep=keep)
        known = [guess.known for guess in made.understand(validation.texts)]
        assert np.mean(known) == pytest.approx(keep, abs=0.04)


def test_without_texts_about_nothing_scope_is_told_by_familiarity() -> None:
    made = Understanding.fit(Examples(TEXTS, INTENTS))
    inside = [guess.in_scope for guess in made.understand(["a soup please", "this soup is awful"])]
    outside = [guess.in_scope for guess in made.understand(ELSEWHERE)]
    assert min(inside) > max(outside)


def test_copies_of_a_text_do_not_make_the_model_surer() -> None:
    """A text and its copies are in one fold: else each would be foretold by the others."""
    more = [f"{text}{end}" for text in TEXTS for end in ("", "!", " .")]
    once = Understanding.fit(Examples(TEXTS, INTENTS))
    thrice = Understanding.fit(Examples(more, np.repeat(INTENTS, 3).tolist()))
    asked = ["may I have the fish", "the fish smells"]
    for one, other in zip(once.understand(asked), thrice.understand(asked), strict=True):
        assert one.probability == pytest.approx(other.probability, abs=0.1)


def test_names_of_intents_may_be_any_text() -> None:
    intents = ["1" if intent == "order" else "Beschwerde 🙁" for intent in INTENTS]
    made = Understanding.fit(Examples(TEXTS, intents))
    assert made.understand(["one soup"])[0].intent == "1"


def table(rows: list[tuple[str, str]], columns: tuple[str, str] = ("text", "intent")) -> Path:
    path = Path("my.csv")
    pd.DataFrame(rows, columns=list(columns)).to_csv(path, index=False)
    return path


def own(path: Path | str, text: str = "", intent: str = "") -> Questions:
    return load_questions(Source.own(path), text, intent, "chatbot")


@pytest.mark.parametrize(
    ("columns", "knobs"),
    [(("text", "intent"), ("", "")), (("Utterance", "LABEL"), ("", "")),
     (("what", "why"), ("what", "Why"))],
)  # fmt: skip
def test_tables_are_read_by_their_usual_names(
    home: Path, columns: tuple[str, str], knobs: tuple[str, str]
) -> None:
    data = own(table([*PAIRS, *((text, "oos") for text in ELSEWHERE)], columns), *knobs)
    assert list(zip(data.train.texts, data.train.intents, strict=True)) == PAIRS
    assert list(data.train.outside) == ELSEWHERE
    assert set(data.desk.intents) == set(WANTS)


def test_parts_in_clincs_form_are_kept_apart(home: Path) -> None:
    oos = [(text, "oos") for text in ELSEWHERE]
    parts = {"train": PAIRS, "val": PAIRS[:9], "test": PAIRS[9:20], "oos_test": oos}
    Path("my.json").write_text(json.dumps(parts))
    data = own("my.json")
    assert data.test is not None
    assert data.validation is not None
    assert (len(data.validation.texts), len(data.test.texts)) == (9, 11)
    assert list(data.test.outside) == ELSEWHERE
    assert any(finding.level == "leak" for finding in data.check()), "the test part is known"
    blind = data.without_test()
    assert blind.test is not None
    assert not blind.test.texts
    assert blind.train == data.train


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        (PAIRS[:20], ("text", "intent"), "fewer than two intents"),
        ([*PAIRS, ("hello", "greet")], ("text", "intent"), "'greet' has 1 different"),
        ([*PAIRS, *[("hello!", "greet")] * 9], ("text", "intent"), "'greet' has 1 different"),
        ([*PAIRS, ("hello", "x" * 300)], ("text", "intent"), "300 characters"),
        (PAIRS, ("tekst", "intent"), "no column of texts"),
        (PAIRS, ("text", "wish"), "no column of intents"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_learned_from_are_refused(
    home: Path, rows: list[tuple[str, str]], columns: tuple[str, str], said: str
) -> None:
    with pytest.raises(FileError, match=said):
        own(table(rows, columns))


@pytest.mark.parametrize(
    ("content", "said"),
    [("[]", "should be an object"), ('{"train": [["a"]]}', "Field required"), ("{", "JSON"),
     ('{"val": []}', "no part 'train'"), ('{"train": [["a", " "]]}', "has no intent")],
)  # fmt: skip
def test_json_of_another_form_is_refused(home: Path, content: str, said: str) -> None:
    Path("my.json").write_text(content)
    with pytest.raises(FileError, match=said):
        own("my.json")


def test_parts_that_are_empty_are_none_and_outside_may_be_in_training_alone(home: Path) -> None:
    oos = [(text, "oos") for text in ELSEWHERE]
    parts = {"train": [*PAIRS, *oos], "val": [], "test": []}
    Path("my.json").write_text(json.dumps(parts))
    data = own("my.json")
    assert (data.validation, data.test) == (None, None)
    made = Understanding.fit(
        Examples(TEXTS, INTENTS, ELSEWHERE), validation=Examples(TEXTS, INTENTS)
    )
    assert made.understand(["hello"])[0].in_scope > 0


def test_other_refusals(home: Path) -> None:
    Path("empty").mkdir()
    with pytest.raises(FileError, match=r"no desk\.yaml"):
        own("empty")
    with pytest.raises(FileError, match="did you mean 'text'"):
        own(table(PAIRS), "texd")
    with pytest.raises(KnobError, match="its own columns"):
        load_questions(SAMPLE, "text", "", "chatbot")
    parts = {"train": PAIRS, "test": [("hello", "greet")]}
    Path("my.json").write_text(json.dumps(parts))
    with pytest.raises(FileError, match="'greet' has no examples"):
        own("my.json")


@pytest.mark.slow
def test_random_intents_cannot_be_learned_from_copies(home: Path) -> None:
    """Near-copies in other folds would tell the answers; whole groups stay in one."""
    rng = np.random.default_rng(0)
    rows = [
        (f"{' '.join(rng.permutation(list('abcdefghijklmnop')))} {number}", str(kind))
        for kind in rng.permutation([0, 1] * 30)
        for number in [*rng.integers(999, size=1)]
    ]
    copies = [(f"{text} {number}", kind) for text, kind in rows for number in range(4)]
    result = mlfolio.run("chatbot", data=table(copies), register=False)
    assert result.scores[0].value < 0.7


def test_the_most_confused_intents_are_named_with_what_they_are_taken_for() -> None:
    truth = np.array(["a"] * 4 + ["b"] * 4 + ["c"] * 4)
    guessed = np.array(["a", "b", "b", "a", "b", "b", "b", "c", "c", "c", "c", "c"])
    found = confused(truth, guessed)
    assert list(found.index) == ["a", "b", "c"]
    assert found.loc["a", "taken for"] == "b (2)"
    assert found.loc["b", "mistaken for it"] == "a (2)"


PARKING = ["where can I park my car", "is there a car park", "do you have parking",
           "parking for my car?", "can I park my car here", "is parking free"]  # fmt: skip


def test_what_is_asked_often_is_one_group() -> None:
    groups = alike([*ELSEWHERE, *PARKING])
    assert len(groups) == 1
    assert set(groups[0]) == set(PARKING)
    assert alike(PARKING[:4]) == []


def test_what_was_not_understood_becomes_a_suggestion(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFOLIO_RUNS", str(tmp_path))
    log_questions(PARKING, understood=False)
    log_questions(TEXTS[:9], understood=True)
    data = load_questions(SAMPLE, "", "", "chatbot")
    assert set(data.asked) == set(PARKING)
    assert data.info.fingerprint == load_questions(SAMPLE, "", "", "other").info.fingerprint
    (tmp_path / "run").mkdir()
    Chatbot().fit(data, Run("chatbot", tmp_path / "run"))
    assert "Suggestions for new intents" in {e.title for e in read_exhibits(tmp_path / "run")}


def log_questions(texts: list[str] | tuple[str, ...], understood: bool) -> None:
    """Writes what a server of this system would have logged."""

    class Answer(Output):
        understood: bool

    async def write() -> None:
        journal = Journal(database_url())
        journal.start()
        for text in texts:
            given, answer = ChatMessage(text=text), Answer(answer="...", understood=understood)
            entry = Entry(uuid4().hex, time.time(), "chatbot", 1, given, answer, 1.0, "ann")
            await journal.add([entry])
        await journal.close()

    asyncio.run(write())
