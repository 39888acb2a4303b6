"""Sentiment through its public doors: reading, learning, explaining, own and official data."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from mlfolio.core.errors import FileError, InputError, KnobError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.run import Run
from mlfolio.core.source import OFFICIAL, SAMPLE, Source
from mlfolio.data.datasets import DATASETS, DataFile
from mlfolio.lifecycle import Predictor
from mlfolio.parts.text.embed import padded
from mlfolio.systems.sentiment import CARD, words
from mlfolio.systems.sentiment.behaviour import behave, with_typos
from mlfolio.systems.sentiment.data import NONE, Reviews, ReviewSplit, load_reviews
from mlfolio.systems.sentiment.learning import log_odds
from mlfolio.systems.sentiment.lstm import LstmReader
from mlfolio.systems.sentiment.model import SentimentAnswer, SentimentModel
from mlfolio.systems.sentiment.nbsvm import NbSvm
from mlfolio.systems.sentiment.net import ReviewNet
from mlfolio.systems.sentiment.readers import load_reader
from mlfolio.systems.sentiment.sample import generate
from mlfolio.systems.sentiment.system import Sentiment
from mlfolio.systems.sentiment.transformer import TransformerReader, get_transformer, readings
from mlfolio.systems.sentiment.words import MOST, Vocabulary, Word, to_batch, words_of
from tests.conftest import Cli
from tests.small_bert import small_bert

VOCABULARY = Vocabulary(["good", "bad", "film", "not", "a", "!"])


@pytest.fixture(scope="module")
def model() -> SentimentModel:
    """Untrained, so it has an opinion on everything."""
    torch.manual_seed(0)
    return SentimentModel(LstmReader(ReviewNet(len(VOCABULARY), 8, 6), VOCABULARY, 10), sure=0.5)


def ask(model: SentimentModel, text: str) -> SentimentAnswer:
    (answer,) = model.predict(parse_inputs(model, [{"text": text}]))
    return answer


def test_words_are_parted_and_tags_skipped() -> None:
    found = words_of("Isn’t it GOOD?<br /><br />No, a 7/10 <3 film!")
    assert [word.word for word in found] == [
        "isn't", "it", "good", "?", "no", ",", "a", "7", "10", "3", "film", "!",
    ]  # fmt: skip
    text = "Isn’t it GOOD?"
    assert [text[word.start : word.end] for word in words_of(text)] == ["Isn’t", "it", "GOOD", "?"]


def test_the_vocabulary_keeps_what_is_common() -> None:
    made = Vocabulary.of(["a film", "a film a", "a dog"], fewest=2, most=9)
    assert made.words == ["a", "film"]
    assert made.ids(words_of("dog film a")).tolist() == [1, 3, 2]


def test_chunks_hold_every_word_once() -> None:
    reviews = [np.arange(1, n + 1) for n in (3, 25, 0, 10)]
    batch = to_batch(reviews, 10)
    assert batch.tokens.shape[1] <= 10
    for number, ids in enumerate(reviews):
        mine = batch.tokens[batch.owner == number]
        assert mine[mine > 0].tolist() == (ids.tolist() or [1])


def test_neither_padding_nor_other_reviews_change_an_answer(model: SentimentModel) -> None:
    assert isinstance(model.reader, LstmReader)
    draw = np.random.default_rng(0)
    reviews = [draw.integers(1, 8, n) for n in (1, 4, 10, 11, 57, 200)]
    together = log_odds(model.reader.net, reviews, 10)
    alone = [log_odds(model.reader.net, [ids], 10)[0] for ids in reviews]
    assert together == pytest.approx(alone, abs=1e-5)


def test_states_are_those_of_a_packed_bidirectional_lstm(model: SentimentModel) -> None:
    assert isinstance(model.reader, LstmReader)
    net, batch = model.reader.net, to_batch([np.arange(1, n) for n in (2, 8, 5, 8)], 10)
    packed = torch.nn.LSTM(8, 6, batch_first=True, bidirectional=True)
    weights = {f"{name}_reverse": each for name, each in net.back.state_dict().items()}
    packed.load_state_dict({**net.there.state_dict(), **weights})
    embedded = net.embedding(batch.tokens)
    sequence = torch.nn.utils.rnn.pack_padded_sequence(
        embedded, batch.lengths, batch_first=True, enforce_sorted=False
    )
    states, lengths = torch.nn.utils.rnn.pad_packed_sequence(packed(sequence)[0], batch_first=True)
    means = [row[:length].mean(0) for row, length in zip(states, lengths, strict=True)]
    tops = [row[:length].amax(0) for row, length in zip(states, lengths, strict=True)]
    wanted = net.head(torch.cat([torch.stack(means), torch.stack(tops)], dim=1)).squeeze(1)
    assert net(batch).tolist() == pytest.approx(wanted.tolist(), abs=1e-6)


def test_shares_of_words_add_up_to_the_answer(model: SentimentModel) -> None:
    text = "Not a good film! A bad film, not good. " * 4
    (reasons,) = model.explain(parse_inputs(model, [{"text": text}]))
    chance = ask(model, text).probabilities["positive"]
    odds = np.log(chance / (1 - chance))
    assert sum(reason.effect for reason in reasons) == pytest.approx(abs(odds), abs=0.02)
    assert {reason.value for reason in reasons} >= {"good", "bad", "film", "without its words"}
    assert [word for word, _ in model.words("Not a GOOD film")] == ["Not", "a", "GOOD", "film"]


def test_what_makes_an_answer_doubtful_is_said(model: SentimentModel) -> None:
    for text in ("", "<br />", "!?", "東京"):
        answer = ask(model, text)
        assert (answer.answer, answer.confidence) == ("mixed", None)
        assert "no words" in answer.warnings[0]
    assert "only 1 of its 3 words" in ask(model, "good zebra xylophone").warnings[0]
    (said,) = ask(model, "good film " * 3000).warnings
    assert said == "of its 6,000 words the first and the last 2,000 were read"


def test_the_ends_of_a_very_long_review_count(model: SentimentModel) -> None:
    middle = "film " * 4000
    one, other = (ask(model, start + middle).probabilities for start in ("good ", "bad "))
    assert one != other
    inside = [ask(model, middle + word + middle) for word in ("good ", "bad ")]
    assert inside[0] == inside[1]


def test_what_is_measured_as_sure_is_what_is_served_as_sure(
    model: SentimentModel, home: Path
) -> None:
    made = generate(40)
    train = Reviews(tuple(text for text, _ in made), np.array([good for _, good in made]))
    test = Reviews(("good film", "東京", "!", "bad", "not good"), np.array([1, 1, 1, 0, 0]))
    (home / "run").mkdir()
    scores = (
        Sentiment()
        .evaluate(model, ReviewSplit(SAMPLE, "", "", train, test), Run("sentiment", home / "run"))
        .scores
    )
    measured = {score.name: score.value for score in scores}
    served = [ask(model, text).answer != "mixed" for text in test.texts]
    assert measured["share that is sure"] == np.mean(served) == 0.6


@pytest.mark.parametrize("unit", ["film ", "! ", "<"])
@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_a_megabyte_is_gone_through_once(
    model: SentimentModel, reader: TransformerReader, monkeypatch: pytest.MonkeyPatch,
    unit: str, kind: str,
) -> None:  # fmt: skip
    made: list[int] = []

    class Counted(Word):
        def __new__(cls, *parts: Any) -> Counted:
            made.append(1)
            return super().__new__(cls, *parts)

    monkeypatch.setattr(words, "Word", Counted)
    asked = model if kind == "lstm" else SentimentModel(reader, sure=0.5)
    text = unit * (1_000_000 // len(unit))
    ask(asked, text)
    asked.explain(parse_inputs(asked, [{"text": text}]))
    assert len(made) <= 3 * MOST


def test_mixed_is_what_is_not_sure(model: SentimentModel) -> None:
    careful = SentimentModel(model.reader, sure=0.999)
    answer = ask(careful, "a good film")
    assert (answer.answer, answer.confidence) == ("mixed", None)
    assert sum(answer.probabilities.values()) == pytest.approx(1)


def table(rows: list[tuple[str, str]]) -> Source:
    with Path("my.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("review", "sentiment"), *rows])
    return Source.own("my.csv")


def test_own_tables(home: Path) -> None:
    made = [(text, "positive" if good else "NEG") for text, good in generate(100)]
    data = load_reviews(table(made), "", "")
    assert len(data.train.texts) + len(data.test.texts) == 100
    assert data.train.positive.sum() + data.test.positive.sum() == 50
    with pytest.raises(FileError, match="'lukewarm' is neither positive nor negative"):
        load_reviews(table([*made, ("so so", "lukewarm")]), "review", "sentiment")
    with pytest.raises(FileError, match="1 different positive texts"):
        load_reviews(table([(t, s) for t, s in made if s == "NEG"] + [("x", "pos")]),
                     "review", "sentiment")  # fmt: skip
    with pytest.raises(KnobError, match="its own columns"):
        load_reviews(SAMPLE, "review", "")


@pytest.mark.parametrize(
    ("learned", "asked"),
    [
        (("text",), ("id", "review", "sentiment")),  # from IMDB
        (("text",), ("Label", "TEXT", "id")),
        (("Urteil", "Note", "message", "id"), ("id", "Urteil", "message", "Note")),
        (("type", "id"), ("type", "id")),
    ],
)
def test_tables_that_are_learned_from_are_answered(
    model: SentimentModel, cli: Cli, monkeypatch: pytest.MonkeyPatch,
    learned: tuple[str, ...], asked: tuple[str, ...],
) -> None:  # fmt: skip
    Path("model").mkdir()
    SentimentModel(model.reader, 0.5, learned).save(Path("model"))
    again = SentimentModel.load(Path("model"))
    monkeypatch.setattr("mlfolio.load", lambda name: Predictor(CARD, again))
    text = next(name for name in asked if name.lower() in (learned[0].lower(), "review"))
    cells = pd.DataFrame({name: ["a", "b", "c"] for name in asked})
    cells[text] = ["a good film", None, "7"]
    for texts in (cells[text], [1, 2, 3]):
        cells.assign(**{text: texts}).to_csv("my.csv", index=False)
        done = cli("predict", "sentiment", "--input", "my.csv")
        found = pd.read_csv(io.StringIO(done.out))
        assert found["id"].tolist() == ["a", "b", "c"]
        assert found["answer"].eq("mixed").tolist() == [cell is None for cell in texts]


def test_what_is_no_column_of_a_text_is_refused(model: SentimentModel) -> None:
    with pytest.raises(InputError, match="txt: no such field; did you mean 'text'"):
        parse_inputs(model, [{"txt": "a good film"}])
    with pytest.raises(InputError, match="review: no such field"):
        parse_inputs(model, [{"text": "a good film", "review": "a bad one"}])


def test_texts_of_other_scripts_need_a_net_that_reads_them(home: Path, bert: Path) -> None:
    draw = random.Random(0)
    letters = "абвгдежзиклмнопрстуфхц"
    rows = [("".join(draw.choices(letters, k=30)), side) for side in ("pos", "neg") * 30]
    data = load_reviews(table(rows), "", "")
    (home / "run").mkdir()
    with pytest.raises(FileError, match="no words that are read"):
        Sentiment().fit(data, Run("sentiment", home / "run"))
    knobs = {"reader": "transformer", "transformer": str(bert), "pieces": 16, "epochs": 1}
    model = Sentiment.with_knobs(knobs).fit(data, Run("sentiment", home / "run"))
    assert all(found.is_read for found in model.reader.judge(data.test.texts))
    assert model.columns == ("review", "sentiment")


def test_copies_are_on_one_side(home: Path) -> None:
    made = [(text, "pos" if good else "neg") for text, good in generate(100)]
    copies = [(text.replace("film", "film ").upper(), side) for text, side in made]
    data = load_reviews(table(made + copies), "review", "sentiment")
    assert not data.known.any()


def test_copies_do_not_say_when_to_stop(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = generate(100)
    texts = tuple(text for text, _ in made) + tuple(text.upper() + "!" for text, _ in made)
    known = Reviews(texts, np.array([good for _, good in made] * 2, dtype=np.int64))
    parts: list[Reviews] = []

    def stop(_: Sentiment, seen: Reviews, unseen: Reviews, run: Run) -> None:
        parts.extend([seen, unseen])
        raise InterruptedError

    monkeypatch.setattr(Sentiment, "_fit_lstm", stop)
    (home / "run").mkdir()
    with pytest.raises(InterruptedError):
        Sentiment().fit(ReviewSplit(SAMPLE, "", "", known, NONE), Run("sentiment", home / "run"))
    seen, unseen = ({text.lower().rstrip("!") for text in part.texts} for part in parts)
    assert unseen
    assert not seen & unseen


@pytest.mark.parametrize("form", ["archive", "table"])
def test_both_forms_of_imdb_give_the_same_halves(
    home: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    texts = {(part, side, n): f"{part} {side} é {n}" for part in ("train", "test")
             for n in (10, 9) for side in ("neg", "pos")}  # fmt: skip
    folder = home / "data" / "imdb"
    folder.mkdir(parents=True)
    if form == "archive":
        with tarfile.open(folder / "aclImdb_v1.tar.gz", "w:gz") as archive:
            folder_ = tarfile.TarInfo("aclImdb/")
            folder_.type = tarfile.DIRTYPE
            archive.addfile(folder_)
            for (part, side, n), text in {**texts, ("train", "unsup", 1): "no"}.items():
                member = tarfile.TarInfo(f"aclImdb/{part}/{side}/{n}_7.txt")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
    else:
        order = sorted(texts, key=lambda key: (key[0] == "test", key[2], key[1]))
        rows = pd.DataFrame([(texts[key], key[1]) for key in order],
                            columns=["review", "sentiment"])  # fmt: skip
        index = pd.DataFrame(order, columns=["split", "label", "id"])
        for name, frame in (("IMDB Dataset.csv", rows), ("index.csv", index)):
            with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive_:
                archive_.writestr(name, frame.to_csv(index=False))
    record = DATASETS["imdb"]
    plain = {
        "files": (DataFile(name="aclImdb_v1.tar.gz", url="http://127.0.0.1:1/x"),),
        "instead": tuple(DataFile(name=file.name) for file in record.instead),
    }
    monkeypatch.setitem(DATASETS, "imdb", record.model_copy(update=plain))
    data = load_reviews(OFFICIAL, "", "")
    assert data.train.texts == ("train neg é 9", "train pos é 9", "train neg é 10",
                                "train pos é 10")  # fmt: skip
    assert data.test.positive.tolist() == [0, 1, 0, 1]


def test_behaviour_is_judged_by_rule() -> None:
    def believes_every_word(texts: list[str]) -> np.ndarray:
        return np.array([float(not any(w in t for w in ("bad", "terrible", "awful", "boring",
                         "disappointing"))) for t in texts])  # fmt: skip

    reviews = [text.replace("Theo", "John") for text, _ in generate(40)]
    found = {test.name: test.passed.mean() for test in behave(believes_every_word, reviews)}
    assert found["plain praise and blame"] == 1
    assert found["negation"] == 0
    assert found["first names swapped"] == 1
    text = "a wonderful film"
    assert sorted(with_typos(text, random.Random(1))) == sorted(text)


def test_nb_svm_learns_pairs_of_words() -> None:
    texts = ["not good", "not bad", "very good", "very bad"] * 20
    fitted = NbSvm.fit(texts, np.array([0, 1, 1, 0] * 20))
    assert (fitted.chances(texts[:4]) > 0.5).tolist() == [False, True, True, False]


@pytest.mark.parametrize("words", [list("abcdefgh"), ["αβγ", "δεζ", "ηθι", "κλμ", "νξο", "πρσ"]])
def test_nb_svm_takes_words_of_one_letter_and_words_of_one_text(words: Sequence[str]) -> None:
    truth = np.arange(len(words)) % 2
    assert ((NbSvm.fit(words, truth).chances(words) > 0.5) == truth).all()


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def reader(bert: Path) -> TransformerReader:
    net, cutter = get_transformer(str(bert), longest=32)
    torch.nn.init.normal_(net.head.weight)
    return TransformerReader(net.eval(), cutter)


def test_a_transformer_gives_the_same_answer_alone_and_stored(
    reader: TransformerReader, tmp_path: Path
) -> None:
    texts = [text for text, _ in generate(9)] + ["", "film " * 300, "Brilliant!"]
    reader.save(tmp_path)

    together = reader.log_odds(texts)

    assert [float(reader.log_odds([text])[0]) for text in texts] == pytest.approx(
        together.tolist(), abs=1e-5
    )
    again = TransformerReader.load(tmp_path).log_odds(texts)
    assert again.tolist() == pytest.approx(together.tolist(), abs=1e-6)


def test_roberta_has_fewer_places_than_it_says(bert: Path, tmp_path: Path) -> None:
    from transformers import RobertaConfig, RobertaModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = RobertaConfig(**sizes, vocab_size=30522, intermediate_size=32, pad_token_id=1,
                           max_position_embeddings=34)  # fmt: skip
    RobertaModel(config).save_pretrained(tmp_path)
    shutil.copy(bert / "tokenizer.json", tmp_path)
    net, cutter = get_transformer(str(tmp_path), longest=256)
    assert cutter.longest == 32
    assert TransformerReader(net.eval(), cutter).judge(["film " * 100])[0].is_read


@pytest.mark.parametrize("n", [2, 31, 32, 33, 60, 61, 62, 500])
@pytest.mark.parametrize("longest", [31, 32])
def test_readings_are_both_ends_and_windows_over_everything(n: int, longest: int) -> None:
    first, *windows = [part.tolist() for part in readings(n, longest)]
    if n <= longest:
        assert (first, windows) == (list(range(n)), [])
        return
    half = longest // 2
    assert first == [*range(half), *range(n - half, n)]
    assert all(len(part) == longest and part[0] == 0 and part[-1] == n - 1 for part in windows)
    assert sorted({place for part in windows for place in part}) == list(range(n))


def test_a_transformer_reads_all_of_a_long_text(reader: TransformerReader) -> None:
    middle = "film " * 200
    one, other = reader.log_odds([f"{middle} good {middle}", f"{middle} bad {middle}"])
    assert one != other
    (found,) = reader.judge([middle])
    assert found.warnings == []
    (pieces,) = reader.cutter([middle])
    with torch.inference_mode():
        each = [float(reader.net(*padded([ids]))[0]) for ids in pieces.read]
    assert len(each) > 5
    assert float(reader.log_odds([middle])[0]) == pytest.approx(np.mean(each), abs=1e-5)


def test_a_transformer_looks_for_pieces_at_both_ends_of_a_megabyte(
    reader: TransformerReader,
) -> None:
    text = f"good film {'bad plot, ' * 100_000} <br /> a nice end"
    (pieces,) = reader.cutter([text])
    assert reader.cutter.reach == 1600
    whole = reader.cutter.tokenizer.encode(f"{text[:1600]} {text[-1600:]}".replace("<br />", ""))
    assert pieces.ids.tolist() == whole.ids
    (found,) = reader.judge([text])
    assert found.warnings == ["only its first and its last 1,600 characters were read"]
    said = [text[share.start : share.end] for share in reader.shares(text)[0]]
    assert said[:4] == ["good", "film", "bad", "plot"]
    assert len(said) == 400


def test_words_of_the_end_are_told_where_they_stand(reader: TransformerReader) -> None:
    text = f"good film {'x' * 5000} a nice end"
    said = [text[share.start : share.end] for share in reader.shares(text)[0]]
    assert said[:2] == ["good", "film"]
    assert said[-3:] == ["a", "nice", "end"]


def test_what_a_transformer_can_read_is_judged(reader: TransformerReader) -> None:
    model = SentimentModel(reader, sure=0.5)
    for text in ("Отличный фильм", "東京", "ok"):
        assert ask(model, text).answer != "mixed"
    for text in ("", "!?", "<br />", "🚢 🚢"):
        answer = ask(model, text)
        assert answer.answer == "mixed"
        assert "no words" in answer.warnings[0]


def test_tags_are_no_words_for_a_transformer(reader: TransformerReader) -> None:
    one, other = reader.cutter(["It was good.<br /><br />Not bad.", "It was good. Not bad."])
    assert one.ids.tolist() == other.ids.tolist()


def test_shares_of_a_transformers_words_add_up(reader: TransformerReader) -> None:
    model = SentimentModel(reader, sure=0.5)
    text = "Unforgettable, (truly) unputdownable… not a BAD film!"
    shares, before = reader.shares(text)
    assert before + sum(share.effect for share in shares) == pytest.approx(
        float(reader.log_odds([text])[0]), abs=1e-5
    )
    ids, mask = padded(reader.cutter([text])[0].read)
    with torch.inference_mode():
        unread = float(reader.net(ids, mask, torch.zeros(*ids.shape, 16))[0])
    assert before == pytest.approx(unread, abs=0.3)  # of marks of beginning and end, and 16 steps
    said = [word for word, _ in model.words(text)]
    assert said == ["Unforgettable", ",", "truly", "unputdownable", "not", "a", "BAD", "film", "!"]


@pytest.mark.slow
def test_a_transformer_is_fine_tuned(home: Path) -> None:
    knobs = {"reader": "transformer", "pieces": 64, "epochs": 1, "learning_rate": 5e-4}
    system = Sentiment.with_knobs(knobs)
    (home / "run").mkdir()
    data = system.load(SAMPLE)

    model = system.fit(data, Run("sentiment", home / "run"))

    odds = model.reader.log_odds(data.test.texts)
    assert ((odds > 0) == data.test.positive).mean() > 0.85


def test_a_folder_without_a_transformer_is_refused(home: Path) -> None:
    with pytest.raises(FileError, match="holds no transformer"):
        get_transformer(str(home), 32)
    with pytest.raises(FileError, match="a reader of the kind 'crystal ball'"):
        load_reader("crystal ball", home)


@pytest.fixture(params=["lstm", "transformer"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of a stored model of each kind."""
    model: SentimentModel = request.getfixturevalue("model")
    if request.param == "transformer":
        model = SentimentModel(request.getfixturevalue("reader"), sure=0.5)
    model.save(tmp_path)
    return tmp_path


