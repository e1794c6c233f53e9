"""A job says at once where its graph or its providers have no such tier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import START, StateGraph

from aegis_graph import ConfigError, InvalidRequestError, RoutedMessagesState
from aegis_graph.bulk.tiers import FLEX_WAIT_S, choices_of, writer_of
from aegis_graph.testing import LoopbackServer
from tests.flow import half_price_support
from tests.flow.bulk import batch_support
from tests.flow.support import make_config, open_router, provider


def host_of(router: Any) -> Any:
    """A graph with the router as a node."""
    return StateGraph(RoutedMessagesState).add_node("llm", router).add_edge(START, "llm").compile()


def router_of(server: LoopbackServer, db: Path, *chain: Any) -> Any:
    return open_router(make_config(server, db, providers=chain))


def test_without_a_tier_nothing_is_added(server: LoopbackServer, db: Path) -> None:
    assert choices_of(None, router_of(server, db, provider(server, "ollama"))) == {}


def test_flex_is_the_choice_of_each_request(server: LoopbackServer, db: Path) -> None:
    router = router_of(server, db, half_price_support.row(server))
    for graph in (router, host_of(router), host_of(host_of(router))):
        assert choices_of("flex", graph) == {"max_wait_s": FLEX_WAIT_S}


async def test_a_router_in_a_graph_is_asked_in_its_flex_tier(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", half_price_support.ANSWER)
    graph = host_of(router_of(server, db, half_price_support.row(server)))
    asked: Any = {"messages": [("user", "Which city?")]}
    result = await graph.ainvoke(asked, {"configurable": choices_of("flex", graph)})
    assert half_price_support.asked(result) == [("openai", "flex", "answered")]
    assert half_price_support.tiers_sent(server) == ["flex"]


def test_flex_needs_a_row_that_has_it(server: LoopbackServer, db: Path) -> None:
    router = router_of(server, db, provider(server, "ollama"), provider(server, "openai"))
    for graph in (router, host_of(router)):
        with pytest.raises(ConfigError, match="none of ollama, openai says half_price = true"):
            choices_of("flex", graph)


def test_a_graph_that_makes_its_own_requests_has_flex_and_no_batches(
    server: LoopbackServer, db: Path
) -> None:
    graph = host_of(router_of(server, db, batch_support.row(server)))
    with pytest.raises(InvalidRequestError, match='use tier="flex", or give the job the router'):
        choices_of("batch", graph)


def test_an_unknown_tier_is_refused(server: LoopbackServer, db: Path) -> None:
    wrong: Any = "half"
    with pytest.raises(InvalidRequestError, match="tier: 'half' is unknown; use one of flex, ba"):
        choices_of(wrong, router_of(server, db, batch_support.row(server)))


@pytest.mark.parametrize(
    ("kind", "changes", "why"),
    [
        ("openai", {}, "nothing says that .* takes them; name their price as"),
        (
            "openai",
            {"base_url": None, "model": "of-no-book"},
            "no price of the tier 'batch' is known for 'of-no-book'; give it as price.service_ti",
        ),
        (
            "openai",
            {"base_url": None, "options": {"service_tier": "priority"}},
            "every call asks for the tier 'priority'",
        ),
        ("dashscope", {"base_url": "https://proxy.example/qwen"}, "does not end in /api"),
        ("ollama", {}, "the kind 'ollama' has none"),
    ],
)
def test_a_chain_without_batches_says_why(
    server: LoopbackServer, db: Path, kind: str, changes: dict[str, Any], why: str
) -> None:
    row = provider(server, kind, **changes)
    with pytest.raises(ConfigError, match=f'tier="batch": providers.*: no batch files: .*{why}'):
        choices_of("batch", router_of(server, db, row))


def test_batches_go_to_the_services_own_addresses(server: LoopbackServer, db: Path) -> None:
    own: Any = {"base_url": None, "price": None}
    chain = [
        provider(server, "openai", **own),
        provider(server, "dashscope", **own),
    ]
    writer = writer_of(router_of(server, db, *chain))
    found = {name: one.batch_files for name, one in writer.providers.items()}
    assert {name: files.url for name, files in found.items() if files} == {
        "openai": "https://api.openai.com/v1",
        "dashscope": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    }
    assert {one.tier for one in writer.providers.values()} == {"batch"}
