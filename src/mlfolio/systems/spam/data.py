"""The SMS Spam Collection, the user's own messages or mailboxes, or messages of our invention.

The user's own data are a table with a column of texts and one of labels, the collection's own form
(label, tab, text), or a folder whose files and folders called `spam...` and `ham...` are mailboxes.
Feedback on the answers of a served model is read beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.errors import FileError, KnobError
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo, Finding
from mlfolio.data.datasets import get_dataset, place
from mlfolio.data.doctor import find_copies, find_imbalance
from mlfolio.data.fingerprint import fingerprint
from mlfolio.data.texts import read_texts
from mlfolio.parts.text.duplicates import near_duplicates
from mlfolio.track.log import feedback

from .mail import is_mailbox, read_mails
from .model import CLASSES, READ
from .sample import generate

FILE = "SMSSpamCollection"
SAMPLE_ROWS = 360
FEWEST = 25  # groups of messages of each kind: nested cross-validation splits them in 25
SPAM = {"spam", "junk", "1", "1.0", "true", "yes"}
HAM = {"ham", "not spam", "legitimate", "0", "0.0", "false", "no"}


class Corrections(NamedTuple):
    """What users said of answers: the messages, and for each 1 if it is spam, else 0."""

    texts: tuple[str, ...] = ()
    spam: tuple[int, ...] = ()


NO_CORRECTIONS = Corrections()


@dataclass(frozen=True)
class Messages:
    """Messages and what they are; which are copies of each other; what users corrected.

    Attributes:
        texts: The messages.
        spam: 1 for spam, 0 for ham, shape (n,).
        corrections: Messages beside them, to be learned from and never to be measured on.
        notes: What was noticed while reading.
    """

    source: Source
    dataset: str
    licence: str
    texts: tuple[str, ...]
    spam: NDArray[np.int64]
    corrections: Corrections = NO_CORRECTIONS
    notes: tuple[Finding, ...] = ()

    @cached_property
    def info(self) -> DataInfo:
        """What identifies these data; corrections are learned from but not measured on."""
        measured = pd.DataFrame({"text": self.texts, "spam": self.spam})
        told = pd.DataFrame(self.corrections._asdict())
        rows = {"train": len(self.texts), "test": 0, "corrections": len(told)}
        return DataInfo(
            source=self.source,
            dataset=self.dataset,
            licence=self.licence,
            fingerprint=fingerprint(measured, told) if len(told) else fingerprint(measured),
            test_fingerprint=fingerprint(measured),
            rows=rows,
        )

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Number of the group of near-duplicates of each message, then of each correction."""
        return near_duplicates([*self.texts, *self.corrections.texts])

    @cached_property
    def first(self) -> NDArray[np.bool_]:
        """Whether a message is the first of those with the very same text, shape (n,)."""
        return ~pd.Series(self.texts).duplicated().to_numpy()

    def check(self) -> list[Finding]:
        """What the data doctor has to say."""
        groups = pd.Series(self.groups[: len(self.texts)])
        findings = [*self.notes, *find_copies(pd.DataFrame({"text": self.texts}), "messages")]
        alike = len(groups) - groups.nunique()
        if alike:
            message = f"{alike:,} of {len(groups):,} messages are near-duplicates of another one"
            findings.append(_note("near-duplicates", message, "a group stays in one fold"))
        shares = pd.Series(self.spam).groupby(groups).mean()
        mixed = int(shares.between(0, 1, inclusive="neither").sum())
        if mixed:
            message = f"{mixed:,} groups of near-duplicates hold both spam and ham"
            fix = "look at them: one label may be wrong"
            findings.append(Finding(level="warning", check="labels", message=message, fix=fix))
        cut = sum(len(text) > READ for text in self.texts)
        if cut:
            findings.append(_note("long messages", f"of {cut:,} only {READ:,} characters count"))
        return findings + find_imbalance(self.spam)

    def without_test(self) -> Self:
        """The same: the protocol is cross-validation, so no part is set aside."""
        return self


