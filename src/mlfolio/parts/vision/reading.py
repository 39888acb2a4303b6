"""Pictures as people send them. What comes in is hostile until it is decoded."""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Rgb = NDArray[np.uint8]  # (height, width, 3)

MAX_BYTES: Final = 10 * 2**20
TOO_LARGE: Final = "{:.1f} MB; a picture may have 10 MB"
MAX_SCANS: Final = 100  # of a progressive JPEG, which has ten or so; each is a pass over all pixels
# A JPEG need not be decoded in full.
# MPO is Pillow's name of a JPEG that holds a second picture, a preview or depths; the first counts.
MAX_MEGAPIXELS: Final = {"PNG": 16, "JPEG": 40, "MPO": 40, "WEBP": 16}
ENDINGS: Final = {".png", ".jpg", ".jpeg", ".webp"}
# Pillow's word on large pictures is for nobody: ours is an error, before anything is decoded.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
PHOTOS: Final = ("PNG", "JPEG", "WEBP")
FORMS: Final = "a PNG, JPEG or WebP in base64 or as a data: URL (on the command line: image=@FILE)"


def decode_base64(text: str, forms: str = FORMS) -> bytes:
    """The bytes of a picture in base64, or in a `data:` URL.

    Raises:
        ValueError: It is neither, or larger than a picture may be.
    """
    text = text.partition(",")[2] if text.startswith("data:") else text
    if len(text) > 1.4 * MAX_BYTES:
        raise ValueError(f"{len(text) / 2**20:.0f} MB of text; a picture may have 10 MB")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"no base64; a picture is {forms}") from None


def read_file(path: Path) -> bytes:
    """What is in a file, if a picture may be as large.

    Raises:
        ValueError: It is larger, no file, or cannot be read.
    """
    try:
        size = path.stat().st_size  # before anything is read
        if size <= MAX_BYTES and path.is_file():  # a pipe would keep us waiting
            return path.read_bytes()
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from None
    raise ValueError(TOO_LARGE.format(size / 2**20) if path.is_file() else "it is no file")


def open_image(
    content: bytes, mode: str, working: int, formats: tuple[str, ...] = PHOTOS
) -> Image.Image:
    """A picture, decoded and turned the way up that its camera noted.

    Args:
        content: Of the file.
        mode: Pillow's name of what it will be made into, `L` or `RGB`; the picture itself comes
            in its own mode.
        working: Pixels that will be needed of each side: a JPEG is decoded at about that size.
        formats: Pillow's names of those that are read.

    Raises:
        ValueError: It is no such picture, is broken, or has more than 10 MB, or more megapixels
            than its format may (16; JPEG 40), or is a JPEG that goes over all pixels very often.
    """
    if len(content) > MAX_BYTES:
        raise ValueError(TOO_LARGE.format(len(content) / 2**20))
    if content.startswith(b"\xff\xd8") and content.count(b"\xff\xda") > MAX_SCANS:
        raise ValueError(f"a JPEG of more than {MAX_SCANS} passes; save it anew")
    try:
        image = Image.open(io.BytesIO(content), formats=formats)
        size = image.width * image.height / 1e6  # from the header, before anything is decoded
        most = MAX_MEGAPIXELS[str(image.format)]
        if size <= most:
            image.draft(mode, (working, working))
            ImageOps.exif_transpose(image, in_place=True)
            image.load()
            return image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError("a hundred megapixels or more; send a smaller picture") from None
    except Exception as error:  # whatever a broken file makes Pillow's decoders stumble over
        named = " or ".join(formats)
        raise ValueError(f"no {named} that can be read ({type(error).__name__})") from None
    raise ValueError(f"{size:.0f} megapixels; a {image.format} may have {most}")


def to_rgb(image: Image.Image, longest: int) -> Rgb:
    """Red, green and blue, transparency laid over white; large pictures are averaged down.

    Args:
        image: In any mode.
        longest: Pixels that its longer side may have.
    """
    if image.mode.startswith("I"):  # 16 bits a pixel
        grey = np.asarray(image, np.float64) / 65535
        image = Image.fromarray((grey.clip(0, 1) * 255).astype(np.uint8))
    if image.has_transparency_data:
        sheet = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(sheet, image.convert("RGBA"))
    image = image.convert("RGB")
    scale = longest / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BOX)
    return np.asarray(image, np.uint8)


def read_rgb(value: Any, longest: int) -> Rgb:
    """A colour picture in any of the forms that people send.

    Args:
        value: Base64 text, a `data:` URL, the bytes of a file, or uint8 of shape (h, w, 3). Text
            is never taken for a path: a client could name any file.
        longest: Pixels that its longer side will have at most.

    Raises:
        ValueError: It is none of these, or too large.
    """
    if isinstance(value, np.ndarray):
        if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3 or not value.size:
            raise ValueError(f"an array of {value.dtype} {value.shape}; a picture is {FORMS}")
        return to_rgb(Image.fromarray(value), longest)
    if isinstance(value, str):
        value = decode_base64(value)
    if not isinstance(value, bytes):
        raise ValueError(f"no picture; a picture is {FORMS}")
    return to_rgb(open_image(value, "RGB", longest), longest)


def write_png(pixels: NDArray[np.uint8]) -> bytes:
    """A picture as PNG: (h, w) or (h, w, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_base64(pixels: NDArray[np.uint8]) -> str:
    """The same in base64: what JSON can carry, and `read_rgb` reads."""
    return base64.b64encode(write_png(pixels)).decode("ascii")


def squash(picture: Rgb, side: int) -> Rgb:
    """A picture as a square; nothing of it is cut away."""
    if picture.shape[:2] == (side, side):
        return picture
    image = Image.fromarray(picture)
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0))
