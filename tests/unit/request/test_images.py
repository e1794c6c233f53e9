"""What is known of an image before it is sent: never fewer tokens than the provider bills."""

from __future__ import annotations

import base64
import io
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from aegis_graph.errors import InvalidRequestError
from aegis_graph.providers.dashscope.images import qwen_image_tokens
from aegis_graph.providers.openai.images import openai_image_tokens
from aegis_graph.request.image_files import (
    MAX_BYTES,
    MAX_SIDE,
    image_part,
    open_image,
    resize_to_fit,
)
from aegis_graph.request.images import (
    MAX_PIXELS,
    UNKNOWN_IMAGE_TOKENS,
    ImageSize,
    image_bytes,
    is_image,
    portable_image,
    read_image_header,
)
from tests.flow.support import drawn

sizes = st.builds(ImageSize, st.integers(11, 9000), st.integers(11, 9000))


def billed_by_qwen(size: ImageSize, *, patch: int, most: int) -> int:
    """The function of Alibaba's vision guide, written from its description."""
    height, width = (max(patch, round(side / patch) * patch) for side in (size.height, size.width))
    area, least, top = size.width * size.height, 4 * patch * patch, most * patch * patch
    if height * width > top:
        shrink = math.sqrt(area / top)
        height = math.floor(size.height / shrink / patch) * patch
        width = math.floor(size.width / shrink / patch) * patch
    elif height * width < least:
        grow = math.sqrt(least / area)
        height = math.ceil(size.height * grow / patch) * patch
        width = math.ceil(size.width * grow / patch) * patch
    return height * width // (patch * patch) + 2


@given(size=sizes.filter(lambda size: size.ratio <= 200), high=st.booleans())
@example(size=ImageSize(1024, 1024), high=True)
@example(size=ImageSize(4096, 4096), high=True)
@example(size=ImageSize(4096, 4096), high=False)
@example(size=ImageSize(11, 2200), high=False)
@example(size=ImageSize(11, 40), high=False)
@pytest.mark.parametrize(
    ("model", "patch"), [("qwen3-vl-30b-a3b-instruct", 32), ("qwen-vl-max", 28)]
)
def test_a_qwen_image_is_never_billed_above_its_bound(
    model: str, patch: int, size: ImageSize, high: bool
) -> None:
    billed = billed_by_qwen(size, patch=patch, most=16_384 if high else 2_560)
    bound = qwen_image_tokens(model, size, high_resolution=high)
    assert billed <= bound <= qwen_image_tokens(model, None, high_resolution=high)


def test_the_flag_raises_the_most_and_changes_nothing_below_it() -> None:
    model, page, huge = "qwen3-vl-plus", ImageSize(1024, 1024), ImageSize(4096, 4096)
    assert [qwen_image_tokens(model, page, high_resolution=high) for high in (False, True)] == [
        1026
    ] * 2
    assert qwen_image_tokens(model, huge, high_resolution=False) == 2_562
    assert qwen_image_tokens(model, huge, high_resolution=True) == 16_386
    assert qwen_image_tokens(model, None, high_resolution=True) == 16_386


def billed_by_tiles(size: ImageSize, *, base: int, tile: int) -> int:
    """OpenAI's rule: into 2048 x 2048, the short side to 768, then 512-pixel tiles."""
    scale = min(1.0, 2048 / max(size))
    scale *= min(1.0, 768 / (min(size) * scale))
    across, down = (math.ceil(round(side * scale, 6) / 512) for side in size)
    return base + tile * across * down


@given(size=sizes)
@example(size=ImageSize(2048, 4096))
@pytest.mark.parametrize(
    ("model", "base", "tile"),
    [
        ("gpt-4o", 85, 170),
        ("gpt-4o-mini-2024-07-18", 2833, 5667),
        ("gpt-4.1", 85, 170),
        ("gpt-5", 70, 140),
        ("o3", 75, 150),
    ],
)
def test_tiles_are_never_billed_above_their_bound(
    model: str, base: int, tile: int, size: ImageSize
) -> None:
    bound = openai_image_tokens(model, size)
    assert billed_by_tiles(size, base=base, tile=tile) <= bound <= openai_image_tokens(model, None)


@given(size=sizes)
@pytest.mark.parametrize(("model", "multiplier"), [("gpt-4.1-mini", 1.62), ("gpt-5-nano", 2.46)])
def test_patches_are_never_billed_above_their_bound(
    model: str, multiplier: float, size: ImageSize
) -> None:
    patches = min(1536, math.ceil(size.width / 32) * math.ceil(size.height / 32))
    assert patches * multiplier <= openai_image_tokens(model, size) <= math.ceil(1536 * multiplier)


@pytest.mark.parametrize("model", ["gpt-5.4-mini", "gpt-5.2", "pixtral-12b", "qwen3"])
def test_an_unknown_family_takes_the_largest_bound_at_any_size(model: str) -> None:
    assert openai_image_tokens(model, ImageSize(20, 20)) == UNKNOWN_IMAGE_TOKENS == 16_386


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_size_is_read_from_the_header_of_each_format(kind: str) -> None:
    facts = read_image_header(drawn(123, 45, kind=kind))
    assert facts is not None
    assert (facts.format, facts.size) == (kind, (123, 45))


