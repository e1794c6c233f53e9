"""``ChatDashScope`` and images: what goes out, what is refused before it, what is counted."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from aegis_graph.errors import InvalidRequestError
from aegis_graph.providers.dashscope.chat_model import ChatDashScope
from aegis_graph.providers.dashscope.images import MAX_IMAGES, MAX_URI_BYTES
from aegis_graph.request.image_files import image_part
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import drawn

PICTURE = drawn(64, 48)
ADDRESS = "https://example.com/cat.png"


def uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        running.always("dashscope", Reply("A cat."))
        yield running


@pytest.fixture
async def model(server: LoopbackServer) -> AsyncIterator[ChatDashScope]:
    opened = ChatDashScope(
        model="qwen3-vl-plus", api_key=SecretStr("sk-test"), base_url=server.dashscope_url
    )
    yield opened
    await opened.aclose()


def sent(server: LoopbackServer) -> list[Any]:
    return [call.body["input"]["messages"][-1]["content"] for call in server.calls("dashscope")]


async def test_every_form_that_a_program_can_give_arrives(
    server: LoopbackServer, model: ChatDashScope, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PICTURE)
    for part in (
        {"type": "image_url", "image_url": {"url": uri(PICTURE)}},
        {"type": "image", "base64": base64.b64encode(PICTURE).decode(), "mime_type": "image/png"},
        {"image": PICTURE},
        {"image": path},
        image_part(path),
    ):
        await model.ainvoke([HumanMessage(["What?", part])])
    await model.ainvoke([HumanMessage([{"type": "image", "url": ADDRESS}])])
    assert sent(server) == [[{"text": "What?"}, {"image": uri(PICTURE)}]] * 5 + [
        [{"image": ADDRESS}]
    ]


@pytest.mark.parametrize("form", ["{path}", "file://{path}"])
async def test_a_text_that_is_a_path_is_sent_as_that_text_and_nothing_else(
    server: LoopbackServer, model: ChatDashScope, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(PICTURE)
    text = form.format(path=path)
    await model.ainvoke([HumanMessage(text)])
    await model.ainvoke([HumanMessage([text])])
    await model.ainvoke([HumanMessage([{"type": "text", "text": text}])])
    assert sent(server) == [[{"text": text}]] * 3
    assert len(server.journal) == 3, "no file was uploaded"
    for part in ({"image": text}, {"type": "image_url", "image_url": {"url": text}}):
        with pytest.raises(InvalidRequestError, match="https://"):
            await model.ainvoke([HumanMessage([part])])
    assert len(server.journal) == 3


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"image": drawn(10, 300)}, "10 x 300 pixels is too small"),
    ({"image": drawn(11, 2300)}, "too narrow"),
    ({"image": drawn(kind="GIF")}, "takes no GIF images"),
    ({"image": uri(PICTURE) + "A" * MAX_URI_BYTES}, "is over DashScope's 10,485,760"),
    ({"image": "data:image/png;base64,"}, "no data"),
    ({"image": b""}, "an empty file"),
    ({"image": b"hello"}, "not an image"),
    ({"image": Path("no-such-image.png")}, "no such file"),
]


@pytest.mark.parametrize(("part", "complaint"), REFUSED, ids=[row[1] for row in REFUSED])
async def test_what_the_service_would_refuse_is_not_sent(
    server: LoopbackServer, model: ChatDashScope, part: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidRequestError, match=complaint) as refused:
        await model.ainvoke([HumanMessage([part])])
    assert "\n" not in str(refused.value)
    assert server.journal == ()


async def test_there_is_a_most_of_images(server: LoopbackServer, model: ChatDashScope) -> None:
    parts: list[str | dict[str, Any]] = [{"image": ADDRESS}] * (MAX_IMAGES + 1)
    with pytest.raises(InvalidRequestError, match="251 images"):
        await model.ainvoke([HumanMessage(parts)])
    assert server.journal == ()


async def test_resolution_and_thinking_can_be_chosen_for_one_call(
    server: LoopbackServer, model: ChatDashScope
) -> None:
    picture = HumanMessage([{"image": PICTURE}])
    await model.ainvoke([picture], vl_high_resolution_images=True, enable_thinking=True)
    await model.ainvoke([picture])
    chosen, plain = (call.body["parameters"] for call in server.calls("dashscope"))
    assert (chosen["vl_high_resolution_images"], chosen["enable_thinking"]) == (True, True)
    assert chosen["thinking_budget"] > 0
    assert "vl_high_resolution_images" not in plain
    assert plain["enable_thinking"] is False


async def test_a_model_that_cannot_think_is_never_told_about_it(server: LoopbackServer) -> None:
    model = ChatDashScope(
        model="qwen3-vl-30b-a3b-instruct",
        api_key=SecretStr("sk-test"),
        base_url=server.dashscope_url,
        enable_thinking=True,
    )
    await model.ainvoke([HumanMessage([{"image": PICTURE}])], thinking_budget=5)
    await model.aclose()
    (call,) = server.calls("dashscope")
    assert {"enable_thinking", "thinking_budget"} & set(call.body["parameters"]) == set()
