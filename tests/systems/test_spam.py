"""Spam through its public doors: messages, hostile mails, other people's files, feedback."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

import mlfolio
from mlfolio.core.errors import FileError, InputError, KnobError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.model import Explains, Reads
from mlfolio.core.run import Run, read_exhibits
from mlfolio.core.source import SAMPLE, Source
from mlfolio.lifecycle import Predictor, Result
from mlfolio.systems.spam.clean import read, undisguise
from mlfolio.systems.spam.data import Corrections, Messages
from mlfolio.systems.spam.learning import cautious_threshold
from mlfolio.systems.spam.mail import MAX_BYTES, parse_mail, read_mails
from mlfolio.systems.spam.model import EXAMPLES, READ, SpamAnswer, SpamModel
from mlfolio.systems.spam.sample import generate
from mlfolio.systems.spam.scores import RATES, outcomes
from mlfolio.systems.spam.system import Spam, prepare
from tests.conftest import Cli, SampleOf
from tests.serve.conftest import Server, serving_sample

QUICK = {"folds": 2, "inner_folds": 2}
CYRILLIC = str.maketrans("aeop", "\u0430\u0435\u043e\u0440")
HEAD = b"From: Ann <ann@x.example>\nSubject: hi\n"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(tmp_path_factory.mktemp("runs")))
        return mlfolio.run("spam", data="sample", register=False, **QUICK)


@pytest.fixture
def model(result: Result) -> SpamModel:
    return SpamModel.load(result.folder / "model")


@pytest.fixture
def predictor(model: SpamModel) -> Predictor:
    return Predictor(Spam.card, model)


def ask(predictor: Predictor, text: str) -> SpamAnswer:
    answer = predictor.predict({"text": text})
    assert isinstance(answer, SpamAnswer)
    return answer


def test_it_tells_the_sample_apart_and_its_report_shows_how(result: Result) -> None:
    scores = {score.name: score for score in result.scores}
    assert scores["average precision"].value > 0.95
    assert scores["precision"].value >= 0.99
    assert scores["recall"].value > 0.4, "half of the sample shows no precision of 0.99"
    assert scores["Brier score"].value < scores["Brier score"].trivial.value / 3  # type: ignore[union-attr]
    assert scores["F1 of spam, one of a kind"].n < scores["F1 of spam"].n
    titles = {exhibit.title for exhibit in read_exhibits(result.folder)}
    assert titles >= {"Messages", "Candidates", "N-grams that weigh most"}


def test_the_examples_are_answered(predictor: Predictor) -> None:
    answers = [ask(predictor, text).answer for text in EXAMPLES]
    assert answers == ["spam", "ham", "spam", "ham"]


def test_the_shares_of_the_words_are_the_whole_answer(model: SpamModel) -> None:
    assert isinstance(model, Explains)
    for text in (*EXAMPLES, "", "free free free", "!!", "东京 🚢"):
        (row,) = parse_inputs(model, [{"text": text}])
        (answer,) = model.predict([row])
        reasons = model.explain([row])[0]
        odds = sum(reason.effect for reason in reasons)
        assert answer.confidence == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-3)
    words = [r.value for r in model.explain(parse_inputs(model, [{"text": EXAMPLES[0]}]))[0]]
    assert {"won", "free"} <= set(words)


def test_the_rates_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth, called = (rng.integers(0, 2, 300) for _ in range(2))
    sums = [column.sum() for column in outcomes(truth, called.astype(float))]
    known = {
        "F1 of spam": f1_score, "precision": precision_score, "recall": recall_score,
        "accuracy": accuracy_score,
    }  # fmt: skip
    for name, theirs in known.items():
        assert RATES[name](*sums) == pytest.approx(theirs(truth, called))
    assert RATES["false alarms per 1000 ham"](*sums) == pytest.approx(
        1000 * called[truth == 0].mean()
    )


def test_the_threshold_keeps_a_precision_with_confidence() -> None:
    truth = np.array([1] * 300 + [0, 1] * 10 + [0] * 300)
    chances = np.linspace(1, 0, len(truth))
    at, safe = cautious_threshold(truth, chances, 0.98)
    called = chances >= at
    assert safe
    assert 0.98 <= precision_score(truth, called) < 1
    assert cautious_threshold(truth, chances, 0.999)[1] is False
    twice = cautious_threshold(np.tile(truth, 2), np.tile(chances, 2), 0.98, repeats=2)
    assert twice == (pytest.approx(at), True)
    few, sure = cautious_threshold(np.array([1, 1, 0]), np.array([0.9, 0.8, 0.1]), 0.99)
    assert not sure
    assert 0.1 < few < 0.8


def test_near_duplicates_are_in_one_fold_and_corrections_are_not_measured_on() -> None:
    data = Spam().load(SAMPLE)
    text = data.texts[int(np.flatnonzero(data.spam)[0])]
    told = Messages(
        data.source, data.dataset, data.licence, data.texts, data.spam,
        Corrections((text + "!", "a new one"), (0, 1)),
    )  # fmt: skip
    rows = prepare(told)
    assert not rows.judged[len(data.texts) :].any()
    for train, test in rows.folds(5, seed=1):
        assert not set(rows.group[train]) & set(rows.group[test])
    assert rows.group[len(data.texts)] == rows.group[data.texts.index(text)]
    assert told.info.test_fingerprint == data.info.test_fingerprint
    assert told.info.fingerprint != data.info.fingerprint


@pytest.mark.slow
def test_random_labels_cannot_be_learned_from_copies(home: Path) -> None:
    """Of 60 messages, each there in five near-copies, a split without groups knows the answers."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnoprstuvwy"))
    kinds = rng.permutation([0, 1] * 45)
    lines = []
    for kind in kinds:
        words = " ".join("".join(rng.choice(letters, 5)) for _ in range(9))
        lines += [f"{'spam' if kind else 'ham'}\t{words} {rng.integers(9999)}" for _ in range(5)]
    Path("copies.txt").write_text("\n".join(lines), "utf-8")

    result = mlfolio.run("spam", data="copies.txt", register=False, **QUICK)

    ranking = next(s for s in result.scores if s.name == "average precision")
    assert ranking.value < 0.65


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("\u200b\u200d", "empty"),
        ("🎉🎉🎉", "none of its words"),
        ("Здравствуйте, как ваши дела сегодня?", "none of its words"),
        ("今日は元気ですか", "none of its words"),
        ("call me " + "gurbnk " * 20, "of its 22 words"),
        ("word " * 1900, "no training message had more than"),
        ("free " * 250_000, f"only the first {READ:,} of its 1,250,000 characters"),
        ("\u202efree\u202c prize", "hidden or look-alike"),
        ("frее рrizе", "hidden or look-alike"),  # with Cyrillic letters
        ("ｆｒｅｅ prize", "hidden or look-alike"),
    ],
)
def test_strange_messages_are_answered_with_a_warning(
    predictor: Predictor, text: str, said: str
) -> None:
    started = time.perf_counter()
    answer = ask(predictor, text)
    assert time.perf_counter() - started < 2
    assert any(said in warning for warning in answer.warnings), answer.warnings


