"""A picture as a field of a question: `image: Annotated[Rgb, taken(640), GIVEN, DESCRIBED]`."""

from __future__ import annotations

from functools import partial
from typing import Final

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from .reading import FORMS, read_rgb, write_base64

GIVEN: Final = PlainSerializer(write_base64)
DESCRIBED: Final = WithJsonSchema(
    {"type": "string", "contentEncoding": "base64", "description": FORMS}
)


def taken(longest: int) -> PlainValidator:
    """Takes a picture in any of the forms that people send (see `read_rgb`).

    Args:
        longest: Pixels that its longer side will have at most.
    """
    return PlainValidator(partial(read_rgb, longest=longest))
