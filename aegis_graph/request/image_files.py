"""Makes a message's content part from an image file, scaled down where the caller asks for it."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.image_metadata import (
    has_more_than_a_picture,
    unreadable,
    without_metadata,
)
from aegis_graph.request.images import FORMATS, ImageHeader, ImageSize, read_image_header

MAX_BYTES = 7_800_000
"""A file this large is just under 10,485,760 bytes in base64: the smallest limit of a provider."""

MAX_SIDE = 4096
"""More pixels change nothing: Qwen-VL scales down to 16,777,216 of them, others to far fewer."""

LEAST_SIDE = 32
"""Side of the largest patch that a model cuts an image into, in pixels. The Qwen-VL models that
Ollama and others run refuse an image with a shorter side; DashScope takes 11 pixels."""

PORTABLE = frozenset({"PNG", "JPEG", "WEBP"})
"""Formats that every provider takes."""

_QUALITIES = (92, 85, 75, 60)


def image_part(source: Path | bytes, *, shrink: bool = False) -> dict[str, Any]:
    """The content part of a message for an image, as every provider here understands it.

    What is in the file beside its picture is left out: the place and the camera of a photograph,
    comments, further frames. A file that has nothing of it is sent as it is; any other is written
    anew, upright, a JPEG with its own quality.

    Args:
        source: The file's path, as a ``pathlib.Path``, or its bytes. A text is refused: what a user
            typed must never name a file.
        shrink: Whether to scale and convert it to what every model takes, where it is over
            ``MAX_SIDE`` pixels or ``MAX_BYTES``, has a side under ``LEAST_SIDE`` pixels, or is in
            another format than PNG, JPEG or WebP.

    Raises:
        InvalidRequestError: It is no image, cannot be read, or is over the limits and may not be
            changed.

    Example:
        >>> import base64
        >>> pixel = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
        >>> image_part(base64.b64decode(pixel))["mime_type"]
        'image/gif'
    """
    data, facts = _read(source)
    if shrink and not _fits(facts, len(data)):
        data, facts = resize_to_fit(data)
    else:
        data, facts = _picture_alone(data, facts)
    if len(data) > MAX_BYTES:
        raise InvalidRequestError(
            f"an image of {len(data):,} bytes is over the limit of {MAX_BYTES:,}; use shrink=True"
        )
    return as_part(data, facts)


def whole_image_part(source: Path | bytes) -> dict[str, Any]:
    """The content part of an image of any size, for what scales or cuts it before it is sent.

    Raises:
        InvalidRequestError: It is no image, or cannot be read.
    """
    data, facts = _read(source)
    return as_part(data, facts)


def as_part(data: bytes, facts: ImageHeader) -> dict[str, Any]:
    """The content part of a message for a file that is sent as it is."""
    return {
        "type": "image",
        "base64": base64.b64encode(data).decode("ascii"),
        "mime_type": f"image/{facts.format.lower()}",
    }


def _read(source: Path | bytes) -> tuple[bytes, ImageHeader]:
    if isinstance(source, Path):
        try:
            data = source.read_bytes()
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise InvalidRequestError(f"{source}: {reason}") from error
    elif isinstance(source, bytes):
        data = source
    else:
        raise InvalidRequestError("an image is given as a pathlib.Path or as bytes")
    if not data:
        raise InvalidRequestError("an empty file, not an image")
    facts = read_image_header(data)
    if facts is None:
        raise InvalidRequestError(unreadable(data))
    return data, facts


def _fits(facts: ImageHeader, size: int) -> bool:
    return (
        facts.format in PORTABLE
        and max(facts.size) <= MAX_SIDE
        and min(facts.size) >= LEAST_SIDE
        and size <= MAX_BYTES
    )


def _picture_alone(data: bytes, facts: ImageHeader) -> tuple[bytes, ImageHeader]:
    with _opened(data) as image:
        if has_more_than_a_picture(data, image, facts.format):
            data = without_metadata(image, facts.format)
            facts = read_image_header(data) or facts
    return data, facts


@contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    # Imported here: it takes a tenth of a second, and few requests have images.
    from PIL import Image  # noqa: PLC0415

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            yield image
    # Pillow says itself that its readers may raise anything at broken data.
    except Exception as error:
        raise InvalidRequestError("the image is broken or cut off") from error


def resize_to_fit(data: bytes) -> tuple[bytes, ImageHeader]:
    """An image scaled and encoded anew, so that every provider takes it.

    Raises:
        InvalidRequestError: Its data is broken.
    """
    facts = read_image_header(data)
    return encode_to_fit(open_image(data), lossy=facts is not None and facts.format == "JPEG")


def encode_to_fit(image: Any, *, lossy: bool = False) -> tuple[bytes, ImageHeader]:
    """A picture as a file that every provider takes.

    Args:
        image: A Pillow image in RGB.
        lossy: Whether it comes from a JPEG, and so has nothing that PNG would keep.
    """
    image = _enlarged(_scaled(image, min(1.0, MAX_SIDE / max(image.size))))
    # It ends: each round has half the pixels. PNG comes first, because it loses nothing.
    while True:
        jpegs = [("JPEG", {"quality": quality}) for quality in _QUALITIES]
        for kind, options in jpegs if lossy else [("PNG", {}), *jpegs]:
            stream = io.BytesIO()
            image.save(stream, kind, **options)
            if stream.tell() <= MAX_BYTES:
                return stream.getvalue(), ImageHeader(kind, ImageSize(*image.size))
        image = _scaled(image, 0.7)


def _scaled(image: Any, scale: float) -> Any:
    sides = [max(1, math.ceil(side * scale)) for side in image.size]
    return image if scale == 1 else image.resize(sides)


def _enlarged(image: Any) -> Any:
    """The picture with sides that every model takes: scaled up; a strip is put on white."""
    from PIL import Image  # noqa: PLC0415  heavy, and few requests have images

    short, long = min(image.size), max(image.size)
    if short >= LEAST_SIDE:
        return image
    larger = _scaled(image, min(LEAST_SIDE / short, MAX_SIDE / long))
    ground = Image.new("RGB", [max(LEAST_SIDE, side) for side in larger.size], "white")
    ground.paste(larger)
    return ground


def open_image(data: bytes, *, most_side: int = MAX_SIDE) -> Any:
    """The decoded picture as a Pillow image in RGB, upright, on white where it is transparent.

    Args:
        data: An image's file.
        most_side: What it is scaled down to, in pixels.

    Raises:
        InvalidRequestError: Its data is broken or ends too early, or it has too many pixels.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415  heavy, and few requests have images

    if read_image_header(data) is None:
        raise InvalidRequestError(unreadable(data))
    with _opened(data) as opened:
        image = _readable(opened, most_side)
        # Before anything makes a copy of it: a small file may unpack to hundreds of megabytes.
        image.thumbnail((most_side, most_side))
        upright = ImageOps.exif_transpose(image)
        # Opaque already: what follows would hold it twice more.
        if upright.mode in {"RGB", "L", "CMYK"} and "transparency" not in upright.info:
            return upright.convert("RGB")
        clear = upright.convert("RGBA")
    ground = Image.new("RGBA", clear.size, "white")
    ground.alpha_composite(clear)
    return ground.convert("RGB")


def _readable(image: Any, most_side: int) -> Any:
    """The image in a mode in which it can be scaled and seen."""
    if image.mode.startswith("I"):
        # 16 bits a pixel, of which Pillow would take the lower ones as they are.
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode == "P" and max(image.size) > most_side:
        # In colours by number, every second pixel would be left out.
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image
