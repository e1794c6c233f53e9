"""Prompts and answers in the form of OpenTelemetry's GenAI conventions, for who asks for them.

Source: https://github.com/open-telemetry/semantic-conventions-genai
(docs/gen-ai/gen-ai-input-messages.json, gen-ai-output-messages.json)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

from aegis_graph.telemetry.facts import CallFacts
from aegis_graph.types import FINISH_REASON

_ROLES: Mapping[str, str] = {"human": "user", "ai": "assistant", "tool": "tool", "system": "system"}


def input_attributes(facts: CallFacts) -> dict[str, str]:
    """What was sent, system messages apart."""
    system = [one for one in facts.messages if isinstance(one, SystemMessage)]
    others = [one for one in facts.messages if not isinstance(one, SystemMessage)]
    found = {"gen_ai.input.messages": _json([_message(one) for one in others])}
    if system:
        parts = [part for one in system for part in _parts(one)]
        found["gen_ai.system_instructions"] = _json(parts)
    return found


def output_attributes(answer: AIMessage | None) -> dict[str, str]:
    """What came back, where anything did."""
    if answer is None or not (answer.text or answer.tool_calls):
        return {}
    reason = str(answer.response_metadata.get(FINISH_REASON) or "unknown")
    return {"gen_ai.output.messages": _json([{**_message(answer), "finish_reason": reason}])}


def _message(message: BaseMessage) -> dict[str, Any]:
    return {"role": _ROLES.get(message.type, message.type), "parts": list(_parts(message))}


def _parts(message: BaseMessage) -> Iterator[dict[str, Any]]:
    """The text and the calls of a message; of an image only that there is one."""
    if isinstance(message, ToolMessage):
        yield {"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}
        return
    pieces = [message.content] if isinstance(message.content, str) else message.content
    for piece in pieces:
        text = piece if isinstance(piece, str) else piece.get("text")
        if isinstance(text, str):
            if text:
                yield {"type": "text", "content": text}
        elif isinstance(piece, dict):
            yield {"type": str(piece.get("type", "unknown"))}
    if isinstance(message, AIMessage):
        for call in message.tool_calls:
            arguments = {"name": call["name"], "arguments": call["args"]}
            yield {"type": "tool_call", "id": call.get("id"), **arguments}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
