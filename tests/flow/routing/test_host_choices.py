"""Privacy and envelope in a host graph: by whichever way a caller gives them, none is lost."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from aegis_graph import (
    AllProvidersFailedError,
    BudgetExceededError,
    InvalidRequestError,
    NoProviderError,
    RoutedMessagesState,
    RouterContext,
    RouterHandle,
    RoutingError,
)
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import KEYS, ask, made, make_config, open_router, provider, rows

SSN = "My number is 078-05-1120"


@pytest.fixture
def router(server: LoopbackServer, db: Path) -> Any:
    """A router whose only provider is a cloud."""
    server.always("openai", Reply("Seen."))
    return open_router(cloud_config(server, db))


def cloud_config(server: LoopbackServer, db: Path, **sections: Any) -> Any:
    return make_config(server, db, providers=[provider(server, "openai")], **sections)


def host(node: Any, state: type = MessagesState, **more: Any) -> Any:
    builder: Any = StateGraph(state, **more)
    return builder.add_node("llm", node).add_edge(START, "llm").compile()


async def test_a_private_request_in_the_state_of_a_routed_host_stays_here(
    router: Any, server: LoopbackServer
) -> None:
    with pytest.raises(NoProviderError):
        await host(router, RoutedMessagesState).ainvoke(ask(SSN, sensitivity="pii"))
    assert server.calls() == ()


async def test_an_envelope_in_the_state_of_a_routed_host_is_kept(
    router: Any, server: LoopbackServer
) -> None:
    with pytest.raises(BudgetExceededError):
        await host(router, RoutedMessagesState).ainvoke(ask(run_id="r", max_cost_usd="0"))
    assert server.calls() == ()


@pytest.mark.parametrize("way", ["bound", "context", "dataclass", "configurable", "handle"])
async def test_a_private_request_stays_here_though_the_host_has_no_such_key(
    router: Any, server: LoopbackServer, db: Path, way: str
) -> None:
    @dataclass
    class Context:
        sensitivity: str = "pii"
        tenant: str = "acme"

    if way == "bound":
        run = host(router.with_options(sensitivity="pii")).ainvoke(ask(SSN))
    elif way == "context":
        graph = host(router, context_schema=RouterContext)
        run = graph.ainvoke(ask(SSN), context={"sensitivity": "pii"})
    elif way == "dataclass":
        run = host(router, context_schema=Context).ainvoke(ask(SSN), context=Context())
    elif way == "configurable":
        run = host(router).ainvoke(ask(SSN), {"configurable": {"sensitivity": "pii"}})
    else:
        handle = RouterHandle(cloud_config(server, db), environ=KEYS)
        run = host(handle.with_options(sensitivity="pii")).ainvoke(ask(SSN))
    with pytest.raises(NoProviderError):
        await run
    assert server.calls() == ()


def test_a_private_request_stays_here_for_sync_callers_too(
    router: Any, server: LoopbackServer
) -> None:
    private = router.with_options(sensitivity="hipaa")
    for graph in (private, host(private)):
        with pytest.raises(NoProviderError):
            graph.invoke(ask(SSN))
        with pytest.raises(NoProviderError):
            list(graph.stream(ask(SSN)))
    assert server.calls() == ()


@pytest.mark.parametrize("stricter", ["state", "bound", "configurable"])
async def test_the_strictest_level_counts_wherever_it_stands(
    router: Any, server: LoopbackServer, stricter: str
) -> None:
    level = {"state": "public", "bound": "public", "configurable": "public"} | {stricter: "pii"}
    bound = router.with_options(sensitivity=level["bound"])
    config = {"configurable": {"sensitivity": level["configurable"]}}
    with pytest.raises(NoProviderError):
        await bound.ainvoke(ask(SSN, sensitivity=level["state"]), config)
    # Bound twice, the later one cannot loosen the earlier.
    with pytest.raises(NoProviderError):
        await (
            router.with_options(sensitivity="pii")
            .with_options(sensitivity="public")
            .ainvoke(ask(SSN))
        )
    assert server.calls() == ()


async def test_the_smallest_envelope_counts(router: Any, server: LoopbackServer) -> None:
    generous = router.with_options(max_cost_usd="5")
    with pytest.raises(BudgetExceededError):
        await generous.ainvoke(ask(run_id="r", max_cost_usd="0.000001"))
    with pytest.raises(BudgetExceededError):
        await router.with_options(max_cost_usd="0").ainvoke(ask(run_id="r", max_cost_usd="5"))
    assert server.calls() == ()


async def test_user_and_task_come_from_the_nearest_place(
    router: Any, server: LoopbackServer, db: Path
) -> None:
    bound = router.with_options(user_id="bound", task="extract")
    await host(bound).ainvoke(ask(), {"configurable": {"user_id": "ada"}})
    await bound.ainvoke(ask(task="answer"))
    found = [(row["user_id"], row["task"]) for row in made(db)]
    assert found == [("ada", "extract"), ("bound", "answer")]


async def test_a_bound_router_takes_the_fast_path(router: Any) -> None:
    bound = router.with_options(user_id="ada")
    assert bound._fast_path_config(ask(), None) is not None
    assert bound.with_config(tags=["seen"])._fast_path_config(ask(), None) is None


@pytest.mark.parametrize("key", ["sensitivty", "sensitivities", "max_cost", "user-id", "Task"])
async def test_a_misspelt_key_is_refused(router: Any, server: LoopbackServer, key: str) -> None:
    with pytest.raises(InvalidRequestError, match="is it"):
        await router.ainvoke(ask(SSN, **{key: "pii"}))
    with pytest.raises(InvalidRequestError, match="is it"):
        router.invoke(ask(SSN, **{key: "pii"}))
    with pytest.raises(InvalidRequestError):
        router.with_options(**{key: "pii"})
    with pytest.raises(InvalidRequestError, match="is it"):
        await host(router, context_schema=RouterContext).ainvoke(ask(SSN), context={key: "pii"})
    assert server.calls() == ()


async def test_a_key_of_the_hosts_own_is_no_misspelt_one(
    router: Any, server: LoopbackServer
) -> None:
    config = {"configurable": {"tenant": "acme", "thread": "7", "costs": "high"}}
    result = await host(router).ainvoke(ask(documents=["a"]), config)
    assert result["messages"][-1].text == "Seen."


@pytest.mark.parametrize("value", ["", 7, ["ada"], None])
async def test_names_of_the_hosts_own_form_in_its_configuration_are_not_ours(
    router: Any, db: Path, value: object
) -> None:
    config = {"configurable": {"user_id": value, "run_id": value, "task": value}}
    await host(router).ainvoke(ask(), config)
    (row,) = made(db)
    assert (row["user_id"], row["run_id"], row["task"]) == ("default", None, "chat")


@pytest.mark.parametrize("value", ["", 7, "secret"])
async def test_a_wrong_level_in_the_configuration_is_never_passed_over(
    router: Any, server: LoopbackServer, value: object
) -> None:
    with pytest.raises(InvalidRequestError, match="sensitivity"):
        await host(router).ainvoke(ask(SSN), {"configurable": {"sensitivity": value}})
    assert server.calls() == ()


def test_a_wrong_choice_is_refused_where_it_is_bound(router: Any) -> None:
    with pytest.raises(InvalidRequestError, match="sensitivity"):
        router.with_options(sensitivity="secret")
    with pytest.raises(InvalidRequestError, match="max_cost_usd"):
        router.with_options(max_cost_usd="a lot")


async def test_a_level_that_rises_while_a_run_waits_counts(
    server: LoopbackServer, db: Path
) -> None:
    bound = open_router(cloud_config(server, db), checkpointer=InMemorySaver())
    paused = bound.copy({"interrupt_before_nodes": ["attempt_openai"]})
    await paused.ainvoke(ask(SSN), {"configurable": {"thread_id": "1"}})
    # The level rises while the run waits: the attempt that was admitted is not made.
    with pytest.raises(NoProviderError):
        await paused.ainvoke(None, {"configurable": {"thread_id": "1", "sensitivity": "pii"}})
    assert server.calls() == ()


async def test_a_resumed_run_keeps_the_level_that_it_began_with(
    server: LoopbackServer, db: Path
) -> None:
    chain = [provider(server, "ollama"), provider(server, "openai")]
    server.always("openai", Reply("Seen."))
    memory = InMemorySaver()
    router = open_router(make_config(server, db, providers=chain), checkpointer=memory)
    paused = router.copy({"interrupt_after_nodes": ["attempt_ollama"]})
    thread = {"thread_id": "1"}
    server.always("ollama", Fault.status(503))
    # The one that starts the run says how private it is; the one that resumes it does not.
    private = {"configurable": {**thread, "sensitivity": "pii"}}
    await paused.ainvoke(ask(SSN), private)
    with suppress(RoutingError):
        for _ in range(5):
            await paused.ainvoke(None, {"configurable": thread})
    assert rows(db)[-1]["sensitivity"] == "pii"
    assert "openai" not in {call.protocol for call in server.calls()}


async def test_a_host_that_drops_the_keys_is_named_once(
    router: Any, server: LoopbackServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "aegis_graph"):
        graph = host(router)
        await graph.ainvoke(ask())
        await graph.ainvoke(ask())
        host(router).invoke(ask())
    (line,) = [row.message for row in caplog.records if "sensitivity" in row.message]
    assert "RoutedMessagesState" in line
    assert "with_options" in line


async def test_a_host_that_carries_or_binds_the_level_is_not_warned_of(
    server: LoopbackServer, db: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.always("openai", Reply("Seen."))
    with caplog.at_level(logging.WARNING, "aegis_graph"):
        for node, state in (
            (open_router(cloud_config(server, db)), RoutedMessagesState),
            (
                open_router(cloud_config(server, db)).with_options(sensitivity="public"),
                MessagesState,
            ),
        ):
            await host(node, state).ainvoke(ask())
        await open_router(cloud_config(server, db)).ainvoke(ask())
    assert [row.message for row in caplog.records if "sensitivity" in row.message] == []


async def test_routers_beside_each_other_report_into_one_host(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("Seen."))
    builder: Any = StateGraph(RoutedMessagesState)
    for name in ("left", "right"):
        builder.add_node(name, open_router(cloud_config(server, db)))
        builder.add_edge(START, name)
    result = await builder.compile().ainvoke(ask())
    assert [row["provider"] for row in result["attempts"]] == ["openai", "openai"]
    assert result["route_id"] in {row["route_id"] for row in made(db)}
    assert len(made(db)) == 2


async def test_a_file_may_require_a_level(server: LoopbackServer, db: Path) -> None:
    router = open_router(cloud_config(server, db, defaults={"sensitivity": "required"}))
    with pytest.raises(InvalidRequestError, match="requires"):
        await host(router).ainvoke(ask(SSN))
    assert server.calls() == ()
    server.always("openai", Reply("Seen."))
    assert (await router.ainvoke(ask(sensitivity="public")))["attempts"][0]["status"] == "answered"


async def test_a_files_defaults_count_where_nothing_else_speaks(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("Seen."))
    chosen = {"sensitivity": "public", "task": "answer", "user_id": "team", "max_cost_usd": "1"}
    router = open_router(cloud_config(server, db, defaults=chosen))
    result = await host(router).ainvoke(ask())
    assert result["messages"][-1].text == "Seen."
    await router.ainvoke(ask(user_id="ada", run_id="r"))
    first, second = made(db)
    assert (first["sensitivity"], first["task"], first["user_id"]) == ("public", "answer", "team")
    # A request of no run is a run of its own.
    assert first["run_id"] == first["route_id"]
    assert (second["user_id"], second["run_id"]) == ("ada", "r")
    poor = open_router(cloud_config(server, db, defaults={"max_cost_usd": "0"}))
    with pytest.raises(BudgetExceededError):
        await poor.ainvoke(ask())


async def test_a_files_level_is_for_requests_that_say_none(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("Seen."))
    router = open_router(cloud_config(server, db, defaults={"sensitivity": "pii"}))
    with pytest.raises(NoProviderError):
        await host(router).ainvoke(ask(SSN))
    assert server.calls() == ()
    assert (await router.ainvoke(ask(sensitivity="public")))["attempts"][0]["status"] == "answered"


def test_the_context_is_a_form(router: Any) -> None:
    schema = host(router, context_schema=RouterContext).get_context_jsonschema()
    assert set(schema["properties"]) == set(RouterContext.__annotations__)
    own = router.get_context_jsonschema()
    assert "sensitivity" in own["properties"]


def test_errors_are_public() -> None:
    assert issubclass(BudgetExceededError, NoProviderError)
    assert issubclass(AllProvidersFailedError, RuntimeError)


async def test_a_host_has_a_model_and_a_provider_of_its_own_in_its_context(
    server: LoopbackServer, db: Path, router: Any
) -> None:
    @dataclass
    class Context:
        model: str = "anthropic/claude"
        system_prompt: str = "Be kind."

    graph = host(router, context_schema=Context)
    assert (await graph.ainvoke(ask(), context=Context()))["messages"][-1].text == "Seen."
    own = {"model": "anthropic/claude", "provider": "anthropic", "timeout": 5}
    graph = host(router, context_schema=dict)
    assert (await graph.ainvoke(ask(), context=own))["messages"][-1].text == "Seen."
    # One that has the router's keys alone is the router's.
    with pytest.raises(InvalidRequestError, match="'anthropic/claude' is unknown"):
        await host(router, context_schema=RouterContext).ainvoke(
            ask(), context={"model": "anthropic/claude"}
        )
