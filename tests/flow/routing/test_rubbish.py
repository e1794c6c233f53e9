"""Requests that are wrong: one line that says so, and nothing else happens."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from aegis_graph import RouterConfig, create_router
from aegis_graph.errors import InvalidRequestError
from aegis_graph.testing import LoopbackServer, Reply

PNG = base64.b64encode(b"\x89PNG and so on").decode()
HELLO = [HumanMessage("hello")]


@pytest.fixture
def router(server: LoopbackServer, db: Path) -> Any:
    row = {"name": "llm", "kind": "openai", "model": "m", "location": "local", "images": True}
    price = {"input_usd_per_mtok": "2", "output_usd_per_mtok": "10"}
    chain = [{**row, "base_url": server.openai_url, "price": price}]
    config = {"ledger": {"url": f"sqlite:///{db}"}, "budgets": [], "providers": chain}
    server.always("openai", Reply("It is."))
    return create_router(RouterConfig.model_validate(config), environ={})


def untouched(db: Path) -> bool:
    """Whether the ledger was not even opened."""
    return not db.exists()


async def refusal(router: Any, server: LoopbackServer, db: Path, **given: Any) -> str:
    """What the request is refused with, after making sure that nothing else came of it."""
    with pytest.raises(InvalidRequestError) as caught:
        await router.ainvoke(given)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    assert server.calls() == ()
    assert untouched(db)
    return text


def image(address: Any) -> list[HumanMessage]:
    return [HumanMessage([{"type": "image_url", "image_url": address}])]


@pytest.mark.parametrize("messages", [[], None])
async def test_no_messages(
    router: Any, server: LoopbackServer, db: Path, messages: list[Any] | None
) -> None:
    given = {} if messages is None else {"messages": messages}
    text = await refusal(router, server, db, task="chat", **given)
    assert text == "messages: empty; give at least one message"


@pytest.mark.parametrize(
    "value", ["", "a b", "é", "x" * 81, "chat\n", "a;b", 7, True, [], {}, ["chat"]]
)
async def test_a_task_that_is_no_name(
    router: Any, server: LoopbackServer, db: Path, value: object
) -> None:
    text = await refusal(router, server, db, messages=HELLO, task=value)
    assert text == f"task: {value!r} is no name of 1 to 80 letters, digits and any of - _ . /"


@pytest.mark.parametrize("value", ["secret", "PII", "", 0, False, [], ["pii"]])
async def test_an_unknown_sensitivity_is_never_taken_for_a_lower_one(
    router: Any, server: LoopbackServer, db: Path, value: object
) -> None:
    text = await refusal(router, server, db, messages=HELLO, sensitivity=value)
    assert text.startswith(f"sensitivity: {value!r} is unknown; use one of public, internal")


@pytest.mark.parametrize("value", ["", "x" * 201, "a\nb", "a\0b", "\ud800", 0, 7, b"ada", ["ada"]])
async def test_a_user_id_that_is_no_name(
    router: Any, server: LoopbackServer, db: Path, value: object
) -> None:
    text = await refusal(router, server, db, messages=HELLO, user_id=value)
    assert text == "user_id: must be printable text of 1 to 200 characters"


@pytest.mark.parametrize("value", ["", "x" * 201, "a\nb", "a\0b", "\ud800", 0, 7, b"run", ["run"]])
async def test_a_run_id_that_is_no_name(
    router: Any, server: LoopbackServer, db: Path, value: object
) -> None:
    text = await refusal(router, server, db, messages=HELLO, run_id=value)
    assert text == "run_id: must be printable text of 1 to 200 characters"


@pytest.mark.parametrize(
    "value", ["", "x", "-1", -0.01, "NaN", "inf", float("inf"), True, False, b"1", ["1"], "1e10"]
)
async def test_an_envelope_that_is_no_amount_of_money(
    router: Any, server: LoopbackServer, db: Path, value: object
) -> None:
    text = await refusal(router, server, db, messages=HELLO, run_id="r", max_cost_usd=value)
    assert text == f"max_cost_usd: {value!r} is not an amount in USD from 0 to 1,000,000,000"


async def test_an_envelope_of_no_run(router: Any, server: LoopbackServer, db: Path) -> None:
    text = await refusal(router, server, db, messages=HELLO, max_cost_usd="1")
    assert text == "max_cost_usd: needs a run_id, whose requests share it"


@pytest.mark.parametrize("value", [0, -1, True, False, "x", "5", 1.5, [5], 10**9])
async def test_an_output_cap_that_is_no_number_of_tokens(
    router: Any, server: LoopbackServer, db: Path, value: object
) -> None:
    text = await refusal(router, server, db, messages=HELLO, max_output_tokens=value)
    assert text.startswith("max_output_tokens: ")


async def test_a_prompt_of_ten_megabytes(router: Any, server: LoopbackServer, db: Path) -> None:
    text = await refusal(router, server, db, messages=[HumanMessage("x" * 10_000_000)])
    assert text == "messages: 10,000,000 bytes of text; at most 8,000,000 can be asked"
    parts: list[Any] = [{"type": "text", "text": "ä" * 1_000_000}] * 5
    text = await refusal(router, server, db, messages=[HumanMessage(parts)])
    assert text.startswith("messages: 10,000,000 bytes")


@pytest.mark.parametrize(
    "messages",
    [
        [HumanMessage("half a character: \ud83d")],
        [HumanMessage(["\udc80"])],
        [HumanMessage([{"type": "text", "text": "\udfff"}])],
    ],
)
async def test_text_that_no_wire_can_carry(
    router: Any, server: LoopbackServer, db: Path, messages: list[Any]
) -> None:
    text = await refusal(router, server, db, messages=messages)
    assert text == "messages[0].content[0]: not valid Unicode text"


@pytest.mark.parametrize(
    "address",
    [
        "/etc/passwd",
        "etc/passwd",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "ftp://example.org/a.png",
        "oss://bucket/a.png",
        "https:/etc/passwd",
        " https://example.org/a.png",
        "data:text/html;base64,aGk=",
        "data:image/png,plain",
        "data:image/png;base64,",
        "",
    ],
)
@pytest.mark.parametrize("form", ["plain", "openai", "langchain", "dashscope"])
async def test_an_image_that_is_neither_https_nor_inline(
    router: Any, server: LoopbackServer, db: Path, address: str, form: str
) -> None:
    part: Any = {
        "plain": {"type": "image_url", "image_url": address},
        "openai": {"type": "image_url", "image_url": {"url": address}},
        "langchain": {"type": "image", "url": address},
        "dashscope": {"image": address},
    }[form]
    message = HumanMessage([{"type": "text", "text": "What is it?"}, part])
    text = await refusal(router, server, db, messages=[*HELLO, message])
    assert text == (
        "messages[1].content[1]: an image must be an https:// address or"
        " data:image/...;base64, data"
    )


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": "data:image/png;base64,not base64!"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}x"}},
        {"type": "image", "base64": "a", "mime_type": "image/png"},
        {"type": "image", "source_type": "base64", "data": "ä", "mime_type": "image/png"},
    ],
)
async def test_an_image_that_is_broken_base64(
    router: Any, server: LoopbackServer, db: Path, part: dict[str, Any]
) -> None:
    text = await refusal(router, server, db, messages=[HumanMessage([part])])
    assert text == "messages[0].content[0]: the image is not valid base64"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": 7},
        {"type": "image_url", "image_url": {"url": ["https://a"]}},
        {"type": "image_url", "image_url": {"file": "/etc/passwd"}},
        {"type": "image_url", "image_url": "https://a", "image": "/etc/passwd"},
        {"type": "image", "url": "https://a", "image_url": {"url": "file:///etc/passwd"}},
        {"type": "image", "url": "/etc/passwd", "base64": PNG, "mime_type": "image/png"},
        {"type": "image", "base64": PNG, "url": "/etc/passwd", "mime_type": "image/png"},
        {"image": {"url": "/etc/passwd"}},
    ],
)
async def test_an_image_without_a_sound_address_or_with_another_one_beside_it(
    router: Any, server: LoopbackServer, db: Path, part: dict[str, Any]
) -> None:
    text = await refusal(router, server, db, messages=[HumanMessage([part])])
    assert text.startswith("messages[0].content[0]: an image must be")


@pytest.mark.parametrize("kind", [AIMessage, lambda c: ToolMessage(c, tool_call_id="1")])
async def test_an_image_is_checked_whoever_sent_it(
    router: Any, server: LoopbackServer, db: Path, kind: Any
) -> None:
    message = kind([{"type": "image_url", "image_url": {"url": "/etc/passwd"}}])
    text = await refusal(router, server, db, messages=[message])
    assert text.startswith("messages[0].content[0]: an image must be")


@pytest.mark.parametrize("thread", ["\ud800", "x" * 10_000])
async def test_a_thread_id_that_cannot_be_kept(
    router: Any, server: LoopbackServer, db: Path, thread: str
) -> None:
    with pytest.raises(InvalidRequestError, match=r"^thread_id: "):
        await router.ainvoke({"messages": HELLO}, {"configurable": {"thread_id": thread}})
    assert server.calls() == ()
    assert untouched(db)


@pytest.mark.parametrize(
    "messages", [[42], [None], 42, [{"role": "user"}], [("alien", "x")], [b"x"]]
)
async def test_messages_that_are_no_messages(
    router: Any, server: LoopbackServer, db: Path, messages: Any
) -> None:
    assert (await refusal(router, server, db, messages=messages)).startswith("messages")


@pytest.mark.parametrize(
    "address",
    ["https://example.org/a.png", f"data:image/png;base64,{PNG}", f"data:image/jpeg;base64,{PNG}"],
)
async def test_a_sound_image_is_asked(router: Any, server: LoopbackServer, address: str) -> None:
    await router.ainvoke({"messages": image({"url": address})})
    assert len(server.calls()) == 1


async def test_after_rubbish_a_good_request_is_answered(
    router: Any, server: LoopbackServer
) -> None:
    with pytest.raises(InvalidRequestError):
        await router.ainvoke({"messages": []})
    answer = await router.ainvoke({"messages": HELLO})
    assert answer["messages"][-1].text == "It is."
    assert len(answer["attempts"]) == len(server.calls()) == 1
