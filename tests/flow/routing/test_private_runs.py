"""Private requests run without tracers, and with everything else that a caller passes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run
from opentelemetry import context as telemetry
from typing_extensions import override

from aegis_graph import RoutedChatModel, RouterHandle
from aegis_graph.routing.hosts.private_runs import is_tracer
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import KEYS, ask, eventually, make_config, open_router, provider, rows


class Exporter(BaseTracer):
    """Keeps what a tracer would send away."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    @override
    def _persist_run(self, run: Run) -> None:
        self.sent.append(f"{run.inputs} {run.outputs}")


class Watcher(BaseCallbackHandler):
    """A handler of an application, which sees whether OpenTelemetry is asked to be silent."""

    def __init__(self) -> None:
        self.silent: list[object] = []

    @override
    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.silent.append(telemetry.get_value(telemetry._SUPPRESS_INSTRUMENTATION_KEY))


@pytest.fixture
def router(server: LoopbackServer, db: Path) -> Any:
    server.always("ollama", Reply("Hello there"))
    return open_router(make_config(server, db, providers=[provider(server, "ollama")]))


@pytest.mark.parametrize(
    ("asked", "private"),
    [
        ({}, False),
        ({"sensitivity": "public"}, False),
        ({"sensitivity": "internal"}, False),
        ({"sensitivity": "confidential"}, True),
        ({"sensitivity": "pii"}, True),
        ({"sensitivity": "hipaa"}, True),
        ({"sensitivity": "PII"}, True),
        (None, True),
    ],
)
def test_what_is_not_known_to_be_open_is_private(asked: object, private: bool, router: Any) -> None:
    assert router.is_private(asked) is private


async def test_every_place_that_may_say_it_is_heard(
    router: Any, server: LoopbackServer, db: Path
) -> None:
    config = make_config(
        server,
        db.with_name("other.db"),
        providers=[provider(server, "ollama")],
        defaults={"sensitivity": "hipaa"},
    )
    tracer = Exporter()
    callbacks: Any = {"callbacks": [tracer]}
    bound = router.with_options(sensitivity="pii")
    await bound.ainvoke(ask("My name"), callbacks)
    await router.ainvoke(
        ask("My name"), {**callbacks, "configurable": {"sensitivity": "confidential"}}
    )
    await router.ainvoke(ask("My name"), callbacks, context={"sensitivity": "pii"})
    await open_router(config).ainvoke(ask("My name"), callbacks)
    await RoutedChatModel(router=bound).ainvoke("My name", callbacks)
    handle = RouterHandle(config, environ=KEYS).with_options(sensitivity="pii")
    await RoutedChatModel(router=handle, sensitivity="public").ainvoke("My name", callbacks)
    assert tracer.sent == []
    await open_router(config).ainvoke(ask("My name", sensitivity="public"), callbacks)
    assert tracer.sent != []


async def test_a_tracer_sees_internal_requests_only(router: Any) -> None:
    tracer = Exporter()
    await router.ainvoke(ask("My name", sensitivity="pii"), {"callbacks": [tracer]})
    assert tracer.sent == []
    await router.ainvoke(ask("My name"), {"callbacks": [tracer]})
    assert any("My name" in one and "Hello there" in one for one in tracer.sent)


@pytest.mark.parametrize("sensitivity", ["pii", "internal"])
async def test_a_handler_of_the_application_sees_both(router: Any, sensitivity: str) -> None:
    counter, watcher = UsageMetadataCallbackHandler(), Watcher()
    config: RunnableConfig = {"callbacks": [counter, watcher]}
    await router.ainvoke(ask(sensitivity=sensitivity), config)
    model = RoutedChatModel(router=router)
    await model.ainvoke("Hello?", config, sensitivity=sensitivity)
    assert len(counter.usage_metadata) == 1
    silent = True if sensitivity == "pii" else None
    assert watcher.silent == [silent, silent]
    assert telemetry.get_value(telemetry._SUPPRESS_INSTRUMENTATION_KEY) is None


@pytest.mark.parametrize("sync", [True, False])
async def test_between_the_pieces_of_a_stream_the_reader_is_traced(router: Any, sync: bool) -> None:
    model = RoutedChatModel(router=router)
    seen = []

    def look() -> None:
        seen.append(telemetry.get_value(telemetry._SUPPRESS_INSTRUMENTATION_KEY))

    if sync:
        for _ in model.stream("Hello?", sensitivity="pii"):
            look()
        for _ in router.stream(ask(sensitivity="pii")):
            look()
    else:
        async for _ in model.astream("Hello?", sensitivity="pii"):
            look()
        async for _ in router.astream(ask(sensitivity="pii")):
            look()
    assert set(seen) == {None}
    assert len(seen) > 3


async def test_a_stream_that_is_left_ends(router: Any, server: LoopbackServer, db: Path) -> None:
    # Left before its end, however fast the rest is read.
    server.script("ollama", Reply("Hello there", chunk_interval_s=60))
    stream: Any = RoutedChatModel(router=router).astream("Hello?", sensitivity="pii")
    async for _ in stream:
        break
    await stream.aclose()

    def settled() -> bool:
        return [row["status"] for row in rows(db)] == ["cancelled"]

    # In a thread: what is waited for is done on this loop.
    await asyncio.to_thread(eventually, settled, goal="its settlement")
    assert settled()


def test_handlers_of_exporting_packages_are_tracers() -> None:
    handler = type("CallbackHandler", (BaseCallbackHandler,), {"__module__": "langfuse.langchain"})
    assert is_tracer(handler())
    assert is_tracer(type("Mine", (handler,), {})())
    assert not is_tracer(Watcher())
    assert not is_tracer(None)