@given(st.binary(max_size=400))
@example(b"\x89PNG\r\n\x1a\n")
@example(b"GIF89a")
@example(b"RIFF\0\0\0\0WEBPVP8 ")
@example(b"II*\0" + b"\xff" * 60)
def test_bytes_that_are_no_image_are_told_so_and_nothing_is_raised(data: bytes) -> None:
    facts = read_image_header(data)
    assert facts is None or min(facts.size) >= 0


def bomb(side: int = 60_000) -> bytes:
    """A PNG of a few hundred bytes that says it has billions of pixels."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [9_500, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(side: int) -> None:
    with pytest.raises(InvalidRequestError, match=f"more than {MAX_PIXELS:,} pixels"):
        read_image_header(bomb(side))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": "data:image/png;base64,aGk="},
        {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
        {"type": "image", "source_type": "base64", "data": "aGk=", "mime_type": "image/png"},
        {"image": "data:image/png;base64,aGk="},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
        {"image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "media", "mime_type": "image/png", "data": "aGk="},
        {"type": "file", "mime_type": "image/png", "base64": "aGk="},
        {"type": "file", "file": {"file_data": "data:image/png;base64,aGk="}},
        {"type": "file", "file": {"file_data": "aGk=", "filename": "Dime.PNG"}},
        {"type": "input_file", "file_data": "data:image/png;base64,aGk=", "filename": "a.pdf"},
        {"file": {"file_data": "data:image/png;base64,aGk="}},
    ],
)
def test_every_form_of_an_inline_image_is_read(part: dict[str, Any]) -> None:
    assert is_image(part)
    assert image_bytes(part) == b"hi"
    plain = portable_image(part)
    assert plain["type"] in {"image", "image_url"}
    assert not plain.keys() & {"file", "file_data", "filename"}
    assert image_bytes(plain) == b"hi"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}},
        {"type": "file", "file": {"file_data": "aGk=", "filename": "png.pdf"}},
        {"type": "file", "file": {"file_data": "aGk="}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": "a.png"},
        {"type": "input_file", "file_url": "https://a.b/report.pdf?of=a.png.pdf"},
        {"type": "input_file", "file_url": "https://a.b/report.pdf?of=a.png"},
        {"type": "input_file", "file_url": "https://a.b/report.pdf#a.png"},
        {"type": "text", "text": "data:image/png;base64,aGk="},
    ],
)
def test_another_file_is_no_image(part: dict[str, Any]) -> None:
    assert not is_image(part)


@pytest.mark.parametrize("name", ["cat.jpg", "cat.jpeg?size=2", "CAT.JPG#top"])
def test_a_file_at_an_address_is_an_image_by_its_name(name: str) -> None:
    part = {"type": "input_file", "file_url": f"https://a.b/{name}"}
    assert is_image(part)
    assert portable_image(part)["image_url"] == {"url": f"https://a.b/{name}"}


def test_a_part_is_the_file_as_it_is(tmp_path: Path) -> None:
    data = drawn(kind="JPEG")
    (tmp_path / "a.png").write_bytes(data)
    part = image_part(tmp_path / "a.png")
    assert part == image_part(data)
    assert (part["type"], part["mime_type"]) == ("image", "image/jpeg")
    assert base64.b64decode(part["base64"]) == data


def test_a_text_never_names_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(drawn())
    with pytest.raises(InvalidRequestError, match=r"pathlib\.Path or as bytes"):
        image_part(str(path))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "an empty file"),
        (b"hello", "not an image"),
        (bomb(), "more than"),
        (drawn() + bytes(MAX_BYTES), "over the limit"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_one_line(data: bytes, complaint: str) -> None:
    with pytest.raises(InvalidRequestError, match=complaint) as refused:
        image_part(data)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"gone\.png: no such file"):
        image_part(tmp_path / "gone.png")


def test_shrinking_is_done_only_when_asked_and_only_when_needed() -> None:
    small, wide = drawn(), drawn(MAX_SIDE + 10, 40)
    assert image_part(small, shrink=True) == image_part(small)
    assert image_bytes(image_part(wide)) == wide
    shrunk = image_bytes(image_part(wide, shrink=True))
    facts = read_image_header(shrunk or b"")
    assert facts is not None
    assert facts.size == (MAX_SIDE, 40)


def test_another_format_is_converted_and_noise_is_made_to_fit() -> None:
    facts = read_image_header(image_bytes(image_part(drawn(kind="GIF"), shrink=True)) or b"")
    assert facts is not None
    assert facts.format == "PNG"
    stream = io.BytesIO()
    Image.effect_noise((3000, 3000), 100).convert("RGB").save(stream, "BMP")
    data, facts = resize_to_fit(stream.getvalue())
    assert len(data) <= MAX_BYTES < len(stream.getvalue())
    assert facts.format == "JPEG"


def test_a_picture_that_ends_too_early_is_said_to_be_broken() -> None:
    whole = drawn(800, 800, text="A text", kind="JPEG")
    with pytest.raises(InvalidRequestError, match="broken or cut off"):
        open_image(whole[: len(whole) // 2])


def test_a_transparent_picture_is_opened_on_white() -> None:
    stream = io.BytesIO()
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(stream, "PNG")
    assert open_image(stream.getvalue()).getpixel((5, 5)) == (255, 255, 255)
