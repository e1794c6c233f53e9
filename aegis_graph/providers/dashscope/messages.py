"""LangChain messages to DashScope's native wire and back. Pure: nothing here opens a connection."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

from aegis_graph.errors import InvalidRequestError, StreamCutError
from aegis_graph.providers.answer_check import REFUSAL
from aegis_graph.providers.dashscope.images import MAX_IMAGES, image_address
from aegis_graph.providers.usage import EXPLICIT_CACHE_READ, sound_counts, whole_count
from aegis_graph.request.conversation import CACHE_CONTROL

PARTIAL_RESPONSE_HEADER = "x-dashscope-partialresponse"
"""The service sets it to ``true`` where it gave up before the answer was complete."""

ToolChoice = str | bool | Mapping[str, Any] | None

_MULTIMODAL = re.compile(r"-vl-|^qwen3\.[5-9]")
_HYBRID = re.compile(r"^(qwen-turbo|qwen-plus|qwen-flash|qwen3)(?!.*(-instruct|-coder))")


def is_multimodal(model: str) -> bool:
    """Whether a model answers on the multimodal path only, text or not."""
    return _MULTIMODAL.search(model) is not None


def thinking_mode(model: str) -> Literal["never", "optional", "always"]:
    """Whether a model thinks, which decides what ``enable_thinking`` may say.

    Example:
        >>> [thinking_mode(name) for name in ("qwen-max", "qwen-plus", "qwen3-vl-8b-thinking")]
        ['never', 'optional', 'always']
    """
    if "-thinking" in model:
        return "always"
    return "optional" if _HYBRID.match(model) else "never"


def to_wire(messages: Sequence[BaseMessage], *, multimodal: bool) -> list[dict[str, Any]]:
    """The messages as DashScope takes them: the system's words first, and once.

    Args:
        messages: The conversation, from any provider.
        multimodal: Whether contents are lists of parts; text models want strings.

    Raises:
        InvalidRequestError: A part that the model cannot take, or an image that is neither inline
            nor at an ``https`` address. The SDK would read and upload a path as a local file.
    """
    if not messages:
        raise InvalidRequestError("there are no messages")
    system = [m for m in messages if isinstance(m, SystemMessage)]
    rows = [_message(m, multimodal) for m in messages if not isinstance(m, SystemMessage)]
    images = sum("image" in part for row in rows for part in row["content"]) if multimodal else 0
    if images > MAX_IMAGES:
        raise InvalidRequestError(f"{images} images; DashScope takes at most {MAX_IMAGES}")
    if system:
        rows.insert(0, {"role": "system", "content": _content(_system_parts(system), multimodal)})
    return rows


def _system_parts(messages: Sequence[SystemMessage]) -> list[dict[str, Any]]:
    parts = [_parts(message) for message in messages]
    if any(_is_marked(part) for of_one in parts for part in of_one):
        return [part for of_one in parts for part in of_one]
    return [{"text": "\n\n".join(map(_joined, parts))}]


def _message(message: BaseMessage, multimodal: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"content": _content(_parts(message), multimodal)}
    match message:
        case HumanMessage():
            return {"role": "user", **row}
        case AIMessage():
            calls = _tool_calls(message)
            return {"role": "assistant", **row, **({"tool_calls": calls} if calls else {})}
        case ToolMessage():
            return {"role": "tool", **row, "tool_call_id": message.tool_call_id}
        case ChatMessage():
            return {"role": message.role, **row}
    raise InvalidRequestError(f"DashScope takes no message of the type {message.type!r}")


def _content(parts: list[dict[str, Any]], multimodal: bool) -> str | list[dict[str, Any]]:
    # A mark of the cache needs a part to stand on, also where models take texts only.
    if multimodal or any(map(_is_marked, parts)):
        _check_text(parts, multimodal)
        # A message that is nothing but tool calls needs a content all the same.
        return parts or [{"text": ""}]
    return _joined(parts)


def _joined(parts: list[dict[str, Any]]) -> str:
    _check_text(parts, multimodal=False)
    return "".join(part["text"] for part in parts)


def _check_text(parts: list[dict[str, Any]], multimodal: bool) -> None:
    if not multimodal and any("image" in part for part in parts):
        raise InvalidRequestError("this model takes no images here")


def _is_marked(part: Mapping[str, Any]) -> bool:
    return CACHE_CONTROL in part


def _parts(message: BaseMessage) -> list[dict[str, Any]]:
    content = message.content
    parts = []
    for block in [content] if isinstance(content, str) else content:
        if isinstance(block, str):
            parts.append({"text": block})
        elif block.get("type", "text") == "text" and isinstance(block.get("text"), str):
            parts.append({"text": block["text"], **_mark(block)})
        elif isinstance(message, AIMessage):
            continue  # Reasoning and tool blocks of other providers: re-billed or refused here.
        else:
            parts.append({"image": image_address(block), **_mark(block)})
    return parts


def _mark(block: Mapping[str, Any]) -> dict[str, Any]:
    """What asks the service to cache the prompt up to a part, where the part does.

    Source: https://www.alibabacloud.com/help/en/model-studio/context-cache
    """
    mark = block.get(CACHE_CONTROL)
    return {CACHE_CONTROL: mark} if isinstance(mark, Mapping) else {}


def _tool_calls(message: AIMessage) -> list[dict[str, Any]]:
    known = [
        (call["id"], call["name"], json.dumps(call["args"], ensure_ascii=False))
        for call in message.tool_calls
    ]
    broken = [(call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls]
    return [
        {
            "id": identifier or "",
            "type": "function",
            "function": {"name": name or "", "arguments": arguments or ""},
        }
        for identifier, name, arguments in [*known, *broken]
    ]


def tool_choice_to_wire(choice: ToolChoice, tools: Sequence[Mapping[str, Any]]) -> Any:
    """What ``tool_choice`` says on the wire; ``None`` where it stays out.

    Args:
        choice: ``auto``, ``none``, a tool's name, or ``any`` where there is one tool only.
        tools: The tools in OpenAI's form.

    Raises:
        ValueError: No tool has that name, or any of several tools must be called.
    """
    names = [tool["function"]["name"] for tool in tools]
    if choice is None or choice is False:
        return None
    if isinstance(choice, Mapping):
        return dict(choice)
    if choice in ("auto", "none"):
        return choice
    if choice in (True, "any", "required"):
        if len(names) != 1:
            raise ValueError("DashScope cannot force a call to any of several tools; name one")
        choice = names[0]
    if choice not in names:
        raise ValueError(f"no tool is called {choice!r}; there are {names}")
    return {"type": "function", "function": {"name": choice}}


class AnswerReader:
    """Reads the frames of one answer, and knows whether it is complete.

    Args:
        model: Name of the model; the wire does not repeat it.
    """

    def __init__(self, model: str) -> None:
        self._metadata = {"model_name": model, "model_provider": "dashscope"}
        self._usage: UsageMetadata | None = None

    def read(self, frame: Mapping[str, Any]) -> AIMessageChunk | None:
        """The piece of the answer that one frame carries, if any."""
        if frame.get("request_id"):
            self._metadata["request_id"] = frame["request_id"]
        # The counts grow from frame to frame: only the last are true, and none is to be added.
        self._usage = usage_from_wire(frame.get("usage") or {}) or self._usage
        choices = frame.get("choices") or [{}]
        finish = choices[0].get("finish_reason")
        known = self._metadata.get("finish_reason", "")
        if is_finished(finish) and finish != known:
            # Joined, as LangChain does: of several words the strictest will count.
            self._metadata["finish_reason"] = f"{known}{finish}"
        delta = choices[0].get("delta") or {}
        text, reasoning = delta.get("content") or "", delta.get("reasoning_content")
        calls = [_tool_call_chunk(call) for call in delta.get("tool_calls") or ()]
        extra = {"reasoning_content": reasoning} if reasoning else {}
        if refusal := delta.get(REFUSAL):
            extra[REFUSAL] = refusal
        if not (text or extra or calls):
            return None
        return AIMessageChunk(content=text, additional_kwargs=extra, tool_call_chunks=calls)

    def end(self, headers: Mapping[str, str]) -> AIMessageChunk:
        """The last chunk, with the usage and what is known about the answer.

        Args:
            headers: Headers of the answer, names in lower case.

        Raises:
            StreamCutError: There was no finish reason, or the service gave a part of the answer.
        """
        if "finish_reason" not in self._metadata:
            raise StreamCutError("the stream ended without a finish reason", outcome_unknown=True)
        if headers.get(PARTIAL_RESPONSE_HEADER, "").lower() == "true":
            raise StreamCutError("the service gave a part of the answer", outcome_unknown=True)
        return AIMessageChunk(
            content="",
            usage_metadata=self._usage,
            response_metadata=self._metadata,
            chunk_position="last",
        )


def is_finished(finish_reason: object) -> bool:
    """Whether a finish reason is one. While the answer runs it is the word ``null``."""
    return finish_reason not in (None, "", "null")


def _tool_call_chunk(call: Mapping[str, Any]) -> ToolCallChunk:
    function = call.get("function") or {}
    # An empty name or identifier belongs to a later piece, and would be joined to the real one.
    return tool_call_chunk(
        name=function.get("name") or None,
        args=function.get("arguments") or "",
        id=call.get("id") or None,
        index=call.get("index"),
    )


def usage_from_wire(usage: Mapping[str, Any]) -> UsageMetadata | None:
    """The tokens that a frame reports, in LangChain's form; ``None`` where it reports none.

    Example:
        >>> usage_from_wire({"input_tokens": 7, "output_tokens": 2})["total_tokens"]
        9
    """
    read, written = (whole_count(usage.get(name)) for name in ("input_tokens", "output_tokens"))
    if read is None or written is None:
        return None
    prompt: Any = usage.get("prompt_tokens_details")
    cache = sound_counts(prompt, ("cached_tokens", "cache_creation_input_tokens"))
    images = sound_counts(usage.get("input_tokens_details"), ("image_tokens",)) | sound_counts(
        usage, ("image_tokens",)
    )
    inputs = {
        ours: count
        for name, ours in _DETAILS.items()
        if (count := (cache | images).get(name)) is not None
    }
    if "cached_tokens" in cache and prompt.get("cache_type") == "ephemeral":
        inputs[EXPLICIT_CACHE_READ] = cache["cached_tokens"]
    tokens = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
    if inputs:
        # LangChain lets providers add details of their own to those that it declares.
        tokens["input_token_details"] = InputTokenDetails(**inputs)  # type: ignore[typeddict-item]
    if thought := sound_counts(usage.get("output_tokens_details"), ("reasoning_tokens",)):
        tokens["output_token_details"] = OutputTokenDetails(reasoning=thought["reasoning_tokens"])
    return tokens


_DETAILS: Mapping[str, str] = {
    "cached_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_creation",
    "image_tokens": "image",
}
"""The service's name for a part of the input, and LangChain's."""
