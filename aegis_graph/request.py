"""A request to the router, checked once, before anything is asked or reserved."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from aegis_graph.errors import InvalidRequestError
from aegis_graph.state import (
    DEFAULT_SENSITIVITY,
    DEFAULT_TASK,
    DEFAULT_USER,
    SENSITIVITIES,
    TASKS,
    RouterState,
    Sensitivity,
    Task,
)
from aegis_graph.tokens import is_image, prompt_bound

MAX_PROMPT_BYTES = 8_000_000
"""Above the largest context of any provider (1 M tokens of several bytes): surely a mistake."""

MAX_USER_ID = 200


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, for whom, and how private it is."""

    messages: Sequence[BaseMessage]
    task: Task
    sensitivity: Sensitivity
    user_id: str
    thread_id: str | None
    max_output_tokens: int | None
    has_images: bool
    prompt_tokens: int
    """An upper bound."""
    query_hash: str

    @classmethod
    def of(cls, state: RouterState, config: RunnableConfig) -> Request:
        """Read and check the graph's state.

        Raises:
            InvalidRequestError: One line that says what is wrong.
        """
        messages = state.get("messages") or []
        if not messages:
            raise InvalidRequestError("messages: empty; give at least one message")
        has_images = _check_parts(messages)
        thread = (config.get("configurable") or {}).get("thread_id")
        return cls(
            messages=messages,
            task=_one_of("task", state.get("task") or DEFAULT_TASK, TASKS),
            sensitivity=_one_of(
                "sensitivity", state.get("sensitivity") or DEFAULT_SENSITIVITY, SENSITIVITIES
            ),
            user_id=_user(state.get("user_id") or DEFAULT_USER),
            thread_id=None if thread is None else str(thread),
            max_output_tokens=_positive(state.get("max_output_tokens")),
            has_images=has_images,
            prompt_tokens=prompt_bound(messages),
            query_hash=_hash(messages),
        )


def _one_of(key: str, value: object, allowed: Sequence[Any]) -> Any:
    if value in allowed:
        return value
    raise InvalidRequestError(f"{key}: {value!r} is unknown; use one of {', '.join(allowed)}")


def _user(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= MAX_USER_ID and value.isprintable():
        return value
    raise InvalidRequestError(f"user_id: must be printable text of 1 to {MAX_USER_ID} characters")


def _positive(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise InvalidRequestError(f"max_output_tokens: {value!r} is not a whole number above 0")


def _check_parts(messages: Sequence[BaseMessage]) -> bool:
    """Check every content part, and say whether there are images among them."""
    size = 0
    images = False
    for number, message in enumerate(messages):
        if not isinstance(message, BaseMessage):
            raise InvalidRequestError(f"messages[{number}]: not a LangChain message")
        parts = [message.content] if isinstance(message.content, str) else message.content
        for place, part in enumerate(parts):
            where = f"messages[{number}].content[{place}]"
            if isinstance(part, str):
                size += len(part.encode("utf-8", errors="replace"))
            elif is_image(part):
                _check_image(part, where)
                images = True
            elif isinstance(part.get("text"), str):
                size += len(part["text"].encode("utf-8", errors="replace"))
    if size > MAX_PROMPT_BYTES:
        raise InvalidRequestError(
            f"messages: {size:,} bytes of text; at most {MAX_PROMPT_BYTES:,} can be asked"
        )
    return images


def _check_image(part: Mapping[str, Any], where: str) -> None:
    """An image is an https address or base64 data; never a path, which a client might read."""
    found = part.get("image_url") or part.get("url") or part.get("image")
    address = found.get("url") if isinstance(found, Mapping) else found
    data = part.get("base64") or (part.get("data") if part.get("source_type") == "base64" else None)
    if isinstance(address, str) and address.startswith("https://"):
        return
    if isinstance(address, str) and address.startswith("data:image/"):
        _, comma, data = address.partition(";base64,")
        data = data if comma else None
    elif address is not None:
        data = None
    try:
        if isinstance(data, str) and base64.b64decode(data, validate=True):
            return
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(f"{where}: the image is not valid base64") from error
    raise InvalidRequestError(
        f"{where}: an image must be an https:// address or data:image/...;base64, data"
    )


def _hash(messages: Sequence[BaseMessage]) -> str:
    digest = hashlib.sha256()
    for message in messages:
        # Lengths first, so that no two different conversations join to the same text.
        text = repr((message.type, message.content))
        digest.update(f"{len(text)}:".encode())
        digest.update(text.encode("utf-8", errors="replace"))
    return digest.hexdigest()
