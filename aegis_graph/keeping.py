"""Answers that are kept before they are paid for in the ledger, so that none is bought twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import StreamMode

from aegis_graph.router import Router
from aegis_graph.state import RouterInput


async def ask_and_keep(
    router: Router,
    request: Mapping[str, Any],
    config: RunnableConfig,
    *,
    keep: Callable[[AIMessage], None],
) -> dict[str, Any]:
    """Ask the router, and hand the answer over before the ledger has its cost.

    A process that is killed has then either kept the answer, or left an attempt in the ledger whose
    outcome nobody knows.

    Args:
        router: The compiled router.
        request: Its input.
        config: Of the run.
        keep: Called once with a complete answer. What it raises ends the run; the attempt's hold
            is then settled as a call whose outcome is unknown.

    Returns:
        The router's output.
    """
    result: dict[str, Any] = {}
    modes: list[StreamMode] = ["updates", "values"]
    # Between two steps the graph waits for whoever reads its stream.
    stream: AsyncIterator[Any] = router.astream(
        cast(RouterInput, request), config, stream_mode=modes
    )
    async for mode, found in stream:
        if mode == "values":
            result = found
            continue
        answers = [update.get("answer") for update in found.values() if update]
        for answer in answers:
            if answer is not None:
                keep(answer)
    return result
