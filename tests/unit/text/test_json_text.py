"""JSON as models write it is found and mended within bounds."""

from __future__ import annotations

import pytest

from aegis_graph.text import json_text
from aegis_graph.text.json_text import MAX_REPAIRED, answer_part, repaired_json, whole_json
from aegis_graph.text.runaway import MAX_BLANK, MAX_REPEATED, runs_away

ADA = '{"usd": 10, "who": "Ada"}'
VALUE = {"usd": 10, "who": "Ada"}


@pytest.mark.parametrize(
    "text",
    [
        ADA,
        f"\n {ADA}\n\n",
        f"```json\n{ADA}\n```",
        f"```JSON\n{ADA}\n```\nI hope this helps.",
        f"Here you are:\n```\n{ADA}\n```",
        f"<think>maybe {{usd: 5}}</think>{ADA}",
        f'<think>\nmaybe ```json\n{{"usd": 5}}\n```\n</think>\n\n```json\n{ADA}\n```',
        f"maybe {{usd: 5}}, since the template wrote the beginning</think>{ADA}",
        f"<thinking>maybe {{}}</thinking> {ADA}",
        f"[THINK]maybe {{usd: 5}}[/THINK]{ADA}",
        f"◁think▷maybe {{usd: 5}}◁/think▷{ADA}",
        f"<|channel|>analysis<|message|>maybe {{}}<|end|><|channel|>final<|message|>{ADA}",
        f"<tool_call>\n{ADA}\n</tool_call>",
        f"I call it.\n<tool_call>{ADA}</tool_call>",
        f"[TOOL_CALLS] [{ADA}]",
        f"<|python_tag|>{ADA}",
    ],
)
def test_the_object_of_an_answer_is_found(text: str) -> None:
    assert whole_json(answer_part(text)) == VALUE


@pytest.mark.parametrize("text", [f"<think>maybe {ADA}", f"[THINK] {ADA}, or", "<think>"])
def test_a_reasoning_without_an_end_has_no_answer(text: str) -> None:
    assert answer_part(text) == ""


@pytest.mark.parametrize("mark", ["</think>", "```json {", "<tool_call>{", "[/THINK]"])
@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```"])
def test_a_mark_in_a_text_of_the_value_is_part_of_it(mark: str, around: str) -> None:
    text = around.replace("{}", f'{{"note": "{mark}"}}')
    assert whole_json(answer_part(text)) == {"note": mark}


@pytest.mark.parametrize("text", ["", "Paris", f"{ADA} and more", ADA[:-1], "[" * 200 + "]" * 200])
def test_what_is_no_whole_value_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        whole_json(text)


def test_mending_is_bounded_in_size_and_depth_before_it_begins() -> None:
    damaged = '{"a": "' + "x" * MAX_REPAIRED
    assert repaired_json(damaged) is None
    assert repaired_json(damaged[:-100]) == {"a": damaged[7:-100]}
    # Ninety seconds of work, where nothing ends it.
    assert repaired_json("[" * 100 + 'a"' * 15_000) is None
    assert repaired_json("```json" + "```{" * 50 + "`" * 90_000) is None
    assert repaired_json("{" * 20_000) is None
    assert repaired_json('{"a": [' * 60) is None
    assert repaired_json('{"a": [' * 20) is not None


@pytest.mark.parametrize(
    "text",
    ["```" * 300_000, "``` " * 300_000, "<think>" * 300_000, "```a" * 300_000, " \n" * 300_000],
)
def test_marks_without_an_object_are_searched_once(text: str) -> None:
    # A search in squares of the length would not end before the test run does.
    assert not answer_part(text).startswith("{")


def test_no_regular_expression_of_the_reader_takes_long() -> None:
    spaces = "```" + " " * 1_000_000
    assert json_text.answer_part(spaces + "x") == spaces + "x"


def test_a_text_that_would_go_on_for_ever_is_known() -> None:
    assert runs_away("a" * MAX_REPEATED)
    assert runs_away("Paris. " + "the the " * MAX_REPEATED)
    assert runs_away("Paris." + " \n" * MAX_BLANK)
    assert not runs_away("a" * (MAX_REPEATED - 1))
    assert not runs_away("Paris." + "\n" * (MAX_REPEATED - 1))
    assert not runs_away("".join(map(str, range(5_000))))
