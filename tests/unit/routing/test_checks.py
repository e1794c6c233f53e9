"""The checks of this package, and where a router finds those that a file or a program names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from aegis_graph import Request, RouterConfig
from aegis_graph.errors import ConfigError
from aegis_graph.request.structured import PARSED
from aegis_graph.routing.application.checks import accept_checks, has_citations, is_json
from aegis_graph.text.passages import Passage, format_question

CALL: Any = {"name": "look", "args": {}, "id": "1", "type": "tool_call"}


def request(*texts: str) -> Request:
    return Request.from_state({"messages": [HumanMessage(text) for text in texts]}, {})


@pytest.mark.parametrize("text", ['{"a": 1}', "[1, 2]", ' "word"\n', "7", "null", "{}"])
def test_one_json_value_is_json(text: str) -> None:
    assert is_json(request("?"), AIMessage(text)) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "Paris", "{'a': 1}", '{"a": 1', '{"a": 1} and more', '```json\n{"a": 1}\n```'),
        "[" * 5_000 + "]" * 5_000,
    ],
)
def test_all_else_is_not_and_the_next_model_is_told(text: str) -> None:
    refused = is_json(request("?"), AIMessage(text))
    assert refused is not None
    assert refused.tell_model
    assert refused.reason == "the answer is not one JSON value and nothing else"


def test_an_answer_in_a_schema_was_judged_by_its_attempt() -> None:
    assert is_json(request("?"), AIMessage("", additional_kwargs={PARSED: {}})) is None


@pytest.mark.parametrize("check", [is_json, has_citations])
def test_a_call_of_a_tool_is_no_answer_yet(check: Any) -> None:
    asked = request("[1] a\n[2] b")
    assert check(asked, AIMessage("", tool_calls=[CALL])) is None


BLOCK = format_question(
    "Which?", [Passage(source=f"{name}.md", text=f"It is {name} [9].") for name in "abc"]
)
SOME = format_question("Which?", [Passage(source="a.md", text="It is a.")], numbers=[4])
LINES = "[1] The first.\n[2] The second, see [7].\n\nWhich?"


@pytest.mark.parametrize(
    ("prompt", "answer", "problem"),
    [
        (BLOCK, "It is a [1].", None),
        (BLOCK, "It is a [1, 3]. It is b (Source 2).", None),
        (BLOCK, "It is a. It is b [2].", None),
        (BLOCK, "It is a.", "the answer cites no passage"),
        (BLOCK, "", "the answer cites no passage"),
        (BLOCK, "It is a [1]. It is d [4].", "the answer cites [4], which is no passage"),
        (BLOCK, "It is d [9].", "the answer cites [9], which is no passage"),
        (BLOCK, "It is a [0].", "the answer cites [0], which is no passage"),
        (BLOCK, "<think>[7]?</think> It is a [1].", None),
        (BLOCK, "In code it is `items[1]`.", "the answer cites no passage"),
        (SOME, "It is a [4].", None),
        (SOME, "It is a [1].", "the answer cites [1], which is no passage"),
        (LINES, "It is the first [1].", None),
        (LINES, "It is the first [7].", "the answer cites [7], which is no passage"),
        ("Which?", "It is a.", None),
        ("Which?", "It is a [1].", "the answer cites [1], which is no passage"),
    ],
)
def test_citations_are_of_passages_of_the_prompt(
    prompt: str, answer: str, problem: str | None
) -> None:
    refused = has_citations(request(prompt), AIMessage(answer))
    assert (refused and refused.reason) == problem
    assert refused is None or refused.tell_model


def test_passages_may_stand_in_another_message_of_the_prompt() -> None:
    messages = [SystemMessage("[1] It is a."), HumanMessage("Which?"), AIMessage("[5] is mine")]
    asked = Request.from_state({"messages": messages}, {})
    assert has_citations(asked, AIMessage("a [1]")) is None
    assert has_citations(asked, AIMessage("a [5]")) is not None


def config_with(accept: dict[str, str]) -> RouterConfig:
    return RouterConfig.model_validate({"accept": accept})


def test_a_tasks_own_check_goes_before_that_for_all_and_a_functions_before_a_files() -> None:
    checks = accept_checks(
        config_with({"answer": "citations", "*": "json", "chat": "json"}), {"chat": is_json}
    )
    assert [getattr(checks.of(task), "name", None) for task in ("answer", "chat", "other")] == [
        *("citations", "is_json", "json"),
    ]
    assert not accept_checks(RouterConfig())


def test_a_module_beside_the_file_is_found_and_hides_no_installed_one(tmp_path: Path) -> None:
    (tmp_path / "city_checks.py").write_text("class C:\n    check = lambda request, answer: True\n")
    (tmp_path / "json.py").write_text("dumps = None\n")
    file = tmp_path / "aegis.toml"
    file.write_text('[accept]\nanswer = "city_checks:C.check"\n"*" = "json:dumps"\n')
    before = list(sys.path)
    checks = accept_checks(RouterConfig.load(file, environ={}))
    assert sys.path == before
    answer, others = checks.of("answer"), checks.of("chat")
    assert answer is not None
    assert others is not None
    assert answer.function(request("?"), AIMessage("")) is True
    assert callable(others.function)


@pytest.mark.parametrize(
    ("module", "named", "problem"),
    [
        ("", "nowhere_at_all:check", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("x = 1", "{module}:check", "AttributeError: module '{module}' has no attribute 'check'"),
        ("raise RuntimeError('a\\nb')", "{module}:check", "RuntimeError: a b"),
        ("check = (", "{module}:check", "SyntaxError: "),
    ],
)
def test_what_cannot_be_imported_is_one_line_with_file_and_key(
    tmp_path: Path, request: pytest.FixtureRequest, module: str, named: str, problem: str
) -> None:
    name = f"checks_{abs(hash(module))}"
    (tmp_path / f"{name}.py").write_text(module)
    file = tmp_path / "aegis.toml"
    file.write_text(f'[accept]\nanswer = "{named.format(module=name)}"\n')
    with pytest.raises(ConfigError) as caught:
        accept_checks(RouterConfig.load(file, environ={}))
    assert str(caught.value).startswith(f"{file}: accept.answer: cannot import '")
    assert problem.format(module=name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('answer = "cheap"', "accept.answer: no check is named so; use 'json', 'citations' or"),
        ('answer = "a:b:c"', "accept.answer: no check is named so"),
        ('answer = "os:system()"', "accept.answer: no check is named so"),
        ('"a b" = "json"', "accept.a b: is no task; name one, or '*' for all"),
        ("answer = 7", "accept.answer: "),
    ],
)
def test_a_file_that_names_no_check_is_refused_with_its_key(
    tmp_path: Path, line: str, problem: str
) -> None:
    file = tmp_path / "aegis.toml"
    file.write_text(f"[accept]\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        RouterConfig.load(file, environ={})
    assert str(caught.value).startswith(f"{file}: {problem}")
