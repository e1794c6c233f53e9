"""The dominant colours of a picture, counted. No model is asked."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

NAMES: dict[str, tuple[int, int, int]] = {
    "black": (0, 0, 0),
    "grey": (128, 128, 128),
    "light grey": (200, 200, 200),
    "white": (255, 255, 255),
    "red": (220, 30, 30),
    "dark red": (128, 0, 0),
    "orange": (255, 150, 0),
    "brown": (130, 75, 35),
    "yellow": (250, 230, 30),
    "beige": (235, 215, 175),
    "green": (30, 160, 50),
    "light green": (140, 230, 120),
    "dark green": (0, 90, 20),
    "turquoise": (50, 205, 200),
    "light blue": (140, 190, 245),
    "blue": (30, 70, 220),
    "dark blue": (10, 20, 110),
    "purple": (130, 40, 170),
    "pink": (250, 150, 190),
    "magenta": (230, 30, 200),
}
"""Names that people use, each with a typical value in RGB."""

MAX_COLOURS = 5
LEAST_SHARE = 0.02
"""A colour of less of the picture than this is not dominant."""

_SIDE = 160
"""The picture is counted at most this wide and high, in pixels: no smaller area dominates."""


class Colour(TypedDict):
    """A colour of a picture."""

    name: str
    hex: str | None
    """Like ``#1e46dc``; ``None`` where a model named it."""
    share: float | None
    """Of the picture, from 0 to 1; ``None`` where a model named it."""


def dominant_colours(picture: Any) -> list[Colour]:
    """Count a picture's colours by their nearest name.

    Args:
        picture: A Pillow image in RGB.

    Returns:
        At most ``MAX_COLOURS``, the largest first, each with the most frequent shade of its name.

    Example:
        >>> from PIL import Image
        >>> dominant_colours(Image.new("RGB", (8, 8), (30, 70, 220)))
        [{'name': 'blue', 'hex': '#1e46dc', 'share': 1.0}]
    """
    small = picture.copy()
    # Whole pixels only: mixing neighbours would invent colours.
    small.thumbnail((_SIDE, _SIDE), resample=0)
    counts: dict[str, int] = {}
    shades: dict[str, tuple[int, tuple[int, int, int]]] = {}
    for count, colour in small.getcolors(maxcolors=_SIDE * _SIDE):
        name = nearest_name(colour)
        counts[name] = counts.get(name, 0) + count
        # The most frequent shade stands for its name.
        shades[name] = max(shades.get(name, (0, colour)), (count, colour))
    total = small.width * small.height
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_COLOURS]
    return [
        Colour(name=name, hex="#{:02x}{:02x}{:02x}".format(*shades[name][1]), share=share)
        for name, count in largest
        if (share := round(count / total, 3)) >= LEAST_SHARE
    ]


def nearest_name(colour: tuple[int, int, int]) -> str:
    """The name whose typical value is nearest, weighted as the eye weighs it.

    The weights are those of the low-cost approximation at https://www.compuphase.com/cmetric.htm.
    """
    red, green, blue = colour

    def distance(name: str) -> float:
        other_red, other_green, other_blue = NAMES[name]
        mean = (red + other_red) / 2
        return (
            (2 + mean / 256) * (red - other_red) ** 2
            + 4 * (green - other_green) ** 2
            + (2 + (255 - mean) / 256) * (blue - other_blue) ** 2
        )

    return min(NAMES, key=distance)
