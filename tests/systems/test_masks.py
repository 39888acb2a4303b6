"""Masks through its public doors: drawn people in pictures, films and folders."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
import json
import math
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("cv2")

import cv2
import onnx
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import mlfolio
from mlfolio.core.errors import FileError, InputError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.run import Run, read_exhibits
from mlfolio.core.source import SAMPLE, Source
from mlfolio.lifecycle import Predictor, Result
from mlfolio.systems.masks import film, hands, learning, sample, scenes
from mlfolio.systems.masks.data import FEWEST, WITH, WITHOUT, WRONG, Scene
from mlfolio.systems.masks.detect import CenterFace, YuNet, make_detector, merge, read_detector
from mlfolio.systems.masks.model import NOT_SURE, FacesAnswer, MasksModel
from mlfolio.systems.masks.system import Masks
from mlfolio.track.loader import load_model
from tests.conftest import Cli, SampleOf

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(sample_of: SampleOf) -> Result:
    return sample_of("masks").result


@pytest.fixture
def model(result: Result) -> MasksModel:
    return MasksModel.load(result.folder / "model")


def scene(n: int = 3, seed: int = 3) -> np.ndarray:
    return sample.draw_scene(n, np.random.default_rng(seed))[0]


def encoded(pixels: np.ndarray, form: str = "PNG") -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return base64.b64encode(buffer.getvalue()).decode()


def ask(model: MasksModel, image: object) -> FacesAnswer:
    answer = Predictor(Masks.card, model).predict({"image": image})
    assert isinstance(answer, FacesAnswer)
    return answer


def test_it_learns_the_sample(result: Result) -> None:
    scores = {score.name: score for score in result.scores}

    assert scores["accuracy"].value >= 0.95
    assert scores["scene precision"].value >= 0.8
    assert scores["scene recall"].value >= 0.4
    assert scores["covered faces not called masked"].value >= 0.7
    titles = {exhibit.title for exhibit in read_exhibits(result.folder)}
    assert titles >= {"Faces", "Learning curve", "Mouths behind something", "A drawn scene"}


def test_every_face_of_a_picture_gets_its_box(model: MasksModel) -> None:
    found = hits = there = 0
    rng = np.random.default_rng(9)
    for number in range(9):
        picture, boxes, kinds = sample.draw_scene(1 + number % 3, rng)
        answer = ask(model, encoded(picture))
        truth = Scene(picture, boxes, tuple((WITH, WITHOUT)[kind] for kind in kinds), "")
        mine = np.array([face.box for face in answer.faces], np.float32).reshape(-1, 4)
        mine[:, 2:] += mine[:, :2]
        pairs = scenes.match(truth, mine, [face.label for face in answer.faces])
        there += len(boxes)
        found += sum(None not in pair for pair in pairs)
        hits += sum(pair[0] == pair[1] for pair in pairs)
        assert answer.size == (sample.WIDE, sample.HIGH)
        for face in answer.faces:
            assert (face.confidence is None) == (face.label == NOT_SURE)
    assert found >= 0.5 * there
    assert hits >= 0.8 * found


def test_the_answer_counts(model: MasksModel) -> None:
    answer = ask(model, encoded(scene()))

    said = dict(part.split(" ", 1)[::-1] for part in answer.answer.split(", "))
    assert sum(map(int, said.values())) == len(answer.faces) > 0
    assert answer.confidence is None


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (30, 20), (700, 2)])
def test_pictures_without_faces_say_so(model: MasksModel, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)

    answer = ask(model, encoded(noise))

    assert answer.answer == "no face"
    assert answer.warnings


def test_large_pictures_are_shrunk_and_boxes_say_in_what(model: MasksModel) -> None:
    large = np.asarray(Image.fromarray(scene()).resize((2560, 1600)))

    answer = ask(model, encoded(large, "JPEG"))

    assert answer.size == (1280, 800)
    assert answer.faces


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("photo.jpg", "no base64"),
        ("/etc/passwd", "no base64|no PNG"),
        (base64.b64encode(b"GIF89a, or nearly").decode(), "no PNG"),
        (encoded(scene())[:200], "no PNG"),
        (encoded(np.zeros((4100, 4100, 3), np.uint8)), "megapixels"),
        (None, "no picture"),
        (7, "no picture"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_no_picture_is_refused(model: MasksModel, image: object, why: str) -> None:
    with pytest.raises(InputError, match=rf"row 1, image = (.|\n)*({why})"):
        parse_inputs(model, [{"image": image}])


def test_in_doubt_it_is_not_sure(result: Result) -> None:
    model = MasksModel.load(result.folder / "model")

    assert [model.label(chance) for chance in (0.95, 0.7, 0.5, 0.3, 0.05)] == [
        WITH, NOT_SURE, NOT_SURE, NOT_SURE, WITHOUT,
    ]  # fmt: skip
    model.sure = 0.5
    assert model.label(0.51) == WITH


def test_hands_are_drawn_over_mouths_and_nowhere_else() -> None:
    faces = torch.full((5, 3, 48, 48), 0.6)

    covered = learning.cover(faces, torch.Generator().manual_seed(1))

    changed = (covered - faces).abs().amax(dim=1) > 0.01
    assert changed.flatten(1).any(dim=1).all()
    assert not changed[:, :4].any(), "foreheads stay"
    assert covered.min() >= 0
    assert covered.max() <= 1


def test_the_behaviour_is_measured_on_bare_faces(model: MasksModel) -> None:
    test = Masks().load(SAMPLE).test

    table, spared = hands.behave(model, test, seed=0)

    assert len(spared) == table["faces"].iloc[0] > 0
    shares = table.drop(columns="faces").sum(axis=1)
    np.testing.assert_allclose(shares, 1, atol=0.01)
    assert table.loc["nothing", WITHOUT] > 0.8
    assert table.loc["a hand", NOT_SURE] > 0.5


def test_what_was_not_measured_has_no_score(model: MasksModel, tmp_path: Path) -> None:
    data = Masks().load(SAMPLE)
    blank = dataclasses.replace(data.test, pixels=np.full_like(data.test.pixels, 128))
    wrong = tuple(each._replace(labels=(WRONG,) * len(each.labels)) for each in data.scenes)
    run = Run("masks", tmp_path)

    found = Masks().evaluate(model, dataclasses.replace(data, test=blank, scenes=wrong), run)

    measured = {score.name for score in found.scores}
    assert "accuracy" in measured
    assert "covered faces not called masked" not in measured
    assert not any(name.startswith("scene") for name in measured)
    shown = {exhibit.title for exhibit in run.exhibits()}
    assert "Mouths behind something" not in shown
    assert any("hand" in title for title in shown)


def test_what_is_no_face_is_dropped(model: MasksModel) -> None:
    faces = Masks().load(SAMPLE).test.pixels
    corners = [cv2.resize(face[:8, :8], (32, 32), interpolation=cv2.INTER_CUBIC) for face in faces]

    assert (model.judge(np.stack(corners))[1] > model.most_nothing).mean() > 0.8
    assert (model.judge(faces)[1] > model.most_nothing).mean() < 0.1


def test_matching_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], np.float32)
    truth = Scene(np.zeros((9, 60, 3), np.uint8), boxes, (WITH, WITHOUT, WRONG), "")
    mine = np.array([[0, 0, 10, 9], [0, 1, 10, 10], [20, 0, 30, 4], [40, 0, 50, 10]], np.float32)

    pairs = scenes.match(truth, mine, [WITH, WITH, WITHOUT, WITHOUT])

    assert pairs == [
        (WITH, WITH), (None, WITH), (None, WITHOUT), (WRONG, WITHOUT), (WITHOUT, None),
    ]  # fmt: skip
    found = {score.name: score for score in scenes.scores({"a": [pairs], "b": [pairs]}, "a", "b")}
    assert found["scene precision"].value == pytest.approx(1 / 3)
    assert found["scene recall"].value == pytest.approx(1 / 2)
    assert found["scene detection precision"].value == pytest.approx(2 / 4)
    assert found["scene detection recall"].value == pytest.approx(2 / 3)


def test_boxes_of_one_face_become_one() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60]], np.float32)

    kept, scores = merge(boxes, np.array([1, 3, 2], np.float32))

    assert kept.tolist() == [[1, 1, 11, 11], [50, 50, 60, 60]]
    assert scores.tolist() == [3, 2]
    nothing, _ = merge(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    assert nothing.shape == (0, 4)


def constant(outputs: dict[str, np.ndarray]) -> bytes:
    """A net that answers the same to every picture, as the file of a detector."""
    helper, numbers = onnx.helper, onnx.numpy_helper
    nodes, values = [], []
    zero = numbers.from_array(np.zeros((), np.float32), "zero")
    nodes.append(helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0))
    nodes.append(helper.make_node("Mul", ["mean", "zero"], ["nothing"]))
    for name, array in outputs.items():
        values.append(numbers.from_array(array.astype(np.float32), f"{name}_value"))
        nodes.append(helper.make_node("Add", [f"{name}_value", "nothing"], [name]))
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "constant",
        [helper.make_tensor_value_info("input", kind, [1, 3, 320, 320])],
        [helper.make_tensor_value_info(name, kind, array.shape) for name, array in outputs.items()],
        [zero, *values],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)
    return bytes(made.SerializeToString())


def as_center_face() -> bytes:
    """One face in the middle of 320x320: 64 wide, 128 high."""
    peaks, sizes, offsets = (
        np.zeros((1, 1, 80, 80)),
        np.zeros((1, 2, 80, 80)),
        np.zeros((1, 2, 80, 80)),
    )
    peaks[0, 0, 40, 40] = 0.9
    sizes[0, :, 40, 40] = np.log([32, 16])
    return constant({"537": peaks, "538": sizes, "539": offsets, "540": np.zeros((1, 10, 80, 80))})


def as_yunet() -> bytes:
    """The same face at 320x320, as YuNet says it."""
    outputs = {}
    for stride in (8, 16, 32):
        n = (320 // stride) ** 2
        for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            outputs[f"{name}_{stride}"] = np.zeros((1, n, width))
    row = 10 * 20 + 10  # of stride 16, in the middle
    outputs["cls_16"][0, row] = outputs["obj_16"][0, row] = 0.95
    outputs["bbox_16"][0, row] = [0, 0, np.log(4), np.log(8)]
    order = sorted(
        outputs, key=lambda name: ["cls", "obj", "bbox", "kps"].index(name.split("_")[0])
    )
    return constant({name: outputs[name] for name in order})


@pytest.mark.parametrize(("make", "kind"), [(as_center_face, CenterFace), (as_yunet, YuNet)])
def test_detectors_come_from_files(
    make: object, kind: type, model: MasksModel, tmp_path: Path
) -> None:
    assert callable(make)
    weights = make()
    detector = read_detector(weights)
    picture = np.full((320, 320, 3), 128, np.uint8)

    assert isinstance(detector, kind)
    boxes, scores = detector.find(picture, fast=True)
    assert boxes.shape == (1, 4)
    assert scores[0] > 0.8
    np.testing.assert_allclose(boxes[0], [128, 96, 192, 224], atol=4)

    whole = MasksModel(model.net, model.side, model.sure, 1.0, detector)
    whole.save(tmp_path)
    again = MasksModel.load(tmp_path)
    assert again.faces(picture, fast=True) == whole.faces(picture, fast=True)
    assert len(again.faces(picture, fast=True)) == 1


def test_what_is_no_detector_is_refused(home: Path) -> None:
    (home / "detector.onnx").write_bytes(b"no net at all")
    (home / "other.onnx").write_bytes(constant({"something": np.zeros((1, 3))}))
    shapes = {name: np.zeros((1, 1, 3)) for name in CenterFace.OUTPUTS}
    (home / "shapes.onnx").write_bytes(constant(shapes))

    for name in ("detector.onnx", "other.onnx", "shapes.onnx", "missing.onnx", "harr"):
        with pytest.raises(FileError, match="detector"):
            mlfolio.run("masks", data="sample", epochs=1, detector=name, register=False)


def test_blurring_really_blurs(model: MasksModel) -> None:
    picture = scene(1)
    (face,) = model.faces(picture)
    left, top, wide, high = face.box

    def detail(pixels: np.ndarray) -> float:
        part = pixels[top : top + high, left : left + wide].astype(float)
        return float(np.abs(np.diff(part, axis=1)).mean())

    blurred = film.drawing.draw(picture, [face], blur=True)
    marked = film.drawing.draw(picture, [face], blur=False)

    assert detail(blurred) < 0.35 * detail(picture)
    assert not model.faces(blurred)
    assert (marked != picture).any()
    assert (blurred[: max(0, top - high)] == picture[: max(0, top - high)]).all()


def write_film(path: Path, frames: int = 12) -> Path:
    """A face that moves to the right."""
    code = cv2.VideoWriter.fourcc(*film.WRITTEN[path.suffix])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 10.0, (sample.WIDE, sample.HIGH))
    picture = scene(1)
    for number in range(frames):
        writer.write(np.ascontiguousarray(np.roll(picture, number, axis=1)[..., ::-1]))
    writer.release()
    return path


def read_film(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10, abs=0.1)
    return frames


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".avi"])
def test_a_film_comes_back_with_boxes(model: MasksModel, tmp_path: Path, ending: str) -> None:
    source, target = write_film(tmp_path / "film.mp4"), tmp_path / f"seen{ending}"

    said = model.annotate(source, target, {})

    frames = read_film(target)
    assert len(frames) == 12
    assert frames[0].shape == (sample.HIGH, sample.WIDE, 3)
    assert said is not None
    assert "12 frames" in said
    assert "sound is not kept" in said
    before = read_film(source)
    assert np.abs(frames[6].astype(int) - before[6]).max() > 80
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", f"seen{ending}"]


def test_faces_of_a_film_are_blurred_in_every_frame(model: MasksModel, tmp_path: Path) -> None:
    source, target = write_film(tmp_path / "film.mp4"), tmp_path / "blurred.mp4"

    model.annotate(source, target, {"blur": "yes"})

    for frame in read_film(target):
        assert not model.faces(np.ascontiguousarray(frame))


def test_lost_faces_are_held_for_a_while() -> None:
    follower = film.Follower()
    box, nothing = np.array([[0, 0, 10, 10]], np.float32), np.zeros((0, 4), np.float32)

    follower.follow(box, np.array([1.0]))
    _, changed = follower.follow(box + 1, np.array([0.0]))
    held = [len(follower.follow(nothing, np.zeros(0))[0]) for _ in range(film.HELD + 2)]

    assert changed[0] == pytest.approx(film.KEPT)
    assert held == [1] * film.HELD + [0, 0]


def test_films_that_cannot_be_used_are_refused_and_leave_nothing(
    model: MasksModel, tmp_path: Path
) -> None:
    good = write_film(tmp_path / "film.mp4").read_bytes()
    bad = {
        "text.mp4": b"not a film",
        "empty.mp4": b"",
        "cut.mp4": good[: len(good) // 2],
        "list.mp4": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "list.m3u8": b"#EXTM3U\nAVI \n#EXTINF:1.0,\n%b\n#EXT-X-ENDLIST\n"
        % bytes(tmp_path / "film.mp4"),
        "forged.m3u8": b"\x1a\x45\xdf\xa3\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "list.txt": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "marked.mp4": b"\0\0\0\x20ftypisom" + bytes(500),
        "picture.mp4": base64.b64decode(encoded(scene())),
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError, match=r"film|breaks off"):
            model.annotate(tmp_path / name, tmp_path / "seen.mp4", {})
    with pytest.raises(FileError, match="cannot be read"):
        model.annotate(tmp_path / "nowhere.mp4", tmp_path / "seen.mp4", {})
    with pytest.raises(FileError, match="frames"):
        film.annotate(model, tmp_path / "film.mp4", tmp_path / "seen.mp4", False, most=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["film.mp4", *bad])


def test_what_is_written_is_read_again_before_it_is_called_whole(
    model: MasksModel, tmp_path: Path
) -> None:
    source, before = write_film(tmp_path / "film.mp4"), resource.getrlimit(resource.RLIMIT_FSIZE)
    Image.fromarray(scene()).save(tmp_path / "photo.png")
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # as if the disk were full
    try:
        for ending in (".mp4", ".webm", ".avi"):
            with pytest.raises(FileError, match=r"of 12 frames it has \d"):
                model.annotate(source, tmp_path / f"seen{ending}", {})
        with pytest.raises(FileError, match="cannot be written"):
            model.annotate(tmp_path / "photo.png", tmp_path / "seen.png", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "photo.png"]


def test_films_that_break_off_are_told_of(model: MasksModel, tmp_path: Path) -> None:
    whole = write_film(tmp_path / "film.webm", frames=30)
    (tmp_path / "cut.webm").write_bytes(whole.read_bytes()[: whole.stat().st_size * 9 // 10])

    told = [
        model.annotate(tmp_path / name, tmp_path / "seen.avi", {})
        for name in ("film.webm", "cut.webm")
    ]

    assert "break off" not in str(told[0])
    assert "it says that it has 30 frames" in str(told[1])


def test_files_that_would_keep_us_waiting_or_fill_the_memory_are_not_read(
    model: MasksModel, tmp_path: Path
) -> None:
    pipe, large = tmp_path / "pipe", tmp_path / "large"
    os.mkfifo(pipe)
    with large.open("wb") as file:
        file.truncate(100 * 2**20)

    for source, target, why in (
        (pipe, "seen.png", "no file"), (pipe, "seen.mp4", "no such file"),
        (large, "seen.png", "a picture may have 10 MB"),
    ):  # fmt: skip
        with pytest.raises(FileError, match=why):
            model.annotate(source, tmp_path / target, {})
    for path in (pipe, large):
        with pytest.raises(FileError, match="detector"):
            make_detector(str(path))


def test_the_page_answers_whatever_a_client_sends() -> None:
    gr = pytest.importorskip("gradio")
    from mlfolio.systems.masks import page

    class Ask:
        async def output(self, row: dict[str, object], logged: bool) -> FacesAnswer:
            if row["image"] != "picture":
                raise FileError("no picture")
            return FacesAnswer(answer="no face", faces=[], size=(640, 480))

    async def ask_page(*sent: object) -> list[Any]:
        with gr.Blocks() as built:
            page.build(Ask())  # type: ignore[arg-type]
        (look,) = (each.fn for each in built.fns.values() if each.name == "look")
        return [await look(each) for each in sent]

    long, strange = "9" * 5000 + " picture", "\N{SUPERSCRIPT TWO} picture"
    good, bad, *none = asyncio.run(
        ask_page("7 picture", "8 text", None, 7, {}, "", " ", "7", long, "-1 picture", strange)
    )

    assert json.loads(good)["frame"] == 7
    assert json.loads(bad) == {"problem": "no picture", "frame": 8}
    assert set(none) == {""}


def test_films_and_pictures_from_the_command_line(cli: Cli, home: Path) -> None:
    assert cli("run", "masks", "epochs=1", "--data", "sample").code == 0
    write_film(home / "film.mp4")
    Image.fromarray(scene()).save(home / "photo.png")

    seen = cli("predict", "masks", "--input", "film.mp4", "--output", "seen.mp4")
    blurred = cli("predict", "masks", "blur=yes", "--input", "photo.png", "--output", "b.jpg")
    answered = cli("predict", "masks", "image=@photo.png", "--json")

    assert seen.code == blurred.code == answered.code == 0, seen.err + blurred.err + answered.err
    assert (home / "seen.mp4").stat().st_size > 1000
    with Image.open(home / "b.jpg") as copy:
        assert copy.size == (sample.WIDE, sample.HIGH)
    assert json.loads(answered.out)["size"] == [sample.WIDE, sample.HIGH]
    for words, why in (
        (("blurr=yes", "--input", "film.mp4", "--output", "x.mp4"), "no option blurr=yes"),
        (("--input", "film.mp4", "--output", "film.mp4"), "name another"),
        (("--input", "film.mp4", "--output", "x.gif"), "does not end in"),
        (("--input", "none.mp4", "--output", "x.mp4"), "cannot be read"),
        (("--input", "film.mp4", "--output", "nowhere/x.mp4"), "folder that exists"),
    ):
        refused = cli("predict", "masks", *words)
        assert refused.code == 2, words
        assert why in refused.err
    assert not (home / "x.mp4").exists()


def tampered(folder: Path, **facts: object) -> None:
    """Other facts in a stored model; None takes one out."""
    stored = json.loads((folder / "model.json").read_text()) | facts
    kept = {name: value for name, value in stored.items() if value is not None}
    (folder / "model.json").write_text(json.dumps(kept))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("side", 15), ("side", 257), ("side", 10**12), ("side", 48.5), ("side", "48"),
        ("side", True), ("side", None), ("sure", 0.49), ("sure", 1.0), ("sure", math.nan),
        ("sure", math.inf), ("sure", "0.8"), ("sure", [0.8]), ("most_nothing", 0),
        ("most_nothing", 1.01), ("most_nothing", -math.inf), ("detector", "harr"),
        ("detector", None), ("detector", "onnx"), ("detector", "../detector.onnx"),
        ("backbone", None), ("backbone", "small"), ("backbone", {}), ("backbone", {"kind": "big"}),
        ("backbone", {"kind": "transformers", "config": {}, "mean": [0], "std": [0]}),
    ],
    ids=str,
)  # fmt: skip
def test_facts_that_cannot_be_are_not_loaded(
    result: Result, tmp_path: Path, name: str, value: object
) -> None:
    folder = shutil.copytree(result.folder / "model", tmp_path / "model")
    tampered(folder, **{name: value})

    with pytest.raises(FileError):
        load_model(Masks, folder)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("temperature", lambda each: each * 0), ("temperature", lambda each: -each),
        ("temperature", lambda each: each * math.nan), ("temperature", lambda each: each.repeat(3)),
        ("head.bias", lambda each: each[:2]),
        ("head.bias", lambda each: None), ("head.weight", lambda each: each * math.nan),
        ("head.weight", lambda each: each.T.contiguous()),
        ("head.weight", lambda each: each.sign() * 3e38),
        ("backbone.std", lambda each: each * 0), ("backbone.mean", lambda each: each + math.inf),
        ("running_var", lambda each: -each - 1), ("running_var", lambda each: each + math.inf),
        ("more", lambda each: torch.zeros(3)),
    ],
)  # fmt: skip
def test_weights_that_cannot_be_are_not_loaded(
    result: Result, tmp_path: Path, name: str, change: Callable[[Any], Any]
) -> None:
    folder = shutil.copytree(result.folder / "model", tmp_path / "model")
    weights = load_file(folder / "net.safetensors")
    place = next((known for known in weights if known.endswith(name)), name)
    changed = {**weights, place: change(weights.get(place))}
    kept = {known: each for known, each in changed.items() if each is not None}
    save_file(kept, folder / "net.safetensors")

    with pytest.raises(FileError):
        load_model(Masks, folder)


@pytest.mark.parametrize("file", ["model.json", "net.safetensors", "detector.onnx"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[" * 100_000, b"\xff" * 99])
def test_files_that_are_none_are_not_loaded(
    result: Result, tmp_path: Path, file: str, content: bytes | None
) -> None:
    folder = shutil.copytree(result.folder / "model", tmp_path / "model")
    tampered(folder, detector="onnx")
    (folder / "detector.onnx").write_bytes(as_center_face())
    MasksModel.load(folder)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)

    with pytest.raises(FileError):
        load_model(Masks, folder)


def test_what_is_logged_has_no_picture(model: MasksModel) -> None:
    """Inputs of private systems are not stored; an answer has boxes, which tell nobody's face."""
    assert Masks.card.private
    kept = ask(model, encoded(scene())).redacted().model_dump_json()

    assert len(kept) < 2000


