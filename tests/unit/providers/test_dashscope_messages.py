"""LangChain messages to DashScope's wire and back, without a connection."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from aegis_graph.errors import InvalidRequestError, StreamCutError
from aegis_graph.providers.dashscope.images import image_address
from aegis_graph.providers.dashscope.messages import (
    AnswerReader,
    is_multimodal,
    thinking_mode,
    to_wire,
    tool_choice_to_wire,
    usage_from_wire,
)

PIXEL = "data:image/png;base64,iVBORw0KGgo="
ADDRESS = "https://example.com/cat.png"


@pytest.mark.parametrize(
    ("model", "mode"),
    [
        ("qwen-turbo", "optional"),
        ("qwen-plus-latest", "optional"),
        ("qwen-flash", "optional"),
        ("qwen3-32b", "optional"),
        ("qwen3-vl-plus", "optional"),
        ("qwen-max", "never"),
        ("qwen3-vl-30b-a3b-instruct", "never"),
        ("qwen3-coder-plus", "never"),
        ("qwen2.5-72b-instruct", "never"),
        ("qwen3-vl-30b-a3b-thinking", "always"),
        ("qwen3-235b-a22b-thinking-2507", "always"),
    ],
)
def test_thinking_mode_follows_the_model(model: str, mode: str) -> None:
    assert thinking_mode(model) == mode


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("qwen-plus", False),
        ("qwen3-32b", False),
        ("qwen3-vl-plus", True),
        ("qwen-vl-max", True),
        ("qwen3.5-plus", True),
    ],
)
def test_the_path_follows_the_model(model: str, expected: bool) -> None:
    assert is_multimodal(model) is expected


def test_a_text_model_gets_strings_with_the_system_first() -> None:
    rows = to_wire(
        [
            HumanMessage([{"type": "text", "text": "one "}, "two"]),
            SystemMessage("Be brief."),
            ChatMessage(content="never mind", role="user"),
            SystemMessage([{"type": "text", "text": "Be kind."}]),
        ],
        multimodal=False,
    )
    assert rows == [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        {"role": "user", "content": "one two"},
        {"role": "user", "content": "never mind"},
    ]


def test_a_vision_model_gets_parts() -> None:
    image = {"type": "image_url", "image_url": {"url": PIXEL, "detail": "high"}}
    rows = to_wire(
        [SystemMessage("Look."), HumanMessage(["What?", image]), AIMessage("")], multimodal=True
    )
    assert rows == [
        {"role": "system", "content": [{"text": "Look."}]},
        {"role": "user", "content": [{"text": "What?"}, {"image": PIXEL}]},
        {"role": "assistant", "content": [{"text": ""}]},
    ]


def test_tool_calls_keep_foreign_ids_and_have_a_content() -> None:
    call = AIMessage(
        "",
        tool_calls=[{"name": "find", "args": {"q": "Zürich"}, "id": "toolu_01"}],
        invalid_tool_calls=[
            {"name": "find", "args": "{oops", "id": "toolu_02", "error": None, "type": None}
        ],
    )
    rows = to_wire([call, ToolMessage("found", tool_call_id="toolu_01")], multimodal=False)
    assert rows == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "toolu_01",
                    "type": "function",
                    "function": {"name": "find", "arguments": '{"q": "Zürich"}'},
                },
                {
                    "id": "toolu_02",
                    "type": "function",
                    "function": {"name": "find", "arguments": "{oops"},
                },
            ],
        },
        {"role": "tool", "content": "found", "tool_call_id": "toolu_01"},
    ]


def test_reasoning_of_any_provider_stays_out_of_the_history() -> None:
    said = AIMessage(
        [
            {"type": "thinking", "thinking": "hm"},
            {"type": "reasoning", "summary": []},
            {"type": "text", "text": "Yes."},
            {"type": "tool_use", "id": "a", "name": "f", "input": {}},
        ],
        additional_kwargs={"reasoning_content": "hm"},
    )
    assert to_wire([said], multimodal=False) == [{"role": "assistant", "content": "Yes."}]


@pytest.mark.parametrize(
    ("block", "value"),
    [
        ({"type": "image_url", "image_url": {"url": PIXEL}}, PIXEL),
        ({"type": "image_url", "image_url": ADDRESS}, ADDRESS),
        ({"type": "image", "url": ADDRESS, "id": "lc_1"}, ADDRESS),
        ({"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}, PIXEL),
        (
            {
                "type": "image",
                "source_type": "base64",
                "data": "iVBORw0KGgo=",
                "mime_type": "image/png",
            },
            PIXEL,
        ),
        ({"image": PIXEL}, PIXEL),
    ],
)
def test_image_blocks_become_one_value(block: dict[str, Any], value: str) -> None:
    assert image_address(block) == value


@pytest.mark.parametrize(
    "value",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "oss://bucket/key",
        "~/.ssh/id_rsa",
        "http://example.com/cat.png",
        "HTTPS://example.com/cat.png",
        "data:text/plain;base64,AAAA",
        "data:image/png,AAAA",
        "data:image/png;base64,../../etc/passwd",
        "data:image/png;base64,AA\nAA",
        "data:image/../x;base64,AAAA",
        "",
    ],
)
def test_an_image_is_inline_or_at_an_https_address(value: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        to_wire(
            [HumanMessage([{"type": "image_url", "image_url": {"url": value}}])], multimodal=True
        )
    assert not value or value not in str(refused.value)


@pytest.mark.parametrize(
    ("messages", "multimodal"),
    [
        ([], False),
        ([HumanMessage([{"type": "image_url", "image_url": PIXEL}])], False),
        ([SystemMessage([{"type": "image_url", "image_url": PIXEL}])], True),
        ([HumanMessage([{"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}])], True),
        ([HumanMessage([{"type": "video", "url": ADDRESS}])], True),
        ([HumanMessage([{"type": "image", "file_id": "f"}])], True),
        ([RemoveMessage(id="1")], False),
    ],
)
def test_what_the_model_cannot_take_is_refused(
    messages: list[BaseMessage], multimodal: bool
) -> None:
    with pytest.raises(InvalidRequestError):
        to_wire(messages, multimodal=multimodal)


ONE = [{"type": "function", "function": {"name": "find"}}]
TWO = [*ONE, {"type": "function", "function": {"name": "count"}}]
FIND = {"type": "function", "function": {"name": "find"}}


@pytest.mark.parametrize(
    ("choice", "tools", "wire"),
    [
        (None, ONE, None),
        (False, ONE, None),
        ("auto", TWO, "auto"),
        ("none", TWO, "none"),
        ("find", TWO, FIND),
        (FIND, TWO, FIND),
        ("any", ONE, FIND),
        ("required", ONE, FIND),
        (True, ONE, FIND),
    ],
)
def test_tool_choice(choice: Any, tools: list[dict[str, Any]], wire: object) -> None:
    assert tool_choice_to_wire(choice, tools) == wire


@pytest.mark.parametrize("choice", ["any", "required", True, "missing"])
def test_a_choice_that_dashscope_does_not_know_is_refused(choice: Any) -> None:
    with pytest.raises(ValueError, match="tool"):
        tool_choice_to_wire(choice, TWO)


def test_usage_carries_every_detail_and_a_computed_total() -> None:
    assert usage_from_wire(
        {
            "input_tokens": 100,
            "output_tokens": 20,
            "total_tokens": 0,
            "image_tokens": 60,
            "output_tokens_details": {"reasoning_tokens": 12, "text_tokens": 8},
            "prompt_tokens_details": {"cached_tokens": 0, "cache_creation_input_tokens": 7},
        }
    ) == {
        "input_tokens": 100,
        "output_tokens": 20,
        "total_tokens": 120,
        "input_token_details": {"cache_read": 0, "cache_creation": 7, "image": 60},
        "output_token_details": {"reasoning": 12},
    }


def test_image_tokens_are_found_among_the_details_too() -> None:
    usage = usage_from_wire(
        {"input_tokens": 9, "output_tokens": 1, "input_tokens_details": {"image_tokens": 4}}
    )
    assert usage is not None
    assert dict(usage["input_token_details"]) == {"image": 4}


@pytest.mark.parametrize(
    "usage",
    [{}, {"input_tokens": 3}, {"input_tokens": None, "output_tokens": 1}, {"total_tokens": 9}],
)
def test_unknown_usage_is_none_and_not_zero(usage: dict[str, Any]) -> None:
    assert usage_from_wire(usage) is None


def _frame(finish: str = "null", usage: dict[str, Any] | None = None, **delta: Any) -> Any:
    return {
        "request_id": "r-1",
        "choices": [{"finish_reason": finish, "delta": delta}],
        **({"usage": usage} if usage else {}),
    }


def _joined(frames: list[Any], headers: dict[str, str] | None = None) -> AIMessageChunk:
    reader = AnswerReader("qwen-plus")
    chunks = [chunk for frame in frames if (chunk := reader.read(frame)) is not None]
    last = reader.end(headers or {})
    return chunks[0] + [*chunks[1:], last] if chunks else last


def test_an_answer_is_joined_and_only_the_last_usage_counts() -> None:
    answer = _joined(
        [
            _frame(reasoning_content="Hm", usage={"input_tokens": 8, "output_tokens": 1}),
            _frame(reasoning_content="m.", content=None),
            _frame(content="Par", usage={"input_tokens": 8, "output_tokens": 3}),
            _frame(content="is", finish="stop", usage={"input_tokens": 8, "output_tokens": 4}),
        ]
    )
    assert answer.content == "Paris"
    assert answer.additional_kwargs == {"reasoning_content": "Hmm."}
    assert answer.usage_metadata == {"input_tokens": 8, "output_tokens": 4, "total_tokens": 12}
    assert answer.response_metadata == {
        "finish_reason": "stop",
        "model_name": "qwen-plus",
        "model_provider": "dashscope",
        "request_id": "r-1",
    }


def test_tool_call_pieces_are_joined_by_index() -> None:
    def piece(index: int, id_: str, name: str | None, arguments: str) -> dict[str, Any]:
        return {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}

    answer = _joined(
        [
            _frame(tool_calls=[piece(0, "call_a", "find", "")]),
            _frame(tool_calls=[piece(0, "", "", '{"q": ')]),
            _frame(tool_calls=[piece(1, "call_b", "count", '{"n"'), piece(0, "", None, '"x"}')]),
            _frame(tool_calls=[piece(1, "", None, ": 2}")]),
            _frame("tool_calls"),
        ]
    )
    assert [(c["id"], c["name"], c["args"]) for c in answer.tool_calls] == [
        ("call_a", "find", {"q": "x"}),
        ("call_b", "count", {"n": 2}),
    ]


@pytest.mark.parametrize("finish", ["null", "", None])
def test_an_answer_without_a_real_finish_reason_is_cut(finish: Any) -> None:
    with pytest.raises(StreamCutError, match="finish reason"):
        _joined([_frame(finish, content="Par")])


def test_the_partial_response_header_means_cut() -> None:
    with pytest.raises(StreamCutError, match="part"):
        _joined([_frame("stop", content="Par")], {"x-dashscope-partialresponse": "true"})


MARK = {"cache_control": {"type": "ephemeral"}}


def test_a_mark_of_the_cache_is_sent_with_its_part() -> None:
    marked = {"type": "text", "text": "A long document.", **MARK}
    wire = to_wire(
        [
            SystemMessage(content=[marked]),
            HumanMessage(content=[marked, "And?"]),
            AIMessage(content=[marked]),
            HumanMessage("So?"),
        ],
        multimodal=False,
    )
    part = {"text": "A long document.", **MARK}
    assert [row["content"] for row in wire] == [[part], [part, {"text": "And?"}], [part], "So?"]


def test_an_image_keeps_its_mark() -> None:
    block = {"type": "image_url", "image_url": {"url": "https://a.b/c.png"}, **MARK}
    (row,) = to_wire([HumanMessage(content=[block])], multimodal=True)
    assert row["content"] == [{"image": "https://a.b/c.png", **MARK}]
    with pytest.raises(InvalidRequestError, match="no images"):
        to_wire([HumanMessage(content=[block])], multimodal=False)


def test_a_mark_that_is_none_is_not_sent() -> None:
    block = {"type": "text", "text": "Hi", "cache_control": "yes"}
    (row,) = to_wire([HumanMessage(content=[block])], multimodal=False)
    assert row["content"] == "Hi"


def test_what_an_explicit_cache_had_is_told_apart_by_its_price() -> None:
    details = {"cached_tokens": 80, "cache_creation_input_tokens": 10, "cache_type": "ephemeral"}
    counts = {"input_tokens": 100, "output_tokens": 1, "prompt_tokens_details": details}
    usage = usage_from_wire(counts)
    assert usage is not None
    assert dict(usage["input_token_details"]) == {
        "cache_read": 80,
        "cache_creation": 10,
        "explicit_cache_read": 80,
    }
