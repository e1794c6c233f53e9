"""What models write in place of the JSON they were asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.components.relation_extractor.parsing import (
    MAX_STATEMENTS,
    RawEntity,
    RawRelation,
    parse_extraction,
)

ADA = RawEntity("Ada", "Person")
BORN = RawRelation("Ada", "BORN_IN", "London", "Ada was born in London")
GOOD: dict[str, Any] = {
    "entities": [{"name": "Ada", "type": "Person"}],
    "relations": [
        {
            "head": "Ada",
            "relation": "BORN_IN",
            "tail": "London",
            "quote": "Ada was born in London",
        }
    ],
}
TEXT = json.dumps(GOOD)
TRIPLE = '["Ada", "BORN_IN", "London", "Ada was born in London"]'
ODD_RELATION = (
    '{"subject": {"name": "Ada"}, "Predicate": "BORN_IN", "object": {"name": "London"},'
    ' "evidence": "Ada was born in London"}'
)

READABLE = {
    "as asked": TEXT,
    "fenced": f"```json\n{TEXT}\n```",
    "fenced without an end": f"```\n{TEXT}",
    "with words around": f"Sure! Here it is:\n{TEXT}\nI hope this helps.",
    "after thoughts": f"<think>The {{entities}} are [1] ...</think>{TEXT}",
    "a list in the prose": f"From [1] I get {TEXT}",
    "single quotes": str(GOOD),
    "a comma too many": TEXT.replace("}]", "},]"),
    "a brace too few": TEXT[:-1],
    "cut in the middle of the next one": TEXT[:-2] + ', {"head": "Ada", "rela',
    "comments": TEXT.replace('{"entities"', '{ // what I found\n"entities"'),
    "a raw line break": TEXT.replace("Person", "Person\n"),
    "wrapped": json.dumps({"result": GOOD}),
    "a list of one answer": json.dumps([GOOD]),
    "other names": (
        '{"nodes": [{"entity": "Ada", "label": "Person"}], "Relationships": [' + ODD_RELATION + "]}"
    ),
    "triples as lists": '{"entities": [["x"], {"name": "Ada", "type": "Person"}], "triples": ['
    + TRIPLE
    + "]}",
    "two objects": f"{TEXT}\n{TEXT}",
    "a key with capitals": TEXT.replace('"entities"', '"Entities"'),
    "unquoted keys": TEXT.replace('"entities"', "entities").replace('"relations"', "relations"),
    "Python's constants": TEXT.replace('"Person"}', '"Person", "aliases": None}'),
}
"""The same answer, written in twenty ways."""


@pytest.mark.parametrize("kind", READABLE)
def test_readable(kind: str) -> None:
    reading = parse_extraction(READABLE[kind])
    assert reading.fault is None
    assert ADA in reading.entities
    assert BORN in reading.relations


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I cannot do that.",
        "null",
        "42",
        '"entities"',
        "[1] [2]",
        "{}",
        '{"error": "no"}',
        '{"entities": 3}',
        '{"entities": "Ada was',
        "<think>and so on",
        "[" * 100_000,
        '{"a":' * 50_000,
        "{" * 5_000,
        "```json\n```",
    ],
)
def test_unreadable(answer: str) -> None:
    reading = parse_extraction(answer)
    if reading.fault is None:
        assert (list(reading.entities), list(reading.relations)) == ([], [])
    else:
        assert "\n" not in reading.fault


def test_nothing_found_is_an_answer() -> None:
    reading = parse_extraction('{"entities": [], "relations": []}')
    assert (reading.fault, list(reading.entities), list(reading.relations)) == (None, [], [])


def test_items_that_lack_something_are_counted() -> None:
    items = {
        "entities": [{"type": "Person"}, "Ada", 7, {"name": "  "}],
        "relations": [{"head": "Ada", "tail": "x"}, ["a", "b"], None],
    }
    reading = parse_extraction(json.dumps(items))
    assert [one.name for one in reading.entities] == ["Ada"]
    assert (list(reading.relations), reading.malformed) == ([], 6)


def test_bare_lists() -> None:
    assert parse_extraction(f"[{TRIPLE}]").relations == [BORN]
    assert parse_extraction('[{"name": "Ada", "type": "Person"}]').entities == [ADA]


def test_a_model_that_repeats_itself_is_read_so_far() -> None:
    reading = parse_extraction(json.dumps({"entities": ["Ada"] * (MAX_STATEMENTS + 9)}))
    assert len(reading.entities) == MAX_STATEMENTS


@given(st.text())
def test_any_text_is_read_or_refused(answer: str) -> None:
    reading = parse_extraction(answer)
    assert reading.fault is None or not reading.entities


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda some: st.lists(some) | st.dictionaries(st.text(), some),
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    for answer in ({"entities": value, "relations": value}, value):
        reading = parse_extraction(json.dumps(answer))
        assert all(one.name.strip() for one in reading.entities)
        assert all(one.head and one.relation and one.tail for one in reading.relations)


def test_a_number_is_a_name_as_well() -> None:
    reading = parse_extraction(
        '{"entities": [{"name": 1815, "type": "Year"}],'
        ' "relations": [{"head": "Ada", "relation": "BORN_IN", "tail": 1815}, {"head": true}]}'
    )
    assert [one.name for one in reading.entities] == ["1815"]
    assert [(one.head, one.tail) for one in reading.relations] == [("Ada", "1815")]
    assert reading.malformed == 1