def own_folder(folder: Path, each: int = 14) -> Path:
    pixels, kinds = sample.draw_faces(40, seed=4)
    for kind, name in enumerate(("with_mask", "without_mask")):
        (folder / name).mkdir(parents=True)
        for number, face in enumerate(pixels[kinds == kind][:each]):
            Image.fromarray(face).save(folder / name / f"{number}.png")
    return folder


def write_scene(
    folder: Path, name: str, label: str = "with_mask", box: str = "",
    size: tuple[object, object] = (sample.WIDE, sample.HIGH), turned: int = 1, head: str = "",
) -> None:  # fmt: skip
    """A scene, its picture with the camera's note of how it is to be turned."""
    for part in ("images", "annotations"):
        (folder / "scenes" / part).mkdir(parents=True, exist_ok=True)
    picture, boxes, _ = sample.draw_scene(1, np.random.default_rng(0))
    note = Image.Exif()
    note[0x0112] = turned
    Image.fromarray(picture).save(folder / "scenes" / "images" / f"{name}.png", exif=note)
    sides = zip(("xmin", "ymin", "xmax", "ymax"), boxes[0], strict=True)
    frame = box or "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    (folder / "scenes" / "annotations" / f"{name}.xml").write_text(
        f"{head}<annotation><filename>{name}.png</filename>"
        f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
        f"<object><name>{label}</name><bndbox>{frame}</bndbox></object></annotation>"
    )


