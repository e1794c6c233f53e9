"""Images as DashScope takes them, checked before anything is sent.

Limits are those of Alibaba's vision guide and error page; where pages differ, the smaller one.
"""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aegis_graph.errors import InvalidRequestError, UnsupportedContentError
from aegis_graph.request.image_files import image_part
from aegis_graph.request.images import ImageHeader, ImageSize, patch_tokens, read_image_header

MAX_URI_BYTES = 10_485_760
"""Of one data address, its head included."""

MAX_IMAGES = 250
"""Of one request."""

MIN_SIDE = 11
MAX_RATIO = 200.0
"""Longer side over shorter side."""

FORMATS = frozenset({"PNG", "JPEG", "WEBP", "BMP", "TIFF"})
"""HEIC is taken as well; nothing here reads its header."""

_DATA_URI_HEAD = re.compile(r"data:image/[A-Za-z0-9.+-]+;base64,")
_BASE64 = (string.ascii_letters + string.digits + "+/=").encode()


def image_address(block: Mapping[str, Any]) -> str:
    """The image of a LangChain, OpenAI or native block, as an inline or ``https`` address.

    A ``pathlib.Path`` and bytes are taken under ``image``: only a program can put them there. A
    text is never a path.

    Raises:
        InvalidRequestError: Anything else, local paths above all; or the service would refuse it.
    """
    match block:
        case {"image": Path() | bytes() as source}:
            return image_address(image_part(source))
        case {"image_url": {"url": str(value)}} | {"image_url": str(value)}:
            pass
        case {"type": "image", "base64": str(data), "mime_type": str(kind)}:
            value = f"data:{kind};base64,{data}"
        case {"type": "image", "data": str(data), "mime_type": str(kind)}:
            value = f"data:{kind};base64,{data}"
        case {"type": "image", "url": str(value)} | {"image": str(value)}:
            pass
        case _:
            named = block.get("type")
            raise UnsupportedContentError(f"DashScope takes no part of the type {named!r}")
    if value.startswith("https://"):
        return value
    # The SDK would read a path as a local file, and upload it.
    if not _is_inline(value):
        raise InvalidRequestError(
            "an image must be data:image/...;base64,... or an https:// address"
        )
    _check(value)
    return value


def _is_inline(value: str) -> bool:
    head = _DATA_URI_HEAD.match(value)
    if head is None or not value.isascii():
        return False
    # Bytes, because a pattern over ten megabytes would stall the event loop.
    return not value[head.end() :].encode().translate(None, _BASE64)


def _check(value: str) -> None:
    if len(value) > MAX_URI_BYTES:
        raise UnsupportedContentError(
            f"an image of {len(value):,} bytes in base64 is over DashScope's {MAX_URI_BYTES:,};"
            " send a smaller one (image_part(..., shrink=True))"
        )
    try:
        data = base64.b64decode(value.partition(",")[2], validate=True)
    except ValueError as error:
        raise InvalidRequestError("the image is not valid base64") from error
    if not data:
        raise InvalidRequestError("the image has no data")
    header = read_image_header(data)
    # Of a format that is not read here the service is the judge.
    if header is not None:
        _check_header(header)


def _check_header(header: ImageHeader) -> None:
    width, height = header.size
    if header.format not in FORMATS:
        raise UnsupportedContentError(
            f"DashScope takes no {header.format} images; convert it (image_part(..., shrink=True))"
        )
    if min(header.size) < MIN_SIDE:
        raise UnsupportedContentError(
            f"an image of {width} x {height} pixels is too small for DashScope;"
            f" each side must have at least {MIN_SIDE}"
        )
    if header.size.ratio > MAX_RATIO:
        raise UnsupportedContentError(
            f"an image of {width} x {height} pixels is too narrow for DashScope;"
            f" one side may be at most {MAX_RATIO:g} times the other"
        )


QWEN_FRAME_TOKENS = 2
QWEN_MIN_TOKENS = 64
"""Tokens around an image, and a bound of what a very small one is scaled up to (to 4 tokens of any
shape, each side rounded up)."""

_QWEN_28_PIXELS = re.compile(r"^(qwen-vl|qwen2(\.5)?-vl|qvq)")


def qwen_image_tokens(model: str, size: ImageSize | None, *, high_resolution: bool) -> int:
    """The most tokens of an image for a Qwen-VL model.

    Source: Alibaba's vision guide. Patches of 32 pixels (Qwen3-VL and later) or 28, 2,560 at most,
    or 16,384 with ``vl_high_resolution_images``, and two tokens around them.

    Example:
        >>> qwen_image_tokens("qwen3-vl-plus", ImageSize(1024, 1024), high_resolution=True)
        1026
    """
    patch = 28 if _QWEN_28_PIXELS.match(model) else 32
    most = 16_384 if high_resolution else 2_560
    return QWEN_FRAME_TOKENS + max(QWEN_MIN_TOKENS, patch_tokens(size, patch=patch, most=most))
