"""What one request chooses: its model, its providers, its time, and the price of a call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from aegis_graph import (
    AllProvidersFailedError,
    InvalidRequestError,
    NoProviderError,
    RoutedChatModel,
    RoutedMessagesState,
    RouterContext,
    RouterHandle,
    RoutingError,
)
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from aegis_graph.testing.loop_clock import LoopClock
from tests.flow.support import (
    KEYS,
    KINDS,
    ask,
    assert_sound,
    dust_settles,
    flat_price,
    make_config,
    open_router,
    provider,
    rows,
)

ALIASES = {"fast": ["openai", "llama3.2:3b"], "cloud": ["dashscope", "openai"]}


def config_of(server: LoopbackServer, db: Path, **sections: Any) -> Any:
    return make_config(server, db, **{"aliases": ALIASES, **sections})


@pytest.fixture
def router(server: LoopbackServer, db: Path) -> Any:
    for kind in KINDS:
        server.always(kind, Reply(f"{kind} answers."))
    return open_router(config_of(server, db))


def host(node: Any, state: type = MessagesState, **more: Any) -> Any:
    builder: Any = StateGraph(state, **more)
    return builder.add_node("llm", node).add_edge(START, "llm").compile()


def asked(result: Any) -> list[str]:
    return [row["provider"] for row in result["attempts"]]


def codes(found: Any) -> dict[str, str]:
    skipped = found["skipped"] if isinstance(found, dict) else found.skipped
    return {row["provider"]: row["code"] for row in skipped}


@pytest.mark.parametrize(
    ("choice", "first"),
    [
        ({"model": "gpt-4o"}, "openai"),
        ({"model": "dashscope"}, "dashscope"),
        ({"model": "fast"}, "openai"),
        ({"model": "auto"}, "ollama"),
        ({"providers": ["dashscope", "ollama"]}, "dashscope"),
        ({"providers": ["ollama", "openai"], "model": "fast"}, "ollama"),
        ({"providers": ["ollama", "openai"], "model": "cloud"}, "openai"),
    ],
)
async def test_a_request_chooses_who_is_asked_first(
    router: Any, choice: dict[str, Any], first: str
) -> None:
    assert asked(await router.ainvoke(ask(**choice))) == [first]
    assert asked(router.invoke(ask(**choice))) == [first]
    assert asked(await host(router, RoutedMessagesState).ainvoke(ask(**choice))) == [first]


async def test_an_alias_falls_back_in_its_own_order_and_to_no_other(
    router: Any, server: LoopbackServer, db: Path
) -> None:
    for kind in ("openai", "ollama"):
        server.always(kind, Fault.status(400))
    with pytest.raises(RoutingError, match="not among the chosen: openai, ollama") as caught:
        await router.ainvoke(ask(model="fast"))
    assert asked({"attempts": caught.value.attempts}) == ["openai", "ollama"]
    assert codes(caught.value) == {"dashscope": "choice"}
    assert_sound(db)


@pytest.mark.parametrize("choice", [{"model": "gpt-4o"}, {"providers": ["openai", "dashscope"]}])
async def test_a_choice_never_widens_what_privacy_allows(
    router: Any, server: LoopbackServer, choice: dict[str, Any]
) -> None:
    for run in (
        router.ainvoke(ask(sensitivity="pii", **choice)),
        router.with_options(sensitivity="pii").ainvoke(ask(**choice)),
        host(router.with_options(**choice)).ainvoke(
            ask(), {"configurable": {"sensitivity": "pii"}}
        ),
    ):
        with pytest.raises(NoProviderError) as caught:
            await run
        assert codes(caught.value) == {
            "ollama": "choice", "dashscope": "privacy", "openai": "privacy"
        }  # fmt: skip
    assert server.calls() == ()


async def test_a_choice_never_widens_tasks_or_budgets(server: LoopbackServer, db: Path) -> None:
    chain = [provider(server, "openai", tasks=["vision"]), provider(server, "dashscope")]
    config = config_of(
        server, db, providers=chain, budgets={"provider:dashscope": "0"},
        aliases={"cloud": ["openai", "dashscope"]},
    )  # fmt: skip
    with pytest.raises(NoProviderError) as caught:
        await open_router(config).ainvoke(ask(model="cloud"))
    assert codes(caught.value) == {"openai": "task", "dashscope": "budget"}


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"model": "gpt-5"}, "model: 'gpt-5' is unknown; there are auto, fast, cloud, ollama"),
        ({"providers": ["ollama", "x"]}, "providers: 'x' is unknown; there are ollama, dashscope"),
        ({"providers": []}, "providers: must be a list of 1 to"),
        ({"providers": "ollama"}, "providers: must be a list"),
        ({"model": 7}, "model: a name is printable text"),
        ({"timeout_s": 0}, "timeout_s: 0 is not a number of seconds above 0"),
        ({"timeout_s": float("nan")}, "timeout_s: nan"),
        ({"timeout_s": True}, "timeout_s: True"),
        ({"max_price_usd": "cheap"}, "max_price_usd: 'cheap' is not an amount in USD"),
        ({"modell": "gpt-4o"}, "'modell' is unknown; is it 'model'"),
        ({"provider": "ollama"}, "'provider' is unknown; is it 'providers'"),
        ({"max_price": "1"}, "'max_price' is unknown; is it 'max_price_usd'"),
    ],
)
async def test_a_wrong_choice_is_refused_in_one_line(
    router: Any, server: LoopbackServer, choice: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await router.ainvoke(ask(**choice))
    assert words in str(caught.value)
    with pytest.raises(InvalidRequestError):
        router.with_options(**choice)
    assert server.calls() == ()


async def test_what_is_bound_can_be_narrowed_and_not_replaced(
    router: Any, server: LoopbackServer, db: Path
) -> None:
    bound = router.with_options(providers=["dashscope", "openai"])
    assert asked(await bound.ainvoke(ask(providers=["openai", "ollama"]))) == ["openai"]
    assert asked(await bound.ainvoke(ask(model="auto"))) == ["dashscope"]
    assert asked(await bound.with_options(model="fast").ainvoke(ask())) == ["openai"]
    handle = RouterHandle(config_of(server, db), environ=KEYS).with_options(model="cloud")
    for router_ in (bound, handle):
        with pytest.raises(NoProviderError, match="no provider in common"):
            await router_.ainvoke(ask(providers=["ollama"]))


async def test_a_hosts_own_model_in_its_configuration_is_not_ours(router: Any) -> None:
    config = {"configurable": {"model": "claude", "timeout": 3, "mode": "x", "providers": {}}}
    assert asked(await host(router, RoutedMessagesState).ainvoke(ask(), config)) == ["ollama"]
    chosen = {"configurable": {"providers": ["openai"]}}
    assert asked(await host(router, RoutedMessagesState).ainvoke(ask(), chosen)) == ["openai"]
    graph = host(router, RoutedMessagesState, context_schema=RouterContext)
    result = await graph.ainvoke(ask(), context={"model": "dashscope"})
    assert asked(result) == ["dashscope"]


async def test_a_call_that_may_cost_too_much_is_not_made(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", Reply("Rome"))
    chain = [provider(server, "openai", **flat_price("1", tokens=100)), provider(server, "ollama")]
    router = open_router(config_of(server, db, providers=chain, aliases={}))
    (skip,) = (await router.ainvoke(ask(max_price_usd="0.50")))["skipped"]
    assert (skip["provider"], skip["code"]) == ("openai", "price")
    assert "up to $1, more than the max_price_usd of $0.5" in skip["reason"]
    assert "max_output_tokens below 100" in skip["reason"]
    # The smallest of all that speak counts, and nothing was reserved for the other.
    for run in (
        router.with_options(max_price_usd="0").ainvoke(ask(max_price_usd="5", model="openai")),
        router.ainvoke(ask(model="openai"), {"configurable": {"max_price_usd": "0"}}),
    ):
        with pytest.raises(NoProviderError, match="max_price_usd of"):
            await run
    assert {row["provider"] for row in rows(db)} == {"ollama"}
    server.always("openai", Reply("Paris", output_tokens=1))
    cheap = await router.ainvoke(ask(model="openai", max_price_usd="0.50", max_output_tokens=50))
    assert asked(cheap) == ["openai"]
    assert_sound(db)


def hangs(clock: LoopClock, seconds: float) -> Any:
    def play(_: Received) -> Fault:
        clock.advance(seconds)
        return Fault.hang()

    return play


async def test_a_provider_that_hangs_ends_with_the_time_of_the_request(
    router: Any, server: LoopbackServer, db: Path
) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    server.script("openai", hangs(clock, 5))
    with pytest.raises(AllProvidersFailedError, match="in time") as caught:
        await router.ainvoke(ask(providers=["openai", "dashscope"], timeout_s=5))
    (attempt,) = caught.value.attempts
    assert attempt["error_type"] == "ProviderTimeoutError"
    assert attempt["reason"] == "the 5 s of the whole request are over"
    assert codes(caught.value) == {"ollama": "choice", "dashscope": "timeout"}
    await dust_settles(db)
    # Nothing is known of a provider that was given little time.
    for _ in range(3):
        server.script("openai", hangs(clock, 5))
        with pytest.raises(AllProvidersFailedError):
            await router.ainvoke(ask(model="openai", timeout_s=5))
    assert asked(await router.ainvoke(ask(model="openai"))) == ["openai"]
    await dust_settles(db)
    assert_sound(db)


async def test_the_time_of_the_request_is_for_all_attempts_together(
    server: LoopbackServer, db: Path
) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    slow = {"timeout_s": 30}
    chain = [provider(server, kind, **slow) for kind in KINDS]
    for kind in KINDS:
        server.always(kind, hangs(clock, 30))
    router = open_router(config_of(server, db, providers=chain))
    with pytest.raises(AllProvidersFailedError) as caught:
        await router.ainvoke(ask(timeout_s=50))
    assert [row["reason"] for row in caught.value.attempts] == [
        "no complete answer within 30 s", "the 50 s of the whole request are over"
    ]  # fmt: skip
    assert codes(caught.value) == {"openai": "timeout"}


async def test_a_retry_that_does_not_fit_into_the_time_gives_way_to_the_next(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", Fault.status(429, retry_after_s=4))
    server.always("openai", Reply("Paris"))
    chain = [provider(server, "ollama"), provider(server, "openai")]
    router = open_router(config_of(server, db, providers=chain, aliases={}))
    assert asked(await router.ainvoke(ask(timeout_s=3))) == ["ollama", "openai"]


async def test_the_smallest_time_counts_wherever_it_stands(
    router: Any, server: LoopbackServer, db: Path
) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    for run in (
        router.with_options(timeout_s=7).ainvoke(ask(timeout_s=9, model="openai")),
        router.ainvoke(ask(timeout_s=9, model="openai"), {"configurable": {"timeout_s": 7}}),
        host(router.with_options(model="openai"), context_schema=RouterContext).ainvoke(
            ask(), context={"timeout_s": 7}
        ),
    ):
        server.script("openai", hangs(clock, 7))
        with pytest.raises(AllProvidersFailedError, match="the 7 s of the whole request"):
            await run


async def test_a_run_that_is_resumed_has_the_whole_time_again_and_keeps_its_choices(
    server: LoopbackServer, db: Path
) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    server.always("openai", Reply("Paris"))
    router = open_router(config_of(server, db), checkpointer=InMemorySaver())
    paused = router.copy({"interrupt_before_nodes": ["attempt_openai"]})
    thread = {"thread_id": "1"}
    await paused.ainvoke(
        ask(), {"configurable": {**thread, "timeout_s": 5, "providers": ["openai"]}}
    )
    clock.advance(60)
    # Whoever resumes it says nothing of it.
    server.script("openai", Fault.status(503))
    await paused.ainvoke(None, {"configurable": thread})
    server.script("openai", hangs(clock, 5))
    with pytest.raises(AllProvidersFailedError, match="the 5 s of the whole request") as caught:
        await paused.ainvoke(None, {"configurable": thread})
    assert {row["provider"] for row in caught.value.attempts} == {"openai"}
    await dust_settles(db)


async def test_a_handle_knows_the_providers_and_aliases_in_force(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("Paris"))
    handle = RouterHandle(config_of(server, db), environ=KEYS)
    bound = handle.with_options(model="fast")
    assert asked(await bound.ainvoke(ask())) == ["openai"]
    chain = [provider(server, "openai", enabled=False), provider(server, "dashscope")]
    handle.reload(config_of(server, db, providers=chain, aliases={"fast": ["qwen-plus"]}))
    server.always("dashscope", Reply("Rome"))
    assert asked(await bound.ainvoke(ask())) == ["dashscope"]
    # One that is switched off is known, and is not asked.
    with pytest.raises(NoProviderError, match="not among the chosen: openai"):
        await handle.ainvoke(ask(model="openai"))
    with pytest.raises(InvalidRequestError, match="there are auto, fast, openai"):
        await handle.ainvoke(ask(model="ollama"))


async def test_a_stream_keeps_to_the_choice(router: Any) -> None:
    graph = host(router, RoutedMessagesState)
    stream = graph.astream(ask(model="fast"), stream_mode="messages", subgraphs=True)
    seen = [
        (one.text, about["provider"]) async for _, (one, about) in stream if "provider" in about
    ]
    assert "".join(text for text, _ in seen) == "openai answers."
    assert {name for _, name in seen} == {"openai"}


async def test_a_chat_model_passes_its_choices_on(router: Any, server: LoopbackServer) -> None:
    model = RoutedChatModel(router=router, model="fast", timeout=30)
    assert (await model.ainvoke("Which city?")).text == "openai answers."
    chosen: dict[str, Any] = {
        "model": "cloud",
        "providers": ["dashscope"],
        "timeout": 20,
        "max_price_usd": "1",
    }
    assert (await model.ainvoke("Which city?", **chosen)).text == "dashscope answers."
    assert model._get_ls_params()["ls_model_name"] == "fast"
    with pytest.raises(NoProviderError, match="max_price_usd"):
        await model.ainvoke("Which city?", model="openai", max_price_usd="0")
    clock = LoopClock(asyncio.get_running_loop())
    server.script("openai", hangs(clock, 3))
    with pytest.raises(AllProvidersFailedError, match="the 3 s of the whole request"):
        await model.ainvoke("Which city?", model="openai", timeout=3)