def test_own_faces_and_scenes(home: Path) -> None:
    folder = own_folder(home / "mine")
    (folder / "with_mask" / "broken.png").write_bytes(b"\x89PNG no more")
    (folder / "hats").mkdir()
    write_scene(folder, "good")
    write_scene(folder, "label", label="masked")
    write_scene(folder, "box", box="<xmin>5</xmin>")
    (folder / "scenes" / "annotations" / "far.xml").write_text(
        "<annotation><filename>../../../secret.png</filename></annotation>"
    )
    (folder / "scenes" / "annotations" / "no.xml").write_text("no xml")

    result = mlfolio.run("masks", data=folder, epochs=2, register=False)

    scores = {score.name: score for score in result.scores}
    assert scores["accuracy"].target is None
    assert scores["scene recall"].n == 1
    found = " ".join(finding.message for finding in result.findings)
    for what in ("broken.png", "hats", "4 cannot be read", "label.xml", "box.xml", "far.xml"):
        assert what in found
    assert "good.xml" not in found


def test_scenes_whose_boxes_cannot_be_placed_are_left_out_and_told(home: Path) -> None:
    folder = own_folder(home / "mine")
    half, lying = (sample.WIDE / 2, sample.HIGH / 2), (sample.HIGH, sample.WIDE)
    box = "<xmin>{}</xmin><ymin>5</ymin><xmax>{}</xmax><ymax>60</ymax>"
    good: dict[str, dict[str, Any]] = {
        "plain": {}, "halved": {"size": half}, "turned": {"size": lying, "turned": 6},
        "loose": {"box": box.format(-1, 60)},
    }  # fmt: skip
    bad: dict[str, dict[str, Any]] = {
        "none": {"size": ("", "")}, "zero": {"size": (0, 0)}, "text": {"size": ("wide", 200)},
        "endless": {"size": ("inf", "inf")}, "lying": {"turned": 6}, "swapped": {"size": lying},
        "nan": {"box": box.format("nan", 60)}, "inf": {"box": box.format(5, "inf")},
        "huge": {"box": box.format(5, "1e999")}, "away": {"box": box.format(5000, 5060)},
        "klingon": {"head": "<?xml version='1.0' encoding='klingon'?>"},
        "bytes": {"head": "<?xml version='1.0' encoding='utf-7'?>"},
    }  # fmt: skip
    for name, each in {**good, **bad}.items():
        write_scene(folder, name, **each)
    os.mkfifo(folder / "scenes" / "annotations" / "pipe.xml")
    (folder / "scenes" / "images" / "bytes.png").unlink()
    os.mkfifo(folder / "scenes" / "images" / "bytes.png")

    data = Masks().load(Source.own(folder))

    found = {scene.file.removesuffix(".png"): scene for scene in data.scenes}
    assert sorted(found) == sorted(good)
    np.testing.assert_array_equal(found["halved"].boxes, 2 * found["plain"].boxes)
    assert found["turned"].picture.shape[:2] == lying[::-1]
    (told,) = data.check()
    assert f"{len(bad) + 1} cannot be read" in told.message


