"""Draws the images of the vision benchmark, with what is in them. No file is read but fonts."""

from __future__ import annotations

import io
import random
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"
DPI = 150
PAGE = (1240, 1754)
"""A4 at 150 dpi, in pixels."""

ENGLISH = """\
Invoice 2024-0815, issued on 24 November 2026 and due within 30 days.
The reading room opens at 9:00 and closes at 18:30, except on public holidays.
Each request is admitted against a hard budget; a refused one costs nothing.
Please transfer $1,234.56 (19 % VAT included) to the account named below.
Questions? Write to office@example.org or call +49 30 901820 before noon.
"Nobody reads the fine print," she said, "until it is 3/4 of the page."
Temperatures rose by 2.5 degrees between 1998 and 2017; rainfall fell by 8 %.
Quick zebras jump over five lazy dogs, while Max vexes the waltzing king.
See section 4.2(b): the limit of 16,384 tokens holds for a single image only."""

GERMAN = """\
Rechnung 2024-0815, ausgestellt am 24. November 2026, fällig in 30 Tagen.
Der Lesesaal öffnet um 9:00 Uhr und schließt um 18:30 Uhr, außer an Feiertagen.
Jede Anfrage wird gegen ein festes Budget geprüft; eine abgelehnte kostet nichts.
Bitte überweisen Sie 1.234,56 EUR (inkl. 19 % MwSt.) auf das unten genannte Konto.
Fragen? Schreiben Sie an buero@example.org oder rufen Sie an: 030 901820.
Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich, häufig im Mai.
Größe, Straße, Überweisung, Äpfel und Öl: alle Umlaute kommen hier mehrmals vor.
Die Temperatur stieg zwischen 1998 und 2017 um 2,5 Grad; es regnete 8 % weniger.
Siehe Abschnitt 4.2(b): Die Grenze von 16.384 Token gilt nur für ein Bild."""

