"""Long pictures: cut where no line stands, read in slices, each line once."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw

from aegis_graph.request.image_slices import (
    MAX_SLICED_PIXELS,
    MAX_SLICES,
    SLICE_ROWS,
    is_long,
    join_texts,
    open_slices,
    owned_rows,
)
from aegis_graph.request.images import ImageSize


def screenshot(rows: int, *, step: int = 40, kind: str = "PNG", busy: bool = False) -> bytes:
    """A long picture with a line of writing every ``step`` rows."""
    ground = Image.effect_noise((300, rows), 120).convert("RGB")
    image = ground if busy else Image.new("RGB", (300, rows), "white")
    draw = ImageDraw.Draw(image)
    for top in range(10, rows - 30, step):
        draw.rectangle((5, top, 250, top + 24), fill="black")
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("step", [40, 29, 613])
def test_a_long_picture_is_cut_between_its_lines(kind: str, step: int) -> None:
    opened = open_slices(screenshot(15_420, step=step, kind=kind))
    assert len(opened.slices) >= 10
    row = 0
    for one in opened.slices:
        assert (one.top, one.shared) == (row, 0)
        assert one.picture.height <= SLICE_ROWS
        row += one.picture.height
        # No line goes through the cut: a row of one has both colours.
        for edge in (0, one.picture.height - 1):
            low, high = one.picture.convert("L").crop((0, edge, 300, edge + 1)).getextrema()
            assert high - low < 60, (edge, low, high)
    assert (row, opened.unread_rows) == (15_420, 0)


def test_without_a_gap_two_slices_share_rows_and_divide_them() -> None:
    slices = open_slices(screenshot(5_000, busy=True)).slices
    assert all(one.shared for one in slices[1:])
    ends = [one.top + one.picture.height for one in slices]
    assert [one.top + one.shared for one in slices[1:]] == ends[:-1]
    owned = [owned_rows(slices, number) for number in range(len(slices))]
    assert [end for _, end in owned[:-1]] == [begin for begin, _ in owned[1:]]
    assert (owned[0][0], owned[-1][1]) == (0, float("inf"))


def test_what_is_no_long_picture_stays_whole() -> None:
    for size in ((2480, 3508), (1080, 2400), (15_420, 690), (3200, 100)):
        stream = io.BytesIO()
        Image.new("RGB", size, "white").save(stream, "PNG")
        opened = open_slices(stream.getvalue())
        assert (len(opened.slices), opened.unread_rows) == (1, 0), size
    assert not is_long(ImageSize(1000, 1 + MAX_SLICED_PIXELS // 1000))


def test_the_number_of_slices_is_bounded_and_the_rest_is_counted() -> None:
    rows = SLICE_ROWS * (MAX_SLICES + 5)
    opened = open_slices(screenshot(rows))
    assert len(opened.slices) == MAX_SLICES
    read = sum(one.picture.height for one in opened.slices)
    assert opened.unread_rows == rows - read > 0


def test_a_picture_that_lies_on_its_side_is_cut_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    with Image.open(io.BytesIO(screenshot(6_000))) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(stream, "PNG", exif=exif)
    assert len(open_slices(stream.getvalue()).slices) == 4


TABLE = [f"Position {n:03d} costs {n * 7} EUR" for n in range(60)]


@pytest.mark.parametrize(
    ("above", "below", "right"),
    [
        (TABLE[:34], TABLE[30:], TABLE),
        # The cut went through a line on either side.
        ([*TABLE[:33], "Posltiom 03"], ["ts 2l0 EUR", *TABLE[31:]], TABLE),
        # The shared rows were read differently.
        (["a long line of prose", "anotber long line"], ["another long line", "end"], None),
        # Nothing is shared, though rows look alike.
        (TABLE[:30], TABLE[30:], TABLE),
        # A line that stands on the page many times.
        (["a", "Total", "b", "c", "d", "e"], ["f", "g", "h", "Total", "i"], None),
        ([], ["a"], ["a"]),
        (["a"], [], ["a"]),
    ],
)
def test_lines_of_shared_rows_are_joined_once_and_none_is_lost(
    above: list[str], below: list[str], right: list[str] | None
) -> None:
    joined = join_texts(["\n".join(above), "\n".join(below)], [False, True]).splitlines()
    if right is not None:
        assert joined == right
    elif "Total" in above:
        assert joined == [*above, *below]
    else:
        assert joined in ([above[0], *below], [*above, "end"])
