"""Finds the images in a message's parts, and bounds what they are for a model.

A size is read from an image's header; nothing is decoded. The bounds follow what each family of
models documents, always rounded up, so that a reservation made from them is never too small.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from aegis_graph.errors import InvalidRequestError

MAX_PIXELS = 89_478_485
"""Above it an image is taken for a decompression bomb. Pillow's own limit for a warning."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""What is recognized. Pillow's other readers are rarely used, and a larger target."""


class ImageSize(NamedTuple):
    """Pixels of an image."""

    width: int
    height: int

    @property
    def ratio(self) -> float:
        """The longer side over the shorter one."""
        return max(self) / max(1, min(self))


class ImageHeader(NamedTuple):
    """An image's format and size, as its header gives them."""

    format: str
    """One of ``FORMATS``."""
    size: ImageSize


def is_image(part: object) -> bool:
    """Whether a content part is an image, in whichever form a client might take it for one."""
    return isinstance(part, dict) and (
        part.get("type") in {"image", "image_url", "input_image"}
        or "image" in part
        or "image_url" in part
        or str(part.get("mime_type")).startswith("image/")
        or _file_address(part) is not None
    )


_OF_A_FILE = ("file_data", "file_url", "filename")
_IMAGE_NAME = re.compile(r"\.(png|jpe?g|webp|gif|bmp|tiff?|avif|heic)$", re.IGNORECASE)


def _file_address(part: Mapping[str, Any]) -> Any:
    """The address of an image that OpenAI is given as a file, plainly or under ``file``.

    Source: https://platform.openai.com/docs/guides/pdf-files. The data is an address as well, or
    base64, and then only the name tells its kind. A ``file_id`` is the client's own affair.
    """
    inner = part.get("file")
    file: Mapping[str, Any] = inner if isinstance(inner, Mapping) else part
    data, address, name = (file.get(key) for key in _OF_A_FILE)
    if data is None:
        return (
            address
            if _IMAGE_NAME.search(str(address).partition("#")[0].partition("?")[0])
            else None
        )
    if isinstance(data, str) and data[:11].lower() == "data:image/":
        return data
    named = _IMAGE_NAME.search(str(name))
    if named is None:
        return None
    if not isinstance(data, str) or data[:5].lower() == "data:":
        return data  # Whatever it is, it is not what it is called.
    return f"data:image/{named[1].lower().replace('jpg', 'jpeg')};base64,{data}"


def image_addresses(part: Mapping[str, Any]) -> list[Any]:
    """Everything in an image part that a client might take for its address; see ``is_image``."""
    given = [part[key] for key in ("image_url", "url", "image") if part.get(key) is not None]
    given += [file for file in [_file_address(part)] if file is not None]
    return [one.get("url") if isinstance(one, Mapping) else one for one in given]


def base64_field(part: Mapping[str, Any]) -> Any:
    """The base64 text of an image part that has it in a field of its own, if it has."""
    return part.get("base64") or part.get("data")


def base64_of_address(address: object) -> str | None:
    """The base64 text of a data address, nothing for https, ``None`` for what is neither."""
    if not isinstance(address, str):
        return None
    if address.startswith("https://"):
        return ""
    head, _, text = address.partition(";base64,")
    return text if head.startswith("data:image/") and text else None


def portable_image(part: Mapping[str, Any]) -> dict[str, Any]:
    """An image part in a form that every client takes, with whatever else it says.

    Example:
        >>> portable_image({"type": "input_image", "image_url": "https://a.b/c.png"})
        {'type': 'image_url', 'image_url': {'url': 'https://a.b/c.png'}}
    """
    if isinstance(part.get("image_url"), Mapping):
        return {**part, "type": "image_url"}
    if part.get("type") == "image" and "base64" in part:
        return dict(part)
    places = {"url", "image", "image_url", "base64", "data", "source_type", "mime_type", "file"}
    places.update(_OF_A_FILE)
    more = {key: value for key, value in part.items() if key not in places}
    data = base64_field(part)
    kind = part.get("mime_type") or "image/png"
    address = f"data:{kind};base64,{data}" if data else image_addresses(part)[0]
    return {**more, "type": "image_url", "image_url": {"url": address}}


def image_bytes(part: Mapping[str, Any]) -> bytes | None:
    """The image that is in a part itself; ``None`` where there is an address only.

    Raises:
        InvalidRequestError: The part has base64 that is not valid.
    """
    texts = [base64_field(part), *map(base64_of_address, image_addresses(part))]
    text = next((text for text in texts if isinstance(text, str) and text), None)
    return None if text is None else decode_base64(text)


def decode_base64(text: str) -> bytes:
    """Decode the base64 text of an image.

    Raises:
        InvalidRequestError: It is not valid, or there is nothing in it.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError("the image is not valid base64") from error
    if not data:
        raise InvalidRequestError("the image has no data")
    return data


def read_image_header(data: bytes) -> ImageHeader | None:
    """Read an image's format and size from its header; ``None`` where it is of no known format.

    Args:
        data: The image's file, whole.

    Raises:
        InvalidRequestError: It says that it has more than ``MAX_PIXELS``.

    Example:
        >>> pixel = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
        >>> read_image_header(decode_base64(pixel))
        ImageHeader(format='GIF', size=ImageSize(width=1, height=1))
    """
    # Imported here: it takes a tenth of a second, and few requests have images.
    from PIL import Image  # noqa: PLC0415

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            # A JPEG with a second picture in it, as many phones write it.
            kind = "JPEG" if image.format == "MPO" else str(image.format)
            facts = ImageHeader(kind, ImageSize(*image.size))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidRequestError(_TOO_MANY_PIXELS) from error
    except Exception:  # noqa: BLE001  Pillow raises anything at hostile bytes: they are no image
        return None
    # Pillow itself only warns at this size, and an application may have changed its limit.
    if facts.size.width * facts.size.height > MAX_PIXELS:
        raise InvalidRequestError(_TOO_MANY_PIXELS)
    return facts


_TOO_MANY_PIXELS = f"the image has more than {MAX_PIXELS:,} pixels; send a smaller one"

UNKNOWN_IMAGE_TOKENS = 16_386
"""A bound where the model's family is unknown: Qwen-VL at its largest. OpenAI's newest models take
10,000 patches at up to 1.62 tokens."""


def patch_tokens(size: ImageSize | None, *, patch: int, most: int, multiplier: float = 1.0) -> int:
    """The most tokens of an image that is cut into square patches, scaled down to at most so many.

    Args:
        size: Pixels; ``None`` where they are unknown.
        patch: Side of a patch in pixels.
        most: How many patches an image may have after scaling.
        multiplier: Billed tokens per patch.
    """
    patches = most
    if size is not None:
        patches = min(most, math.ceil(size.width / patch) * math.ceil(size.height / patch))
    return math.ceil(patches * multiplier)
