"""Spans: one per request, one per attempt, below the application's own, whatever way it asks."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from aegis_graph import (
    OutgoingAttempt,
    RoutedChatModel,
    RouterConfig,
    RouterHandle,
    create_embeddings,
)
from aegis_graph.errors import BudgetExceededError, RequestRejectedError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import KEYS, ask, dust_settles, make_config, open_router, provider, rows
from tests.flow.telemetry.otel_support import attributes, own, parent, sdk, spans

PARIS = Reply("It is Paris.", input_tokens=10, output_tokens=3)
SECRET = "Ada Lovelace"
ENGINE: Any = {"recursion_limit": 100}
"""A limit of the caller's own is the engine's to count."""


@pytest.fixture(autouse=True)
def _exporter() -> Iterator[None]:
    sdk().exporter.clear()
    yield
    # Whatever was asked, and however it ended, the application's context is as it was.
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert context.get_current() == {}


@pytest.fixture
def config(server: LoopbackServer, db: Path) -> RouterConfig:
    server.always("openai", PARIS)
    return make_config(server, db, providers=[provider(server, "openai")])


def one_route() -> tuple[ReadableSpan, list[ReadableSpan]]:
    """The span of the only request, and those of its attempts, all of them below it."""
    found = spans()
    [route] = found.pop("route chat")
    found.pop("application", None)
    calls = sorted((one for many in found.values() for one in many), key=lambda one: own(one))
    calls.sort(key=lambda one: attributes(one)["aegis.attempt"])
    assert [parent(one) for one in calls] == [own(route)] * len(calls)
    return route, calls


def test_a_request_and_each_attempt_have_a_span_in_the_conventions_words(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", Fault.status(500))
    server.always("openai", PARIS)
    chain = [provider(server, "ollama", max_retries=0), provider(server, "openai")]
    router = open_router(make_config(server, db, providers=chain))
    asked = ask(SECRET, run_id="nightly")
    result = router.invoke(asked, {"configurable": {"thread_id": "t-1"}})
    route, [failed, answered] = one_route()
    assert attributes(route) == {
        "aegis.route_id": result["route_id"],
        "aegis.task": "chat",
        "aegis.sensitivity": "internal",
        "aegis.run_id": "nightly",
        "gen_ai.conversation.id": "t-1",
        "aegis.status": "answered",
        "aegis.attempts": 2,
    }
    assert (route.kind, route.status.status_code) == (SpanKind.INTERNAL, StatusCode.UNSET)
    assert (failed.kind, failed.name) == (SpanKind.CLIENT, "chat llama3.2:3b")
    assert attributes(failed)["error.type"] == "ProviderUnavailableError"
    assert failed.status.status_code is StatusCode.ERROR
    port = server.openai_url.rpartition(":")[2].partition("/")[0]
    assert attributes(answered) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.response.id": attributes(answered)["gen_ai.response.id"],
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.conversation.id": "t-1",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "server.address": "127.0.0.1",
        "server.port": int(port),
        "aegis.provider": "openai",
        "aegis.attempt": 2,
        "aegis.status": "answered",
        "aegis.cost.usd": "0.000055",
        "aegis.cost.nano_usd": rows(db)[1]["cost_nano_usd"],
        "aegis.cost.basis": "reported",
    }
    assert SECRET not in everything()


def everything() -> str:
    """All that the spans say."""
    return " ".join(one.to_json() for many in spans().values() for one in many)


async def invoke_sync(router: Any) -> None:
    router.invoke(ask())


async def invoke_async(router: Any) -> None:
    await router.ainvoke(ask())


async def engine_sync(router: Any) -> None:
    router.invoke(ask(), ENGINE)


async def engine_async(router: Any) -> None:
    await router.ainvoke(ask(), ENGINE)


async def stream_sync(router: Any) -> None:
    for _ in router.stream(ask(), stream_mode="messages"):
        assert trace.get_current_span().get_span_context() == APPLICATION[0].get_span_context()


async def stream_async(router: Any) -> None:
    async for _ in router.astream(ask(), stream_mode="messages"):
        assert trace.get_current_span().get_span_context() == APPLICATION[0].get_span_context()


async def chat_model(router: Any) -> None:
    async for _ in RoutedChatModel(router=router).astream("Which city?"):
        assert trace.get_current_span().get_span_context() == APPLICATION[0].get_span_context()


async def chat_model_sync(router: Any) -> None:
    for _ in RoutedChatModel(router=router).stream("Which city?"):
        assert trace.get_current_span().get_span_context() == APPLICATION[0].get_span_context()


async def in_a_host(router: Any) -> None:
    host = StateGraph(MessagesState).add_node("llm", router).add_edge(START, "llm").compile()
    await host.ainvoke(ask())


APPLICATION: list[trace.Span] = []


@pytest.mark.parametrize(
    "way",
    [
        invoke_sync,
        invoke_async,
        engine_sync,
        engine_async,
        stream_sync,
        stream_async,
        chat_model,
        chat_model_sync,
        in_a_host,
    ],
)
async def test_a_request_is_below_the_applications_span(config: RouterConfig, way: Any) -> None:
    router = open_router(config)
    with trace.get_tracer("app").start_as_current_span("application") as application:
        APPLICATION[:] = [application]
        await way(router)
        assert trace.get_current_span() is application
    route, [call] = one_route()
    assert parent(route) == own(spans()["application"][0])
    assert attributes(route)["aegis.status"] == "answered"
    assert route.start_time <= call.start_time <= call.end_time <= route.end_time  # type: ignore[operator]


def test_threads_and_tasks_keep_their_requests_apart(config: RouterConfig) -> None:
    router = open_router(config)
    tracer = trace.get_tracer("app")

    def work(name: str) -> None:
        with tracer.start_as_current_span(name):
            router.invoke(ask(), {"configurable": {"thread_id": name}})

    async def tasks() -> None:
        async def one(name: str) -> None:
            with tracer.start_as_current_span(name):
                await router.ainvoke(ask(), {"configurable": {"thread_id": name}})

        await asyncio.gather(*(one(f"task-{number}") for number in range(8)))

    threads = [threading.Thread(target=work, args=(f"thread-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    asyncio.run(tasks())
    for thread in threads:
        thread.join()
    found = spans()
    routes = {attributes(one)["gen_ai.conversation.id"]: one for one in found["route chat"]}
    assert len(routes) == 16
    for name, route in routes.items():
        assert parent(route) == own(found[name][0])
    for call in found["chat gpt-4o"]:
        route = routes[attributes(call)["gen_ai.conversation.id"]]
        assert parent(call) == own(route)


def test_skipped_candidates_are_events_and_an_error_is_a_status(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", PARIS)
    budgets = {"provider:openai": "0"}
    config = make_config(server, db, providers=[provider(server, "openai")], budgets=budgets)
    with pytest.raises(BudgetExceededError) as caught:
        open_router(config).invoke(ask(SECRET))
    route, [] = one_route()
    [event] = route.events
    assert (event.name, dict(event.attributes or {})["aegis.code"]) == (
        "aegis.candidate_skipped",
        "budget",
    )
    assert (route.status.status_code, route.status.description) == (
        StatusCode.ERROR,
        str(caught.value),
    )
    assert attributes(route)["error.type"] == "BudgetExceededError"
    assert attributes(route)["aegis.status"] == "failed"


async def test_a_stream_that_its_reader_leaves_is_cancelled(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("It is Paris.", chunk_interval_s=3600))
    config = make_config(server, db, providers=[provider(server, "openai", timeout_s=3600)])
    pieces = open_router(config).astream(ask(), stream_mode="messages")
    await anext(pieces)
    await pieces.aclose()
    await dust_settles(db)
    route, [call] = one_route()
    assert attributes(route)["aegis.status"] == attributes(call)["aegis.status"] == "cancelled"
    assert route.status.status_code is StatusCode.UNSET
    found = attributes(call)
    # Nobody counted these: they are the most that it can have been.
    assert not [key for key in found if key.startswith("gen_ai.usage.")]
    assert found["aegis.usage.estimated.input_tokens"] == rows(db)[0]["input_tokens"]


async def test_a_cancelled_task_ends_both_spans(server: LoopbackServer, db: Path) -> None:
    server.always("openai", Fault.hang())
    router = open_router(make_config(server, db, providers=[provider(server, "openai")]))
    task = asyncio.ensure_future(router.ainvoke(ask()))
    await asyncio.to_thread(server.wait_for_calls, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await dust_settles(db)
    route, [call] = one_route()
    assert attributes(route)["aegis.status"] == attributes(call)["aegis.status"] == "cancelled"
    assert attributes(call)["aegis.cost.basis"] == "held"


@pytest.mark.parametrize("level", ["confidential", "pii", "hipaa"])
def test_a_private_request_has_spans_without_words(
    server: LoopbackServer, db: Path, level: str
) -> None:
    server.always("ollama", Fault.status(400, message=f"do not like {SECRET}"))
    rows_ = [provider(server, "ollama")]
    config = make_config(server, db, providers=rows_, telemetry={"content": True})
    with pytest.raises(RequestRejectedError):
        open_router(config).invoke(ask(SECRET, sensitivity=level))
    route, [call] = one_route()
    assert attributes(route)["aegis.sensitivity"] == level
    assert route.status.description is call.status.description is None
    assert attributes(call)["error.type"]
    assert SECRET not in everything()


@pytest.mark.parametrize(
    ("given", "variable"),
    [({"content": True}, ""), ({}, "true"), ({}, "SPAN_ONLY"), ({}, "span_and_event")],
)
def test_content_is_there_for_who_asks(
    server: LoopbackServer, db: Path, given: dict[str, bool], variable: str
) -> None:
    server.always("openai", PARIS)
    server.always("ollama", PARIS)
    chain = [provider(server, "openai", location="local")]
    config = make_config(server, db, providers=chain, telemetry=given)
    name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    router = open_router(config, environ={**KEYS, name: variable})
    router.invoke(ask(SECRET))
    _, [call] = one_route()
    found = attributes(call)
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": SECRET}]}
    ]
    assert json.loads(found["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "It is Paris."}],
            "finish_reason": "stop",
        }
    ]
    sdk().exporter.clear()
    router.invoke(ask(SECRET, sensitivity="pii"))
    assert one_route()
    assert SECRET not in everything()
    assert "It is Paris." not in everything()


@pytest.mark.parametrize("variable", ["", "no_content", "event_only", "false"])
def test_content_is_nowhere_else(config: RouterConfig, variable: str) -> None:
    name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    open_router(config, environ={**KEYS, name: variable}).invoke(ask(SECRET))
    assert one_route()
    assert SECRET not in everything()


@pytest.mark.parametrize(
    ("variable", "old"), [("http,gen_ai/dup", True), ("gen_ai_latest_experimental", False)]
)
def test_older_names_are_there_for_who_asks(config: RouterConfig, variable: str, old: bool) -> None:
    environ = {**KEYS, "OTEL_SEMCONV_STABILITY_OPT_IN": variable}
    open_router(config, environ=environ).invoke(ask())
    _, [call] = one_route()
    assert ("gen_ai.system" in attributes(call)) is old
    assert attributes(call)["gen_ai.provider.name"] == "openai"


def test_it_is_switched_off_in_the_configuration_and_again_by_a_reload(
    server: LoopbackServer, db: Path, config: RouterConfig
) -> None:
    off = make_config(server, db, providers=[provider(server, "openai")], telemetry={"otel": False})
    handle = RouterHandle(off, environ=KEYS)
    handle.invoke(ask())
    assert spans() == {}
    handle.reload(config)
    handle.invoke(ask())
    assert one_route()


def test_an_application_that_suppresses_instrumentation_gets_no_spans(
    config: RouterConfig,
) -> None:
    router = open_router(config)
    token = context.attach(context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        router.invoke(ask())
        assert spans() == {}
    finally:
        context.detach(token)


def test_a_run_that_a_person_stopped_is_paused_and_goes_on_under_its_identifier(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", PARIS)
    config = make_config(server, db, providers=[provider(server, "openai")])

    def before_attempt(attempt: OutgoingAttempt) -> None:
        interrupt("Really?")

    router = open_router(config, checkpointer=InMemorySaver(), before_attempt=before_attempt)
    thread: Any = {"configurable": {"thread_id": "t-1"}}
    router.invoke(ask(), thread)
    router.invoke(Command(resume="yes"), thread)
    first, second = spans()["route chat"]
    statuses = [attributes(one)["aegis.status"] for one in (first, second)]
    assert statuses == ["paused", "answered"]
    assert attributes(first)["aegis.route_id"] == attributes(second)["aegis.route_id"]
    [call] = spans()["chat gpt-4o"]
    assert parent(call) == own(second)


def test_embeddings_have_their_own_operation(server: LoopbackServer, db: Path) -> None:
    row = {
        "name": "vllm",
        "kind": "openai",
        "model": "bge",
        "base_url": server.openai_url,
        "location": "local",
        "price": "free",
        "dimensions": 1024,
    }
    config = RouterConfig.model_validate(
        {"ledger": {"url": f"sqlite:///{db}"}, "budgets": [], "embeddings": [row]}
    )
    create_embeddings(config, environ=KEYS).embed_query(SECRET)
    found = spans()
    [route], [call] = found["route embed"], found["embeddings bge"]
    assert parent(call) == own(route)
    assert attributes(call)["gen_ai.operation.name"] == "embeddings"
    assert SECRET not in everything()
