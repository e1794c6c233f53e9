"""How many tokens an image is for OpenAI's models."""

from __future__ import annotations

import math
import re

from aegis_graph.request.images import UNKNOWN_IMAGE_TOKENS, ImageSize, patch_tokens

_TILES: tuple[tuple[str, int, int], ...] = (
    # Before gpt-4o, which its name begins with: a tile of it is billed at 33 times the tokens.
    (r"gpt-4o-mini", 2833, 5667),
    (r"gpt-4o|chatgpt-4o|gpt-4-turbo|gpt-4\.5|gpt-4\.1(?!-(mini|nano))", 85, 170),
    (r"gpt-5(?!\.|-(mini|nano))", 70, 140),
    (r"o1|o3(?!-mini)", 75, 150),
)
"""Models that look at tiles of 512 pixels: tokens of an image, and of each of its tiles."""

_PATCHES: tuple[tuple[str, float], ...] = (
    (r"gpt-4\.1-mini", 1.62),
    (r"gpt-4\.1-nano", 2.46),
    (r"gpt-5-mini", 1.62),
    (r"gpt-5-nano", 2.46),
    (r"o4-mini", 1.72),
)
"""Models that look at up to 1,536 patches of 32 pixels: billed tokens per patch."""


def openai_image_tokens(model: str, size: ImageSize | None) -> int:
    """The most tokens of an image for a model of OpenAI, at the highest detail.

    Source: https://platform.openai.com/docs/guides/images-vision#calculating-costs. Where users
    measured less than is documented, this is what is documented.

    Example:
        >>> openai_image_tokens("gpt-4o", ImageSize(1024, 1024))
        765
        >>> openai_image_tokens("gpt-4o-mini", None)
        48169
    """
    for pattern, base, tile in _TILES:
        if re.match(pattern, model):
            return base + tile * _tiles(size)
    for pattern, multiplier in _PATCHES:
        if re.match(pattern, model):
            return patch_tokens(size, patch=32, most=1536, multiplier=multiplier)
    return UNKNOWN_IMAGE_TOKENS


def _tiles(size: ImageSize | None) -> int:
    """How many tiles cover an image with its short side scaled to 768 pixels, the long one to 2048.

    Small images too, although they may be left as they are: a bound must not be below.
    """
    longer = 2048 if size is None else min(2048, math.ceil(768 * size.ratio))
    return 2 * math.ceil(longer / 512)