def refused(folder: Path) -> None:
    with pytest.raises(FileError):
        SentimentModel.load(folder)


def tamper(path: Path, **values: Any) -> None:
    """Puts values into a JSON file; `...` takes one out."""
    facts = json.loads(path.read_text("utf-8")) | values
    kept = {name: value for name, value in facts.items() if value is not ...}
    path.write_text(json.dumps(kept), "utf-8")


@pytest.mark.parametrize(
    "values",
    [
        {"sure": 0.4}, {"sure": 1.0}, {"sure": -1}, {"sure": "0.7"}, {"sure": True},
        {"sure": float("nan")}, {"sure": None}, {"sure": ...}, {"reader": "crystal ball"},
        {"reader": ["lstm"]}, {"reader": None}, {"reader": ...}, {"columns": []},
        {"columns": "text"}, {"columns": [7]}, {"columns": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_tampered_model_is_refused(model: SentimentModel, tmp_path: Path, values: Any) -> None:
    model.save(tmp_path)
    tamper(tmp_path / "model.json", **values)
    refused(tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {"words": ["good", "good", "film", "not", "a", "!"]}, {"words": ["good"]},
        {"words": [1, 2, 3, 4, 5, 6]}, {"words": "goodbad"}, {"words": {}}, {"words": ...},
        {"width": 9}, {"width": 0}, {"width": -8}, {"width": 8.0}, {"width": "8"},
        {"width": 10**12}, {"width": ...}, {"hidden": 7}, {"hidden": -6}, {"hidden": None},
        {"hidden": 10**9}, {"hidden": ...}, {"chunk": 0}, {"chunk": -1}, {"chunk": 10**9},
        {"chunk": True}, {"chunk": "10"}, {"chunk": ...},
    ],
    ids=str,
)  # fmt: skip
def test_a_tampered_lstm_is_refused(model: SentimentModel, tmp_path: Path, values: Any) -> None:
    model.save(tmp_path)
    tamper(tmp_path / "lstm.json", **values)
    refused(tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {"longest": 0}, {"longest": 1}, {"longest": -2}, {"longest": 513}, {"longest": 32.5},
        {"longest": True}, {"longest": ...}, {"config": []}, {"config": None}, {"config": {}},
        {"config": ...}, {"hidden_size": 17}, {"hidden_size": 10**6}, {"hidden_size": "16"},
        {"hidden_size": -16}, {"vocab_size": 9}, {"vocab_size": 10**10},
        {"num_hidden_layers": 1}, {"num_hidden_layers": 3}, {"num_hidden_layers": None},
        {"num_attention_heads": 5}, {"num_attention_heads": 0}, {"hidden_dropout_prob": 2},
        {"max_position_embeddings": 31}, {"hidden_act": "nonsense"}, {"model_type": "crystal"},
        {"model_type": 7}, {"model_type": ["bert"]}, {"layer_norm_eps": -9.0},
        {"layer_norm_eps": "small"},
    ],
    ids=str,
)  # fmt: skip
def test_a_tampered_transformer_is_refused(
    reader: TransformerReader, tmp_path: Path, values: dict[str, Any]
) -> None:
    SentimentModel(reader, sure=0.5).save(tmp_path)
    path = tmp_path / "transformer.json"
    config = json.loads(path.read_text("utf-8"))["config"]
    tamper(
        path, **(values if values.keys() & {"longest", "config"} else {"config": config | values})
    )
    refused(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": torch.tensor(0.0)}, {"temperature": torch.tensor(-1.0)},
        {"temperature": torch.tensor(torch.nan)}, {"temperature": torch.tensor(torch.inf)},
        {"temperature": torch.ones(1)}, {"temperature": torch.tensor(1)}, {"temperature": None},
        {"head.bias": torch.tensor([torch.nan])}, {"head.bias": torch.tensor([-torch.inf])},
        {"head.bias": torch.zeros(2)}, {"head.bias": torch.zeros(1, dtype=torch.float64)},
        {"head.weight": torch.zeros(1, 3)}, {"head.weight": None}, {"more": torch.zeros(1)},
    ],
    ids=str,
)  # fmt: skip
def test_tampered_weights_are_refused(stored: Path, change: dict[str, Any]) -> None:
    path = stored / "net.safetensors"
    tensors = load_file(path) | change
    save_file({name: each for name, each in tensors.items() if each is not None}, path)
    refused(stored)


def test_damaged_files_are_refused(stored: Path) -> None:
    for path in sorted(stored.iterdir()):
        content = path.read_bytes()
        for damaged in (b"", content[: len(content) // 2], b"{}", b"[]", b"\xff" * 100):
            path.write_bytes(damaged)
            refused(stored)
        path.unlink()
        refused(stored)
        path.write_bytes(content)
    SentimentModel.load(stored)


def test_pieces_that_a_transformer_does_not_have_are_refused(
    reader: TransformerReader, tmp_path: Path
) -> None:
    SentimentModel(reader, sure=0.5).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    tokenizer = json.loads(path.read_text("utf-8"))
    tokenizer["model"]["vocab"]["brilliantly"] = 10**6
    path.write_text(json.dumps(tokenizer), "utf-8")
    refused(tmp_path)


def test_a_model_of_before_is_read(model: SentimentModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    tamper(tmp_path / "model.json", columns=...)
    assert SentimentModel.load(tmp_path).columns == ("text",)