def test_usual_messages_are_not_warned_of(predictor: Predictor) -> None:
    for text in ("don't be late, mum's at home", "“see you” – it's 5 o’clock…", "ok 👩‍👧 xx"):
        assert ask(predictor, text).warnings == []


def test_too_long_is_refused(predictor: Predictor) -> None:
    with pytest.raises(InputError, match="5000000"):
        ask(predictor, "x" * 5_000_001)


def test_disguises_are_undone() -> None:
    text = "You have won a FREE phone, claim it before Saturday"
    full_width = "".join(chr(ord(c) + 0xFEE0) if c.isalpha() else c for c in text)
    for sent in (text.translate(CYRILLIC), "\u200b".join(text), full_width):
        assert sent != text
        assert undisguise(sent) == text
    russian = "Привет, как дела? Увидимся вечером"
    assert undisguise(russian) == russian
    assert read("A  b\n\tC") == "a b c"


def mail(kind: bytes, content: bytes) -> bytes:
    return HEAD + b"Content-Type: " + kind + b"\n\n" + content


NESTED = b"deep"
for depth in range(1000):
    NESTED = b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth) + NESTED


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (HEAD + b"\nhello", "hello"),
        (mail(b"text/html", b"<head><title>no</title></head>W<b>i</b>n &amp; go<script>x</script>"),
         "Win & go"),
        (mail(b"text/html", b"a<![b<p>c"), "a c"),
        (mail(b"text/plain; charset=klingon", b"gr\xc3\xbc\xc3\x9fe"), "grüße"),
        (mail(b"text/plain; charset=bz2", b"hi"), "hi"),
        (mail(b"text/plain; charset=iso-8859-1", b"gr\xfc\xdfe"), "grüße"),
        (HEAD + b"Content-Transfer-Encoding: base64\n\n" + base64.b64encode(b"hello"), "hello"),
        (mail(b"multipart/alternative; boundary=b",
              b"--b\n\nplain\n--b\nContent-Type: text/html\n\n<p>shown</p>\n--b--"), "shown"),
        (mail(b"multipart/mixed; boundary=b",
              b"--b\n\nread\n--b\nContent-Type: application/zip; name=a.zip\n\nPK\x03\x04\n"
              b"--b\nContent-Disposition: attachment\n\nnot read\n--b--"), "read"),
        (mail(b"multipart/mixed; boundary=b", b"no parts"), ""),
        (b"", ""),
        (b"\x00\xff\xfe" * 5, None),
        (HEAD + NESTED, None),
        (b"Content-Type: text/plain; " + b"a=b;" * 300_000, None),
        (b"Content-Disposition: " + b";" * 1_000_000 + b"\n\nx", None),
        (mail(b"text/html", b"<" * MAX_BYTES), None),
        (mail(b"text/html", b"<a " * 300_000), None),
        (mail(b"text/plain; charset=punycode", b"a" * MAX_BYTES), None),
        (mail(b"multipart/mixed; boundary=b", b"--b\n\nx\n" * 20_000), None),
        (b"X: y\n" * 100_000 + b"\nx", None),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_hostile_mails_are_read_in_time(raw: bytes, text: str | None) -> None:
    started = time.process_time()
    found = parse_mail(raw)
    assert time.process_time() - started < 3
    if text is not None:
        assert " ".join(found.text.split()) == text


