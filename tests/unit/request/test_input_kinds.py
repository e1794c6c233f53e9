"""Which kinds of input with prices of their own a request may have."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from aegis_graph.request.input_kinds import input_kinds

HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
BRIEF = {"cache_control": {"type": "ephemeral"}}
ONE_HOUR = {"explicit_cache_write", "cache_write_1h"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        ("Hi", set()),
        (["Hi", {"type": "text", "text": "Hi"}], set()),
        ([{"type": "text", "text": "Hi", **BRIEF}], {"explicit_cache_write"}),
        ([{"type": "text", "text": "Hi", **HOUR}], ONE_HOUR),
        ([IMAGE], {"image"}),
        ([{**IMAGE, **HOUR}], {"image", *ONE_HOUR}),
        ([SOUND], {"audio", "image"}),
        ([{"type": "file", "file": {"file_id": "f"}}], {"audio", "image"}),
    ],
)
def test_a_request_says_what_its_input_is(content: Any, kinds: set[str]) -> None:
    assert input_kinds([HumanMessage("Hi"), HumanMessage(content)], {}) == kinds


def test_a_tool_may_be_kept_in_a_cache_as_well() -> None:
    tool = {"type": "function", "function": {"name": "add"}, **HOUR}
    assert input_kinds([HumanMessage("Hi")], {"tools": [tool]}) == ONE_HOUR
