"""A graph that stands in for another one, which can change: its drawing, schemas and states."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from copy import copy
from typing import Any, Self

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langchain_core.runnables.graph import Graph
from langgraph.pregel.protocol import PregelProtocol
from langgraph.types import StateSnapshot, StateUpdate
from pydantic import BaseModel
from typing_extensions import override

from aegis_graph.request.choices import RouterContext
from aegis_graph.routing.compiled_router import CompiledRouter
from aegis_graph.routing.state import RouterInput, RouterOutput, RouterState


class StandInGraph(PregelProtocol[RouterState, RouterContext, RouterInput, RouterOutput]):
    """What the router in force says of itself. Running it is the subclass's."""

    _bound: RunnableConfig
    """Defaults for each call."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy of the same router in force, as a deep copy of a compiled one is."""
        return copy(self)

    @property
    @abstractmethod
    def router(self) -> CompiledRouter:
        """The router in force."""

    @abstractmethod
    async def current(self) -> CompiledRouter:
        """The router in force, after a look whether it changed."""

    @abstractmethod
    def refresh(self) -> CompiledRouter:
        """As ``current``, for sync callers."""

    @override
    def get_graph(self, config: RunnableConfig | None = None, *, xray: int | bool = False) -> Graph:
        """Draw the chain in force now."""
        return self.refresh().get_graph(self._with(config), xray=xray)

    @override
    async def aget_graph(
        self, config: RunnableConfig | None = None, *, xray: int | bool = False
    ) -> Graph:
        router = await self.current()
        return await router.aget_graph(self._with(config), xray=xray)

    @override
    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        return self.router.get_input_schema(config)

    @override
    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        return self.router.get_output_schema(config)

    @override
    def get_input_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        return self.router.get_input_jsonschema(config)

    @override
    def get_output_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        return self.router.get_output_jsonschema(config)

    @override
    def get_state(self, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
        """See ``CompiledStateGraph``, for a handle with a checkpointer of its own."""
        return self.router.get_state(self._with(config), subgraphs=subgraphs)

    @override
    async def aget_state(self, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
        return await self.router.aget_state(self._with(config), subgraphs=subgraphs)

    @override
    def get_state_history(self, config: RunnableConfig, **kwargs: Any) -> Iterator[StateSnapshot]:
        return self.router.get_state_history(self._with(config), **kwargs)

    @override
    def aget_state_history(
        self, config: RunnableConfig, **kwargs: Any
    ) -> AsyncIterator[StateSnapshot]:
        return self.router.aget_state_history(self._with(config), **kwargs)

    @override
    def update_state(
        self, config: RunnableConfig, values: Any, as_node: str | None = None
    ) -> RunnableConfig:
        return self.router.update_state(self._with(config), values, as_node)

    @override
    async def aupdate_state(
        self, config: RunnableConfig, values: Any, as_node: str | None = None
    ) -> RunnableConfig:
        return await self.router.aupdate_state(self._with(config), values, as_node)

    @override
    def bulk_update_state(
        self, config: RunnableConfig, updates: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        return self.router.bulk_update_state(self._with(config), updates)

    @override
    async def abulk_update_state(
        self, config: RunnableConfig, updates: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        return await self.router.abulk_update_state(self._with(config), updates)

    def _with(self, config: RunnableConfig | None) -> RunnableConfig:
        return merge_configs(self._bound, config) if self._bound else config or {}
