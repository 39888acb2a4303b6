"""Digits through its public doors, with pictures as people send them."""

from __future__ import annotations

import base64
import gzip
import io
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from PIL import Image
from sklearn.datasets import load_digits

import mlfolio
from mlfolio.core.errors import FileError, InputError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.run import Run, read_exhibits
from mlfolio.core.source import SAMPLE, Source
from mlfolio.lifecycle import Predictor, Result
from mlfolio.systems.digits.model import DigitAnswer, DigitsModel
from mlfolio.systems.digits.system import Digits
from tests.conftest import Cli, SampleOf

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(sample_of: SampleOf) -> Result:
    return sample_of("digits").result


@pytest.fixture
def model(result: Result) -> DigitsModel:
    return DigitsModel.load(result.folder / "model")


@pytest.fixture
def predictor(model: DigitsModel) -> Predictor:
    return Predictor(Digits.card, model)


def drawn(digit: int, size: int = 84, number: int = 7) -> Image.Image:
    """One of scikit-learn's digits, light on dark, `size` pixels square."""
    data = load_digits()
    small = data.images[data.target == digit][number] * (255 / 16)
    return Image.fromarray(small.astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "PNG") -> str:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return base64.b64encode(buffer.getvalue()).decode()


def ask(predictor: Predictor, image: object) -> DigitAnswer:
    answer = predictor.predict({"image": image})
    assert isinstance(answer, DigitAnswer)
    return answer


def inverted(image: Image.Image) -> Image.Image:
    return Image.fromarray(255 - np.asarray(image))


def on_page(image: Image.Image) -> Image.Image:
    """In a corner of a large light page, dark ink."""
    page = Image.new("L", (600, 400), 230)
    page.paste(inverted(image).point(lambda grey: grey * 230 // 255), (450, 20))
    return page


def on_glass(image: Image.Image) -> Image.Image:
    """Black ink on a transparent sheet, as drawing pads save it."""
    sheet = np.zeros((image.height + 80, image.width + 80, 4), np.uint8)
    sheet[40:-40, 40:-40, 3] = np.asarray(image)
    return Image.fromarray(sheet)


def test_it_learns_the_sample(result: Result) -> None:
    accuracy, dense, loss = result.scores

    assert accuracy.value >= 0.97
    assert dense.value >= 0.95
    assert loss.direction == "lower"
    assert loss.strong is not None
    assert accuracy.strong is not None
    assert accuracy.strong.gain_ci95 is not None
    assert result.cost.model_bytes < 1_000_000


def test_the_report_shows_what_it_learned(result: Result) -> None:
    titles = {exhibit.title for exhibit in read_exhibits(result.folder)}

    assert titles >= {
        "Training pictures", "Learning curve", "Filters of the first layer", "Saliency",
        "Activations after convolution 3", "Confusion matrix", "Most confused pairs", "Reliability",
    }  # fmt: skip
    assert len((result.folder / "log.jsonl").read_text().splitlines()) >= 8


def test_the_net_is_small(model: DigitsModel) -> None:
    assert sum(weight.numel() for weight in model.net.parameters()) < 200_000


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_png_and_jpeg_of_every_digit(predictor: Predictor, form: str) -> None:
    answers = [ask(predictor, encoded(drawn(digit), form)) for digit in range(10)]

    assert sum(answer.answer == digit for digit, answer in enumerate(answers)) >= 9
    for answer in answers:
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert answer.confidence == max(answer.probabilities.values())


@pytest.mark.parametrize("change", [inverted, on_page, on_glass])
def test_pictures_are_brought_into_the_form_of_mnist(predictor: Predictor, change: object) -> None:
    assert callable(change)
    answers = [ask(predictor, encoded(change(drawn(digit)))) for digit in range(10)]

    assert sum(answer.answer == digit for digit, answer in enumerate(answers)) >= 9


def test_every_form_of_a_picture_gets_the_same_answer(predictor: Predictor) -> None:
    pixels = np.pad(np.asarray(drawn(3, 20)), 4)
    text = encoded(Image.fromarray(pixels))
    wrapped = "\n".join(text[i : i + 76] for i in range(0, len(text), 76))

    answers = [
        ask(predictor, form)
        for form in (
            text, wrapped, f"data:image/png;base64,{text}", base64.b64decode(text),
            pixels, pixels.tolist(),
        )
    ]  # fmt: skip

    assert answers[0].answer == 3
    assert all(answer == answers[0] for answer in answers)


def test_pictures_of_every_depth_get_the_same_answer(predictor: Predictor) -> None:
    grey = np.asarray(on_page(drawn(3)))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    clear = np.dstack([np.zeros((*grey.shape, 3), np.uint8), 255 - grey])

    answers = [
        ask(predictor, encoded(image))
        for image in (Image.fromarray(grey), deep, Image.fromarray(clear))
    ]

    assert [answer.answer for answer in answers] == [3, 3, 3]
    assert answers[1].confidence == pytest.approx(answers[0].confidence or 0, abs=0.01)
    assert answers[2].confidence == pytest.approx(answers[0].confidence or 0, abs=0.01)


def test_a_large_transparent_picture_takes_little_memory() -> None:
    picture = base64.b64decode(encoded(Image.new("RGBA", (4000, 4000))))
    program = (
        "import resource, sys\n"
        "from mlfolio.systems.digits.normalise import open_picture\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "open_picture(sys.stdin.buffer.read())\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], input=picture, capture_output=True, check=True
    )

    assert int(done.stdout) < 260, "megabytes: three copies of 16 megapixels, and some"


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_blank_picture_is_a_guess_and_says_so(predictor: Predictor, shade: int) -> None:
    answer = ask(predictor, encoded(Image.new("L", (50, 70), shade)))

    assert answer.confidence == pytest.approx(0.1)
    assert "blank" in answer.warnings[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 2), (3000, 2)])
