"""The routing subgraph. START HERE.

```mermaid
graph TD
  START --> budget_check
  budget_check -. admitted .-> attempt_ollama
  budget_check -. admitted .-> attempt_dashscope
  budget_check -. admitted .-> attempt_openai
  budget_check -. nothing admitted .-> record_cost
  attempt_ollama -. failed: fall back .-> budget_check
  attempt_dashscope -. failed: fall back .-> budget_check
  attempt_openai -. failed: fall back .-> budget_check
  attempt_ollama -. answered .-> record_cost
  attempt_dashscope -. answered .-> record_cost
  attempt_openai -. answered .-> record_cost
  record_cost --> END
```

Where answers to a task must pass a check, a node stands between the attempts and ``record_cost``:

```mermaid
graph TD
  attempt_ollama -. to be judged .-> accept
  accept -. refused: fall back .-> budget_check
  accept -. accepted .-> record_cost
```

Every attempt is entered through ``budget_check``, which reserves the most it can cost from every
budget it touches; ``record_cost`` replaces the reservation by the real cost. The call and its
settlement are separate nodes: with a checkpointer, a failed ledger write is resumed without buying
the answer again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from langgraph.types import Checkpointer

from aegis_graph.clock import Clock, utc_now
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.ledger.records import Ledger
from aegis_graph.providers.registry import create_provider
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
from aegis_graph.routing.assembly import RouterBuilder, assemble, compiled
from aegis_graph.routing.compiled_router import CompiledRouter
from aegis_graph.routing.services import SharedServices
from aegis_graph.types import OnBudget, Task

Router = CompiledRouter
"""The type of a compiled routing graph."""


def router_builder(
    config: RouterConfig,
    *,
    ledger: Ledger | None = None,
    clock: Clock = utc_now,
    environ: Mapping[str, str] | None = None,
    before_attempt: BeforeAttempt | None = None,
    after_attempt: AfterAttempt | None = None,
    on_alert: OnAlert | None = None,
    policy: Policy | None = None,
    price: PriceOf | None = None,
    accept: Mapping[Task, Check | str] | None = None,
    on_budget: OnBudget | AskBudget | None = None,
) -> RouterBuilder:
    """Build the routing graph, for callers that compile it themselves.

    What they compile runs on LangGraph's engine; ``create_router`` runs its nodes without it
    where nothing observes the run.

    Args:
        config: The chain of providers, the budgets and the ledger.
        ledger: A ledger to share, by default the one that the configuration names.
        clock: Returns the present as an aware datetime in UTC.
        environ: Where keys are looked up by name, by default the process's environment; then in
            the `.env` beside the configuration's file.
        before_attempt: As the five that follow, for ``create_router``.
        after_attempt: See there.
        on_alert: See there.
        policy: See there.
        price: See there.
        accept: See there.
        on_budget: See there.

    Raises:
        ConfigError: A provider's kind or price is unknown.

    Example:
        >>> graph = router_builder(RouterConfig()).compile(checkpointer=False, name="llm")
        >>> "attempt_ollama" in graph.get_graph().nodes
        True
    """
    hooks = RouterHooks(
        before_attempt=before_attempt,
        after_attempt=after_attempt,
        on_alert=on_alert,
        policy=policy,
        price=price,
        accept={} if accept is None else accept,
        on_budget=on_budget,
    )
    variables = config.variables(environ)
    chain = [
        create_provider(hooks.priced(row, config.source), source=config.source, environ=variables)
        for row in config.providers
        if row.enabled
    ]
    services = SharedServices.of(config, ledger=ledger, clock=clock, hooks=hooks, environ=environ)
    return assemble(chain, services, config)


def create_router(  # house: one line per choice that an application has
    config: RouterConfig | str | Path | None = None,
    *,
    ledger: Ledger | None = None,
    checkpointer: Checkpointer = None,
    name: str = "router",
    clock: Clock = utc_now,
    environ: Mapping[str, str] | None = None,
    before_attempt: BeforeAttempt | None = None,
    after_attempt: AfterAttempt | None = None,
    on_alert: OnAlert | None = None,
    policy: Policy | None = None,
    price: PriceOf | None = None,
    accept: Mapping[Task, Check | str] | None = None,
    on_budget: OnBudget | AskBudget | None = None,
) -> Router:
    """Build the routing subgraph: one node that every LLM call of an application goes through.

    Building it needs no event loop, no key and no network. It serves ``ainvoke`` and ``astream`` on
    any event loop and ``invoke`` and ``stream`` from any thread.

    Args:
        config: The chain of providers, the budgets and the ledger, or the file that says them; the
            defaults when absent.
        ledger: A ledger to share, by default the one that the configuration names.
        checkpointer: As a node, the router inherits its host's checkpointer, which is what lets a
            resumed run buy nothing twice; ``False`` halves its cost under a durable one.
        name: The graph's name.
        clock: Returns the present as an aware datetime in UTC.
        environ: Where keys are looked up by name, by default the process's environment; then in
            the `.env` beside the configuration's file.
        before_attempt: Sees each call before anything is sent; redacts it, or refuses the provider.
        after_attempt: Sees each call when the ledger has its cost.
        on_alert: Called once per window when a budget's share is spent.
        policy: Puts the candidates of an attempt in another order, or leaves some out.
        price: The price of a row, where it is another than the configuration's.
        accept: What an answer must pass, by task, or under ``*``; else the next provider is asked.
            ``json``, ``citations``, ``module:function``, or a function of request and answer.
        on_budget: What happens where only budgets are in the way, in place of the configuration's
            word: ``raise``, ``interrupt`` or ``downshift``; a function is given the question
            whether more may be spent, and returns the answer as a resumed run would bring it.

    Raises:
        ConfigError: A provider's kind or price is unknown, or a check is not there.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> router = create_router(RouterConfig())
        >>> result = router.invoke({"messages": [HumanMessage("...")]})  # doctest: +SKIP
        >>> result["attempts"][0]["provider"]                            # doctest: +SKIP
        'ollama'
    """
    if isinstance(config, str | Path):
        config = RouterConfig.load(config, environ=environ)
    builder = router_builder(
        config or RouterConfig(),
        ledger=ledger,
        clock=clock,
        environ=environ,
        before_attempt=before_attempt,
        after_attempt=after_attempt,
        on_alert=on_alert,
        policy=policy,
        price=price,
        accept=accept,
        on_budget=on_budget,
    )
    return compiled(builder, checkpointer=checkpointer, name=name)