def test_headers_are_one_clean_line() -> None:
    found = parse_mail(
        b"From: =?utf-8?q?J=C3=B6rg?= <j@x.example>\nSubject: \x1b[31mred\x07\n a\n\nx"
    )
    assert found.sender == "Jörg <j@x.example>"
    assert found.subject == "[31mred a"
    assert parse_mail(b"Subject: =?klingon?q?x?=\n\n").subject == "=?klingon?q?x?="


def filled(folder: Path, count: int = 120) -> Path:
    """spam.mbox, a maildir of ham, and a file that is neither."""
    ham = folder / "ham" / "cur"
    ham.mkdir(parents=True)
    (folder / "readme.txt").write_text("my mails", "utf-8")
    with (folder / "spam.mbox").open("wb") as box:
        for number, (text, spam) in enumerate(generate(count, spam_share=0.5, seed=3)):
            made = EmailMessage()
            made["From"] = f"Sender {number} <s{number}@x.example>"
            made["Subject"] = f"=1+{number}"
            made.set_content(text)
            if spam:
                box.write(b"From - Mon\n" + made.as_bytes() + b"\n")
            else:
                (ham / f"{number}.mail:2,S").write_bytes(made.as_bytes())
    return folder


@pytest.mark.slow
def test_mailboxes_are_learned_from_and_scanned_and_never_changed(cli: Cli, home: Path) -> None:
    folder = filled(home / "mails", 400)
    before = {p: hashlib.sha256(p.read_bytes()).digest() for p in folder.rglob("*") if p.is_file()}

    trained = cli("run", "spam", "folds=2", "inner_folds=2", "--data", folder)
    assert trained.code == 0, trained.err
    lines = cli("predict", "spam", "--input", folder / "spam.mbox").out.splitlines()
    cli("predict", "spam", "--input", folder / "ham", "--output", "ham.csv")

    assert len(lines) == len(list(read_mails(folder / "spam.mbox")))
    answer, sure, sender, subject = lines[0].split("\t")
    assert (answer, sure[-1], sender[:7], subject[:3]) == ("spam", "%", "Sender ", "=1+")
    with (home / "ham.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["answer"] for row in rows} == {"ham"}
    assert rows[0]["subject"].startswith("'=1+"), "no formula"
    after = {p: hashlib.sha256(p.read_bytes()).digest() for p in folder.rglob("*") if p.is_file()}
    assert before == after


def test_only_mailboxes_are_read_as_such(model: SpamModel, home: Path) -> None:
    assert isinstance(model, Reads)
    Path("notes.txt").write_text("From here on", "utf-8")
    Path("table").write_text("text\nhello\n", "utf-8")
    Path("inbox").write_bytes(
        b"From - Mon\n" + HEAD + b"\nhello\n\nFrom - Tue\n" + HEAD + b"\nyou\n"
    )
    assert model.read(Path("table")) is None
    assert [row["text"] for row in model.read(Path("inbox")) or ()] == ["hi\nhello", "hi\nyou"]
    Path("empty").mkdir()
    with pytest.raises(FileError, match="no mail"):
        list(model.read(Path("empty")) or ())


def test_a_huge_mail_in_a_mailbox_takes_little(home: Path) -> None:
    with Path("big.mbox").open("wb") as file:
        file.write(b"From - Mon\n" + mail(b"text/plain", b""))
        for _ in range(50):
            file.write(b"free money " * 95_325)  # a line of 50 MB
        file.write(b"\n\nFrom - Tue\n" + HEAD + b"\nshort\n")
    long, short = read_mails(Path("big.mbox"))
    assert len(long.text) <= MAX_BYTES
    assert short.text == "short"


def pairs(count: int = 160) -> list[tuple[str, bool]]:
    return generate(count, spam_share=0.5, seed=5)


def write_table(name: str, columns: tuple[str, str], spam: object, ham: object) -> None:
    rows = [(spam if kind else ham, text) for text, kind in pairs()]
    pd.DataFrame(rows, columns=list(columns)).to_csv(name, index=False)


@pytest.mark.parametrize(
    ("columns", "spam", "ham"),
    [(("label", "text"), "spam", "ham"), (("Category", "Message"), "SPAM", "Ham"),
     (("is_it", "what"), 1, 0)],
)  # fmt: skip
def test_tables_are_read_by_their_usual_names(
    home: Path, columns: tuple[str, str], spam: object, ham: object
) -> None:
    write_table("my.csv", columns, spam, ham)
    knobs = {"label": "is_it", "text": "what"} if columns[0] == "is_it" else {}
    data = Spam.with_knobs(knobs).load(Source.own("my.csv"))
    assert list(zip(data.texts, data.spam == 1, strict=True)) == pairs()


def test_kaggles_copy_of_the_collection_is_read(home: Path) -> None:
    rows = [f'{"spam" if spam else "ham"},"{text} £5",,,' for text, spam in pairs()]
    Path("spam.csv").write_bytes("\n".join(["v1,v2,,,", *rows]).encode("cp1252"))
    text = Path("spam.csv").read_bytes().replace(b"v1,v2,,,", b"v1,v2,a,b,c")
    Path("spam.csv").write_bytes(text)
    data = Spam().load(Source.own("spam.csv"))
    assert data.texts[0].endswith(" £5")
    assert any("Windows-1252" in finding.message for finding in data.check())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("ham\tone\nspam two\n", "line 2: no tab"),
        ("ham\tone\nSpan\ttwo\n", "'Span' is no label"),
        ("ham\tone\nspam\ttwo\n", "1 different messages of ham; at least 25"),
        ("label,words\nham,one\n", "no column of texts"),
        ("text,kind\none,ham\n", "no column of labels"),
        ("text,label\none,maybe\n", "'maybe' is no label"),
        ("From - Mon\nSubject: hi\n\nhello\n", "nothing says which of its mails are spam"),
        ("", "my.txt is empty"),
    ],
)
def test_files_that_cannot_be_used_are_explained(home: Path, content: str, said: str) -> None:
    Path("my.txt").write_text(content, "utf-8")
    with pytest.raises(FileError) as caught:
        Spam().load(Source.own("my.txt"))
    assert said in str(caught.value)


