"""The router and its floors: bare LangChain clients, and LangGraph graphs of empty nodes."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from types import MappingProxyType
from typing import Any, cast

import httpx
from by_hand import ByHand
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langgraph.graph.state import CompiledStateGraph
from support import create_tables
from typing_extensions import TypedDict
from worker import PROMPT, Contestant

from aegis_graph.chat.chat_model import RoutedChatModel
from aegis_graph.config.price_specs import PriceSpec
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.ledger.admission_queue import AdmissionQueue
from aegis_graph.ledger.approvals import Approval
from aegis_graph.ledger.records import Admission, Alert, FailedRequest, Hold, Ledger
from aegis_graph.providers.base import OpenModel
from aegis_graph.providers.registry import create_provider
from aegis_graph.routing.router import Router, create_router
from aegis_graph.types import SettlementRecord

QUESTION = HumanMessage(PROMPT)
MAX_OUTPUT_TOKENS = 64


def row(kind: str, url: str, name: str | None = None) -> ProviderSpec:
    """A provider at that address."""
    return ProviderSpec(
        name=name or kind,
        kind=kind,
        model={"openai": "gpt-4o", "ollama": "llama3.2:3b"}[kind],
        base_url=url,
        location="cloud",
        price=PriceSpec(input_usd_per_mtok=Decimal("2.5"), output_usd_per_mtok=Decimal(10)),
        max_output_tokens=MAX_OUTPUT_TOKENS,
        max_retries=0,
        timeout_s=600,
    )


def _contestant_of(model: BaseChatModel, close: Any = None, **options: Any) -> Contestant:
    async def call() -> Any:
        return await model.ainvoke([QUESTION], **options)

    async def stream() -> AsyncIterator[Any]:
        async for chunk in model.astream([QUESTION], **options):
            if chunk.content:
                yield chunk

    return Contestant(call, stream, close)


def contestant_of_graph(
    graph: CompiledStateGraph[Any, Any, Any, Any], close: Any = None, **more: Any
) -> Contestant:
    """The graph, called and streamed from; ``more`` stands in its input."""
    question: Any = {"messages": [QUESTION], **more}

    async def call() -> Any:
        return await graph.ainvoke(question)

    async def sync_call() -> Any:
        return graph.invoke(question)

    async def stream() -> AsyncIterator[Any]:
        async for mode, event in graph.astream(question, stream_mode=["messages", "custom"]):
            if mode == "messages" and event[0].content:
                yield event

    return Contestant(call, stream, close, {"ainvoke": call, "invoke": sync_call})


def default_model(kind: str, url: str, client: httpx.AsyncClient | None = None) -> BaseChatModel:
    """LangChain's client as it comes."""
    if kind == "ollama":
        from langchain_ollama import ChatOllama  # noqa: PLC0415  each process imports its own

        return ChatOllama(model="llama3.2:3b", base_url=url, num_predict=MAX_OUTPUT_TOKENS)
    from langchain_openai import ChatOpenAI  # noqa: PLC0415

    return ChatOpenAI(
        model="gpt-4o",
        base_url=url,
        api_key=cast(Any, "none"),
        max_retries=0,
        stream_usage=True,
        http_async_client=client,
        max_tokens=MAX_OUTPUT_TOKENS,  # type: ignore[call-arg]
    )


def default_client(*, kind: str, url: str) -> Contestant:
    """The bare LangChain client as it comes."""
    return _contestant_of(default_model(kind, url))


def httpx_client(*, url: str) -> Contestant:
    """``ChatOpenAI`` as it came before openai 3, which brought a client of its own."""
    # The limits are those of openai 2's DEFAULT_CONNECTION_LIMITS.
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
    client = httpx.AsyncClient(limits=limits, timeout=600)
    return _contestant_of(default_model("openai", url, client), client.aclose)


def open_client(kind: str, url: str) -> tuple[OpenModel, dict[str, Any]]:
    """LangChain's client over the router's transport, and the arguments of a call."""
    provider = create_provider(row(kind, url), source="the benchmark")
    provider.load()
    opened = provider.open_model("none")
    if kind == "openai":
        # The router reads answers without the objects that OpenAI's client makes of them.
        model: Any = opened.model
        model.async_client = model.root_async_client.chat.completions
    return opened, provider.call_options(MAX_OUTPUT_TOKENS)


def same_client(*, kind: str, url: str) -> Contestant:
    """The client that the router calls, with the same arguments, without the router."""
    opened, options = open_client(kind, url)
    return _contestant_of(opened.model, opened.aclose, **options)


