"""Requests with images: admitted, tried and recorded like any other, by who may look at them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from aegis_graph import RouterConfig, image_part
from aegis_graph.config.defaults import VISION_PROVIDERS
from aegis_graph.errors import BudgetExceededError, InvalidRequestError, NoProviderError
from aegis_graph.providers.dashscope.images import qwen_image_tokens
from aegis_graph.providers.ocr.chat_model import MARKER
from aegis_graph.request.images import ImageSize
from aegis_graph.request.token_bounds import PER_MESSAGE, PER_REQUEST
from aegis_graph.testing import Fault, LoopbackServer, Reply
from aegis_graph.types import LOCAL_ONLY
from tests.flow.support import (
    KINDS,
    assert_sound,
    drawn,
    dust_settles,
    flat_price,
    made,
    make_config,
    open_router,
    provider,
    rows,
    spent,
)
from tests.unit.request.test_images import bomb

INSTRUCT, THINKING = "qwen3-vl-30b-a3b-instruct", "qwen3-vl-30b-a3b-thinking"
DOLLAR = 1_000_000_000
DIME = Reply("A cat.", input_tokens=100, output_tokens=1)
PAGE = drawn(640, 480, text="Invoice 2024-0815")


def looking(data: bytes = PAGE, text: str = "What is this?", **more: Any) -> dict[str, Any]:
    content: list[str | dict[str, Any]] = [{"type": "text", "text": text}, image_part(data)]
    return {"messages": [HumanMessage(content)], "task": "vision", **more}


def default_chain(server: LoopbackServer) -> list[dict[str, Any]]:
    """The default vision chain, its servers played."""
    urls = {"dashscope": server.dashscope_url, "ollama": server.ollama_url}
    played = []
    for spec in VISION_PROVIDERS:
        row = spec.model_dump(exclude_unset=True)
        if spec.kind in urls:
            row |= {"base_url": urls[spec.kind], "retry_wait_s": 0}
        played.append(row | ({"api_key_env": "LOOPBACK_KEY"} if spec.location == "cloud" else {}))
    return played


def vision_config(server: LoopbackServer, db: Path, **more: Any) -> RouterConfig:
    return make_config(server, db, **{"providers": default_chain(server), **more})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "scope", ["provider:eye", "model:looker", "task:vision", "user:*", "user:default", "total"]
)
async def test_images_obey_every_budget_and_every_call_has_a_row(
    server: LoopbackServer, db: Path, kind: str, scope: str
) -> None:
    server.always(kind, DIME)  # type: ignore[arg-type]
    eye = provider(
        server, kind, **{**flat_price("0.25"), "name": "eye", "model": "looker", "images": True}
    )
    router = open_router(make_config(server, db, providers=[eye], budgets={scope: "1"}))

    asked = (router.ainvoke(looking()) for _ in range(12))
    results = await asyncio.gather(*asked, return_exceptions=True)
    await dust_settles(db)

    refused = [one for one in results if isinstance(one, BudgetExceededError)]
    assert (len(server.calls()), len(refused)) == (4, 8)
    assert len(made(db)) == 4
    assert {row["task"] for row in made(db)} == {"vision"}
    assert spent(db) == DOLLAR
    assert_sound(db)


async def test_a_used_up_budget_stops_the_cloud_and_not_what_is_free(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", Reply("A cat."))
    router = open_router(vision_config(server, db, budgets={"task:vision": "0"}))
    result = await router.ainvoke(looking())
    assert [row["provider"] for row in result["attempts"]] == ["ollama_vision"]
    assert [(row["provider"], row["code"]) for row in result["skipped"]] == [
        ("dashscope_vision", "budget"),
        ("dashscope_vision_thinking", "budget"),
    ]
    assert server.calls("dashscope") == ()


@pytest.mark.parametrize("size", [(64, 64), (640, 200), (3000, 2000)])
async def test_the_reservation_follows_from_the_size_before_the_call(
    server: LoopbackServer, db: Path, size: tuple[int, int]
) -> None:
    server.always("dashscope", DIME)
    await open_router(vision_config(server, db)).ainvoke(looking(drawn(*size)))
    (row,) = rows(db)
    image = qwen_image_tokens(INSTRUCT, ImageSize(*size), high_resolution=True)
    prompt = len("What is this?") + PER_MESSAGE + PER_REQUEST + image
    assert row["hold_nano_usd"] == 200 * prompt + 800 * 4096
    assert row["cost_nano_usd"] == 200 * 100 + 800


async def test_an_image_at_an_address_takes_the_most_and_only_who_can_fetch_it(
    server: LoopbackServer, db: Path
) -> None:
    server.always("dashscope", DIME)
    part = {"type": "image", "url": "https://example.com/cat.png"}
    asked = {"messages": [HumanMessage([part])], "task": "vision"}
    router = open_router(vision_config(server, db))
    result = await router.ainvoke(asked)
    assert result["messages"][-1].text == "A cat."
    (row,) = rows(db)
    assert row["hold_nano_usd"] == 200 * (16_386 + PER_MESSAGE + PER_REQUEST) + 800 * 4096
    with pytest.raises(NoProviderError) as refused:
        await router.ainvoke({**asked, "sensitivity": "pii"})
    skipped = {row["provider"]: row["reason"] for row in refused.value.skipped}
    assert "not at an address" in skipped["ollama_vision"]
    assert "not at an address" in skipped["ocr"]


REFUSALS = [
    Fault.status(403),
    Fault.status(403, error_code="AccessDenied"),
    Fault.status(403, error_code="AccessDenied.Unpurchased"),
    Fault.status(403, error_code="AllocationQuota.FreeTierOnly"),
    Fault.status(429, error_code="AllocationQuota.FreeTierOnly"),
    Fault.status(400, error_code="Arrearage"),
    Fault.stream_error(Reply(), after_chunks=0, error_code="AccessDenied.Unpurchased"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda one: f"{one.kind}-{one.error_code}")
async def test_a_refused_model_hands_over_to_the_one_that_thinks_and_is_not_asked_again(
    server: LoopbackServer, db: Path, refusal: Fault
) -> None:
    server.script("dashscope", refusal, model=INSTRUCT)
    server.always("dashscope", DIME, model=THINKING)
    now = [datetime(2026, 11, 24, 12, tzinfo=UTC)]
    config = vision_config(server, db, health={"verdict_s": 600})
    router = open_router(config, clock=lambda: now[0])

    first = await router.ainvoke(looking())
    again = await router.ainvoke(looking())

    asked = [call.body["model"] for call in server.calls("dashscope")]
    assert asked == [INSTRUCT, THINKING, THINKING]
    parameters = server.calls("dashscope")[1].body["parameters"]
    assert (parameters["enable_thinking"], parameters["thinking_budget"]) == (True, 4096)
    assert "enable_thinking" not in server.calls("dashscope")[0].body["parameters"]
    assert [row["status"] for row in first["attempts"]] == ["failed", "answered"]
    assert again["skipped"][0]["code"] == "verdict"
    assert [(row["model"], row["cost_nano_usd"]) for row in rows(db)] == [
        (INSTRUCT, 0),
        (THINKING, 22_400),
        (THINKING, 22_400),
    ]

    now[0] += timedelta(seconds=601)
    server.script("dashscope", DIME, model=INSTRUCT)
    await router.ainvoke(looking())
    assert server.calls("dashscope")[-1].body["model"] == INSTRUCT


@pytest.mark.parametrize("sensitivity", sorted(LOCAL_ONLY))
async def test_sensitive_images_are_shown_to_local_providers_only(
    server: LoopbackServer, db: Path, sensitivity: str
) -> None:
    server.script("ollama", Reply("A cat."), Fault.status(404))
    router = open_router(vision_config(server, db))
    for answer in ("A cat.", f"Invoice 2024-0815\n\n{MARKER}"):
        result = await router.ainvoke(looking(sensitivity=sensitivity))
        assert result["messages"][-1].text == answer
    assert {call.protocol for call in server.journal} == {"ollama"}
    assert {row["provider"] for row in made(db)} == {"ollama_vision", "ocr"}


async def test_the_whole_chain_ends_in_text_recognition_and_each_attempt_has_a_row(
    server: LoopbackServer, db: Path
) -> None:
    server.script("dashscope", Fault.status(403), Fault.status(403))
    server.script("ollama", Fault.status(404))
    result = await open_router(vision_config(server, db)).ainvoke(looking())
    answer = result["messages"][-1]
    assert answer.text == f"Invoice 2024-0815\n\n{MARKER}"
    assert answer.response_metadata["ocr"] is True
    assert [line["text"] for line in answer.response_metadata["lines"]]
    providers = [spec.name for spec in VISION_PROVIDERS]
    assert [row["provider"] for row in rows(db)] == providers
    assert [row["provider"] for row in result["attempts"]] == providers
    assert Counter(row["cost_nano_usd"] for row in rows(db)) == {0: 4}
    assert rows(db)[0]["hold_nano_usd"] > 0
    assert_sound(db)


async def test_a_picture_that_one_provider_cannot_take_goes_to_the_next(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", Reply("A cat."))
    result = await open_router(vision_config(server, db)).ainvoke(looking(drawn(kind="GIF")))
    assert [(row["provider"], row["reason"]) for row in result["attempts"][:2]] == [
        (name, "DashScope takes no GIF images; convert it (image_part(..., shrink=True))")
        for name in ("dashscope_vision", "dashscope_vision_thinking")
    ]
    assert result["attempts"][2]["provider"] == "ollama_vision"
    assert {call.protocol for call in server.journal} == {"ollama"}
    assert [row["cost_basis"] for row in rows(db)] == ["none", "none", "reported"]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_image_arrives_in_whichever_form_it_is_given(
    server: LoopbackServer, db: Path, kind: str
) -> None:
    server.always(kind, DIME)  # type: ignore[arg-type]
    data, address = base64.b64encode(PAGE).decode(), uri(PAGE)
    router = open_router(make_config(server, db, providers=[provider(server, kind, images=True)]))
    for part in (
        {"type": "image_url", "image_url": {"url": address}},
        {"type": "image_url", "image_url": address},
        {"type": "image", "url": address},
        {"type": "image", "base64": data, "mime_type": "image/png"},
        {"type": "image", "source_type": "base64", "data": data, "mime_type": "image/png"},
        {"type": "input_image", "image_url": address},
        {"type": "media", "mime_type": "image/png", "data": data},
        {"type": "file", "mime_type": "image/png", "base64": data},
        {"image": address},
        {"type": "file", "file": {"file_data": address, "filename": "page.png"}},
        {"type": "file", "file": {"file_data": data, "filename": "page.png"}},
        {"type": "input_file", "file_data": address},
    ):
        await router.ainvoke({"messages": [HumanMessage([part])]})
    sent = [call.body.get("messages") or call.body["input"]["messages"] for call in server.calls()]
    assert [data in json.dumps(messages) for messages in sent] == [True] * 12
    assert "file" not in json.dumps(sent[9:])


async def test_an_image_that_is_given_as_a_file_is_reserved_and_kept_private_as_an_image(
    server: LoopbackServer, db: Path
) -> None:
    server.always("dashscope", DIME)
    router = open_router(vision_config(server, db))
    part = {"type": "file", "file": {"file_data": uri(PAGE), "filename": "page.png"}}
    for image in (image_part(PAGE), part):
        message = HumanMessage([{"type": "text", "text": "What is this?"}, image])
        await router.ainvoke({"messages": [message], "task": "vision"})
    holds = [row["hold_nano_usd"] for row in rows(db)]
    assert holds == [holds[0]] * 2
    chain = [provider(server, "ollama", images=False)]
    blind = open_router(make_config(server, db, providers=chain))
    with pytest.raises(NoProviderError) as refused:
        await blind.ainvoke({"messages": [HumanMessage([part])], "sensitivity": "pii"})
    assert "image" in refused.value.skipped[0]["reason"]
    assert server.calls("ollama") == ()


async def test_a_part_of_another_sort_goes_to_who_takes_it(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("Bells."))
    chain = [provider(server, kind) for kind in ("dashscope", "openai")]
    sound = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
    result = await open_router(make_config(server, db, providers=chain)).ainvoke(
        {"messages": [HumanMessage([sound])]}
    )
    assert result["messages"][-1].text == "Bells."
    assert [call.protocol for call in server.calls()] == ["openai"]
    assert rows(db)[0]["cost_nano_usd"] == 0


def uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


HOSTILE: list[tuple[Any, str]] = [
    (uri(bomb()), "more than 89,478,485 pixels"),
    (uri(b""), "must be an https:// address"),
    ("data:image/png;base64,####", "not valid base64"),
    ("data:text/html;base64,aGk=", "must be an https:// address"),
    ("file:///etc/passwd", "must be an https:// address"),
    ("/etc/passwd", "must be an https:// address"),
    ("http://169.254.169.254/latest", "must be an https:// address"),
    (Path("/etc/passwd"), "must be an https:// address"),
    (PAGE, "must be an https:// address"),
]


@pytest.mark.parametrize(("value", "complaint"), HOSTILE, ids=[str(row[0])[:40] for row in HOSTILE])
async def test_a_hostile_image_is_refused_in_one_line_and_nobody_is_asked(
    server: LoopbackServer, db: Path, value: Any, complaint: str
) -> None:
    router = open_router(vision_config(server, db))
    for part in (
        {"type": "image_url", "image_url": {"url": value}},
        {"image": value},
        {"type": "input_image", "image_url": value},
        {"image_url": {"url": value}},
    ):
        with pytest.raises(InvalidRequestError, match=complaint) as refused:
            await router.ainvoke({"messages": [HumanMessage([part])], "task": "vision"})
        assert "\n" not in str(refused.value)
        assert str(refused.value).startswith("messages[0].content[0]: ")
    assert server.journal == ()
    assert not db.is_file() or rows(db) == []  # noqa: ASYNC240  a moment, at the end


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ({"file_data": uri(bomb())}, "more than 89,478,485 pixels"),
        ({"file_data": "data:image/png;base64,####"}, "not valid base64"),
        ({"file_data": "/etc/passwd", "filename": "a.png"}, "not valid base64"),
        ({"file_data": "data:text/html;base64,aGk=", "filename": "a.png"}, "must be an https://"),
        ({"file_data": PAGE, "filename": "a.png"}, "must be an https:// address"),
        ({"file_data": "DATA:IMAGE/PNG;base64,aGk="}, "must be an https:// address"),
        ({"file_url": "file:///etc/a.png"}, "must be an https:// address"),
    ],
)
async def test_a_hostile_image_in_a_file_is_refused_in_one_line_and_nobody_is_asked(
    server: LoopbackServer, db: Path, file: dict[str, Any], complaint: str
) -> None:
    router = open_router(vision_config(server, db))
    for part in ({"type": "file", "file": file}, {"type": "input_file", **file}):
        with pytest.raises(InvalidRequestError, match=complaint) as refused:
            await router.ainvoke({"messages": [HumanMessage([part])], "task": "vision"})
        assert "\n" not in str(refused.value)
        assert str(refused.value).startswith("messages[0].content[0]: ")
    assert server.journal == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["{path}", "file://{path}"])
@pytest.mark.parametrize("images", [False, True])
async def test_a_text_that_is_a_path_is_sent_as_that_text_and_nothing_else(
    server: LoopbackServer, db: Path, tmp_path: Path, kind: str, form: str, images: bool
) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(PAGE)
    text = form.format(path=path)
    server.always(kind, DIME)  # type: ignore[arg-type]
    row = provider(server, kind, images=images)
    router = open_router(make_config(server, db, providers=[row]))
    for content in (text, [{"type": "text", "text": text}]):
        message = HumanMessage(content)  # type: ignore[arg-type]
        await router.ainvoke({"messages": [message], "task": "chat"})
    assert len(server.journal) == 2
    for call in server.journal:
        sent = call.body.get("messages") or call.body["input"]["messages"]
        (only,) = sent
        content = only["content"]
        said = content if isinstance(content, str) else "".join(part["text"] for part in content)
        # The client of Ollama puts a line break before each part of a list.
        assert said.removeprefix("\n") == text
        assert not only.get("images")
