"""How digits reads MNIST's test pictures when they are sent the way people send pictures.

    python benchmarks/pictures.py [N]

Takes the champion of `mlfolio run digits`, alters the first N test pictures (default 1,000), sends
each through the public door (a file's bytes in, an answer out), and prints the accuracy of every
alteration, how many empty noisy pages were called blank, and the milliseconds a picture takes.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

import mlfolio
from mlfolio.core.source import OFFICIAL
from mlfolio.lifecycle import Predictor
from mlfolio.systems.digits.system import Digits

Alter = Callable[[Image.Image, np.random.Generator], bytes]


def encoded(image: Image.Image, form: str = "PNG", **options: int) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def as_it_is(image: Image.Image, rng: np.random.Generator) -> bytes:
    """28x28, light on dark."""
    return encoded(image)


def inverted(image: Image.Image, rng: np.random.Generator) -> bytes:
    """28x28, dark on light."""
    return encoded(Image.fromarray(255 - np.asarray(image)))


def anywhere(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Somewhere in a black frame of 120x90."""
    frame = Image.new("L", (120, 90))
    frame.paste(image, (int(rng.integers(92)), int(rng.integers(62))))
    return encoded(frame)


def in_the_corner(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Dark ink, enlarged, in the corner of a noisy page, as JPEG of quality 30."""
    ink = np.asarray(image.resize((84, 84), Image.Resampling.BICUBIC), float) / 255
    page = np.full((200, 300), 225.0)
    page[4:88, 210:294] -= 190 * ink
    page += rng.normal(0, 4, page.shape)
    return encoded(Image.fromarray(page.clip(0, 255).astype(np.uint8)), "JPEG", quality=30)


def under_a_lamp(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Dark ink on paper that is half as light at its right side as at its left."""
    ink = np.asarray(image.resize((112, 112), Image.Resampling.BICUBIC), float) / 255
    paper = np.linspace(240, 120, 160)[None, :].repeat(160, axis=0)
    paper[24:136, 24:136] *= 1 - 0.8 * ink
    return encoded(Image.fromarray(paper.astype(np.uint8)))


def blurred(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Enlarged three times and out of focus."""
    large = image.resize((84, 84), Image.Resampling.BICUBIC)
    return encoded(large.filter(ImageFilter.GaussianBlur(4)))


def on_glass(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Black ink on a transparent sheet, as drawing pads save it."""
    sheet = np.zeros((68, 68, 4), np.uint8)
    sheet[20:-20, 20:-20, 3] = np.asarray(image)
    return encoded(Image.fromarray(sheet))


def accuracy(predictor: Predictor, files: list[bytes], digits: list[int]) -> float:
    """Share of right answers."""
    answers = [answer.answer for answer in predictor.predict([{"image": file} for file in files])]
    return float(np.mean(np.asarray(answers) == np.asarray(digits)))


def milliseconds(predictor: Predictor, file: bytes) -> float:
    """Median time of one answer to one picture, decoding included."""
    times = []
    for _ in range(30):
        started = time.perf_counter()
        predictor.predict({"image": file})
        times.append((time.perf_counter() - started) * 1000)
    return float(np.median(times))


def main() -> None:
    """Alters, asks, prints."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    predictor = mlfolio.load("digits")
    test = Digits().load(OFFICIAL).test[:n]
    images = [Image.fromarray(pixels) for pixels in test.pixels]
    print(f"{len(images):,} test pictures, version {predictor.version}")
    alterations: tuple[Alter, ...] = (
        as_it_is, inverted, anywhere, in_the_corner, under_a_lamp, blurred, on_glass,
    )  # fmt: skip
    for alter in alterations:
        rng = np.random.default_rng(0)
        files = [alter(image, rng) for image in images]
        right = accuracy(predictor, files, test.digits.tolist())
        print(f"{right:7.1%}  {(alter.__doc__ or '').rstrip('.')}")
    rng = np.random.default_rng(0)
    pages = [rng.normal(225, rng.uniform(0, 8), (200, 300)).clip(0, 255) for _ in range(300)]
    files = [encoded(Image.fromarray(page.astype(np.uint8)), "JPEG", quality=80) for page in pages]
    blank = sum("blank" in " ".join(predictor.predict({"image": f}).warnings) for f in files)
    print(f"{blank} of {len(files)} empty noisy pages were called blank")
    wide = Image.fromarray(np.tile(np.asarray(images[0]), (110, 140)))
    for name, file in {
        "28x28 PNG": encoded(images[0]),
        "300x200 JPEG": in_the_corner(images[0], rng),
        f"{wide.width * wide.height / 1e6:.0f} megapixel JPEG": encoded(wide, "JPEG", quality=80),
    }.items():
        print(f"{milliseconds(predictor, file):7.1f} ms  {name}")


if __name__ == "__main__":
    main()
