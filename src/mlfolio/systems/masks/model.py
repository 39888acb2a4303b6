"""The stored model of masks: what finds faces, and the net that looks at each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file

from mlfolio.core.errors import UserError
from mlfolio.core.model import Input, Output
from mlfolio.core.run import write_json
from mlfolio.parts.torch.stored import Stored
from mlfolio.parts.torch.threads import one_thread
from mlfolio.parts.vision.field import DESCRIBED, GIVEN, taken
from mlfolio.parts.vision.nets import PictureNet, restore_net
from mlfolio.parts.vision.pictures import Pixels
from mlfolio.parts.vision.reading import Rgb

from . import drawing, film, sample
from .data import LONGEST, WITH, WITHOUT
from .detect import Boxes, Detector, Haar, make_detector
from .learning import CLASSES, Chances, chances_of

NOT_SURE: Final = "not sure"
MARGIN: Final = 0.15  # around a box, of its longer side: what the net sees of a face
EXAMPLES: Final = 3


class Facts(Stored):
    """What is stored of a model beside its weights; the bounds are those of the knobs."""

    backbone: dict[str, Any]
    side: int = Field(ge=16, le=256)
    sure: float = Field(ge=0.5, lt=1)
    most_nothing: float = Field(gt=0, le=1)
    detector: Literal["haar", "onnx"]


class Shot(Input):
    """A picture with any number of faces.

    Attributes:
        image: The picture.
        fast: Whether only large faces are looked for, as in a film: those that have a twelfth of
            the picture's width or more.
    """

    image: Annotated[Rgb, taken(LONGEST), GIVEN, DESCRIBED]
    fast: bool = False


class Face(BaseModel):
    """One face.

    Attributes:
        box: Left, top, width and height in pixels.
        label: What it wears.
        confidence: That the label is right; None for `not sure`.
        with_mask: Probability of a mask.
    """

    model_config = ConfigDict(frozen=True)

    box: tuple[int, int, int, int]
    label: Literal["with mask", "without mask", "not sure"]
    confidence: float | None = Field(None, ge=0, le=1)
    with_mask: float = Field(ge=0, le=1)


class FacesAnswer(Output):
    """All faces that were found.

    Attributes:
        answer: How many faces wear what, or `no face`.
        faces: Each of them, the surest find first.
        size: Width and height that the boxes are in; pictures beyond 1,280 pixels are shrunk.
    """

    answer: str
    faces: list[Face]
    size: tuple[int, int]


class MasksModel:
    """Finds faces and tells who wears a mask.

    Attributes:
        net: Of four classes (mask, bare, covered, no face), in evaluation mode, on the CPU.
        side: Pixels of the squares that it sees.
        sure: Probability below which a face is `not sure`.
        most_nothing: Probability of no face from which a find is dropped.
        detector: What finds faces.
    """

    input_type: ClassVar[type[Input]] = Shot
    output_type: ClassVar[type[Output]] = FacesAnswer

    def __init__(
        self, net: PictureNet, side: int, sure: float, most_nothing: float, detector: Detector
    ) -> None:
        self.net = net.cpu().eval()
        self.side = side
        self.sure = sure
        self.most_nothing = most_nothing
        self.detector = detector

    def predict(self, inputs: Sequence[Shot]) -> list[FacesAnswer]:
        """Looks at each picture."""
        return [self._answer(shot.image, self.faces(shot.image, shot.fast)) for shot in inputs]

    def faces(self, picture: Rgb, fast: bool = False) -> list[Face]:
        """The faces of a picture, the surest find first."""
        return self.told(*self.look(picture, fast), picture)

    def look(self, picture: Rgb, fast: bool = False) -> tuple[Boxes, Chances]:
        """Boxes of the faces (n, 4), and the probability of a mask for each (n,)."""
        boxes, _ = self.detector.find(picture, fast)
        masked, nothing = self.judge(crops(picture, boxes, self.side))
        kept = nothing < self.most_nothing
        return boxes[kept], masked[kept]

    def judge(self, squares: Pixels) -> tuple[Chances, Chances]:
        """Probabilities of a mask and of no face, each (n,), for squares (n, side, side, 3)."""
        with one_thread():
            return chances_of(self.net, squares)

    def told(self, boxes: Boxes, masked: Chances, picture: Rgb) -> list[Face]:
        """Boxes and probabilities as faces, cut at the picture's edges."""
        high, wide = picture.shape[:2]
        limits = np.array([wide, high, wide, high])
        ends = np.rint(np.clip(boxes, 0, limits)).astype(int).tolist()
        found = []
        for (left, top, right, bottom), chance in zip(ends, masked.tolist(), strict=True):
            label = self.label(chance)
            sure = None if label == NOT_SURE else max(chance, 1 - chance)
            box = (left, top, right - left, bottom - top)
            found.append(Face(box=box, label=label, confidence=sure, with_mask=chance))
        return found

    def label(self, masked: float) -> Literal["with mask", "without mask", "not sure"]:
        """What a face is called that wears a mask with some probability."""
        if max(masked, 1 - masked) < self.sure:
            return "not sure"
        return "with mask" if masked >= 0.5 else "without mask"

    def annotate(self, source: Path, target: Path, options: Mapping[str, Any]) -> str | None:
        """Writes a film or a picture with a box and a label for each face. Sound is not kept.

        Args:
            source: The film or picture.
            target: Of the copy: .mp4, .webm or .avi for a film, .png or .jpg for a picture.
            options: `blur` is `yes` to make faces unrecognisable, without boxes.

        Returns:
            What was done; None where the target's name is of another kind.

        Raises:
            UserError: There is no such option.
            FileError: The source cannot be read, or is too large.
        """
        if target.suffix.lower() not in (*film.WRITTEN, *drawing.WRITTEN):
            return None
        for name, value in options.items():
            if name != "blur" or value not in ("yes", "no"):
                raise UserError(f"there is no option {name}={value}", "blur=yes or blur=no")
        blur = options.get("blur") == "yes"
        if target.suffix.lower() in film.WRITTEN:
            return film.annotate(self, source, target, blur)
        return drawing.annotate(self, source, target, blur)

    def examples(self) -> list[Shot]:
        """Drawn scenes: the faces that were learned from are people's."""
        rng = np.random.default_rng(5)
        scenes = [sample.draw_scene(1 + n, rng)[0] for n in range(EXAMPLES)]
        return [Shot(image=np.ascontiguousarray(scene[::2, ::2])) for scene in scenes]

    def save(self, folder: Path) -> None:
        """Writes weights as safetensors, a detector's file as it is, the rest as JSON."""
        tensors = {name: each.contiguous() for name, each in self.net.state_dict().items()}
        save_file(tensors, folder / "net.safetensors")
        weights = self.detector.weights
        if weights is not None:
            (folder / "detector.onnx").write_bytes(weights)
        facts = Facts(
            backbone=self.net.backbone.facts, side=self.side, sure=self.sure,
            most_nothing=self.most_nothing, detector="haar" if weights is None else "onnx",
        )  # fmt: skip
        write_json(folder / "model.json", facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        facts = Facts.read(folder / "model.json")
        net = restore_net(facts.backbone, CLASSES, facts.side, folder / "net.safetensors")
        is_file = facts.detector == "onnx"
        detector = make_detector(str(folder / "detector.onnx")) if is_file else Haar()
        return cls(net, facts.side, facts.sure, facts.most_nothing, detector)

    def _answer(self, picture: Rgb, faces: list[Face]) -> FacesAnswer:
        counts = Counter[str](face.label for face in faces)
        said = [f"{counts[name]} {name}" for name in (WITH, WITHOUT, NOT_SURE) if counts[name]]
        warnings = [] if faces else ["small, covered and turned faces are overlooked"]
        size = (picture.shape[1], picture.shape[0])
        answer = ", ".join(said) or "no face"
        return FacesAnswer(answer=answer, faces=faces, size=size, warnings=warnings)


def crops(picture: Rgb, boxes: Boxes, side: int) -> NDArray[np.uint8]:
    """What the net sees of each face: a square around its box, shape (n, side, side, 3)."""
    return drawing.squares(picture, boxes, side, MARGIN)
