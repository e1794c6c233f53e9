"""What becomes of an image file on its way to a model: upright, alone, in a size that it takes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat, PngImagePlugin

from aegis_graph import image_part
from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.image_files import LEAST_SIDE, MAX_SIDE, open_image
from aegis_graph.request.images import image_bytes, read_image_header
from tests.flow.support import drawn

PLACE = "in the garden of the Lindenhof"


def sent(data: bytes, **options: Any) -> bytes:
    return image_bytes(image_part(data, **options)) or b""


def picture(data: bytes) -> Any:
    return Image.open(io.BytesIO(data)).convert("RGB")


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def exif(orientation: int = 1) -> Image.Exif:
    found = Image.Exif()
    found[0x010F] = PLACE
    found[0x0112] = orientation
    found.get_ifd(0x8825)[2] = (48.0, 24.0, 0.0)
    return found


def red_above() -> Image.Image:
    image = Image.new("RGB", (80, 120), "blue")
    image.paste((255, 0, 0), (0, 0, 80, 60))
    return image


def png_text() -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", PLACE)
    return text


def with_more() -> dict[str, bytes]:
    """The same picture with a place in it, in each way that files hold one."""
    late = saved(red_above(), "PNG")
    chunk = saved(red_above(), "PNG", pnginfo=png_text())
    start = chunk.index(b"tEXt") - 4
    text = chunk[start : start + 12 + int.from_bytes(chunk[start : start + 4], "big")]
    return {
        "exif.jpg": saved(red_above(), "JPEG", exif=exif()),
        "comment.jpg": saved(red_above(), "JPEG", comment=PLACE.encode()),
        "xmp.jpg": saved(red_above(), "JPEG", xmp=PLACE.encode()),
        "two.jpg": saved(
            red_above(), "MPO", save_all=True, append_images=[red_above()], exif=exif()
        ),
        "text.png": chunk,
        "behind.png": late[:-12] + text + late[-12:],
        "exif.png": saved(red_above(), "PNG", exif=exif()),
        "exif.webp": saved(red_above(), "WEBP", exif=exif(), lossless=True),
        "xmp.webp": saved(red_above(), "WEBP", xmp=PLACE.encode(), lossless=True),
        "tags.tif": saved(red_above(), "TIFF", exif=exif()),
        "comment.gif": saved(red_above(), "GIF", comment=PLACE.encode()),
    }


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize("name", list(with_more()))
def test_where_a_picture_was_taken_is_not_sent(name: str, shrink: bool) -> None:
    data = with_more()[name]
    assert PLACE.encode() in data
    out = sent(data, shrink=shrink)
    assert PLACE.encode() not in out
    assert b"Exif" not in out
    seen = picture(out)
    assert seen.size == (80, 120)
    red, blue = seen.getpixel((40, 20)), seen.getpixel((40, 100))
    assert red[0] > 230 > 30 > red[2]
    assert blue[2] > 230 > 30 > blue[0]


def test_a_file_that_is_a_picture_alone_is_sent_as_it_is() -> None:
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "AVIF"):
        data = saved(red_above(), kind)
        assert sent(data) == data, kind


def test_a_photograph_loses_nothing_but_its_metadata() -> None:
    noise = Image.effect_noise((200, 160), 80).convert("RGB")
    data = saved(noise, "JPEG", quality=83, exif=exif())
    changed = ImageStat.Stat(ImageChops.difference(picture(sent(data)), picture(data)))
    assert max(changed.mean) < 1, "of 255 steps"


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_sent_upright(kind: str, orientation: int, shrink: bool) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    data = saved(red_above().transpose(undo[orientation]), kind, exif=exif(orientation))
    seen = picture(sent(data, shrink=shrink))
    assert seen.size == (80, 120)
    assert seen.getpixel((40, 20))[0] > 200 > seen.getpixel((40, 20))[2]


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize("kind", ["WEBP", "GIF", "PNG"])
def test_of_an_animation_the_first_frame_is_sent(kind: str, shrink: bool) -> None:
    frames = [Image.new("RGB", (60, 60), (n * 6, 0, 0)) for n in range(41)]
    first = Image.new("RGB", (60, 60), "lime")
    data = saved(first, kind, save_all=True, append_images=frames, duration=40)
    out = sent(data, shrink=shrink)
    assert len(out) < len(data)
    with Image.open(io.BytesIO(out)) as image:
        assert getattr(image, "n_frames", 1) == 1
    assert picture(out).getpixel((30, 30))[1] > 250


@pytest.mark.parametrize("size", [(305, 30), (5, 400), (1, 1), (31, 31), (1, 5000), (4096, 2)])
def test_a_narrow_picture_is_made_as_large_as_a_model_takes(size: tuple[int, int]) -> None:
    seen = picture(sent(saved(Image.new("RGB", size, "red"), "PNG"), shrink=True))
    assert min(seen.size) >= LEAST_SIDE
    assert max(seen.size) <= MAX_SIDE
    assert max(seen.size) / min(seen.size) <= 200
    assert seen.getpixel((0, 0)) == (255, 0, 0)


def test_every_kind_of_pixel_is_seen_as_it_is() -> None:
    grey = Image.new("I;16", (64, 64), 30_000)
    clear = Image.new("RGBA", (64, 64), (200, 0, 0, 0))
    palette = Image.new("P", (64, 64), 0)
    palette.putpalette([10, 200, 10] * 256)
    cmyk = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    cases: list[tuple[bytes, tuple[int, int, int]]] = [
        (saved(grey, "PNG"), (117, 117, 117)),
        (saved(grey, "TIFF"), (117, 117, 117)),
        (saved(clear, "PNG"), (255, 255, 255)),
        (saved(palette, "PNG", transparency=0), (255, 255, 255)),
        (saved(palette, "GIF"), (10, 200, 10)),
        (saved(cmyk, "JPEG"), (255, 0, 0)),
        (saved(cmyk, "TIFF"), (255, 0, 0)),
        (saved(Image.new("1", (64, 64), 1), "PNG"), (255, 255, 255)),
        (saved(Image.new("LA", (64, 64), (9, 0)), "PNG"), (255, 255, 255)),
    ]
    for number, (data, colour) in enumerate(cases):
        found = open_image(data).getpixel((20, 20))
        assert max(abs(one - two) for one, two in zip(found, colour, strict=True)) < 6, number


def test_a_large_picture_in_numbered_colours_is_scaled_and_not_thinned_out() -> None:
    image = Image.new("RGB", (MAX_SIDE * 2, 64), "white")
    for x in range(0, image.width, 2):
        image.paste((0, 0, 0), (x, 0, x + 1, 64))
    small = open_image(saved(image.quantize(2), "PNG"))
    assert 80 < small.getpixel((100, 10))[0] < 180


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\x00\x01", "Photoshop"),
        (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg width="4">', "SVG"),
    ],
)
def test_a_format_that_is_not_read_is_named(data: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    for shrink in (False, True):
        with pytest.raises(InvalidRequestError, match=f"a {name} image, which is not read here"):
            image_part(tmp_path / "a", shrink=shrink)


def test_a_photograph_of_a_phone_with_two_pictures_is_a_jpeg() -> None:
    header = read_image_header(with_more()["two.jpg"])
    assert header is not None
    assert header.format == "JPEG"
    assert image_part(drawn())["mime_type"] == "image/png"
