"""CLINC150 with Banking77 beside it, the hotel desk, or the user's own desk or table of texts.

The user's own data are a desk (`desk.yaml`, perhaps in a folder with `stories.yaml`), a table with
a column of texts and one of intents, or JSON in CLINC150's form: parts with pairs of text and
intent. Without a test part everything is learned from, and cross-validation measures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from mlfolio.core.errors import FileError, KnobError
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo, Finding
from mlfolio.data.datasets import get_dataset, place
from mlfolio.data.doctor import find_copies, find_imbalance, shared_finding
from mlfolio.data.fingerprint import fingerprint
from mlfolio.data.texts import read_texts
from mlfolio.parts.text.duplicates import near_duplicates
from mlfolio.track.log import asked

from .desk import SAMPLE, STORIES, Desk, read_desk
from .stories import Story, read_stories
from .understanding import Examples

FEWEST: Final = 5  # different examples of an intent: that many folds
NONE: Final = {"oos", "none", "out_of_scope", "out of scope"}  # how tables say: no intent
LONGEST_NAME: Final = 200  # characters, as in a desk
NOTHING: Final = Examples((), ())


@dataclass(frozen=True)
class Questions:
    """What is asked, and the desk that it is asked at.

    Attributes:
        desk: What is answered.
        train: What is learned from.
        validation: What calibrates; None: cross-validation of `train`.
        test: What scores are measured on; None: cross-validation of `train` too.
        second: Training and test part of Banking77, a fit of its own; official only.
        stories: Conversations that should go as they say.
        asked: What users wrote to the served bot that it did not understand.
        notes: What was noticed while reading.
    """

    source: Source
    dataset: str
    licence: str
    desk: Desk
    train: Examples
    validation: Examples | None = None
    test: Examples | None = None
    second: tuple[Examples, Examples] | None = None
    stories: tuple[Story, ...] = ()
    asked: tuple[str, ...] = ()
    notes: tuple[Finding, ...] = ()

    @cached_property
    def info(self) -> DataInfo:
        """What identifies these data; what users asked is not learned from."""
        parts = {
            "train": self.train,
            "validation": self.validation or NOTHING,
            "test": self.test or NOTHING,
            "second train": self.second[0] if self.second else NOTHING,
            "second test": self.second[1] if self.second else NOTHING,
        }
        stories = "".join(story.model_dump_json() for story in self.stories)
        measured = [self.test or self.train, parts["second test"]]
        return DataInfo(
            source=self.source,
            dataset=self.dataset,
            licence=self.licence,
            fingerprint=fingerprint(
                *map(_frame, parts.values()), stories, self.desk.model_dump_json()
            ),
            test_fingerprint=fingerprint(*map(_frame, measured), stories),
            rows={name: len(part.texts) + len(part.outside) for name, part in parts.items()},
        )

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Number of the group of near-duplicates of each training text, those outside last."""
        return near_duplicates(self.train.all_texts)

    def check(self) -> list[Finding]:
        """What the data doctor has to say."""
        frame = _frame(self.train)
        findings = [*self.notes, *find_copies(frame[["text"]], "training texts")]
        twice = frame.groupby("text")["intent"].nunique()
        if (twice > 1).any():
            message = f"{(twice > 1).sum():,} texts are examples of several intents"
            shown = ", ".join(map(repr, twice[twice > 1].index[:3]))
            findings.append(_finding("warning", "labels", f"{message}: {shown}", "keep one each"))
        alike = len(self.groups) - len(np.unique(self.groups))
        if alike:
            message = f"{alike:,} of {len(frame):,} training texts are near-duplicates of another"
            findings.append(_finding("note", "near-duplicates", message, "a group is in one fold"))
        if self.test is not None and len(self.test.texts):
            known = {text.lower() for text in frame["text"]}
            tested = _frame(self.test)["text"]
            findings += shared_finding(int(tested.str.lower().isin(known).sum()), len(tested))
        if not self.train.outside:
            message = "there are no texts about none of the intents: how well such are refused is "
            fix = "write some under out_of_scope, or with the intent 'oos'"
            findings.append(_finding("note", "out of scope", f"{message}not measured", fix))
        return findings + find_imbalance(pd.Series(self.train.intents))

    def without_test(self) -> Self:
        """The same data with the test parts emptied, if there are any."""
        if self.test is None:
            return self
        second = (self.second[0], NOTHING) if self.second else None
        return replace(self, test=NOTHING, second=second)


def load_questions(source: Source, text: str, intent: str, system: str) -> Questions:
    """The examples of a source, their desk and stories.

    Args:
        source: The official data sets, the hotel desk, or the user's own file or folder.
        text: Column of the texts in the user's table; found by its name if empty.
        intent: Column of the intents, likewise.
        system: Whose prediction log is read for what was not understood.

    Raises:
        DataUnavailableError: The data sets are not here and cannot be fetched.
        UserError: The examples cannot be used, or the prediction log cannot be read.
    """
    if source.kind != "own" and (text or intent):
        raise KnobError(f"the {source} has its own columns", "name your own data: --data FILE")
    if source.kind == "official":
        data = _official(source)
    elif source.path is None:
        data = _of_desk(source, "hotel desk", "Apache-2.0", SAMPLE, STORIES)
    elif source.path.is_dir() or source.path.suffix in (".yaml", ".yml"):
        data = _own_desk(source, source.path)
    else:
        data = _own_table(source, source.path, text, intent)
    _require_enough(data)
    return replace(data, asked=not_understood(system))


