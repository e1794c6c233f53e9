"""Takes out of an image file what is no picture: where it was taken, by whom, further frames."""

from __future__ import annotations

import io
import re
from typing import Any

_JPEG = re.compile(rb"\xff[\xe1\xe3-\xed\xef\xfe]|\xff\xe2..MPF\x00", re.DOTALL)
"""Segments with Exif, XMP, IPTC, a maker's data, a comment or further pictures. JFIF, the colour
profile and Adobe's colour transform remain. A picture's own data never holds these bytes."""

_MARKS: dict[str, re.Pattern[bytes]] = {
    "AVIF": re.compile(rb"Exif|XML|avis"),
    "BMP": re.compile(rb"(?!)"),
    "GIF": re.compile(rb"!\xfe|!\xff"),
    "JPEG": _JPEG,
    "PNG": re.compile(rb"tEXt|zTXt|iTXt|eXIf|tIME|acTL"),
    "TIFF": re.compile(rb""),
    "WEBP": re.compile(rb"EXIF|XMP |ANIM"),
}
"""What betrays metadata or a second frame. Chance bytes that look like it only cost a rewriting."""

_UNSUPPORTED = (
    (re.compile(rb".{4}ftyp(?:hei[cfmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL), "HEIC"),
    (re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL "), "JPEG XL"),
    (re.compile(rb"8BPS"), "Photoshop"),
    (re.compile(rb"%PDF"), "PDF"),
    (
        re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg\b"),
        "SVG",
    ),
)


def unreadable(data: bytes) -> str:
    r"""Why a file is not taken, which names its format where that is known.

    Example:
        >>> unreadable(b"\x00\x00\x00\x18ftypheic")
        'a HEIC image, which is not read here; save it as JPEG or PNG'
    """
    for pattern, name in _UNSUPPORTED:
        if pattern.match(data[:1000]):
            return f"a {name} image, which is not read here; save it as JPEG or PNG"
    return "not an image that can be read"


def has_more_than_a_picture(data: bytes, image: Any, kind: str) -> bool:
    """Whether a file may hold metadata or further frames; its picture is not decoded.

    Args:
        data: The image's file, whole.
        image: The same, opened by Pillow.
        kind: Its format, one of ``FORMATS``.
    """
    return _MARKS[kind].search(data) is not None or getattr(image, "is_animated", False)


def without_metadata(image: Any, kind: str) -> bytes:
    """The first frame of an image, upright, in a file of its own.

    Args:
        image: A Pillow image, opened from a file.
        kind: Its format. JPEG stays JPEG; everything else becomes PNG, which loses nothing.
    """
    from PIL import ImageOps  # noqa: PLC0415  heavy, and few requests have images

    turned = image.getexif().get(_ORIENTATION, 1) != 1
    # Only where it is turned, because it makes a copy.
    upright = ImageOps.exif_transpose(image) if turned else image
    profile = image.info.get("icc_profile")
    stream = io.BytesIO()
    if kind == "JPEG":
        # With the file's own tables hardly a pixel changes; a further picture in it has none.
        quality: Any = 95 if turned or image.format != "JPEG" else "keep"
        upright.save(stream, "JPEG", quality=quality, comment=b"", icc_profile=profile)
    else:
        plain = upright if upright.mode in _PNG_MODES else upright.convert("RGB")
        plain.save(stream, "PNG", icc_profile=profile)
    return stream.getvalue()


_ORIENTATION = 0x0112
_PNG_MODES = frozenset({"1", "L", "LA", "I;16", "P", "RGB", "RGBA"})