def test_knobs_for_own_tables_are_for_own_tables(home: Path) -> None:
    with pytest.raises(KnobError, match="columns"):
        Spam(text="v2").load(SAMPLE)
    write_table("my.csv", ("label", "text"), "spam", "ham")
    with pytest.raises(FileError, match="did you mean 'text'"):
        Spam(text="texts").load(Source.own("my.csv"))
    (home / "box").mkdir()
    with pytest.raises(FileError, match=r"spam\.mbox"):
        Spam().load(Source.own("box"))


def test_the_doctor_names_copies_and_contradictions(home: Path) -> None:
    lines = [f"{'spam' if spam else 'ham'}\t{text}" for text, spam in pairs()]
    text = next(text for text, spam in pairs() if spam)
    lines += [f"spam\t{text}", f"ham\t{text}!", "ham\t  "]
    Path("my.txt").write_text("\n".join(lines), "utf-8")
    said = {f.check: f.message for f in Spam().load(Source.own("my.txt")).check()}
    assert "1 groups of near-duplicates hold both spam and ham" in said["labels"]
    assert "near-duplicates of another one" in said["near-duplicates"]
    assert "1 empty messages" in said["rows left out"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sample_of: SampleOf) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    with serving_sample(sample_of("spam"), folder) as running:
        yield running


