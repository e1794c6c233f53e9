"""What a chain of models is known by: what changes its answers, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.graph import START, StateGraph

from aegis_graph import RouterConfig, RouterHandle, create_router, router_builder
from aegis_graph.components.model_chain import model_chain
from aegis_graph.routing.state import RouterState

CONFIG = RouterConfig.load_vision(environ={})


def changed(**changes: Any) -> RouterConfig:
    first, *others = CONFIG.providers
    row = first.model_copy(update={"price": "free", **changes})
    return CONFIG.model_copy(update={"providers": (row, *others)})


def chain_of(config: RouterConfig) -> list[str]:
    return model_chain(create_router(config), with_images=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "x"},
        {"thinking": True},
        {"enabled": False},
        {"temperature": 1.0},
        {"base_url": "http://127.0.0.1:9"},
        {"images": False},
    ],
)
def test_a_change_of_the_answers_is_another_chain(changes: dict[str, Any]) -> None:
    assert chain_of(CONFIG) != chain_of(changed(**changes))


@pytest.mark.parametrize("changes", [{}, {"name": "x"}, {"max_retries": 7}, {"timeout_s": 7.0}])
def test_what_leaves_the_answers_alone_leaves_the_chain_alone(changes: dict[str, Any]) -> None:
    assert chain_of(CONFIG) == chain_of(changed(**changes))


def test_providers_without_images_count_where_no_image_is_asked_about() -> None:
    blind = create_router(changed(images=False))
    assert len(model_chain(blind)) == len(model_chain(blind, with_images=True)) + 1


def test_a_handle_has_the_chain_in_force() -> None:
    handle = RouterHandle(CONFIG)
    assert model_chain(handle, with_images=True) == chain_of(CONFIG)
    handle.reload(changed(model="x"))
    assert model_chain(handle, with_images=True) == chain_of(changed(model="x"))


def test_a_graph_that_a_caller_compiles_has_it_and_any_other_graph_has_none() -> None:
    own = router_builder(CONFIG).compile(checkpointer=False)
    assert model_chain(own, with_images=True) == chain_of(CONFIG)
    host = StateGraph(RouterState).add_node("llm", own).add_edge(START, "llm").compile()
    assert model_chain(host) == []
