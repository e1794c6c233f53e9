"""Answers in a schema: asked for as each provider can, judged in the attempt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel, Field, RootModel, field_validator
from typing_extensions import TypedDict

from aegis_graph import RoutedChatModel
from aegis_graph.chat.output_schema import answer_schema
from aegis_graph.errors import AllProvidersFailedError, InvalidRequestError, RoutingError
from aegis_graph.request.structured import schema_name
from aegis_graph.testing import Fault, LoopbackServer, RawReply, Received, Reply
from tests.flow.answer_wires import OPENAI_KINDS, suspect
from tests.flow.support import (
    KINDS,
    assert_one_row_per_call,
    assert_sound,
    make_config,
    open_router,
    provider,
    rows,
)

METHODS = ("json_schema", "json_mode", "tool", "prompt")


class City(BaseModel):
    """A city."""

    name: str = Field(description="Its name in English.")
    people: int

    @field_validator("name")
    @classmethod
    def _is_written_large(cls, name: str) -> str:
        if not name[:1].isupper():
            raise ValueError("the name must be written large, not " + name)
        return name


class CityRow(TypedDict):
    """A city."""

    name: str
    people: int


PARIS: dict[str, Any] = {"name": "Paris", "people": 2_100_000}


def said(value: object) -> Reply:
    return Reply(value if isinstance(value, str) else json.dumps(value))


def called(arguments: dict[str, Any], name: str = "City") -> Reply:
    return Reply("", tool_calls=({"name": name, "args": arguments},))


def routed(server: LoopbackServer, db: Path, *chain: Any, **fields: Any) -> RoutedChatModel:
    specs = [provider(server, row) if isinstance(row, str) else row for row in chain or KINDS]
    return RoutedChatModel(router=open_router(make_config(server, db, providers=specs)), **fields)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_is_asked_in_its_own_form(
    server: LoopbackServer, db: Path, kind: Any, method: str
) -> None:
    server.script(kind, called(PARIS) if method == "tool" else said(PARIS))
    model = routed(server, db, provider(server, kind, structured=method))
    answer = await model.with_structured_output(City).ainvoke("Which city?")
    assert answer == City(**PARIS)
    (call,) = server.calls()
    _check_form(call, method)


def _check_form(call: Received, method: str) -> None:
    body = {**call.body, **call.body.get("parameters", {})}
    asked = body.get("format") or body.get("response_format")
    shown = json.dumps(call.body)
    assert "people" in shown
    if method == "tool":
        assert body["tools"][0]["function"]["name"] == "City"
        assert asked is None
    elif method == "prompt":
        assert asked is None
        assert "JSON Schema" in shown
    elif method == "json_mode":
        assert asked in ("json", {"type": "json_object"})
        assert "JSON Schema" in shown
    else:
        assert "people" in json.dumps(asked)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (City, City(**PARIS)),
        (CityRow, PARIS),
        (City.model_json_schema(), PARIS),
    ],
    ids=["pydantic", "typed dict", "json schema"],
)
async def test_a_schema_may_be_a_model_a_typed_dict_or_json(
    server: LoopbackServer, db: Path, schema: Any, expected: object
) -> None:
    server.always("ollama", said(PARIS))
    model = routed(server, db, "ollama").with_structured_output(schema)
    assert await model.ainvoke("Which city?") == expected
    assert model.invoke("Which city?") == expected
    assert [piece async for piece in model.astream("Which city?")] == [expected]
    assert list(model.stream("Which city?")) == [expected]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"name": "Paris"}', "people breaks 'missing'"),
        ('{"name": "Paris", "people": "many"}', "people breaks 'int_parsing'"),
        ('{"name": "paris", "people": 1}', "name breaks 'value_error'"),
        ("It is Paris, Sir.", "the answer is not JSON"),
    ],
)
async def test_an_answer_that_does_not_fit_is_a_failed_attempt(
    server: LoopbackServer, db: Path, text: str, why: str
) -> None:
    server.script("openai", Reply(text), model="gpt-4o")
    server.script("dashscope", said(PARIS))
    chain = [provider(server, "openai", structured="json_schema"), "dashscope"]
    model = routed(server, db, *chain).with_structured_output(City, include_raw=True)
    answer = await model.ainvoke("Which city?")
    assert answer["parsed"] == City(**PARIS)
    assert answer["parsing_error"] is None
    first, second = answer["raw"].response_metadata["attempts"]
    assert (first["error_type"], second["status"]) == ("UnfitAnswerError", "answered")
    assert first["reason"] == f"City: {why}"
    # Its tokens were counted by the provider, and are paid for.
    assert rows(db)[0]["cost_basis"] == "reported"
    assert rows(db)[0]["cost_nano_usd"] > 0
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


@pytest.mark.parametrize(
    "schema", [CityRow, City.model_json_schema()], ids=["typed dict", "json schema"]
)
@pytest.mark.parametrize(
    ("value", "why"),
    [({"name": "Paris"}, "the whole breaks 'required'"), ({**PARIS, "people": "many"}, "type")],
)
async def test_a_schema_without_a_class_is_kept_to_as_well(
    server: LoopbackServer, db: Path, schema: Any, value: Any, why: str
) -> None:
    server.script("ollama", said(value))
    server.script("dashscope", called(PARIS, schema_name(answer_schema(schema).json_schema)))
    model = routed(server, db, "ollama", "dashscope").with_structured_output(schema)
    assert await model.ainvoke("Which city?") == PARIS
    first, _ = rows(db)
    assert (first["provider"], first["error_type"]) == ("ollama", "UnfitAnswerError")
    server.always("ollama", said(value))
    server.always("dashscope", said(value))
    with pytest.raises(AllProvidersFailedError, match=why):
        await model.ainvoke("Which city?")


async def test_the_error_at_the_end_carries_what_was_wrong_with_each(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", said({"name": "Paris"}))
    server.script("dashscope", said("secret words of an answer"))
    server.script("openai", called({"name": "Paris", "people": None}))
    with pytest.raises(AllProvidersFailedError) as caught:
        await routed(server, db).with_structured_output(City).ainvoke("Which city?")
    text = str(caught.value)
    assert "City: people breaks 'missing'" in text
    assert "City: the answer is not JSON" in text
    assert "City: people breaks 'int_type'" in text
    assert "secret words" not in text
    assert_sound(db)


@pytest.mark.parametrize("fence", ["{}", "```json\n{}\n```", "So:\n```\n{}\n```\nThat is all."])
@pytest.mark.parametrize(
    "name", ['A\n```json\n{"name": "B", "people": 1}\n```', "A ``` x = {1} ``` B"]
)
async def test_a_fence_in_a_text_is_part_of_that_text(
    server: LoopbackServer, db: Path, fence: str, name: str
) -> None:
    value: dict[str, Any] = {"name": name, "people": 7}
    server.script("ollama", Reply(fence.replace("{}", json.dumps(value))))
    model = routed(server, db, "ollama").with_structured_output(City)
    assert await model.ainvoke("Which city?") == City.model_validate(value)


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"name": "Paris", "people": 2100000}\n```',
        "Here you are: {'name': 'Paris', 'people': 2100000,}",
        '{"name": "Paris", "people": 2100000',
    ],
)
async def test_slightly_broken_json_is_repaired(
    server: LoopbackServer, db: Path, text: str
) -> None:
    server.script("ollama", Reply(text))
    model = routed(server, db, "ollama").with_structured_output(City)
    assert await model.ainvoke("Which city?") == City(**PARIS)


@pytest.mark.parametrize(
    "rubbish", ["[" * 20_000, "{" * 5_000, '{"name": ' * 900 + "1" + "}" * 900]
)
async def test_brackets_nested_beyond_all_bounds_are_a_failed_attempt(
    server: LoopbackServer, db: Path, rubbish: str
) -> None:
    server.script("ollama", said(rubbish))
    server.script("openai", said(PARIS))
    model = routed(server, db, "ollama", "openai").with_structured_output(City)
    assert await model.ainvoke("Which city?") == City(**PARIS)
    assert [row["error_type"] for row in rows(db)] == ["UnfitAnswerError", None]
    assert_one_row_per_call(db, server.calls())


@pytest.mark.parametrize("method", ["json_mode", "tool"])
@pytest.mark.parametrize("kind", KINDS)
async def test_half_a_value_does_not_pass_for_a_whole_one(
    server: LoopbackServer, db: Path, kind: Any, method: str
) -> None:
    class Note(BaseModel):
        text: str

    server.script(kind, Reply('{"text": "Stop before you', finish_reason="length"))
    model = routed(server, db, provider(server, kind, structured=method))
    with pytest.raises(AllProvidersFailedError, match="Note: the output cap cut the answer off"):
        await model.with_structured_output(Note).ainvoke("Which city?")


async def test_whoever_answers_the_message_has_the_same_form(
    server: LoopbackServer, db: Path
) -> None:
    for kind in KINDS:
        server.script(kind, said(PARIS) if kind == "ollama" else called(PARIS))
        model = routed(server, db, kind).with_structured_output(City, include_raw=True)
        raw = (await model.ainvoke("Which city?"))["raw"]
        assert isinstance(raw, AIMessage)
        assert (json.loads(raw.text), raw.tool_calls) == (PARIS, [])
        assert raw.additional_kwargs["parsed"] == PARIS


async def test_a_provider_that_knows_no_schema_is_skipped_with_the_reason(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", said(PARIS))
    quoting = {"name": "quotes", "kind": "extractive", "model": "best-sentences"}
    chain = [{**quoting, "location": "local", "price": "free"}, "ollama"]
    model = routed(server, db, *chain).with_structured_output(City, include_raw=True)
    raw = (await model.ainvoke("Which city?"))["raw"]
    (skipped,) = raw.response_metadata["skipped"]
    assert (skipped["provider"], skipped["code"]) == ("quotes", "schema")


async def test_a_model_that_cannot_take_the_form_is_passed_over(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Fault.status(400))
    server.script("dashscope", called(PARIS))
    model = routed(server, db, "ollama", "dashscope").with_structured_output(City)
    assert await model.ainvoke("Which city?") == City(**PARIS)


async def test_a_thinking_model_is_told_in_words(server: LoopbackServer, db: Path) -> None:
    server.script("dashscope", said(PARIS))
    thinking = provider(server, "dashscope", thinking=True)
    model = routed(server, db, thinking).with_structured_output(City)
    assert await model.ainvoke("Which city?") == City(**PARIS)
    (call,) = server.calls()
    assert call.body["parameters"]["enable_thinking"] is True
    assert not {"tools", "tool_choice", "response_format"} & set(call.body["parameters"])


class Cities(RootModel[list[City]]):
    """A list at its root."""


class Talking(BaseModel):
    """Nothing that JSON has."""

    ask: Callable[[str], str]


@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ("City", "is none, but 'str'; give a pydantic model"),
        (None, "is none, but 'NoneType'; give a pydantic model"),
        (dict, "is none: .*; give a pydantic model"),
        (list[int], "is none: .*; give a pydantic model"),
        (Talking, "is none: .*Talking.*; give a pydantic model"),
        (Cities, 'its root is "array"; put it under a property'),
        ({"type": "array", "title": "Cities"}, 'its root is "array"; put it under a property'),
        ({"type": "array"}, 'its root is "array"; put it under a property'),
        ({"type": ["object", "null"]}, r'its root is \["object", "null"\]; put it under a prop'),
        ({"title": "City"}, "its root has no type"),
        ({"type": 5}, "type breaks 'anyOf'"),
        ({"type": "object", "properties": []}, "properties breaks 'type'"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1/s"}}}, ".*put it under"),
        ({"name": "City", "input_schema": 3}, "is none: .*; give a pydantic model"),
        ({"name": "City", "parameters": {"type": "array"}}, "its root"),
    ],
)
def test_what_is_no_schema_is_refused_when_it_is_bound(
    server: LoopbackServer, db: Path, schema: Any, fault: str, strict: bool | None
) -> None:
    model = routed(server, db)
    with pytest.raises(InvalidRequestError, match=f"^schema: {fault}") as caught:
        model.with_structured_output(schema, strict=strict)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [True, {"type": "integer"}])
def test_a_strict_schema_of_any_properties_is_refused(
    server: LoopbackServer, db: Path, values: Any
) -> None:
    schema = {"title": "People", "type": "object", "additionalProperties": values}
    with pytest.raises(InvalidRequestError, match=r"^schema: has no properties, and strict"):
        routed(server, db).with_structured_output(schema, strict=True)


@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize(
    "changes",
    [{"title": ...}, {"type": ["object"]}, {"type": ...}, {"name": "City"}],
    ids=["no title", "a list of one type", "no type", "a name"],
)
async def test_a_schema_that_can_only_be_an_object_is_taken(
    server: LoopbackServer, db: Path, changes: dict[str, Any], strict: bool | None
) -> None:
    changed = {**City.model_json_schema(), **changes}
    schema = {key: value for key, value in changed.items() if value is not ...}
    server.always("ollama", said(PARIS))
    model = routed(server, db, "ollama").with_structured_output(schema, strict=strict)
    assert await model.ainvoke("Which city?") == PARIS
    assert server.calls()[0].body["format"]["type"] == "object"


async def test_an_object_of_any_properties_keeps_what_they_must_be(
    server: LoopbackServer, db: Path
) -> None:
    schema = {"title": "People", "type": "object", "additionalProperties": {"type": "integer"}}
    server.script("ollama", said({"Paris": "many"}))
    server.script("openai", called({"Paris": 2_100_000}, "People"))
    model = routed(server, db, "ollama", "openai").with_structured_output(schema)
    assert await model.ainvoke("How many?") == {"Paris": 2_100_000}
    assert [row["error_type"] for row in rows(db)] == ["UnfitAnswerError", None]


REFUSALS: dict[str, Any] = {
    "DeepSeek": {"error": {"message": "This response_format type is unavailable now"}},
    "Groq": {"error": {"message": "This model does not support response format `json_schema`."}},
    "LM Studio": {"error": "'response_format.type' must be 'json_object' or 'text'"},
    "FastAPI": {"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs"}]},
    "OpenAI": {"error": {"message": "Not supported with this model", "param": "response_format"}},
    "llama.cpp": {"error": {"code": 400, "message": "grammar is not supported"}},
}


def refusing_schemas(refusal: Any) -> Callable[[Received], Reply | RawReply]:
    def play(call: Received) -> Reply | RawReply:
        if "response_format" in call.body:
            status = 422 if "detail" in refusal else 400
            return RawReply(status=status, body=json.dumps(refusal).encode())
        return called(PARIS)

    return play


@pytest.mark.parametrize("kind", OPENAI_KINDS)
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_server_that_takes_no_schema_is_asked_by_a_tool_and_remembered(
    server: LoopbackServer, db: Path, refusal: Any, kind: str
) -> None:
    server.always("openai", refusing_schemas(refusal))
    model = routed(server, db, suspect(server, kind)).with_structured_output(City)
    assert await model.ainvoke("Which city?") == City(**PARIS)
    assert await model.ainvoke("Which city?") == City(**PARIS)
    assert ["response_format" in call.body for call in server.calls()] == [True, False, False]
    assert [row["cost_basis"] for row in rows(db)] == ["none", "reported", "reported"]
    assert_sound(db)


async def test_a_server_that_passes_over_a_schema_is_asked_by_a_tool_and_remembered(
    server: LoopbackServer, db: Path
) -> None:
    server.always(
        "openai", lambda call: called(PARIS) if "tools" in call.body else Reply("It is Paris, Sir.")
    )
    model = routed(server, db, "openai").with_structured_output(City)
    assert await model.ainvoke("Which city?") == City(**PARIS)
    assert await model.ainvoke("Which city?") == City(**PARIS)
    assert ["tools" in call.body for call in server.calls()] == [False, True, True]
    assert [row["cost_basis"] for row in rows(db)] == ["reported"] * 3
    assert_sound(db)


@pytest.mark.parametrize(
    "row", [{"structured": "json_schema"}, {"tools": False}], ids=["the row says how", "no tools"]
)
async def test_a_refused_schema_is_asked_for_in_no_form_that_the_row_excludes(
    server: LoopbackServer, db: Path, row: dict[str, Any]
) -> None:
    server.always("openai", refusing_schemas(REFUSALS["DeepSeek"]), model="gpt-4o")
    server.always("ollama", said(PARIS))
    model = routed(server, db, provider(server, "openai", **row), "ollama")
    assert await model.with_structured_output(City).ainvoke("Which city?") == City(**PARIS)
    assert not any(call.body.get("tools") for call in server.calls())


async def test_one_broken_schema_takes_no_other_its_form(server: LoopbackServer, db: Path) -> None:
    broken = {"error": {"message": "Invalid schema for response_format 'City': In context=()"}}
    server.script("openai", RawReply(status=400, body=json.dumps(broken).encode()))
    server.script("openai", said(PARIS))
    model = routed(server, db, "openai").with_structured_output(City)
    with pytest.raises(RoutingError):
        await model.ainvoke("Which city?")
    assert await model.ainvoke("Which city?") == City(**PARIS)
    assert all("response_format" in call.body for call in server.calls())


async def test_a_server_that_refuses_every_form_is_left(server: LoopbackServer, db: Path) -> None:
    refusal = json.dumps(REFUSALS["DeepSeek"]).encode()
    server.always("openai", RawReply(status=400, body=refusal))
    server.always("ollama", said(PARIS))
    model = routed(server, db, "openai", "ollama").with_structured_output(City)
    assert await model.ainvoke("Which city?") == City(**PARIS)
    assert [call.protocol for call in server.calls()] == ["openai", "openai", "ollama"]
