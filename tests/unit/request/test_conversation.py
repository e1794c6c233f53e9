"""Histories that one provider made and another continues."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from aegis_graph.request.conversation import ID_LENGTH, for_provider

ADD = {"name": "add", "args": {"a": 1, "b": 2}}
IMAGE = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}


def said_by(provider: str | None, content: Any = "", **more: Any) -> AIMessage:
    metadata = {"provider": provider, "model_name": "m", "output_version": "v1"} if provider else {}
    return AIMessage(content=content, response_metadata=metadata, **more)


def call(identifier: str | None, **more: Any) -> Any:
    return {**ADD, "id": identifier, **more}


@pytest.mark.parametrize(
    "message",
    [
        said_by("here", [{"type": "thinking", "thinking": "Hm", "signature": "s"}]),
        said_by("here", "Yes", additional_kwargs={"reasoning_content": "Hm"}),
        said_by("here", tool_calls=[call("any|thing")]),
        HumanMessage("Which city?"),
        HumanMessage([{"type": "text", "text": "What is it?"}, IMAGE]),
        SystemMessage("Be brief."),
    ],
)
def test_what_a_provider_said_itself_and_what_users_say_stays(message: BaseMessage) -> None:
    assert for_provider([message], "here") == [message]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Yes", "Yes"),
        ([{"type": "thinking", "thinking": "Hm", "signature": "s"}], ""),
        ([{"type": "reasoning", "reasoning": "Hm"}, {"type": "text", "text": "Yes"}], "Yes"),
        ([{"type": "text", "text": "Ye"}, {"type": "text", "text": "s"}], "Yes"),
        ([{"type": "tool_use", "id": "x", "name": "add", "input": {}}], ""),
        ([{"type": "redacted_thinking", "data": "…"}, "Yes"], "Yes"),
    ],
)
@pytest.mark.parametrize("speaker", ["there", None])
def test_of_others_only_the_words_are_told(speaker: str | None, content: Any, text: str) -> None:
    kwargs = {"reasoning_content": "Hm", "parsed": {"a": 1}, "refusal": None, "function_call": {}}
    message = said_by(speaker, content, additional_kwargs=kwargs, id="m1")
    (told,) = for_provider([message], "here")
    assert told == AIMessage(content=text, id="m1")


@pytest.mark.parametrize("identifier", ["call|1|" * 20, "toolu_01", "", None, "123"])
def test_identifiers_of_others_become_plain_and_results_follow(identifier: str | None) -> None:
    messages = [
        said_by("there", tool_calls=[call(identifier)]),
        ToolMessage("3", tool_call_id=identifier or ""),
    ]
    asked, result = for_provider(messages, "here")
    assert isinstance(asked, AIMessage)
    assert isinstance(result, ToolMessage)
    new = asked.tool_calls[0]["id"]
    assert new is not None
    assert (len(new), new.isalnum()) == (ID_LENGTH, True)
    assert result.tool_call_id == new
    assert for_provider(messages, "here")[0] == asked


def test_calls_without_identifiers_are_answered_in_turn() -> None:
    messages = [
        said_by("there", tool_calls=[call(None), call(None, name="sub")]),
        ToolMessage("3", tool_call_id=""),
        ToolMessage("-1", tool_call_id=""),
    ]
    asked, first, second = for_provider(messages, "here")
    assert isinstance(asked, AIMessage)
    ids = [one["id"] for one in asked.tool_calls]
    assert len(set(ids)) == 2
    assert [first.tool_call_id, second.tool_call_id] == ids  # type: ignore[attr-defined]


def test_the_same_identifier_in_two_turns_is_told_apart() -> None:
    turn = [said_by("there", tool_calls=[call("call_0")]), ToolMessage("3", tool_call_id="call_0")]
    told = for_provider([*turn, *turn], "here")
    first, second = (one.tool_calls[0]["id"] for one in told if isinstance(one, AIMessage))
    assert first != second
    assert [one.tool_call_id for one in told if isinstance(one, ToolMessage)] == [first, second]


def test_the_results_of_own_calls_keep_their_identifiers() -> None:
    messages = [
        said_by("there", tool_calls=[call("call_0")]),
        ToolMessage("3", tool_call_id="call_0"),
        said_by("here", tool_calls=[call("call_0")]),
        ToolMessage("4", tool_call_id="call_0"),
    ]
    told = for_provider(messages, "here")
    assert told[2:] == messages[2:]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("3", "3"),
        (["3", "4"], "3\n4"),
        ([{"type": "text", "text": "3"}], "3"),
        ([{"type": "json", "json": {"sum": 3}}], '{"type": "json", "json": {"sum": 3}}'),
        ([], ""),
    ],
)
def test_a_result_is_text(content: Any, text: str) -> None:
    messages = [said_by("here", tool_calls=[call("c")]), ToolMessage(content, tool_call_id="c")]
    assert for_provider(messages, "here")[1].content == text


def test_a_result_with_an_image_keeps_it() -> None:
    messages = [said_by("here", tool_calls=[call("c")]), ToolMessage([IMAGE], tool_call_id="c")]
    assert for_provider(messages, "here") == messages


@pytest.mark.parametrize(
    ("arguments", "told"), [('{"a": 1, "b":', {"a": 1, "b": ""}), ("no", {}), (None, {})]
)
def test_a_broken_call_is_told_where_it_was_answered(arguments: Any, told: Any) -> None:
    broken = {"name": "add", "args": arguments, "id": "c", "error": "not JSON"}
    message = said_by("there", invalid_tool_calls=[broken])
    alone = for_provider([message], "here")[0]
    answered = for_provider([message, ToolMessage("fix it", tool_call_id="c")], "here")[0]
    assert isinstance(alone, AIMessage)
    assert isinstance(answered, AIMessage)
    assert (alone.tool_calls, alone.invalid_tool_calls) == ([], [])
    assert [one["args"] for one in answered.tool_calls] == [told]


@pytest.mark.parametrize(
    "message",
    [HumanMessage("Hi", name="Ada <ada>"), said_by("there", "Hi", name="Ada <ada>")],
)
def test_names_are_as_openai_takes_them(message: BaseMessage) -> None:
    assert for_provider([message], "here")[0].name == "Ada_ada_"


def test_the_callers_messages_stay_as_they_are() -> None:
    messages = [
        HumanMessage("Hi", name="Ada Lovelace"),
        said_by("there", ["Hi"], tool_calls=[call("x")], additional_kwargs={"a": 1}),
        ToolMessage(["3"], tool_call_id="x"),
    ]
    before = copy.deepcopy(messages)
    for_provider(messages, "here")
    assert messages == before


MARKED = {"type": "text", "text": "A long document.", "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage([MARKED]),
        SystemMessage([MARKED]),
        AIMessage([MARKED], response_metadata={"provider": "other"}),
        AIMessage([MARKED]),
        ToolMessage([MARKED], tool_call_id="1"),
    ],
    ids=repr,
)
def test_what_asks_for_a_cache_is_kept_whichever_message_it_is_in(message: BaseMessage) -> None:
    (rewritten,) = for_provider([message], "openai")
    assert rewritten.content == [MARKED]


def test_of_a_marked_answer_only_the_words_are_kept() -> None:
    thought = {"type": "thinking", "thinking": "Hm", "signature": "x"}
    (rewritten,) = for_provider([AIMessage([thought, MARKED])], "openai")
    assert rewritten.content == [MARKED]


def test_a_marked_result_keeps_its_other_parts_as_text() -> None:
    (rewritten,) = for_provider([ToolMessage([{"a": 1}, MARKED], tool_call_id="1")], "openai")
    assert rewritten.content == [{"type": "text", "text": '{"a": 1}'}, MARKED]
