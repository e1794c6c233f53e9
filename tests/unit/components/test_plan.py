"""Whatever a model writes, what comes out is a plan that can be followed, or a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from aegis_graph.components.query_decomposer.plan import (
    MAX_STEPS,
    PLAN_SCHEMA,
    QUESTION_KINDS,
    InvalidPlanError,
    PlanStep,
    QueryPlan,
    is_plainly_simple,
    parse_plan,
    resolve,
    single_plan,
)
from aegis_graph.text.words import words

QUESTION = "When was the founder of Acme born, and where is Acme?"
WHO, BORN, WHERE = "Who founded Acme?", "When was {1} born?", "Where is Acme?"


def assert_valid(plan: QueryPlan, *, most: int = MAX_STEPS) -> None:
    """Numbered from 1, at most so many, no double, and each step after those it needs."""
    Draft202012Validator(PLAN_SCHEMA).validate(plan)
    steps = plan["steps"]
    assert plan["kind"] in QUESTION_KINDS
    assert [step["id"] for step in steps] == list(range(1, len(steps) + 1))
    assert 1 <= len(steps) <= most
    asked = [(*words(step["question"]), *step["needs"]) for step in steps]
    assert len(set(asked)) == len(asked)
    for step in steps:
        assert step["question"].strip()
        assert all(1 <= needed < step["id"] for needed in step["needs"])
        stub = {n: str(n) for n in range(1, len(steps) + 1)}
        assert step["question"] == resolve(step, {n: f"{{{n}}}" for n in step["needs"]}, stub)


def brief(plan: QueryPlan) -> list[tuple[str, list[int]]]:
    return [(step["question"], step["needs"]) for step in plan["steps"]]


FULL = {
    "kind": "multi-hop",
    "steps": [
        {"id": 1, "question": WHO, "needs": []},
        {"id": 2, "question": BORN, "needs": [1]},
        {"id": 3, "question": WHERE, "needs": []},
    ],
}
PLANNED = [(WHO, []), (BORN, [1]), (WHERE, [])]
TEXT = json.dumps(FULL)

MENDED: dict[str, tuple[str, list[tuple[str, list[int]]]]] = {
    "as asked": (TEXT, PLANNED),
    "in a fence": (f"```json\n{TEXT}\n```", PLANNED),
    "with talk around": (f"Sure! Here is the plan:\n{TEXT}\nLet me know.", PLANNED),
    "cut off": (TEXT.rstrip("}]"), PLANNED),
    "single quotes": (TEXT.replace('"', "'"), PLANNED),
    "trailing commas": (TEXT.replace("}]", "},]"), PLANNED),
    "comments": (TEXT.replace('"steps"', '// the steps\n"steps"'), PLANNED),
    "python literals": (str(FULL), PLANNED),
    "strings for steps": (json.dumps({"steps": [WHO, BORN, WHERE]}), PLANNED),
    "a bare list": (json.dumps([WHO, BORN, WHERE]), PLANNED),
    "a list of objects": (json.dumps(FULL["steps"]), PLANNED),
    "another key": (TEXT.replace('"steps"', '"sub_questions"'), PLANNED),
    "nested": (json.dumps({"plan": FULL}), PLANNED),
    "steps by number": (json.dumps({"steps": {"1": WHO, "2": BORN, "3": WHERE}}), PLANNED),
    "a numbered list": (f"1. {WHO}\n2. {BORN}\n3. {WHERE}", PLANNED),
    "bullets": (f"Plan:\n- {WHO}\n- {BORN}\n- {WHERE}\n", PLANNED),
    "numbers as text": (
        json.dumps(
            [
                {"id": "step 1", "question": WHO},
                {"id": "step 2", "question": BORN, "depends_on": "step 1"},
                {"id": "step 3", "question": WHERE, "depends_on": None},
            ]
        ),
        PLANNED,
    ),
    "counted from 0": (
        json.dumps(
            [
                {"id": 0, "question": WHO},
                {"id": 1, "question": BORN.replace("1", "0")},
                {"id": 2, "question": WHERE},
            ]
        ),
        PLANNED,
    ),
    "needs left out": (
        json.dumps({"steps": [{"question": q} for q in (WHO, BORN, WHERE)]}),
        PLANNED,
    ),
    "later before earlier": (
        json.dumps(
            [
                {"id": 2, "question": BORN},
                {"id": 1, "question": WHO},
                {"id": 3, "question": WHERE},
            ]
        ),
        PLANNED,
    ),
    "a double": (
        json.dumps(
            [
                {"id": 1, "question": WHO},
                {"id": 2, "question": "who founded ACME"},
                {"id": 3, "question": "When was {2} born?"},
                {"id": 4, "question": WHERE},
            ]
        ),
        PLANNED,
    ),
    "a need without a place": (
        json.dumps([{"id": 1, "question": WHO}, {"id": 2, "question": WHERE, "needs": [1]}]),
        [(WHO, []), (WHERE, [1])],
    ),
    "simple": ('{"kind": "simple", "steps": []}', [(QUESTION, [])]),
    "simple with steps all the same": (TEXT.replace("multi-hop", "simple"), [(QUESTION, [])]),
    "one step is no plan": (json.dumps({"steps": [WHO]}), [(QUESTION, [])]),
}


@pytest.mark.parametrize("how", MENDED)
def test_a_malformed_plan_is_mended(how: str) -> None:
    text, expected = MENDED[how]
    plan = parse_plan(text, QUESTION)
    assert_valid(plan)
    assert brief(plan) == expected


REFUSED: dict[str, tuple[str, str]] = {
    "nothing": ("", "no list of steps"),
    "prose": ("I would first look up the founder.", "no list of steps"),
    "a number": ("7", "no list of steps"),
    "brackets without an end": ("[" * 20_000, "no list of steps"),
    "braces without an end": ("{" * 5_000, "no list of steps"),
    "a plan in a plan in a plan": ('{"plan": ' * 900 + "[]" + "}" * 900, "no list of steps"),
    "null": ("null", "no list of steps"),
    "an empty object": ("{}", "no list of steps"),
    "an empty list": ("[]", "no list of steps"),
    "no steps": ('{"kind": "compound", "steps": []}', "it has no steps"),
    "steps that are none": ('{"steps": [1, 2]}', "step 1 has no question"),
    "a step without a question": ('{"steps": [{"id": 1}, {"id": 2}]}', "step 1 has no question"),
    "a place and nothing else": (f'{{"steps": ["{WHO}", "{{1}}?"]}}', "step 2 has no question"),
    "a cycle": ('["Is {2} it?", "Is {1} that?"]', "steps 1, 2 wait for each other"),
    "needs itself": (f'["{WHO}", "Is {{2}} it?"]', "steps 2 wait for each other"),
    "unknown reference": (f'["{WHO}", "Is {{7}} it?"]', "step 2 needs step 7"),
    "unknown need": (
        '[{"id": 1, "question": "A?"}, {"id": 2, "question": "B?", "needs": [9]}]',
        "step 2 needs step 9",
    ),
    "the same number twice": (
        '[{"id": 1, "question": "A?"}, {"id": 1, "question": "B?"}]',
        "two steps are called 1",
    ),
    "too many": (json.dumps([f"What is {n}?" for n in "abcdefg"]), "7 steps; at most 5"),
    "an essay": (json.dumps(["Why? " * 200, WHO]), "step 1 is longer than 500"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_what_cannot_be_followed_is_refused_with_a_reason(how: str) -> None:
    text, says = REFUSED[how]
    with pytest.raises(InvalidPlanError, match=says):
        parse_plan(text, QUESTION)


def test_there_are_at_least_twenty_kinds_of_malformed_output() -> None:
    assert len(MENDED) >= 20
    assert len(REFUSED) >= 10


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.text("a{}1 ?", max_size=9),
    lambda inner: (
        st.lists(inner, max_size=7)
        | st.dictionaries(
            st.sampled_from(["kind", "steps", "id", "question", "needs", "plan"]), inner, max_size=5
        )
    ),
    max_leaves=25,
)


@given(JSON | st.text(max_size=60), st.booleans())
def test_anything_at_all_is_a_valid_plan_or_refused(found: Any, cut: bool) -> None:
    text = found if isinstance(found, str) else json.dumps(found)
    try:
        plan = parse_plan(text[: len(text) // 2] if cut else text, QUESTION, most=4)
    except InvalidPlanError:
        return
    assert_valid(plan, most=4)


@pytest.mark.parametrize(
    ("written", "steps", "kind"),
    [
        ("Multi_Hop", ["A?", "B {1}?"], "multi-hop"),
        ("multi-hop", ["A?", "B?"], "compound"),
        ("comparison", ["A?", "B?"], "comparison"),
        ("temporal", ["A?", "B?"], "temporal"),
        ("nonsense", ["A?", "B {1}?"], "multi-hop"),
        (None, ["A?", "B?"], "compound"),
    ],
)
def test_the_kind_is_one_of_five(written: str | None, steps: list[str], kind: str) -> None:
    text = json.dumps({"kind": written, "steps": steps})
    assert parse_plan(text, QUESTION)["kind"] == kind


def test_answers_take_their_places_once_on_one_line_and_not_too_long() -> None:
    step = PlanStep(id=3, question="Is {1} older than {2}?", needs=[1, 2])
    asked = {1: "Who founded Acme?", 2: "Who leads it?"}
    assert resolve(step, {1: "Ann {2}\nLee", 2: "B" * 500}, asked) == (
        f"Is Ann {{2}} Lee older than {'B' * 200}?"
    )
    assert resolve(step, {1: None, 2: ""}, asked) == (
        "Is (Who founded Acme) older than (Who leads it)?"
    )


@pytest.mark.parametrize(
    ("question", "plain"),
    [
        ("What is a hold?", True),
        ("How do I stop spending when the budget is used up?", True),
        ("Wie viele Stufen gibt es?", True),
        ("What is the limit of OpenAI, and when do weeks begin?", False),
        ("Is qwen-plus cheaper than qwen-max?", False),
        ("Was kostet mehr, qwen-plus oder qwen-max?", False),
        ("Who founded the company that makes Acme?", False),
        ("What happened before the merger?", False),
        ("What is A? What is B?", False),
        ("In which city was the author of the novel Dust born?", False),
        ("Where was the director of Titanic born?", False),
        ("Wo wurde der Gründer von Acme geboren?", False),
        ("Which cleaning agent destroys the pump tube of the Tarn 40?", True),
        ("", True),
    ],
)
def test_a_plainly_simple_question_is_told_by_rule(question: str, plain: bool) -> None:
    assert is_plainly_simple(question) == plain


def test_the_single_plan_is_valid() -> None:
    assert_valid(single_plan("What is a hold?"))


def test_what_looks_like_a_reference_in_the_users_own_question_stays() -> None:
    [step] = single_plan("What does {1} mean in f{2}?")["steps"]
    assert resolve(step, {}, {}) == "What does {1} mean in f{2}?"


@pytest.mark.parametrize(
    "steps", ['[null, "What is A?", null, "What is B?"]', '[["What is A?"], ["What is B?"]]']
)
def test_steps_that_are_null_or_wrapped_lose_no_plan(steps: str) -> None:
    plan = parse_plan(f'{{"kind": "compound", "steps": {steps}}}', "What are A and B?")
    assert [one["question"] for one in plan["steps"]] == ["What is A?", "What is B?"]