TABLE = [
    ["Provider", "Calls", "Tokens", "Cost"],
    ["ollama", "1,204", "881,230", "$0.00"],
    ["dashscope", "312", "240,118", "$0.14"],
    ["openai", "58", "61,907", "$0.42"],
    ["extractive", "19", "4,410", "$0.00"],
    ["Total", "1,593", "1,187,665", "$0.56"],
]

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 160, 50),
    "blue": (30, 70, 220),
    "yellow": (250, 230, 30),
    "orange": (255, 150, 0),
    "purple": (130, 40, 170),
    "brown": (130, 75, 35),
    "pink": (250, 150, 190),
    "black": (0, 0, 0),
    "grey": (128, 128, 128),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One image, and what is in it."""

    group: str
    name: str
    data: bytes = field(repr=False)
    text: str = ""
    colours: tuple[str, ...] = ()


def cases(*, quick: bool) -> Iterator[Case]:
    """The images, group by group; one of each where it has to be quick."""
    groups = (_clean(), _sizes(), _turned(), _spoiled(), _tables(), _shapes())
    for group in groups:
        for number, case in enumerate(group):
            if not quick or number == 0:
                yield case


def _clean() -> Iterator[Case]:
    for font in ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral"):
        for language, text in (("en", ENGLISH), ("de", GERMAN)):
            page, shown = _page(text, font=font, points=11)
            yield _case("clean documents, 150 dpi", f"{font} 11 pt {language}", page, shown)
    page, shown = _page(
        "\n".join([ENGLISH, GERMAN, ENGLISH, GERMAN]), font="DejaVuSerif", points=11
    )
    yield _case("clean documents, 150 dpi", "a full page, both languages", page, shown)


def _sizes() -> Iterator[Case]:
    for points in (8, 10, 14, 20):
        page, shown = _page(ENGLISH, font="DejaVuSans", points=points)
        yield _case("other sizes, 150 dpi", f"DejaVuSans {points} pt", page, shown)


def _turned() -> Iterator[Case]:
    page, shown = _page(ENGLISH, font="DejaVuSans", points=11)
    for degrees in (1, 3, 5, 90, 180, 270):
        turned = page.rotate(degrees, expand=True, fillcolor="white", resample=Image.BICUBIC)
        yield _case("turned", f"{degrees} degrees", turned, shown)


def _spoiled() -> Iterator[Case]:
    page, shown = _page(ENGLISH, font="DejaVuSans", points=11)
    group = "spoiled"
    yield _case(group, "noise 30", _noisy(page, 30), shown)
    yield _case(group, "noise 60", _noisy(page, 60), shown)
    yield _case(group, "blur 1.5 px", page.filter(ImageFilter.GaussianBlur(1.5)), shown)
    yield _case(group, "JPEG quality 20", page, shown, kind="JPEG", quality=20)
    faint = page.point(lambda value: 170 + value // 3)
    yield _case(group, "faint: black on white becomes 170 on 255", faint, shown)
    small = page.resize((PAGE[0] // 2, PAGE[1] // 2), Image.LANCZOS)
    yield _case(group, "75 dpi", small, shown)


def _tables() -> Iterator[Case]:
    for ruled in (True, False):
        image = Image.new("RGB", (1000, 460), "white")
        draw = ImageDraw.Draw(image)
        face = _font("DejaVuSans", 12)
        for row, cells in enumerate(TABLE):
            for column, cell in enumerate(cells):
                left, top = 40 + column * 230, 30 + row * 68
                draw.text((left + 10, top + 18), cell, font=face, fill="black")
                if ruled:
                    draw.rectangle((left, top, left + 230, top + 68), outline="black", width=2)
        shown = "\n".join(" ".join(cells) for cells in TABLE)
        yield _case("tables", "ruled" if ruled else "without rules", image, shown)


def _shapes() -> Iterator[Case]:
    names = list(COLOURS)
    chance = random.Random(7)
    for number in range(8):
        ground, first, second = chance.sample(names, 3)
        image = Image.new("RGB", (480, 320), _shade(ground, chance))
        draw = ImageDraw.Draw(image)
        draw.ellipse((40, 60, 220, 240), fill=_shade(first, chance))
        draw.rectangle((260, 80, 430, 250), fill=_shade(second, chance))
        yield Case(
            "coloured shapes", f"{number + 1}", _file(image), colours=(ground, first, second)
        )


def _shade(name: str, chance: random.Random) -> tuple[int, int, int]:
    """A colour that people would still call so: up to 20 of 255 off in each channel."""
    red, green, blue = (
        min(255, max(0, value + chance.randint(-20, 20))) for value in COLOURS[name]
    )
    return red, green, blue


def _page(text: str, *, font: str, points: int) -> tuple[Image.Image, str]:
    """A page of text, and the text as its lines are broken."""
    face = _font(font, points)
    room = PAGE[0] - 200
    width = max(20, int(room / (face.getlength(ENGLISH.replace("\n", "")) / len(ENGLISH))))
    lines = [piece for line in text.splitlines() for piece in textwrap.wrap(line, width - 4)]
    image = Image.new("RGB", PAGE, "white")
    draw = ImageDraw.Draw(image)
    step = round(points * DPI / 72 * 1.7)
    for number, line in enumerate(lines):
        draw.text((100, 120 + number * step), line, font=face, fill="black")
    return image, "\n".join(lines)


def _font(name: str, points: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONTS / f"{name}.ttf"), round(points * DPI / 72))


def _noisy(page: Image.Image, sigma: int) -> Image.Image:
    random.seed(7)
    noise = Image.effect_noise(page.size, sigma).convert("RGB")
    return Image.blend(page, noise, 0.35)


def _case(
    group: str, name: str, image: Image.Image, text: str, kind: str = "PNG", **options: int
) -> Case:
    return Case(group, name, _file(image, kind, **options), text=text)


def _file(image: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()