def test_own_test_part_is_kept_and_leaks_are_found(home: Path) -> None:
    own_folder(home / "mine" / "train")
    shutil.copytree(home / "mine" / "train", home / "mine" / "test")

    data = Masks().load(Source.own(home / "mine"))

    assert data.info.rows == {"train": 28, "test": 28, "scenes": 0}
    assert [found.level for found in data.check() if found.check == "shared items"] == ["leak"]


def test_near_duplicates_stay_on_one_side(home: Path) -> None:
    folder = own_folder(home / "mine", each=20)
    for path in list((folder / "with_mask").iterdir()):
        with Image.open(path) as face:
            face.resize((60, 60)).save(path.with_stem(f"{path.stem}-large"))

    data = Masks().load(Source.own(folder))

    assert not set(data.train.groups) & set(data.test.groups)
    assert any(found.check == "near-duplicates" for found in data.check())


def test_folders_that_cannot_be_used_are_refused(home: Path) -> None:
    (home / "empty").mkdir()
    (home / "a.csv").write_text("a,b\n")
    few = own_folder(home / "few", each=3)
    named = own_folder(home / "named")
    (named / "without_mask").rename(named / "without_masks")
    alone = home / "alone"
    own_folder(alone / "Test")
    empty = home / "untested"
    own_folder(empty / "train")
    shutil.rmtree(own_folder(empty / "test") / "without_mask")
    (empty / "test" / "without_mask").mkdir()

    for path, why in (
        (home / "empty", "no folder with_mask/"), (home / "a.csv", "is no folder"),
        (own_folder(home / "split", each=12), "different faces in with_mask/: 12"),
        (few, "few has too few different faces in with_mask/: 3"),
        (empty, "test has too few different faces in without_mask/: 0"),
        (named, "rename without_masks/ to without_mask/"), (alone, "Test/ alone"),
    ):  # fmt: skip
        with pytest.raises(FileError, match=why):
            Masks().load(Source.own(path))
    least = Masks().load(Source.own(own_folder(home / "least", each=13))).train
    assert all(np.bincount(least.classes) >= FEWEST), "enough to hold a tenth out"


def test_a_model_answers_in_a_process_of_its_own(result: Result) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mlfolio.track.loader import load_folder\n"
        "_, model = load_folder(Path(sys.argv[1]))\n"
        "print([a.answer for a in model.predict(model.examples())])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(result.folder / "model")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    model = MasksModel.load(result.folder / "model")

    assert done.stdout.strip() == str([a.answer for a in model.predict(model.examples())])
