"""Pictures through its public doors: folders as people have them, strangers, transfer, export."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")

import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

import mlfolio
from mlfolio.core.errors import FileError, InputError, KnobError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.run import Run, read_exhibits
from mlfolio.core.source import OFFICIAL, SAMPLE, Source
from mlfolio.data.datasets import DATASETS
from mlfolio.lifecycle import Result
from mlfolio.parts.vision.augment import Warp, erase, mirror, relight, warp
from mlfolio.parts.vision.backbone import get_backbone, make_backbone, native_side, whiten
from mlfolio.parts.vision.nets import PictureNet, features_of, grad_cam
from mlfolio.parts.vision.pictures import Pictures, near_duplicates
from mlfolio.parts.vision.reading import read_rgb, squash
from mlfolio.systems.pictures import sample
from mlfolio.systems.pictures.data import CIFAR_ARCHIVE, NONE, load_pictures
from mlfolio.systems.pictures.doctor import suspects
from mlfolio.systems.pictures.model import PictureAnswer, PicturesModel
from mlfolio.systems.pictures.strange import Strangeness
from mlfolio.systems.pictures.system import PictureSystem
from mlfolio.track.loader import load_model
from tests.conftest import Cli, SampleOf

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(sample_of: SampleOf) -> Result:
    return sample_of("pictures").result


@pytest.fixture(scope="module")
def model(result: Result) -> PicturesModel:
    return PicturesModel.load(result.folder / "model")


def encoded(pixels: NDArray[np.uint8], form: str = "PNG") -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return base64.b64encode(buffer.getvalue()).decode()


def ask(model: PicturesModel, image: object) -> PictureAnswer:
    (answer,) = model.predict(parse_inputs(model, [{"image": image}]))
    return answer


def a_folder(folder: Path, each: int = 20, names: tuple[str, ...] = sample.SHAPES) -> Path:
    pixels, kinds, _ = sample.draw(32)
    for kind, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number, one in enumerate(pixels[kinds == kind][:each]):
            Image.fromarray(one).save(folder / name / f"{number}.png")
    return folder


def test_it_learns_the_sample_and_knows_strangers(result: Result) -> None:
    accuracy, gain, loss, answered = result.scores

    assert accuracy.value >= 0.85
    assert accuracy.value - 0.2 <= answered.value <= accuracy.value
    assert accuracy.strong is not None
    assert gain.value == pytest.approx(accuracy.value - 0.5, abs=0.5)
    assert loss.direction == "lower"
    shown = {exhibit.title for exhibit in read_exhibits(result.folder)}
    assert shown >= {
        "Some training pictures", "Learning curve of the net", "Where it looks", "Each class",
        "Confusion matrix", "Accuracy beside others", "None of these",
    }  # fmt: skip
    (table,) = result.folder.glob("tables/*none-of-these*")
    assert float(pd.read_csv(table, index_col=0).iloc[2, 0]) > 0.6


def test_answers_are_the_same_for_every_form(model: PicturesModel) -> None:
    picture = model.examples()[0].image
    text = encoded(picture)
    wrapped = "\n".join(text[at : at + 76] for at in range(0, len(text), 76))

    answers = [
        ask(model, form)
        for form in (
            text, wrapped, f"data:image/png;base64,{text}", base64.b64decode(text), picture,
        )
    ]  # fmt: skip

    assert all(answer == answers[0] for answer in answers)
    assert sum(answers[0].probabilities.values()) == pytest.approx(1)
    mirrored = ask(model, encoded(picture[:, ::-1]))
    assert mirrored.probabilities == pytest.approx(answers[0].probabilities, abs=1e-5)


def test_pictures_of_every_size_and_mode_are_answered(model: PicturesModel) -> None:
    rng = np.random.default_rng(0)
    for shape in [(1, 1, 3), (1, 300, 3), (3000, 2, 3), (40, 50), (40, 50, 4)]:
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        assert ask(model, encoded(pixels)).answer in {*model.names, NONE}
    deep = rng.integers(0, 65536, (30, 30), dtype=np.uint16)
    assert ask(model, encoded(deep))
    assert ask(model, encoded(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8), "JPEG"))


def test_a_camera_that_was_held_sideways_is_turned_back(model: PicturesModel) -> None:
    picture = model.examples()[1].image
    turned = Image.fromarray(np.rot90(picture))
    exif = turned.getexif()
    exif[0x0112] = 6  # the top is at the right
    buffer = io.BytesIO()
    turned.save(buffer, "PNG", exif=exif)

    answer = ask(model, buffer.getvalue())

    assert answer.probabilities == pytest.approx(ask(model, encoded(picture)).probabilities)


def test_transparency_is_white(model: PicturesModel) -> None:
    picture = model.examples()[0].image
    clear = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    clear[:8, :8] = 0
    white = picture.copy()
    white[:8, :8] = 255

    assert ask(model, encoded(clear)) == ask(model, encoded(white))


def test_one_colour_is_nothing_to_see(model: PicturesModel) -> None:
    answer = ask(model, encoded(np.full((40, 40, 3), (0, 200, 0), np.uint8)))

    assert answer.answer == NONE
    assert answer.confidence is None
    assert "one colour" in answer.warnings[0]


def test_strangeness_and_answer_go_together(model: PicturesModel) -> None:
    _, _, outside = sample.draw(32)
    for picture in [*outside[:10], *(example.image for example in model.examples())]:
        answer = ask(model, picture)
        assert (answer.answer == NONE) == (answer.strangeness > 1)
        assert (answer.confidence is None) == (answer.answer == NONE)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("my.png", "no base64"),
        ("/etc/passwd", "no base64|no PNG or JPEG or WEBP"),
        (base64.b64encode(b"GIF89a, or nearly").decode(), "no PNG or JPEG or WEBP"),
        (encoded(np.zeros((99, 99, 3), np.uint8))[:60], "no PNG or JPEG or WEBP"),
        (encoded(np.zeros((4100, 4100), np.uint8)), "megapixels; a PNG may have 16"),
        ("A" * 15_000_000, "MB"),
        (b"x" * 11_000_000, "MB"),
        ("", "no PNG or JPEG or WEBP"),
        (None, "no picture"),
        (7, "no picture"),
        ([[1, 2], [3]], "no picture"),
        (np.zeros((4, 4)), "an array of float64"),
        (np.zeros((0, 4, 3), np.uint8), "an array of uint8"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_no_picture_is_refused(model: PicturesModel, image: object, why: str) -> None:
    with pytest.raises(InputError, match=rf"row 1, image = (.|\n)*({why})"):
        parse_inputs(model, [{"image": image}])


def test_a_folder_with_mistakes_in_it(home: Path) -> None:
    folder = a_folder(home / "mine")
    (folder / "circle" / "broken.png").write_bytes(b"\x89PNG no more")
    (folder / "circle" / "notes.txt").write_text("no picture")
    (folder / ".hidden").mkdir()
    shutil.copy(folder / "square" / "1.png", folder / "circle" / "wrong.png")
    nested = folder / "square" / "deeper"
    nested.mkdir()
    shutil.copy(folder / "square" / "2.png", nested / "CAPITALS.PNG")

    data = load_pictures(Source.own(folder), None)

    assert data.names == ("circle", "square", "triangle")
    assert data.side == 32
    assert data.info.rows["train"] + data.info.rows["test"] == 62
    found = {finding.check: finding.message for finding in data.check()}
    assert "circle/broken.png" in found["broken pictures"]
    assert "copies" in found or "near-duplicates" in found
    assert not set(data.train.groups) & set(data.test.groups)


def test_own_test_part_is_kept_and_shared_pictures_are_found(home: Path) -> None:
    a_folder(home / "mine" / "train")
    shutil.copytree(home / "mine" / "train", home / "mine" / "test")
    _, _, outside = sample.draw(32)
    (home / "mine" / NONE).mkdir()
    Image.fromarray(outside[0]).save(home / "mine" / NONE / "cross.png")

    data = load_pictures(Source.own(home / "mine"), 16)

    assert data.info.rows == {"train": 60, "test": 60}
    assert data.outside.pixels.shape == (1, 16, 16, 3)
    assert [f.level for f in data.check() if f.check == "shared items"] == ["leak"]
    assert not len(data.without_test().test)


@pytest.mark.parametrize(
    ("seen", "measured", "told"),
    [
        ("Train", "Test", None), ("training", "validation", "validation/ is what is measured on"),
        ("train", None, None),
    ],
)  # fmt: skip
def test_parts_are_known_by_what_people_call_them(
    home: Path, seen: str, measured: str | None, told: str | None
) -> None:
    a_folder(home / "mine" / seen)
    strange = home / "mine" / (measured or "") / NONE
    if measured:
        a_folder(home / "mine" / measured, each=2)
    strange.mkdir()
    shutil.copy(home / "mine" / seen / "circle" / "0.png", strange)

    data = load_pictures(Source.own(home / "mine"), 16)

    assert data.names == ("circle", "square", "triangle")
    assert len(data.test) == (6 if measured else 12)
    assert len(data.outside) == 1
    assert [note.message for note in data.notes] == [told] * bool(told)


def test_a_validation_part_beside_both_is_told_of(home: Path) -> None:
    for part in ("train", "test", "val"):
        a_folder(home / "mine" / part)
    data = load_pictures(Source.own(home / "mine"), 16)
    assert data.info.rows == {"train": 60, "test": 60}
    assert "val/ is left out" in data.notes[0].message


def test_parts_by_other_names_are_no_classes(home: Path) -> None:
    a_folder(home / "mine" / "seg_train")
    a_folder(home / "mine" / "seg_test")
    with pytest.raises(FileError, match="circle, square, triangle: these look like the classes"):
        load_pictures(Source.own(home / "mine"), 16)
    a_folder(home / "alone" / "test")
    with pytest.raises(FileError, match="test/ alone"):
        load_pictures(Source.own(home / "alone"), 16)
    folder = a_folder(home / "traffic", names=("train", "bus"))
    assert load_pictures(Source.own(folder), 16).names == ("bus", "train")


def test_as_many_as_are_asked_for_are_enough(home: Path) -> None:
    with pytest.raises(FileError, match="13 of each are needed"):
        load_pictures(Source.own(a_folder(home / "few", each=12)), 16)
    data = load_pictures(Source.own(a_folder(home / "enough", each=13)), 16)
    assert all(len(part) for part in data.train.split(0.1, seed=0))


def test_data_are_the_same_at_any_size_and_not_by_other_names(home: Path) -> None:
    folder = a_folder(home / "mine")
    small, large = (load_pictures(Source.own(folder), side).info for side in (16, 32))
    assert small == large
    (folder / "circle").rename(folder / "disc")
    other = load_pictures(Source.own(folder), 16).info
    assert other.test_fingerprint != small.test_fingerprint


def test_pictures_that_are_alike_by_nature(home: Path) -> None:
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 256, (32, 32, 3))
    for name in ("day", "night"):
        (home / "camera" / name).mkdir(parents=True)
        for number in range(15):
            noisy = scene // (1 + (name == "night")) + rng.integers(-3, 4, scene.shape)
            picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
            picture.save(home / "camera" / name / f"{number}.png")
    with pytest.raises(FileError, match="alike=1"):
        load_pictures(Source.own(home / "camera"), None)
    assert len(load_pictures(Source.own(home / "camera"), None, alike=1).test) == 6


def test_one_picture_in_two_classes_is_told_of(home: Path) -> None:
    folder = a_folder(home / "mine")
    shutil.copy(folder / "circle" / "3.png", folder / "square" / "other.png")
    data = load_pictures(Source.own(folder), None)
    seen = dict(zip(data.train.files, data.train.groups.tolist(), strict=True))
    told = [f.message for f in data.check() if f.check == "two labels"]
    both = {"circle/3.png", "square/other.png"} <= set(seen)
    assert both == bool(told), "they are on one side"
    if told:
        assert "circle/3.png (circle), square/other.png (square)" in told[0]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there alone")
def test_a_file_whose_name_is_no_text_is_called_by_its_bytes(home: Path) -> None:
    folder = a_folder(home / "mine")
    (folder / "circle" / "0.png").rename(folder / "circle" / os.fsdecode(b"\xe9t\xe9.png"))
    data = load_pictures(Source.own(folder), None)
    assert r"circle/\xe9t\xe9.png" in {*data.train.files, *data.test.files}


def test_a_jpeg_with_a_preview_is_read() -> None:
    content = io.BytesIO()
    first, preview = (Image.new("RGB", (40, 30), colour) for colour in ("red", "blue"))
    first.save(content, "MPO", save_all=True, append_images=[preview])
    assert content.getvalue().startswith(b"\xff\xd8")
    assert read_rgb(content.getvalue(), 640)[0, 0].tolist() == pytest.approx([254, 0, 0], abs=3)


@pytest.mark.parametrize(
    ("names", "each", "said"),
    [
        (("circle",), 20, "has 1 classes"),
        (sample.SHAPES, 4, "too few different pictures"),
        (("a", "b"), 0, "no PNG, JPEG or WebP pictures"),
    ],
)
def test_folders_that_cannot_be_learned_from(
    home: Path, names: tuple[str, ...], each: int, said: str
) -> None:
    with pytest.raises(FileError, match=said):
        load_pictures(Source.own(a_folder(home / "mine", each, names)), None)


def test_files_that_are_none_are_left_out_and_told(home: Path) -> None:
    folder = a_folder(home / "mine")
    os.mkfifo(folder / "circle" / "0-pipe.png")
    with (folder / "circle" / "huge.png").open("wb") as file:
        file.truncate(11 * 2**20)
    (folder / "square" / "gone.png").symlink_to(home / "nowhere.png")

    data = load_pictures(Source.own(folder), None)

    (told,) = (f.message for f in data.check() if f.check == "broken pictures")
    assert "huge.png (11.0 MB; a picture may have 10 MB)" in told
    assert data.info.rows["train"] + data.info.rows["test"] == 60


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there alone")
def test_a_folder_whose_name_is_no_text_is_refused(home: Path) -> None:
    folder = a_folder(home / "mine")
    (folder / "circle").rename(folder / os.fsdecode(b"circl\xe9"))
    with pytest.raises(FileError, match=r"circl\\udce9.* is no name of a class"):
        load_pictures(Source.own(folder), None)


def test_a_test_part_of_nothing_is_refused_before_training(home: Path) -> None:
    a_folder(home / "mine" / "train")
    for name in sample.SHAPES:
        (home / "mine" / "test" / name).mkdir(parents=True)
    with pytest.raises(FileError, match="no test pictures"):
        load_pictures(Source.own(home / "mine"), None)


def test_a_file_and_a_strange_test_class_are_refused(home: Path) -> None:
    (home / "one.png").write_bytes(b"")
    with pytest.raises(FileError, match="is no folder"):
        load_pictures(Source.own(home / "one.png"), None)
    a_folder(home / "mine" / "train")
    a_folder(home / "mine" / "test", names=("circle", "square", "star"))
    with pytest.raises(FileError, match="star"):
        load_pictures(Source.own(home / "mine"), None)


def test_tables_of_the_hub_are_read(home: Path) -> None:
    folder = a_folder(home / "mine")
    rows = [
        {"image": {"bytes": path.read_bytes(), "path": path.name}, "label": path.parent.name}
        for path in sorted(folder.rglob("*.png"))
    ]
    (home / "tables").mkdir()
    pd.DataFrame(rows).to_parquet(home / "tables" / "train.parquet")

    data = load_pictures(Source.own(home / "tables"), None)

    assert set(data.names) == set(sample.SHAPES)
    assert data.info.rows == {"train": 48, "test": 12}
    pd.DataFrame([*rows, {"image": {"bytes": b"no picture"}, "label": "circle"}]).to_parquet(
        home / "tables" / "train.parquet"
    )
    (told,) = load_pictures(Source.own(home / "tables"), None).notes
    assert "1 cannot be read" in told.message
    pd.DataFrame([{**row, "label": "star"} for row in rows]).to_parquet(
        home / "tables" / "test.parquet"
    )
    with pytest.raises(FileError, match=r"test\.parquet has the label 'star'"):
        load_pictures(Source.own(home / "tables"), None)
    pd.DataFrame([row for row in rows if row["label"] == "circle"]).to_parquet(
        home / "tables" / "train.parquet"
    )
    with pytest.raises(FileError, match="has 1 classes"):
        load_pictures(Source.own(home / "tables"), None)
    pd.DataFrame(rows).drop(columns="label").to_parquet(home / "tables" / "train.parquet")
    with pytest.raises(FileError, match="label"):
        load_pictures(Source.own(home / "tables"), None)


def test_the_archive_of_cifar_is_read(home: Path) -> None:
    rng = np.random.default_rng(0)

    def batch(n: int) -> bytes:
        labels = np.arange(n, dtype=np.uint8)[:, None] % 10
        return np.hstack([labels, rng.integers(0, 256, (n, 3072), dtype=np.uint8)]).tobytes()

    with tarfile.open(home / CIFAR_ARCHIVE, "w:gz") as tar:
        for name, n in [
            ("data_batch_1.bin", 100),
            ("data_batch_2.bin", 100),
            ("test_batch.bin", 30),
        ]:
            content = batch(n)
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

    data = load_pictures(Source.own(home), None)

    assert data.info.rows == {"train": 200, "test": 30}
    assert data.side == 32
    assert data.names[3] == "cat"
    (home / CIFAR_ARCHIVE).write_bytes((home / CIFAR_ARCHIVE).read_bytes()[:1000])
    with pytest.raises(FileError, match="cannot be read"):
        load_pictures(Source.own(home), None)


def test_kaggles_archive_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFOLIO_DATA", str(home / "data"))
    place = home / "data" / "cats-vs-dogs"
    place.mkdir(parents=True)
    pixels, _, _ = sample.draw(32)
    with zipfile.ZipFile(place / "train.zip", "w") as archive:
        for number, one in enumerate(pixels[:60]):
            content = base64.b64decode(encoded(one, "JPEG"))
            archive.writestr(f"train/{'dog' if number % 2 else 'cat'}.{number}.jpg", content)

    data = load_pictures(OFFICIAL, None)

    assert data.names == ("cat", "dog")
    assert data.info.rows == {"train": 48, "test": 12}
    assert DATASETS["cats-vs-dogs"].files[0].name == "train.zip"
    (place / "train.zip").write_bytes((place / "train.zip").read_bytes()[:5000])
    with pytest.raises(FileError, match=r"train\.zip cannot be read"):
        load_pictures(OFFICIAL, None)


def test_too_many_pixels_are_refused(home: Path) -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    for name in ("a", "b"):
        (home / "mine" / name).mkdir(parents=True)
        for number in range(1100):
            (home / "mine" / name / f"{number}.png").write_bytes(base64.b64decode(encoded(pixels)))
    with pytest.raises(KnobError, match="smaller size="):
        load_pictures(Source.own(home / "mine"), 1024)


def test_near_duplicates_are_found_however_saved() -> None:
    pixels, _, _ = sample.draw(64)
    one = pixels[0]
    small = squash(squash(one, 40), 64)
    buffer = io.BytesIO()
    Image.fromarray(one).save(buffer, "JPEG", quality=40)
    blurred = np.asarray(Image.open(buffer).convert("RGB"))

    groups = near_duplicates(np.stack([one, small, blurred, one[:, ::-1], *pixels[1:20]]))

    assert len(set(groups[:4])) == 1
    assert len(set(groups[4:])) == 19
    assert near_duplicates(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0,)


def test_near_duplicates_are_neither_a_tint_nor_missed_in_the_dark() -> None:
    pixels = sample.draw(32)[0][:20].astype(np.int64)
    tinted = (pixels // 8 + np.array([200, 20, 20])).astype(np.uint8)
    assert len(set(near_duplicates(tinted))) == 20

    black, red, nearly = (
        np.full((32, 32, 3), colour, np.uint8) for colour in [0, (200, 0, 0), (201, 0, 0)]
    )
    groups = near_duplicates(np.stack([black, red, black, nearly]))
    assert groups.tolist() == [0, 1, 0, 1]


def test_copies_of_one_picture_do_not_fill_the_memory() -> None:
    many = np.repeat(sample.draw(32)[0][:1], 6_000, axis=0)
    tracemalloc.start()
    assert not near_duplicates(many).any()
    assert tracemalloc.get_traced_memory()[1] < 300e6  # all pairs at once: 1,200 MB
    tracemalloc.stop()


def test_labels_that_were_swapped_are_suspected() -> None:
    data = load_pictures(SAMPLE, None)
    classes = data.train.classes.copy()
    rng = np.random.default_rng(0)
    colours = data.train.pixels.copy()
    colours[classes == 0] //= 6  # so that the classes are plain: dark, and light
    colours[classes == 1] = 255 - (255 - colours[classes == 1]) // 6
    two = classes < 2
    classes, colours = classes[two], colours[two]
    wrong = rng.choice(len(classes), 8, replace=False)
    classes[wrong] = 1 - classes[wrong]

    names = list(map(str, range(len(classes))))
    pictures = Pictures.of(colours, classes, names)
    found = [each.row for each in suspects(pictures, 2)]

    assert len(set(found) & set(wrong.tolist())) >= 6
    assert len(found) <= 30
    rare = np.append(classes, 2)  # a class that cannot be checked hides no mistakes in others
    more = Pictures.of(np.append(colours, colours[:1], axis=0), rare, [*names, "rare"])
    again = [each.row for each in suspects(more, 3)]
    assert len(set(again) & set(wrong.tolist())) >= 6


@pytest.mark.parametrize("kind", ["resnet", "vit", "mobilenet_v2", "efficientnet"])
def test_a_backbone_in_a_folder(kind: str, home: Path) -> None:
    from transformers import AutoConfig, AutoModel

    sizes = {
        "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
        "vit": {
            "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 32, "image_size": 32, "patch_size": 8,
        },
        "mobilenet_v2": {"depth_multiplier": 0.25, "min_depth": 8, "num_hidden_layers": 2},
        "efficientnet": {"width_coefficient": 0.3, "depth_coefficient": 0.3, "hidden_dim": 384},
    }  # fmt: skip
    torch.manual_seed(0)
    theirs = AutoModel.from_config(AutoConfig.for_model(kind, **sizes[kind])).eval()
    theirs.save_pretrained(home / "theirs")
    (home / "theirs" / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.5, 1.0]})
    )
    pixels = sample.draw(32)[0][:6]

    backbone = get_backbone(str(home / "theirs"), seed=0)

    standard = (torch.from_numpy(pixels / 255.0).permute(0, 3, 1, 2).float() - 0.5) / torch.tensor(
        [0.25, 0.5, 1.0]
    ).view(1, 3, 1, 1)
    with torch.inference_mode():
        seen = theirs(pixel_values=standard).last_hidden_state
    expected = seen[:, 1:].mean(1) if seen.ndim == 3 else seen.mean(dim=(2, 3))
    np.testing.assert_allclose(features_of(backbone, pixels), expected.numpy(), atol=1e-4)

    (home / "run").mkdir()
    system = PictureSystem(backbone=str(home / "theirs"), size=32, epochs=1)
    fitted = system.fit(system.load(SAMPLE), Run("pictures", home / "run"))
    (home / "model").mkdir()
    fitted.save(home / "model")
    again = PicturesModel.load(home / "model")
    for mine, loaded in zip(fitted.judge(pixels), again.judge(pixels), strict=True):
        np.testing.assert_allclose(mine, loaded, atol=1e-6)
    assert fitted.heat(pixels[0], "circle").shape[0] >= 1


@pytest.mark.parametrize("kind", ["swin", "focalnet"])
def test_a_backbone_that_puts_patches_together(kind: str, home: Path) -> None:
    from transformers import AutoConfig, AutoModel

    sizes = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1]}
    more = {"num_heads": [1, 2], "window_size": 4} if kind == "swin" else {}
    theirs = AutoModel.from_config(AutoConfig.for_model(kind, **sizes, **more)).eval()
    theirs.save_pretrained(home / "theirs")
    pixels = sample.draw(32)[0][:2]
    backbone = get_backbone(str(home / "theirs"), seed=0)
    with torch.inference_mode():
        standard = torch.from_numpy(pixels / 255).permute(0, 3, 1, 2).float() - backbone.mean
        seen = theirs(pixel_values=standard / backbone.std).last_hidden_state
    assert backbone.width == 16
    np.testing.assert_allclose(features_of(backbone, pixels), seen.mean(1).numpy(), atol=1e-4)


def test_a_library_that_is_missing_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    facts = {"kind": "transformers", "config": {"model_type": "vit"}, "mean": [0, 0, 0],
             "std": [1, 1, 1]}  # fmt: skip
    with pytest.raises(ImportError):
        make_backbone(facts)


def test_few_of_the_classes_own_are_refused() -> None:
    """As often as was asked, of pictures that nothing was fitted on; few of them say less."""
    rng = np.random.default_rng(0)
    net = PictureNet(get_backbone("small", seed=0), 2).eval()
    pixels = rng.integers(0, 256, (600, 16, 16, 3), dtype=np.uint8)
    pictures = Pictures.of(pixels, np.arange(600) % 2, [""] * 600)
    parts = [pictures.take(np.arange(start, start + 20)) for start in range(0, 600, 20)]
    refused = []
    for unseen in parts[1:]:
        usual = Strangeness.of(net, parts[0], unseen, refused=0.1)
        others = np.concatenate([part.pixels for part in parts[1:] if part is not unseen])
        refused.append((usual.distances(features_of(net.backbone, others)) > usual.limit).mean())
    assert np.mean(refused) < 0.12  # an interpolated quantile would let 0.14 happen


def test_a_stored_model_is_a_backbone_too(result: Result) -> None:
    weights = load_file(result.folder / "model" / "net.safetensors")

    for folder in (result.folder, result.folder / "model"):
        backbone = get_backbone(str(folder), seed=0)
        mine = backbone.state_dict()["body.2.0.weight"]
        assert torch.equal(mine, weights["backbone.body.2.0.weight"])


def test_a_vit_takes_pictures_of_another_size(home: Path) -> None:
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ViTModel(ViTConfig(**sizes, image_size=32, patch_size=8)).save_pretrained(home / "vit")
    backbone = get_backbone(str(home / "vit"), seed=0)

    assert native_side(str(home / "vit")) == 32
    with torch.inference_mode():
        assert backbone(torch.zeros(1, 3, 48, 48)).shape == (1, 16, 6, 6)


@pytest.mark.parametrize("colours", ["null", "[0.2, 0.0, 0.2]", "[0.5]", '"grey"'])
def test_colours_of_a_backbone_that_are_none(colours: str, home: Path) -> None:
    from transformers import ResNetConfig, ResNetModel

    tiny = ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1])
    ResNetModel(tiny).save_pretrained(home / "net")
    (home / "net" / "preprocessor_config.json").write_text(f'{{"image_std": {colours}}}')
    if colours == "null":
        assert float(get_backbone(str(home / "net"), seed=0).std[0]) == pytest.approx(0.229)
        return
    with pytest.raises(FileError, match="no three colours"):
        get_backbone(str(home / "net"), seed=0)


def test_classes_of_any_name_are_reported(home: Path) -> None:
    names = ("accuracy", "macro avg", r"$\bad{$")
    folder = a_folder(home / "mine", each=15, names=names)

    result = mlfolio.run("pictures", data=folder, register=False, epochs=0)

    assert [score.name for score in result.scores] == [
        "accuracy", "log loss", "accuracy as answered"
    ]  # fmt: skip
    (table,) = result.folder.glob("tables/*each-class*")
    assert set(pd.read_csv(table, index_col=0).index) == set(names)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("names", ["circle", "circle", "square"]), ("names", "abc"), ("side", 7), ("side", "wide"),
        ("side", 64), ("limit", -1.0), ("limit", None), ("backbone", {"kind": "small"}),
        ("backbone", {"kind": "small", "widths": [8, 8, 8]}),
    ],
)  # fmt: skip
def test_facts_that_were_changed_are_refused(
    result: Result, name: str, value: object, home: Path
) -> None:
    shutil.copytree(result.folder / "model", home / "model")
    path = home / "model" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(FileError):
        load_model(PictureSystem, home / "model")


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("net", "temperature", torch.tensor(0.0)), ("net", "head.bias", torch.full((3,), np.nan)),
        ("net", "head.bias", torch.zeros(4)), ("usual", "means", torch.zeros(4, 4)),
        ("usual", "whitening", torch.full((256, 256), np.inf)),
        ("usual", "pictures", torch.zeros(3, 32, 32, 3)),
        ("usual", "pictures", torch.zeros(3, 16, 16, 3, dtype=torch.uint8)),
    ],
)  # fmt: skip
def test_tensors_that_were_changed_are_refused(
    result: Result, file: str, name: str, value: torch.Tensor, home: Path
) -> None:
    shutil.copytree(result.folder / "model", home / "model")
    path = home / "model" / f"{file}.safetensors"
    save_file({**load_file(path), name: value}, path)
    with pytest.raises(FileError):
        load_model(PictureSystem, home / "model")


@pytest.mark.parametrize("name", ["no/such-net", "smal"])
def test_no_such_backbone(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileError, match=f"no backbone '{name}'"):
        get_backbone(name, seed=0)


def test_a_folder_that_holds_no_backbone(home: Path) -> None:
    with pytest.raises(FileError, match="holds no backbone"):
        get_backbone(str(home), seed=0)
    (home / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(FileError, match="holds no backbone"):
        get_backbone(str(home), seed=0)
    (home / "model.json").write_text('{"backbone": {"kind": "small", "widths": [0, 1, 2]}}')
    with pytest.raises(FileError, match="is no backbone"):
        get_backbone(str(home), seed=0)


def test_scratch_is_drawn_by_the_seed() -> None:
    one, same, other = (get_backbone("scratch", seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(one["body.2.0.weight"], same["body.2.0.weight"])
    assert not torch.equal(one["body.2.0.weight"], other["body.2.0.weight"])


def test_whitened_patches_share_nothing() -> None:
    pixels, _, _ = sample.draw(32)
    backbone = get_backbone("scratch", seed=0)

    whiten(backbone, pixels)

    first = cast("torch.nn.Sequential", backbone.body)[0]
    standard = torch.from_numpy(pixels / 255.0).permute(0, 3, 1, 2).float() - backbone.mean
    with torch.inference_mode():
        seen = first(standard / backbone.std).movedim(1, -1).reshape(-1, 24)
    shared = seen[:, :12].T.double().cov()
    assert torch.allclose(shared, torch.diag(shared.diagonal()), atol=0.01)
    assert float(shared.diagonal().max()) == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(seen[:, 12:], -seen[:, :12], atol=1e-5, rtol=1e-5)


def test_grad_cam_is_the_class_map_of_a_linear_head() -> None:
    """With a linear head on the mean, Grad-CAM is CAM (Selvaraju et al., 2017, section 3.1)."""
    net = PictureNet(get_backbone("small", seed=0), 3).eval()
    pixels, kinds, _ = sample.draw(32)

    heat = grad_cam(net, pixels[::40], kinds[::40])

    with torch.inference_mode():
        seen = net.backbone(torch.from_numpy(pixels[::40]).permute(0, 3, 1, 2).float() / 255)
        shares = torch.einsum("nchw,nc->nhw", seen, net.head.weight[kinds[::40]]).relu()
        shares = shares / shares.flatten(1).amax(1).clamp_min(1e-9)[:, None, None]
    np.testing.assert_allclose(heat, shares.numpy(), atol=1e-4)


def test_the_onnx_file_gives_the_same_answers(model: PicturesModel, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pixels = sample.draw(32)[0][:9]

    model.export_onnx(tmp_path / "pictures.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "pictures.onnx"))

    numbers = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32) / 255
    theirs = session.run(None, {"pictures": numbers})[0]
    np.testing.assert_allclose(theirs, model.judge(pixels)[0], atol=1e-4)


def test_predict_from_the_command_line(cli: Cli, home: Path) -> None:
    folder = a_folder(home / "mine", each=15)
    ran = cli("run", "pictures", "--data", str(folder), "epochs=0", "backbone=scratch")
    assert ran.code == 0, ran.err

    answered = cli("predict", "pictures", f"image=@{folder / 'circle' / '1.png'}", "--json")

    assert answered.code == 0, answered.err
    assert '"strangeness"' in answered.out


class TestAltering:
    pictures = torch.from_numpy(sample.draw(32)[0][:16]).permute(0, 3, 1, 2).float() / 255

    def rng(self) -> torch.Generator:
        return torch.Generator().manual_seed(0)

    def test_nothing_is_altered_by_nothing(self) -> None:
        still = warp(self.pictures, Warp(0, 0, 0, 0, "reflection"), self.rng())
        torch.testing.assert_close(still, self.pictures, atol=1e-4, rtol=0)
        torch.testing.assert_close(relight(self.pictures, 0, self.rng()), self.pictures)
        torch.testing.assert_close(erase(self.pictures, 0, self.rng()), self.pictures)

    def test_half_of_them_are_mirrored(self) -> None:
        turned = mirror(self.pictures, self.rng())
        same = [torch.equal(a, b) for a, b in zip(turned, self.pictures, strict=True)]
        flipped = [torch.equal(a.flip(2), b) for a, b in zip(turned, self.pictures, strict=True)]
        assert 2 < sum(same) < 14
        assert sum(same) + sum(flipped) == 16

    def test_light_stays_within_bounds(self) -> None:
        lit = relight(self.pictures, 0.5, self.rng())
        assert lit.min() >= 0
        assert lit.max() <= 1
        assert not torch.equal(lit, self.pictures)

    def test_a_square_is_greyed_out(self) -> None:
        gone = erase(torch.zeros(200, 3, 32, 32), 0.5, self.rng())
        assert set(gone.unique().tolist()) == {0.0, 0.5}
        assert 0.1 < float((gone > 0).float().mean()) < 0.25


def test_a_jpeg_of_endless_passes_is_refused(model: PicturesModel) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    scan = content[content.rindex(b"\xff\xda") : -2]
    with pytest.raises(InputError, match="more than 100 passes"):
        parse_inputs(model, [{"image": content[:-2] + scan * 200 + b"\xff\xd9"}])
