"""DashScope's official SDK: imported when it is first called, and its clients."""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

from langchain_core.outputs import ChatGenerationChunk

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.providers.usage import whole_count

BEGUN = "a part of the answer came before"
"""The note on an error inside an answer that was asked for whole: its words may be billed."""


def load_sdk() -> Any:
    """The SDK, imported when it is first needed: it takes 1.2 s and 60 MiB."""
    return importlib.import_module("dashscope")


def open_client(name: Literal["AsyncClient", "Client"], **settings: Any) -> Any:
    """A client of the SDK that retries nothing, and keeps an answer though a count in it is none.

    Args:
        name: The SDK's class.
        settings: The HTTP client, the key, the address and the time limit: all of them, because the
            SDK looks in the environment for the others.
    """
    client = getattr(load_sdk(), name)(
        # Otherwise it looks in files as well.
        config_path=os.devnull,
        protocol="native",
        max_retries=0,
        **settings,
    )
    _leave_out_wrong_counts(client)
    return client


async def collected(chunks: AsyncIterator[ChatGenerationChunk]) -> list[ChatGenerationChunk]:
    """The chunks of a stream; an error after the first carries the note ``BEGUN``."""
    found: list[ChatGenerationChunk] = []
    try:
        async for chunk in chunks:
            found.append(chunk)
    except Exception as error:
        if found:
            error.add_note(BEGUN)
        raise
    return found


def cloud_row(model: str, base_url: str, headers: Mapping[str, str]) -> ProviderSpec:
    """The row of a chat model that is used without a router, for its HTTP client."""
    return ProviderSpec(
        name="dashscope",
        kind="dashscope",
        model=model,
        location="cloud",
        base_url=base_url,
        options={"extra_headers": headers},
    )


_COUNTS = frozenset({"input_tokens", "output_tokens", "total_tokens"})


def _leave_out_wrong_counts(client: Any) -> None:
    """Have a client of the SDK leave out counts that are none, and keep the answer.

    The SDK checks three of them, and gives up the whole answer for one of a wrong type. It has no
    place for a reader of one's own.
    """
    protocol = client._protocol
    theirs = protocol.parse_chunk
    protocol.parse_chunk = lambda frame: theirs({**frame, "usage": _sound(frame.get("usage"))})


def _sound(usage: object) -> dict[str, Any] | None:
    if not isinstance(usage, Mapping):
        return None
    return {
        name: value
        for name, value in usage.items()
        if name not in _COUNTS or whole_count(value) is not None
    }
