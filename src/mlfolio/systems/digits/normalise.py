"""From a picture as people send it to the 28x28 form that MNIST was made in.

MNIST's digits are light ink on black, scaled into a 20x20 box with their aspect kept, and placed
in 28x28 so that the ink's centre of mass is the centre (LeCun et al. 1998). `normalise` does the
same to a scan, a photograph or a drawing, and warns of what makes the answer doubtful.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from mlfolio.parts.vision.reading import open_image

Grey = NDArray[np.float32]  # (height, width) in [0, 1], as light as the picture is
Mask = NDArray[np.bool_]

SIDE, BOX = 28, 20
MIDDLE = 14.0  # where MNIST has the centre of mass, as a pixel index (not 13.5)
WORKING = 400  # longer side that large pictures are averaged down to
NO_INK = 0.06  # contrast below which a picture is blank ...
FAINT = 0.25  # ... and below which it is only faint
NOISE = 6.0  # ink must stand out from the paper by this many standard deviations of its noise
GRAINY = 0.03  # paper noise above which a large picture is smoothed first
EDGE = 0.3  # ink level at which a stroke begins
GAP = 0.12  # marks further apart than this share of the box are separate
SPECK = 0.05  # marks smaller than this share of the largest are dirt
WIDE = 1.5  # a digit is no wider than this times its height


class Box(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def inside(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


WHOLE = Box(0, 0, SIDE, SIDE)


@dataclass(frozen=True)
class Normalised:
    """A picture as the nets want it.

    Attributes:
        ink: `(28, 28)`, 0 = paper, 1 = ink.
        blank: Whether there is none.
        warnings: What makes the answer doubtful.
        taken: Where in the picture the digit was found.
        placed: Where in `ink` it lies.
    """

    ink: Grey
    blank: bool = False
    warnings: tuple[str, ...] = ()
    taken: Box = WHOLE
    placed: Box = WHOLE


def open_picture(content: bytes) -> Grey:
    """Decodes a PNG or JPEG to grey, its longer side no more than 400 pixels.

    Raises:
        ValueError: It is no such picture, is broken, or has more than 10 MB, or more than 16
            megapixels (PNG) or 40 (JPEG).
    """
    return _to_grey(open_image(content, "L", WORKING, ("PNG", "JPEG")))


def normalise(grey: Grey) -> Normalised:
    """Finds the digit in a grey picture of any size and brings it into MNIST's form."""
    ink, noise = _lift_ink(grey)
    if noise > GRAINY and min(grey.shape) > 2 * SIDE:
        ink, noise = _lift_ink(ndimage.gaussian_filter(grey, 1.5))
    contrast = float(ink.max())
    if contrast < max(NO_INK, NOISE * noise):
        nothing = np.zeros((SIDE, SIDE), np.float32)
        return Normalised(nothing, True, ("the picture is blank: the answer is a mere guess",))
    if _is_like_mnist(ink):
        return Normalised(ink)
    warnings = []
    if contrast < FAINT:
        warnings.append(f"low contrast: {contrast:.2f} of 1")
    ink = _stretch(ink, noise)
    mask, marks = _find_marks(ink > EDGE)
    if marks > 1:
        warnings.append(f"{marks} separate marks: send one digit per picture")
    taken = _box(mask)
    if taken.width > WIDE * taken.height:
        ratio = taken.width / taken.height
        warnings.append(f"{ratio:.1f} times as wide as tall: more than one digit?")
    centred, placed = _centre(_fit_box(ink[taken.inside]))
    return Normalised(centred, warnings=tuple(warnings), taken=taken, placed=placed)


def _to_grey(image: Image.Image) -> Grey:
    """Flattens colour, transparency and 16-bit depth; averages large pictures down."""
    lightest = 255
    if image.mode.startswith("I"):  # 16 bits a pixel
        image, lightest = _shrink(image.convert("F")), 65535
    elif image.has_transparency_data:
        image = _over_paper(_shrink(image.convert("RGBA"))).convert("L")
    else:
        image = _shrink(image.convert("L"))
    return np.clip(np.asarray(image, np.float32) / lightest, 0, 1)


def _shrink(image: Image.Image) -> Image.Image:
    """Averages a large picture down until its longer side has 400 pixels."""
    scale = WORKING / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX)


def _over_paper(image: Image.Image) -> Image.Image:
    """Lays a transparent picture over white; over black if white would swallow light ink."""
    alpha = np.asarray(image.getchannel("A"), np.float32)
    grey = np.asarray(image.convert("L"), np.float32)
    light_ink = 0 < alpha.mean() < 128 and float(np.average(grey, weights=alpha)) > 128
    paper = Image.new("RGBA", image.size, "black" if light_ink else "white")
    return Image.alpha_composite(paper, image)