def with_fallbacks(*, url: str, failing_url: str) -> Contestant:
    """LangChain's own fallback: no budget, no record."""
    first, second = default_model("openai", failing_url), default_model("openai", url)
    return _contestant_of(cast(BaseChatModel, first.with_fallbacks([second])))


def routed_model(*, kind: str, url: str, ledger: str) -> Contestant:
    """The router as a chat model."""
    graph = new_router(kind, url, ledger)
    return _contestant_of(RoutedChatModel(router=graph))


def router(
    *, kind: str, url: str, ledger: str | None, failing_url: str | None = None
) -> Contestant:
    """The router under a budget that is never reached.

    Args:
        kind: The provider's.
        url: Where it is.
        ledger: The database's address, or ``None`` for a ledger that does nothing.
        failing_url: Where a first provider is, which fails.
    """
    return contestant_of_graph(new_router(kind, url, ledger, failing_url))


def new_router(
    kind: str,
    url: str,
    ledger: str | None,
    failing_url: str | None = None,
    more: Mapping[str, Any] = MappingProxyType({}),
    **functions: Any,
) -> Router:
    """The router that is measured.

    Args:
        kind: The provider's.
        url: Where it is.
        ledger: The database's address, or ``None`` for a ledger that does nothing.
        failing_url: Where a first provider is, which fails.
        more: Further keys of the configuration.
        functions: Further arguments of ``create_router``.
    """
    chain = [row(kind, url)]
    if failing_url:
        chain.insert(0, row(kind, failing_url, "first"))
    config = RouterConfig.model_validate(
        {
            "ledger": {"url": ledger or "sqlite:///unused.db", "busy_timeout_s": 60},
            "providers": chain,
            "budgets": [{"scope": f"provider:{kind}", "window": "month", "limit_usd": 1_000_000}],
            # Nobody rests: each call is to meet the failure.
            "health": {"failures": 1_000_000_000},
            **more,
        }
    )
    given = None if ledger else cast(Ledger, NoLedger())
    return create_router(config, ledger=given, **functions)


def client_and_ledger_by_hand(*, kind: str, url: str, ledger: str) -> Contestant:
    """The same client between two bare transactions on a thread of their own."""
    client, thread = same_client(kind=kind, url=url), ThreadPoolExecutor(1)
    thread.submit(create_tables, ledger).result()
    hand = thread.submit(ByHand, ledger).result()

    async def call() -> Any:
        loop = asyncio.get_running_loop()
        hold_id = await loop.run_in_executor(thread, hand.reserve)
        answer = await client.call()
        await loop.run_in_executor(thread, hand.settle, hold_id)
        return answer

    return Contestant(call, close=client.close)


def disk(*, folder: str) -> Contestant:
    """What two durable transactions ask of the disk, and nothing else."""
    file = os.open(f"{folder}/disk", os.O_CREAT | os.O_WRONLY)

    async def call() -> Any:
        for _ in range(2):
            os.pwrite(file, b"x" * 4096, 0)
            os.fdatasync(file)

    return Contestant(call)


class NoLedger:
    """Admits everything and keeps nothing: what the router costs without one."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.queue = AdmissionQueue()

    async def admit(
        self,
        holds: Sequence[Hold],
        *,
        settle: Sequence[SettlementRecord] = (),
        approval: Approval | None = None,
    ) -> Admission:
        """Admit the first."""
        return Admission(next(self._numbers), 0, ())

    async def settle(
        self,
        settlements: Sequence[SettlementRecord],
        *,
        failed_request: FailedRequest | None = None,
    ) -> tuple[Alert, ...]:
        """Forget it."""
        return ()

    def settle_soon(self, settlement: SettlementRecord) -> None:
        """Forget it."""


class _Empty(TypedDict):
    messages: list[Any]


def empty_graph(*, kind: str | None = None, url: str = "") -> Contestant:
    """Three nodes that do nothing; with a kind, the second calls the router's client."""
    from langgraph.graph import END, START, StateGraph  # noqa: PLC0415

    options: dict[str, Any] = {}
    model: BaseChatModel | None = None
    close: Any = None
    if kind is not None:
        opened, options = open_client(kind, url)
        model, close = opened.model, opened.aclose

    async def nothing(state: _Empty) -> dict[str, Any]:
        return {}

    async def middle(state: _Empty) -> dict[str, Any]:
        if model is None:
            return {}
        return {"messages": [await model.ainvoke(state["messages"], **options)]}

    builder = StateGraph(_Empty)
    builder.add_node("first", nothing)
    builder.add_node("second", middle)
    builder.add_node("third", nothing)
    for start, end in itertools.pairwise([START, "first", "second", "third", END]):
        builder.add_edge(start, end)
    return contestant_of_graph(builder.compile(), close)
