"""A model behind the loopback server that does what LangChain's standard suites ask for."""

from __future__ import annotations

import json
import re
from typing import Any

from aegis_graph.testing import Received, Reply

_QUOTED = re.compile(r"'([^']+)'")
_IN_WORDS = "and with nothing else:\n"
"""What stands before a schema that is told in words."""

_DIRECTLY = {"integer": 3, "number": 3.0, "boolean": True, "array": [], "object": {}}


def obedient(call: Received) -> Reply:
    """Call the tool that must be called, fill the schema that must be filled, or chat."""
    body = {**call.body, **call.body.get("input", {}), **call.body.get("parameters", {})}
    messages = body["messages"]
    said = _text(messages[-1].get("content"))
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or ()}
    if tools and messages[-1]["role"] != "tool":
        name = _wanted(body.get("tool_choice"), said, tools)
        arguments = _filled(tools[name].get("parameters") or {}, said)
        return Reply("", tool_calls=({"name": name, "args": arguments},))
    schema = _schema(body, messages)
    if schema is not None:
        return Reply(json.dumps(_filled(schema, said)))
    return Reply("Hello there, how are you today?")


def _wanted(choice: Any, said: str, tools: dict[str, Any]) -> str:
    if isinstance(choice, dict):
        return str(choice["function"]["name"])
    return next((name for name in tools if name in said), next(iter(tools)))


def _schema(body: dict[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any] | None:
    if isinstance(body.get("format"), dict):
        return dict(body["format"])
    form = body.get("response_format") or {}
    if "json_schema" in form:
        return dict(form["json_schema"]["schema"])
    for text in (_text(message.get("content")) for message in messages):
        if _IN_WORDS in text:
            return dict(json.loads(text.partition(_IN_WORDS)[2].splitlines()[0]))
    return None


def _filled(schema: dict[str, Any], said: str) -> dict[str, Any]:
    quoted = _QUOTED.search(said)
    text = quoted[1] if quoted else "a cat"
    return {
        key: _DIRECTLY.get(str(field.get("type", "string")), text)
        for key, field in schema.get("properties", {}).items()
    }


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())