def _lift_ink(grey: Grey) -> tuple[Grey, float]:
    """Subtracts the paper, seen at the border, so that ink is positive and paper about 0.

    Returns the ink `(height, width)`, turned light where it was darker than the paper, and the
    standard deviation of the paper's noise.
    """
    shade = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    dark = float(np.median(shade)) > (float(grey.min()) + float(grey.max())) / 2
    # A drawing or a scan with an even border needs no fit; that is most of them.
    even = bool((shade == shade[0]).all())
    paper, noise = (shade[0], 0.0) if even else _paper(grey)
    ink = paper - grey if dark else grey - paper
    return np.clip(ink, 0, 1).astype(np.float32), noise


def _paper(grey: Grey) -> tuple[Grey, float]:
    """The paper's shade at every pixel, and the standard deviation of its noise.

    The shade may slope (a lamp at one side): it is a plane through the border pixels that agree
    with their median.
    """
    border = np.ones(grey.shape, bool)
    border[1:-1, 1:-1] = False
    y, x = np.nonzero(border)
    shade = grey[y, x]
    deviation = np.abs(shade - np.median(shade))
    paper = deviation <= max(3 * float(np.median(deviation)), 0.02)
    terms = np.stack([y[paper], x[paper], np.ones(int(paper.sum()))], axis=1)
    slope = np.linalg.lstsq(terms, shade[paper], rcond=None)[0]
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
    plane = slope[0] * rows + slope[1] * columns + slope[2]
    return plane, float(np.std(shade[paper] - terms @ slope))


def _is_like_mnist(ink: Grey) -> bool:
    """Whether a digit is boxed and centred in 28x28 already, the way MNIST's are."""
    if ink.shape != (SIDE, SIDE) or ink.max() < 0.9:
        return False
    mass_y, mass_x = _centre_of_mass(ink)
    off_centre = max(abs(mass_y - MIDDLE), abs(mass_x - MIDDLE))
    return bool(BOX - 1 <= max(_extent(ink > 0.02)) <= BOX and off_centre < 0.75)


def _stretch(ink: Grey, noise: float) -> Grey:
    """Spreads ink over [0, 1]: the paper's noise becomes 0, the strokes' own level becomes 1."""
    strokes = float(np.median(ink[ink > ink.max() / 2]))
    floor = min(max(3 * noise, 0.05 * strokes), strokes / 2)
    return np.asarray(np.clip((ink - floor) / (strokes - floor), 0, 1), np.float32)


def _find_marks(mask: Mask) -> tuple[Mask, int]:
    """Drops specks from `mask` and counts the marks that stand apart from each other.

    Marks closer than a share of the ink's box (the hat of a 5, a broken stroke) are one.
    """
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(labels.ravel())
    areas[0] = 0  # the paper
    mask = np.asarray((areas >= max(1.0, SPECK * areas.max()))[labels])
    reach = max(1, round(GAP * max(_extent(mask)) / 2))
    near = ndimage.maximum_filter(mask, size=2 * reach + 1)
    return mask, int(ndimage.label(near, np.ones((3, 3)))[1])


def _box(mask: Mask) -> Box:
    """The box around `mask`."""
    rows, columns = np.nonzero(mask)
    return Box(int(rows.min()), int(columns.min()), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)


def _extent(mask: Mask) -> tuple[int, int]:
    """Height and width of the box around `mask`."""
    box = _box(mask)
    return box.height, box.width


def _fit_box(ink: Grey) -> Grey:
    """Scales the digit's box to 20 pixels on its longer side."""
    height, width = ink.shape
    scale = BOX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    crop = Image.fromarray(np.ascontiguousarray(ink))
    small = np.asarray(crop.resize(size, Image.Resampling.BICUBIC), np.float32)
    return np.asarray(np.clip(small / max(float(small.max()), 1e-6), 0, 1), np.float32)


def _centre(small: Grey) -> tuple[Grey, Box]:
    """Places `small` (at most 20x20) on 28x28 paper with its centre of mass in the middle."""
    height, width = small.shape
    mass_y, mass_x = _centre_of_mass(small)
    top = int(np.clip(round(MIDDLE - mass_y), 0, SIDE - height))
    left = int(np.clip(round(MIDDLE - mass_x), 0, SIDE - width))
    placed = Box(top, left, height, width)
    paper = np.zeros((SIDE, SIDE), np.float32)
    paper[placed.inside] = small
    return paper, placed


def _centre_of_mass(ink: Grey) -> tuple[float, float]:
    """Row and column; scipy's takes ten times as long on so few pixels."""
    whole = float(ink.sum())
    rows, columns = ink.sum(axis=1), ink.sum(axis=0)
    return (
        float(rows @ np.arange(len(rows))) / whole,
        float(columns @ np.arange(len(columns))) / whole,
    )
