"""One item through the graph: begun, or gone on with where an earlier worker left off."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from aegis_graph.bulk.envelope import TAG, JobLedger
from aegis_graph.bulk.graph_source import FoundParts, input_fields
from aegis_graph.bulk.items import plain
from aegis_graph.bulk.records import LeasedItem

INTERRUPT = "__interrupt__"
"""LangGraph's key for a run that waits for a person."""

SelectOutput = Callable[[Any], Any]
"""Makes what is kept of a graph's output."""

InvokeItem = Callable[[dict[str, Any], RunnableConfig], Awaitable[Any]]
"""Runs an item, given its input and its configuration, as a graph's ``ainvoke``."""


@dataclass(frozen=True, slots=True)
class ItemEnd:
    """How a run of an item ended: with an output, or with an error."""

    item: LeasedItem
    seconds: float
    output: str | None = None
    """As JSON."""
    is_degraded: bool = False
    """Whether the graph says that a rule stood in for a model."""
    error: Exception | None = None


class Runner(Protocol):
    """Runs items, in this process or in others."""

    async def start(self) -> None:
        """Get ready."""

    async def run(self, item: LeasedItem) -> ItemEnd:
        """Run an item to its end."""

    async def forget(self, key: str) -> None:
        """Have the next run of an item begin anew, where the last one ended in a wrong way."""

    async def close(self) -> None:
        """Let go of all that runs items."""


class GraphRunner:
    """Runs items through a graph.

    Args:
        parts: The graph, with what is in it.
        money: The job's part of the ledger.
        select: Makes what is kept of an output; all of it when absent.
        choices: What a request may choose, for every call.
        concurrency: How many items run at once at most.
    """

    def __init__(
        self,
        parts: FoundParts,
        money: JobLedger,
        *,
        select: SelectOutput | None = None,
        choices: Mapping[str, Any] | None = None,
        concurrency: int = 1,
    ) -> None:
        self._graph: Any = parts.graph
        self._checkpointer = parts.checkpointer
        self._money = money
        self._select = select
        self._choices = dict(choices or {})
        self._says_run = "run_id" in (input_fields(parts.graph) or ())
        self._concurrency = concurrency
        self._threads: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Find out how the graph has to be run."""
        if self._checkpointer is not None and not await _is_async(self._checkpointer):
            self._threads = ThreadPoolExecutor(self._concurrency, "aegis-bulk")

    async def close(self) -> None:
        """Let go of the threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, item: LeasedItem, invoke: InvokeItem | None = None) -> ItemEnd:
        """Run an item to its end; errors of the graph are one.

        Args:
            item: The item.
            invoke: Runs it in place of the graph's own ``ainvoke``.
        """
        began = time.monotonic()
        try:
            if invoke is None:
                output = await self._output(item)
            else:
                output = await invoke(self._input(item), self.config_of(item.key))
            if isinstance(output, Mapping) and INTERRUPT in output:
                raise InterruptedError("the graph asks a person (interrupt), and there is none")
            is_degraded = isinstance(output, Mapping) and output.get("degraded") is True
            text = output_json(self._select(output) if self._select is not None else output)
        except Exception as error:  # noqa: BLE001  # An item may fail in any way; the job goes on.
            return ItemEnd(item, time.monotonic() - began, error=error)
        return ItemEnd(item, time.monotonic() - began, text, is_degraded)

    async def forget(self, key: str) -> None:
        """Have the next run of an item begin anew, where the last one ended in a wrong way."""
        if self._checkpointer is not None:
            thread = self._money.run_id(key)
            if self._threads is None:
                await self._checkpointer.adelete_thread(thread)
            else:
                await self._in_thread(self._checkpointer.delete_thread, thread)

    async def _output(self, item: LeasedItem) -> Any:
        config = self.config_of(item.key)
        if self._checkpointer is None:
            return await self._graph.ainvoke(self._input(item), config)
        state = await self._state(config) if item.begun else None
        if state is not None and state.values and not state.next:
            # The worker died between the last step and the result.
            return {key: state.values[key] for key in self._output_keys() if key in state.values}
        given = self._input(item) if state is None or not state.next else None
        # Each step is on the disk before the next one pays for more.
        if self._threads is None:
            return await self._graph.ainvoke(given, config, durability="sync")
        return await self._in_thread(self._graph.invoke, given, config, durability="sync")

    async def _state(self, config: RunnableConfig) -> Any:
        if self._threads is None:
            return await self._graph.aget_state(config)
        return await self._in_thread(self._graph.get_state, config)

    def _output_keys(self) -> list[str]:
        keys = self._graph.output_channels
        return [keys] if isinstance(keys, str) else list(keys)

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        loop = asyncio.get_running_loop()
        call = partial(copy_context().run, work, *arguments, **named)
        return await loop.run_in_executor(self._threads, call)

    def _input(self, item: LeasedItem) -> dict[str, Any]:
        # A component names a run of its own where its input has none.
        named = {"run_id": self._money.run_id(item.key)} if self._says_run else {}
        return {**named, **item.input}

    def config_of(self, key: str) -> RunnableConfig:
        """With which an item is run."""
        run = self._money.run_id(key)
        tags = {TAG: self._money.name}
        return {
            "configurable": {**self._choices, "thread_id": run, "run_id": run, "tags": tags},
        }


def output_json(output: Any) -> str:
    """A graph's output as JSON: what JSON does not know as its text, NaN and infinity as null.

    Example:
        >>> output_json({"score": float("nan")})
        '{"score":null}'
    """
    try:
        text = _compact_json(output, ensure_ascii=False)
    except ValueError:
        lenient = _compact_json(output, allow_nan=True)
        output = json.loads(lenient, parse_constant=lambda _: None)
        text = _compact_json(output, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # Halves of characters, which no file in UTF-8 can have.
        return _compact_json(output)
    return text


def _compact_json(value: Any, *, ensure_ascii: bool = True, allow_nan: bool = False) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        allow_nan=allow_nan,
        separators=(",", ":"),
        default=_plain_or_text,
    )


def _plain_or_text(value: Any) -> Any:
    try:
        return plain(value)
    except (TypeError, ValueError):
        return str(value)


async def _is_async(checkpointer: BaseCheckpointSaver[Any]) -> bool:
    """Whether async code can use it; LangGraph's own SQLite saver has two forms."""
    try:
        await checkpointer.aget_tuple({"configurable": {"thread_id": ""}})
    except NotImplementedError:
        return False
    return True