def test_pictures_of_odd_sizes_are_answered(predictor: Predictor, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)

    assert ask(predictor, encoded(Image.fromarray(noise)))


def test_two_digits_are_warned_of(predictor: Predictor) -> None:
    two = np.hstack([np.asarray(drawn(4)), np.zeros((84, 20), np.uint8), np.asarray(drawn(2))])

    answer = ask(predictor, encoded(Image.fromarray(np.pad(two, 10))))

    assert any("marks" in warning or "wide" in warning for warning in answer.warnings)


def test_low_contrast_is_warned_of(predictor: Predictor) -> None:
    faint = Image.fromarray(np.pad(np.asarray(drawn(6)) // 6 + 100, 20, constant_values=100))

    answer = ask(predictor, encoded(faint))

    assert answer.answer == 6
    assert any("low contrast" in warning for warning in answer.warnings)


def _png(size: tuple[int, int]) -> str:
    return encoded(Image.new("1", size))


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("my.png", "no base64"),
        ("/etc/passwd", "no base64|no PNG or JPEG"),
        (base64.b64encode(b"GIF89a, or nearly").decode(), "no PNG or JPEG"),
        (encoded(Image.new("L", (90, 90)))[:60], "no PNG or JPEG"),
        (encoded(Image.new("L", (9, 9)), "GIF"), "no PNG or JPEG"),
        (_png((4100, 4100)), "megapixels; a PNG may have 16"),
        (encoded(Image.new("L", (6400, 6400)), "JPEG"), "megapixels; a JPEG may have 40"),
        (_png((14000, 14000)), "megapixels"),
        ("A" * 15_000_000, "MB"),
        (b"x" * 11_000_000, "MB"),
        ("", "no PNG or JPEG"),
        (None, "no picture"),
        (7, "no picture"),
        ([[0] * 28] * 27, "no picture"),
        ([[0] * 28] * 27 + [[0]], "no picture"),
        ([[256] * 28] * 28, "0..255"),
        ([[-1] * 28] * 28, "0..255"),
        ([[float("nan")] * 28] * 28, "0..255"),
        ([["a"] * 28] * 28, "no picture"),
        ([[0.5] * 28] * 28, "multiply by 255"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_no_picture_is_refused(model: DigitsModel, image: object, why: str) -> None:
    with pytest.raises(InputError, match=rf"row 1, image = (.|\n)*({why})"):
        parse_inputs(model, [{"image": image}])


def test_a_file_named_by_a_client_is_not_read(model: DigitsModel, tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    drawn(5).save(path)

    for name in (str(path), f"@{path}", f"file://{path}"):
        with pytest.raises(InputError, match="image"):
            parse_inputs(model, [{"image": name}])


def test_the_onnx_file_gives_the_same_answers(model: DigitsModel, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    ink = Digits().load(SAMPLE).test.ink

    model.export_onnx(tmp_path / "digits.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "digits.onnx"))

    theirs = session.run(None, {"ink": ink[:, None]})[0]
    np.testing.assert_allclose(theirs, model.probabilities(ink), atol=1e-5)
    alone = session.run(None, {"ink": ink[:1, None]})[0]
    np.testing.assert_allclose(alone, theirs[:1], atol=1e-5)


def test_saliency_is_as_large_as_the_pictures(model: DigitsModel) -> None:
    ink = np.stack([example.image for example in model.examples()])

    heat = model.saliency(ink)

    assert heat.shape == ink.shape == (10, 28, 28)
    assert heat.min() >= 0
    assert heat.max() > 0


def test_predict_from_the_command_line(cli: Cli, home: Path) -> None:
    assert cli("run", "digits", "epochs=1", "--data", "sample").code == 0
    drawn(8).save(home / "my.png")

    answered = cli("predict", "digits", "image=@my.png", "--json")
    refused = cli("predict", "digits", "image=my.png")

    assert answered.code == 0, answered.err
    assert '"probabilities"' in answered.out
    assert refused.code == 2
    assert "image" in refused.err


def own_folder(folder: Path, per_digit: int = 15) -> Path:
    for digit in (3, 7):
        (folder / str(digit)).mkdir(parents=True)
        for number in range(per_digit):
            inverted(drawn(digit, 60, number)).save(folder / str(digit) / f"{number}.png")
    return folder


def test_own_pictures_in_folders(home: Path) -> None:
    folder = own_folder(home / "mine")
    (folder / "3" / "broken.png").write_bytes(b"\x89PNG no more")
    (folder / "letters").mkdir()

    result = mlfolio.run("digits", data=folder, epochs=20, register=False)

    assert result.scores[0].value > 0.6
    assert result.scores[0].target is None
    found = " ".join(finding.message for finding in result.findings)
    assert "broken.png" in found
    assert "letters" in found


def test_own_test_part_is_kept_and_leaks_are_found(home: Path) -> None:
    own_folder(home / "mine" / "train")
    shutil.copytree(home / "mine" / "train", home / "mine" / "test")

    data = Digits().load(Source.own(home / "mine"))

    assert data.info.rows == {"train": 30, "test": 30}
    assert [finding.level for finding in data.check() if finding.check == "shared items"] == [
        "leak"
    ]


def test_own_idx_files(home: Path) -> None:
    data = Digits().load(SAMPLE)
    parts = {"train": data.train, "t10k": data.test}
    for name, part in parts.items():
        shape = np.array([len(part), 28, 28], ">i4").tobytes()
        pixels = b"\0\0\x08\x03" + shape + part.pixels.tobytes()
        digits = b"\0\0\x08\x01" + shape[:4] + part.digits.astype(np.uint8).tobytes()
        (home / f"{name}-images-idx3-ubyte").write_bytes(pixels)
        (home / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(digits))

    own = Digits().load(Source.own(home))

    assert own.info.test_fingerprint == data.info.test_fingerprint
    cut = (home / "t10k-images-idx3-ubyte").read_bytes()[:-1]
    (home / "t10k-images-idx3-ubyte").write_bytes(cut)
    with pytest.raises(FileError, match="no whole idx file"):
        Digits().load(Source.own(home))
    (home / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(FileError, match="cannot be read"):
        Digits().load(Source.own(home))


def test_folders_that_cannot_be_used_are_refused(home: Path) -> None:
    (home / "empty").mkdir()
    file = home / "a.csv"
    file.write_text("a,b\n")
    few = own_folder(home / "few", per_digit=3)

    for path, why in ((home / "empty", "folders 0 to 9"), (file, "folders 0 to 9"), (few, "3: 3")):
        with pytest.raises(FileError, match=why):
            Digits().load(Source.own(path))


def test_two_fits_with_a_seed_are_the_same(tmp_path: Path) -> None:
    data = Digits().load(SAMPLE)
    fits = []
    for number, seed in enumerate((1, 1, 2)):
        (tmp_path / str(number)).mkdir()
        fits.append(Digits(epochs=1).fit(data, Run("digits", tmp_path / str(number), seed)))

    same, again, other = (fit.probabilities(data.test.ink) for fit in fits)

    assert (same == again).all()
    assert (same != other).any()


@pytest.mark.slow
def test_a_killed_run_is_gone_on_with_by_the_next(home: Path) -> None:
    """By `mlfolio run` from outside: the scores are those of a run that nobody killed."""
    knobs = {"data": "sample", "epochs": 6, "register": False}
    whole = mlfolio.run("digits", **knobs)
    command = [sys.executable, "-m", "mlfolio", "run", "digits", "epochs=6", "--data", "sample"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    runs, deadline = home / "runs" / "digits", time.monotonic() + 120
    while not list(runs.glob("*/checkpoints/net.safetensors")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    (runs / "damaged" / "checkpoints").mkdir(parents=True)
    (runs / "damaged" / "run.json").write_text("")
    said: list[str] = []

    other = mlfolio.run("digits", **knobs, seed=1, say=said.append)
    again = mlfolio.run("digits", **knobs, say=said.append)

    assert other.scores[2].value != whole.scores[2].value
    assert sum("going on with what" in text for text in said) == 1
    assert [score.value for score in again.scores] == [score.value for score in whole.scores]
    assert any("went on after step" in e.title for e in read_exhibits(again.folder))
    assert not list(runs.glob("2*/checkpoints"))
