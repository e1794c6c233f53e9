"""``RouterHandle``: a router with providers that change while the program runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from copy import copy
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.types import Checkpointer
from typing_extensions import Unpack, override

from aegis_graph.clock import Clock, utc_now
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.ledger.records import Ledger
from aegis_graph.request.choices import RouterContext
from aegis_graph.routing.application.hooks import (
    AfterAttempt,
    AskBudget,
    BeforeAttempt,
    Check,
    OnAlert,
    Policy,
    PriceOf,
    RouterHooks,
)
from aegis_graph.routing.candidates.choosing import ProviderNames
from aegis_graph.routing.hosts.host import bound_choices
from aegis_graph.routing.reload import ActiveRouter, Load
from aegis_graph.routing.router import Router
from aegis_graph.routing.stand_in_graph import StandInGraph
from aegis_graph.types import OnBudget, Task


class RouterHandle(StandInGraph):
    """A router that can be given another configuration without a restart.

    It is used wherever a router is: as a node, by ``RoutedChatModel``, by the components. A request
    runs on the chain that was in force when it started, to its end. What is known of a provider's
    health, and its open connections, stay for as long as the provider does; the connections of one
    that was changed or removed are closed when the last call that uses them has ended. The ledger
    and its history stay; the budgets of the new configuration are in force for the next request.

    Args:
        config: A configuration, or its file; without one, the file that ``AEGIS_CONFIG`` names, or
            the defaults.
        watch: Whether each request first looks whether the file says something new. A file that
            is wrong is reported in the log, once, and the old chain stays in force; so does an
            empty one, which is how a file looks while it is being written.
        ledger: A ledger to share, by default the one that the configuration names.
        checkpointer: As for ``create_router``.
        name: The graph's name.
        clock: Returns the present as an aware datetime in UTC.
        environ: Where keys are looked up by name, by default the process's environment.
        load: Reads the file, such as ``RouterConfig.load_vision``.
        before_attempt: As the five that follow, for ``create_router``; a reload keeps them.
        after_attempt: See there.
        on_alert: See there.
        policy: See there.
        price: See there; asked again at each reload.
        accept: See there; a task's check goes before the one that a file names.
        on_budget: See there.

    Raises:
        ConfigError: The configuration is wrong.

    Example:
        >>> handle = RouterHandle(RouterConfig())
        >>> rows = RouterConfig().model_dump()
        >>> rows["providers"] = [row | {"enabled": row["name"] != "openai"} for row in
        ...                      rows["providers"]]
        >>> handle.reload(RouterConfig.model_validate(rows))
        >>> "attempt_openai" in handle.get_graph().nodes
        False
    """

    def __init__(
        self,
        config: RouterConfig | str | Path | None = None,
        *,
        watch: bool = False,
        ledger: Ledger | None = None,
        checkpointer: Checkpointer = None,
        name: str = "router",
        clock: Clock = utc_now,
        environ: Mapping[str, str] | None = None,
        load: Load = RouterConfig.load,
        before_attempt: BeforeAttempt | None = None,
        after_attempt: AfterAttempt | None = None,
        on_alert: OnAlert | None = None,
        policy: Policy | None = None,
        price: PriceOf | None = None,
        accept: Mapping[Task, Check | str] | None = None,
        on_budget: OnBudget | AskBudget | None = None,
    ) -> None:
        self.name = name
        self._bound = {}
        self._has_memory = checkpointer not in (None, False)
        self._remembers = True
        self._active = ActiveRouter(
            config,
            watch=watch,
            ledger=ledger,
            checkpointer=checkpointer,
            name=name,
            clock=clock,
            environ=environ,
            load=load,
            hooks=RouterHooks(
                before_attempt=before_attempt,
                after_attempt=after_attempt,
                on_alert=on_alert,
                policy=policy,
                price=price,
                accept={} if accept is None else accept,
                on_budget=on_budget,
            ),
        )

    @property
    def config(self) -> RouterConfig:
        """The configuration in force."""
        return self._active.config

    @property
    def ledger(self) -> Ledger:
        """The ledger, which no reload changes."""
        return self._active.ledger

    @property
    @override
    def router(self) -> Router:
        """The compiled router in force; the file is not read."""
        return self._with_chosen_memory(self._active.router)

    @override
    async def current(self) -> Router:
        """The compiled router in force, after the file was read again where it is watched.

        For hosts that ask for a graph at each run, such as the LangGraph server.
        """
        return self._with_chosen_memory(await self._active.arefresh())

    @override
    def refresh(self) -> Router:
        """As ``current``, for sync callers: reading the file blocks."""
        return self._with_chosen_memory(self._active.refresh())

    def without_memory(self) -> RouterHandle:
        """The same handle without its checkpointer: each request stands alone."""
        # A shallow copy shares the router in force, so that a reload reaches this one too.
        forgetful = copy(self)
        forgetful._remembers = False
        return forgetful

    def reload(self, config: RouterConfig | None = None) -> None:
        """Put a configuration in force for every request that starts from now on.

        Args:
            config: The new one; without it, the file is read again.

        Raises:
            ConfigError: It is wrong, or names another ledger. The old one stays in force.
        """
        self._active.reload(config)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Ask, on the chain in force now."""
        router = await self.current()
        return await router.ainvoke(input, self._with(config), **kwargs)

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return self.refresh().invoke(input, self._with(config), **kwargs)

    @override
    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Stream, on the chain in force now."""
        router = await self.current()
        parts: Any = router.astream(input, self._with(config), **kwargs)
        # A reader that stops early ends the call at once, and not when the garbage is collected.
        async with aclosing(parts):
            async for part in parts:
                yield part

    @override
    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        yield from self.refresh().stream(input, self._with(config), **kwargs)

    def is_private(self, asked: object, config: RunnableConfig | None = None) -> bool:
        """Whether any place that may say so says that a request is private."""
        return self.router.is_private(asked, self._with(config))

    def said_levels(self, asked: object, config: RunnableConfig | None = None) -> list[Any]:
        """What each place that may say how private a request is says, where it does."""
        return self.router.said_levels(asked, self._with(config))

    @property
    def default_sensitivity(self) -> str:
        """How private a request is that does not say it."""
        return self.router.default_sensitivity

    @override
    def with_config(self, config: RunnableConfig | None = None, **kwargs: Any) -> RouterHandle:
        """The same handle with defaults for each call; a reload reaches it too."""
        bound = copy(self)
        bound._bound = merge_configs(self._bound, config, RunnableConfig(**kwargs))  # type: ignore[typeddict-item]
        return bound

    def with_options(self, **choices: Unpack[RouterContext]) -> RouterHandle:
        """The same handle with choices for every request; see ``with_options`` of a router.

        Raises:
            InvalidRequestError: One of them is unknown, or wrong.
        """
        names = ProviderNames(self.config.providers, self.config.aliases)
        return self.with_config(bound_choices(self._bound, choices, names))

    def _with_chosen_memory(self, router: Router) -> Router:
        if self._remembers or not self._has_memory:
            return router
        return router.copy({"checkpointer": None})
