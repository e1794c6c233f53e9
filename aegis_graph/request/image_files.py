"""Makes a message's content part from an image file, scaled down where the caller asks for it."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import Any

from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.images import ImageHeader, ImageSize, read_image_header

MAX_BYTES = 7_800_000
"""A file this large is just under 10,485,760 bytes in base64: the smallest limit of a provider."""

MAX_SIDE = 4096
"""More pixels change nothing: Qwen-VL scales down to 16,777,216 of them, others to far fewer."""

LEAST_SIDE = 11
"""Qwen-VL takes nothing smaller."""

PORTABLE = frozenset({"PNG", "JPEG", "WEBP"})
"""Formats that every provider takes."""

_QUALITIES = (92, 85, 75, 60)


def image_part(source: Path | bytes, *, shrink: bool = False) -> dict[str, Any]:
    """The content part of a message for an image, as every provider here understands it.

    The image is sent as it is: nothing is decoded or changed unless ``shrink`` asks for it.

    Args:
        source: The file's path, as a ``pathlib.Path``, or its bytes. A text is refused: what a user
            typed must never name a file.
        shrink: Whether to scale it down, or to write it as PNG or JPEG, where it is over
            ``MAX_SIDE`` pixels or ``MAX_BYTES``, or in another format than PNG, JPEG or WebP.

    Raises:
        InvalidRequestError: It is no image, cannot be read, or is over the limits and may not be
            changed.

    Example:
        >>> import base64
        >>> pixel = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
        >>> image_part(base64.b64decode(pixel))["mime_type"]
        'image/gif'
    """
    data = _read(source)
    facts = read_image_header(data)
    if facts is None:
        raise InvalidRequestError("not an image that can be read")
    if shrink and not _fits(facts, len(data)):
        data, facts = resize_to_fit(data)
    if len(data) > MAX_BYTES:
        raise InvalidRequestError(
            f"an image of {len(data):,} bytes is over the limit of {MAX_BYTES:,}; use shrink=True"
        )
    return {
        "type": "image",
        "base64": base64.b64encode(data).decode("ascii"),
        "mime_type": f"image/{facts.format.lower()}",
    }


def _read(source: Path | bytes) -> bytes:
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
    return data


def _fits(facts: ImageHeader, size: int) -> bool:
    return facts.format in PORTABLE and max(facts.size) <= MAX_SIDE and size <= MAX_BYTES


def resize_to_fit(data: bytes) -> tuple[bytes, ImageHeader]:
    """An image scaled down and encoded anew, so that every provider takes it.

    Raises:
        InvalidRequestError: Its data is broken.
    """
    image = open_image(data)
    scale = min(1.0, MAX_SIDE / max(image.size))
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size])
    # It ends: each round has half the pixels. PNG comes first, because it loses nothing.
    while True:
        for kind, options in [("PNG", {}), *(("JPEG", {"quality": q}) for q in _QUALITIES)]:
            stream = io.BytesIO()
            image.save(stream, kind, **options)
            if stream.tell() <= MAX_BYTES:
                return stream.getvalue(), ImageHeader(kind, ImageSize(*image.size))
        image = image.resize([max(1, math.ceil(side * 0.7)) for side in image.size])


def open_image(data: bytes) -> Any:
    """The decoded picture as a Pillow image in RGB, upright, on white where it is transparent.

    Raises:
        InvalidRequestError: Its data is broken or ends too early, or it has too many pixels.
    """
    # Imported here: it takes a tenth of a second, and few requests have images.
    from PIL import Image, ImageOps  # noqa: PLC0415

    if read_image_header(data) is None:
        raise InvalidRequestError("not an image that can be read")
    try:
        with Image.open(io.BytesIO(data)) as image:
            # Before anything makes a copy of it: a small file may unpack to hundreds of megabytes.
            image.thumbnail((MAX_SIDE, MAX_SIDE))
            upright = ImageOps.exif_transpose(image)
        clear = upright.convert("RGBA")
    # Pillow says itself that its readers may raise anything at broken data.
    except Exception as error:
        raise InvalidRequestError("the image is broken or cut off") from error
    ground = Image.new("RGBA", clear.size, "white")
    ground.alpha_composite(clear)
    return ground.convert("RGB")
