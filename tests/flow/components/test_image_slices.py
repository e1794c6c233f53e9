"""The image describer and long pictures: slices, one result, and nothing bought twice."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from aegis_graph import describe_image
from aegis_graph.request.image_slices import MAX_SLICES, SLICE_ROWS
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from tests.flow.components.test_image_describer import config_of, describer, eye, shown
from tests.flow.support import assert_sound, flat_price, open_router, rows
from tests.unit.request.test_image_slices import screenshot


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.png"
    path.write_bytes(screenshot(6_000))
    return path


def size_of(call: Received) -> tuple[int, int]:
    with Image.open(io.BytesIO(base64.b64decode(shown(call).partition(",")[2]))) as image:
        return image.size


async def test_the_text_of_a_long_picture_is_read_in_slices(
    server: LoopbackServer, db: Path, page: Path
) -> None:
    server.script("dashscope", *(Reply(f"part {n}", input_tokens=1) for n in "1234"))
    config = config_of(server, db)
    result = await describer(config).ainvoke({"paths": [str(page)], "kind": "text"})
    [one] = result["results"]
    assert (one["text"], one["degraded_reason"]) == ("part 1\npart 2\npart 3\npart 4", None)
    sizes = [size_of(call) for call in server.calls()]
    assert {width for width, _ in sizes} == {300}, "not scaled down"
    assert sum(height for _, height in sizes) == 6_000
    assert max(height for _, height in sizes) <= SLICE_ROWS
    assert len(one["attempts"]) == len(rows(db)) == 4
    assert len({row["run_id"] for row in rows(db)}) == 1
    again = await describer(config).ainvoke({"paths": [str(page)], "kind": "text"})
    assert (again["results"][0]["text"], len(server.calls())) == (one["text"], 4)
    assert_sound(db)


async def test_one_picture_given_by_a_program_is_read_in_slices(
    server: LoopbackServer, db: Path, page: Path
) -> None:
    server.always("dashscope", Reply("a part"))
    router = open_router(config_of(server, db))
    for image in (page, screenshot(6_000)):
        one = await describe_image(router, image, kind="text")
        assert one["text"].splitlines() == ["a part"] * 4


async def test_slices_that_cannot_be_paid_are_said_and_only_they_are_bought_later(
    server: LoopbackServer, db: Path, page: Path
) -> None:
    server.always("dashscope", Reply("a part", output_tokens=1))
    config = config_of(server, db, eye(server, **flat_price("0.5")))
    request: dict[str, Any] = {"paths": [str(page)], "kind": "text"}
    result = await describer(config).ainvoke({**request, "max_cost_usd": "1"})
    [one] = result["results"]
    assert (one["text"], one["error"]) == ("a part\na part", None)
    assert "2 of 4 slices without an answer: " in str(one["degraded_reason"])
    assert one["cost_usd"] == "1.0"
    assert len(server.calls()) == 2
    [whole] = (await describer(config).ainvoke(request))["results"]
    assert (whole["text"].count("a part"), whole["degraded"]) == (4, False)
    assert len(server.calls()) == 4


async def test_a_slice_that_fails_leaves_the_others(
    server: LoopbackServer, db: Path, page: Path
) -> None:
    server.script("dashscope", Reply("1"), Fault.status(400), Reply("3"), Reply("4"))
    config = config_of(server, db)
    request = {"paths": [str(page)], "kind": "text"}
    [one] = (await describer(config).ainvoke(request))["results"]
    assert one["text"].split() == ["1", "3", "4"]
    assert "1 of 4 slices without an answer" in str(one["degraded_reason"])
    server.always("dashscope", Reply("2"))
    [whole] = (await describer(config).ainvoke(request))["results"]
    assert (whole["text"].split(), whole["degraded"]) == (["1", "2", "3", "4"], False)
    assert len(server.calls()) == 5


async def test_what_is_not_read_of_a_picture_is_said(
    server: LoopbackServer, db: Path, page: Path, tmp_path: Path
) -> None:
    server.always("dashscope", Reply("a part"))
    graph = describer(config_of(server, db))
    (tmp_path / "endless.png").write_bytes(screenshot(SLICE_ROWS * (MAX_SLICES + 3)))
    [one] = (await graph.ainvoke({"paths": [str(tmp_path / "endless.png")], "kind": "text"}))[
        "results"
    ]
    assert len(server.calls()) == MAX_SLICES
    assert "rows of pixels were not read" in str(one["degraded_reason"])
    stream = io.BytesIO()
    Image.new("RGB", (15_000, 60), "white").save(stream, "PNG")
    (tmp_path / "wide.png").write_bytes(stream.getvalue())
    # A wide one is not cut, whatever is wanted of it.
    for kind in ("table", "text"):
        [one] = (await graph.ainvoke({"paths": [str(tmp_path / "wide.png")], "kind": kind}))[
            "results"
        ]
        assert "scaled down to 27%" in str(one["degraded_reason"]), kind