def load_messages(
    source: Source, text: str, label: str, system: str, with_feedback: bool
) -> Messages:
    """The messages of a source, all of them: the protocol is nested cross-validation.

    Args:
        source: The official collection, the generated sample, or the user's file or folder.
        text: Column of the texts in the user's table; found by its name if empty.
        label: Column of the labels, likewise.
        system: Whose feedback is read beside them.
        with_feedback: Whether it is.

    Raises:
        DataUnavailableError: The collection is not here and cannot be fetched.
        UserError: The messages cannot be used, or the prediction log cannot be read.
    """
    if source.kind != "own" and (text or label):
        raise KnobError(f"the {source} has its own columns", "name your own data: --data FILE")
    notes: list[Finding] = []
    if source.kind == "sample":
        pairs, name, licence = generate(SAMPLE_ROWS), "invented messages", "Apache-2.0"
    elif source.path is None:
        record = get_dataset("sms-spam")
        pairs, name, licence = read_tabbed(place("sms-spam") / FILE), record.title, record.licence
    else:
        pairs = _read_own(source.path, text, label, notes)
        name, licence = source.path.name, "the user's own"
    empty = sum(not message.strip() for message, _ in pairs)
    if empty:
        notes.append(_note("rows left out", f"{empty:,} empty messages are left out"))
    kept = [(message, spam) for message, spam in pairs if message.strip()]
    corrections = _read_corrections(system, notes) if with_feedback else NO_CORRECTIONS
    data = Messages(
        source=source,
        dataset=name,
        licence=licence,
        texts=tuple(message for message, _ in kept),
        spam=np.array([spam for _, spam in kept], dtype=np.int64),
        corrections=corrections,
        notes=tuple(notes),
    )
    _require_enough(data)
    return data


def read_tabbed(path: Path) -> list[tuple[str, bool]]:
    """Lines of a label, a tab and a text, without quotes, as the collection has them.

    Raises:
        FileError: A line is none of this kind.
    """
    pairs = []
    for number, line in enumerate(_text_of(path).split("\n"), 1):
        if not line.strip():
            continue
        label, tab, text = line.rstrip("\r").partition("\t")
        if not tab:
            raise FileError(f"{path.name}, line {number}: no tab", "write: label, tab, text")
        pairs.append((text, _is_spam(label, path.name)))
    return pairs


def _read_own(path: Path, text: str, label: str, notes: list[Finding]) -> list[tuple[str, bool]]:
    if path.is_dir():
        return _read_mailboxes(path)
    try:
        with path.open("rb") as file:
            head = file.read(100).decode("latin-1").partition("\t")
        if is_mailbox(path):
            raise FileError(
                f"{path.name} is a mailbox, and nothing says which of its mails are spam",
                "name a folder with spam.mbox and ham.mbox in it",
            )
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror or error}", "check who may read it"
        ) from None
    if head[1] and head[0].lower() in SPAM | HAM:
        return read_tabbed(path)
    found = read_texts(path, text, label)
    notes += found.notes
    spam = [_is_spam(each, path.name) for each in found.labels]
    return list(zip(found.texts, spam, strict=True))


def _is_spam(label: str, file: str) -> bool:
    plain = label.strip().lower()
    if plain not in SPAM | HAM:
        raise FileError(
            f"{file}: {label.strip()[:40]!r} is no label", "labels are spam and ham, or 1 and 0"
        )
    return plain in SPAM


def _read_mailboxes(folder: Path) -> list[tuple[str, bool]]:
    """The mails of the mailboxes that are called after what they hold."""
    pairs: list[tuple[str, bool]] = []
    for path in sorted(folder.iterdir()):
        kind = next((kind for kind in ("ham", "spam", "junk") if kind in path.name.lower()), None)
        if kind is not None:
            pairs += [(mail.message, kind != "ham") for mail in read_mails(path)]
    if not pairs:
        raise FileError(
            f"{folder} holds no mailboxes called spam and ham",
            "name them so: spam.mbox and ham.mbox, or folders spam/ and ham/ of mails",
        )
    return pairs


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise FileError(f"{path.name} is not UTF-8", "save it as UTF-8") from None


def _read_corrections(system: str, notes: list[Finding]) -> Corrections:
    """What was said of the system's answers; of a message that was judged twice the last counts."""
    judged = feedback(system)
    told: dict[str, int] = {}
    for row in judged:
        text = (row.input or {}).get("text")
        if isinstance(text, str) and text.strip() and row.truth in CLASSES:
            told.pop(text, None)
            told[text] = CLASSES.index(row.truth)
    lost = sum(row.input is None for row in judged)
    if lost:
        notes.append(
            _note(
                "feedback",
                f"{lost:,} judged messages were not kept, so nothing is learned from them",
                f"serve without --forget-inputs {system} to keep them",
            )
        )
    if told:
        message = f"{len(told):,} messages that users judged are learned from"
        notes.append(_note("feedback", message, "feedback=false leaves them out"))
    return Corrections(tuple(told), tuple(told.values()))


def _require_enough(data: Messages) -> None:
    groups = pd.Series(data.groups[: len(data.texts)])
    for number, kind in enumerate(CLASSES):
        count = groups[data.spam == number].nunique()
        if count < FEWEST:
            raise FileError(
                f"{data.dataset} has {count} different messages of {kind}; at least {FEWEST} of "
                "each kind are needed",
                "add messages; near-duplicates count once",
            )


def _note(check: str, message: str, fix: str = "") -> Finding:
    return Finding(level="note", check=check, message=message, fix=fix)