@pytest.mark.slow
def test_feedback_is_learned_from_by_the_next_run(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFOLIO_RUNS", str(server.runs))
    text = "a refund of 75 from Lumo is waiting for you at the bakery, xx Nora"
    before = server.predict("spam", {"text": text}).json()["predictions"][0]
    assert before["answer"] == "spam"
    path = "/v1/systems/spam/feedback"
    assert server.client.post(path, json={"id": before["id"], "answer": "eggs"}).status_code == 422
    assert server.client.post(path, json={"id": before["id"], "answer": "ham"}).status_code == 200

    without = Spam(feedback=False).load(SAMPLE)
    result = mlfolio.run("spam", data="sample", **QUICK)

    assert without.corrections.texts == ()
    assert result.champion, result.reason
    assert "with 1 corrections of users" in result.scores[0].protocol
    assert any("1 messages that users judged" in finding.message for finding in result.findings)
    until = time.monotonic() + 30
    while True:  # the server takes the new champion over
        after = server.predict("spam", {"text": text}).json()
        if after["version"] == result.version or time.monotonic() > until:
            break
        time.sleep(0.2)
    assert after["predictions"][0]["answer"] == "ham"


@pytest.mark.slow
def test_no_message_that_was_learned_from_is_shown(server: Server) -> None:
    shown = server.client.get("/v1/systems/spam").json()
    assert [row["text"] for row in shown["examples"]] == list(EXAMPLES[:3])


def test_feedback_without_its_message_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlfolio.track.log import Judged

    judged = [
        Judged(None, "spam", "ham", 1.0, "ann"),
        Judged({"text": "twice"}, "spam", "ham", 2.0, "ann"),
        Judged({"text": "twice"}, "spam", "spam", 3.0, "bob"),
    ]
    monkeypatch.setattr("mlfolio.systems.spam.data.feedback", lambda system: judged)
    data = Spam().load(SAMPLE)
    assert data.corrections == Corrections(("twice",), (1,))
    assert any("--forget-inputs spam" in finding.fix for finding in data.check())


def test_the_sample_has_copies_and_is_not_the_same_twice() -> None:
    data = Spam().load(SAMPLE)
    assert len(set(data.groups)) < len(data.texts)
    assert 0.15 < data.spam.mean() < 0.4
    assert generate(50, seed=1) == generate(50, seed=1) != generate(50, seed=2)


def test_the_same_seed_gives_the_same_model(result: Result, home: Path) -> None:
    system = Spam.with_knobs(QUICK)
    (home / "again").mkdir()
    again = system.fit(system.load(SAMPLE), Run("again", home / "again", seed=0))
    again.save(home / "again")
    for name in ("tfidf.json", "model.json"):
        ours = (home / "again" / name).read_bytes()
        assert json.loads(ours) == json.loads((result.folder / "model" / name).read_bytes())
    there = SpamModel.load(result.folder / "model").linear.weights
    assert np.array_equal(again.linear.weights, there)