def not_understood(system: str) -> tuple[str, ...]:
    """What users wrote to a served bot that it took for none of its intents, each text once."""
    texts = []
    for said, answer in asked(system):
        if answer.get("understood") is False and said is not None:
            turns = said.get("messages") or [{"content": said.get("text")}]
            texts.append(turns[-1].get("content"))
    return tuple(dict.fromkeys(t for t in texts if isinstance(t, str) and t.strip()))


def _official(source: Source) -> Questions:
    record, folder = get_dataset("intents"), place("intents")
    parts = _read_parts(folder / "clinc150" / "data_full.json")
    banking = [
        _examples(zip(found.texts, found.labels, strict=True))
        for found in (read_texts(folder / "banking77" / f"{n}.csv") for n in ("train", "test"))
    ]
    data = _of_parts(source, record.title, record.licence, parts)
    return replace(data, second=(banking[0], banking[1]))


def _own_desk(source: Source, path: Path) -> Questions:
    if not path.is_dir():
        return _of_desk(source, path.name, "the user's own", path, None)
    desk, stories = path / "desk.yaml", path / "stories.yaml"
    if not desk.is_file():
        found = ", ".join(sorted(entry.name for entry in path.iterdir())[:10])
        raise FileError(f"there is no desk.yaml in {path}", f"name a file itself; found: {found}")
    return _of_desk(
        source, path.name, "the user's own", desk, stories if stories.is_file() else None
    )


def _of_desk(
    source: Source, dataset: str, licence: str, path: Path, stories: Path | None
) -> Questions:
    desk = read_desk(path)
    texts, intents = zip(*desk.examples(), strict=True)
    return Questions(
        source, dataset, licence, desk, Examples(texts, intents, desk.out_of_scope),
        stories=read_stories(stories) if stories else (),
    )  # fmt: skip


def _own_table(source: Source, path: Path, text: str, intent: str) -> Questions:
    if path.suffix == ".json":
        return _of_parts(source, path.name, "the user's own", _read_parts(path))
    found = read_texts(path, text, intent, knob="intent")
    parts = {"train": _examples(zip(found.texts, found.labels, strict=True))}
    data = _of_parts(source, path.name, "the user's own", parts)
    return replace(data, notes=tuple(found.notes))


def _of_parts(source: Source, dataset: str, licence: str, parts: dict[str, Examples]) -> Questions:
    _require_intents(dataset, parts)
    train = parts["train"]
    desk = Desk.of_examples(zip(train.texts, train.intents, strict=True), train.outside)
    return Questions(source, dataset, licence, desk, train, parts.get("val"), parts.get("test"))


def _read_parts(path: Path) -> dict[str, Examples]:
    """The parts of a file in CLINC150's form: `{"train": [["text", "intent"], ...], ...}`.

    What stands in `oos_train`, or has the intent `oos`, is outside of the part `train`.
    """
    try:
        pairs = TypeAdapter(dict[str, list[tuple[str, str]]]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise FileError(
            f"{path.name} holds no pairs of text and intent: {problem}",
            'write {"train": [["where is my card", "card_arrival"], ...], "test": [...]}',
        ) from None
    if not pairs.get("train"):
        raise FileError(f"{path.name} has no part 'train'", f"its parts: {', '.join(pairs)}")
    return {
        part: _examples(
            [*pairs[part], *((text, "oos") for text, _ in pairs.get(f"oos_{part}", []))]
        )
        for part in ("train", "val", "test")
        if pairs.get(part)
    }


def _examples(pairs: Iterable[tuple[str, str]]) -> Examples:
    """Texts that say something, apart from those about none of the intents."""
    plain = [(text.strip(), intent.strip()) for text, intent in pairs if text.strip()]
    inside = [pair for pair in plain if pair[1].lower() not in NONE]
    return Examples(
        texts=tuple(text for text, _ in inside),
        intents=tuple(intent for _, intent in inside),
        outside=tuple(text for text, intent in plain if intent.lower() in NONE),
    )


def _require_intents(dataset: str, parts: dict[str, Examples]) -> None:
    """Two intents or more, with names that can be shown, and none that training does not know."""
    known = set(parts["train"].intents)
    if any("" in part.intents for part in parts.values()):
        raise FileError(f"{dataset}: a text has no intent", "name it, or write oos for none")
    if len(known) < 2:
        raise FileError(f"{dataset} has fewer than two intents", "add intents with examples")
    longest = max(known, key=len)
    if len(longest) > LONGEST_NAME:
        raise FileError(
            f"{dataset}: the intent {longest[:40] + '...'!r} has {len(longest):,} characters; the "
            f"limit is {LONGEST_NAME}",
            "name the column of intents: intent=COLUMN",
        )
    for part in parts.values():
        unknown = sorted(set(part.intents) - known)
        if unknown:
            raise FileError(
                f"{dataset}: the intent {unknown[0]!r} has no examples to learn from",
                "every intent of the other parts has to be in 'train'",
            )


def _require_enough(data: Questions) -> None:
    intents = np.array(data.train.intents)
    different = pd.Series(data.groups[: len(intents)]).groupby(intents).nunique()
    if different.min() < FEWEST:
        raise FileError(
            f"{data.dataset}: the intent {different.idxmin()!r} has {different.min()} different "
            f"examples; at least {FEWEST} are needed",
            "add examples, the more different the better; near-duplicates count once",
        )


def _frame(part: Examples) -> pd.DataFrame:
    return pd.DataFrame({"text": part.all_texts, "intent": part.labels}, dtype=str)


def _finding(level: str, check: str, message: str, fix: str = "") -> Finding:
    return Finding.model_validate({"level": level, "check": check, "message": message, "fix": fix})
