"""The router in a graph of the application's: its host.

LangGraph hands a node only those keys that the host's state has, and drops the others in silence.
So the host can take the router's keys over from here, and what it does not carry in its state can
come by the run's context, by its configuration, or be bound to the router.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from operator import add
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.choices import (
    CHOICES,
    PROTECTING,
    REQUIRED,
    joined_choices,
    missing_sensitivity,
    refuse_misspelt,
)
from aegis_graph.request.request import Request, checked_choices
from aegis_graph.request.selection import NARROWING, SELECTING, read_selections
from aegis_graph.request.tags import is_text_mapping
from aegis_graph.routing.candidates.choosing import ProviderNames
from aegis_graph.routing.hosts.langchain_internals import (
    RUNNING_CONFIG,
    RUNTIME_KEY,
    channels_around,
)
from aegis_graph.routing.state import RouterInput, RouterState
from aegis_graph.routing.walking.direct_run import direct_run
from aegis_graph.types import ORDERS, AttemptRecord, SkippedRecord

logger = logging.getLogger(__name__)

BOUND = "aegis_options"
"""Key of ``configurable`` with what is bound to a router; a caller's own keys stand beside it."""

_NEVER_LOST = tuple(key for key in PROTECTING if key != "timeout_s")
"""Of which a misspelt form is refused in ``configurable``, where ``timeout`` is a host's own."""

_HOSTS_OWN = frozenset({"provider", "timeout"})
"""Keys of a context that look like ours, and that hosts have for themselves."""

_INPUT_KEYS = tuple(RouterInput.__annotations__)
_CONFIG_KEYS = frozenset(RunnableConfig.__annotations__)


def latest(left: str, right: str) -> str:
    """The reducer of a value of which the last one written counts."""
    return right or left


class RoutedMessagesState(RouterInput, total=False):
    """A host's state: messages, the router's keys, and what it reports.

    Router nodes may run beside each other: their reports are joined. On a thread that is kept, the
    reports of all its turns stay.

    Example:
        >>> from langgraph.graph import START, StateGraph
        >>> from aegis_graph import RouterConfig, create_router
        >>> builder = StateGraph(RoutedMessagesState)
        >>> builder = builder.add_node("llm", create_router(RouterConfig())).add_edge(START, "llm")
        >>> graph = builder.compile()
    """

    attempts: Annotated[list[AttemptRecord], add]
    skipped: Annotated[list[SkippedRecord], add]
    route_id: Annotated[str, latest]


class RequestReader:
    """Reads the request out of a node's state, with every choice that was made for it.

    Args:
        defaults: What the configuration says for requests that do not.
    """

    def __init__(self, defaults: Mapping[str, Any]) -> None:
        self._required = defaults.get("sensitivity") == REQUIRED
        self._defaults = {key: value for key, value in defaults.items() if value != REQUIRED}

    def __call__(self, state: RouterState, config: RunnableConfig) -> Request:
        """The request, checked.

        Args:
            state: The router's state. A request in progress keeps the choices that it began with.
            config: The run's configuration, with its context and what is bound to the router.

        Raises:
            InvalidRequestError: A choice is wrong, or one that must be made is not.
        """
        run = direct_run(state)
        if run is None:
            return self._read(state, config)
        if run.request is None:
            run.request = self._read(state, config)
        return run.request

    def _read(self, state: RouterState, config: RunnableConfig) -> Request:
        route = state.get("route")
        # A run that an older version began has none.
        begun = route.get("choices", {}) if route is not None else {}
        chosen = joined_choices([state, begun, *choices_around(config)])
        if self._required and "sensitivity" not in chosen:
            raise missing_sensitivity()
        # A default is what nothing else says: a caller may choose a lower level than the file's.
        joined = {**self._defaults, **chosen}
        if "max_cost_usd" in joined and "max_cost_usd" not in chosen:
            # The file's envelope is for each request that is part of no run.
            joined.setdefault("run_id", state.get("route_id"))
        return Request.from_state({**state, **joined}, config)


def configurable_of(*configs: RunnableConfig | None) -> dict[str, Any]:
    """What the configurations of a call say, over what the running one says.

    Args:
        configs: The later ones win.
    """
    found: dict[str, Any] = {}
    for config in (RUNNING_CONFIG.get(), *configs):
        if config is not None:
            found.update(config.get("configurable") or {})
            # As LangChain has it: a key that it does not know belongs there.
            found.update((key, config[key]) for key in config.keys() - _CONFIG_KEYS)  # type: ignore[literal-required]
    return found


def choices_around(config: RunnableConfig) -> list[Mapping[str, Any]]:
    """What the run's context, its configuration and the router's own binding choose."""
    configurable = config.get("configurable") or {}
    runtime = configurable.get(RUNTIME_KEY)
    context = choices_of_context(runtime.context if isinstance(runtime, Runtime) else None)
    refuse_misspelt("the context", context.keys() - _HOSTS_OWN, CHOICES)
    refuse_misspelt("configurable", configurable, _NEVER_LOST)
    return [context, _choices_of_configurable(configurable), configurable.get(BOUND) or {}]


def _choices_of_configurable(configurable: Mapping[str, Any]) -> Mapping[str, Any]:
    """What protects the caller, those names that are names, and tags that are pairs of text."""
    # Hosts have names of their own there, in other forms: LangGraph's server an empty ``user_id``;
    # and ``model`` is the one that they give to their own models.
    return {
        key: configurable[key]
        for key in CHOICES
        if key in configurable and key != "model" and _is_choice(key, configurable[key])
    }


def _is_choice(key: str, value: object) -> bool:
    if key == "tags":
        return is_text_mapping(value)
    if key == "order":
        return value in ORDERS
    if key == "max_wait_s":
        return isinstance(value, int | float)
    if key == "providers":
        return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
    # Those are no host's words for something else, whatever their values are.
    return key in (*PROTECTING, "hedge_after_s") or (isinstance(value, str) and value != "")


def choices_of_context(context: object) -> Mapping[str, Any]:
    """A host's context has a form of the host's choice: a table, a dataclass, a model."""
    if context is None:
        return {}
    if isinstance(context, Mapping):
        keys, given = set(context), context
    else:
        keys = set(getattr(context, "__dict__", ()) or getattr(context, "__slots__", ()))
        given = {key: getattr(context, key) for key in CHOICES if hasattr(context, key)}
    if keys <= set(CHOICES):
        return given
    # Of a context with keys of the host's own, the model is the host's own, too.
    return {key: value for key, value in given.items() if key != "model"}


def bound_choices(
    config: RunnableConfig, choices: Mapping[str, Any], names: ProviderNames | None
) -> RunnableConfig:
    """The configuration that binds choices to a router, beside what is bound already.

    Args:
        config: What the router has bound.
        choices: Some of ``CHOICES``; what is ``None`` is absent.
        names: Under which a request may choose providers.

    Raises:
        InvalidRequestError: One of them is unknown, or wrong.
    """
    choices = {key: value for key, value in choices.items() if value is not None}
    unknown = sorted(choices.keys() - set(CHOICES))
    if unknown:
        raise InvalidRequestError(f"{unknown[0]}: is unknown; known are {', '.join(CHOICES)}")
    earlier = (config.get("configurable") or {}).get(BOUND) or {}
    selected = {key: choices[key] for key in SELECTING if key in choices}
    others = {key: value for key, value in choices.items() if key not in SELECTING}
    joined = joined_choices([{**others, NARROWING: [selected] if selected else []}, earlier])
    # Here, where the mistake stands, and not at the first call. The run may be named elsewhere.
    checked_choices({"run_id": "any", **joined})
    if names is not None:
        names.chosen(read_selections(joined))
    return {"configurable": {BOUND: joined}}


class HostCheck:
    """Says once what a host's state would drop of a request in silence."""

    def __init__(self) -> None:
        self._warned = False

    def check(self, asked: object, *configs: RunnableConfig | None) -> None:
        """Look at a request where it enters the router.

        Args:
            asked: The request.
            configs: The router's own and the call's.

        Raises:
            InvalidRequestError: It has a key that looks like one of ours, and is none.
        """
        if not isinstance(asked, Mapping):
            return
        refuse_misspelt("the request", asked, _INPUT_KEYS)
        if self._warned or asked.keys() != {"messages"}:
            return
        configurable = configurable_of(*configs)
        around = channels_around(configurable)
        if around is None or "sensitivity" in around:
            return
        if any("sensitivity" in place for place in choices_around({"configurable": configurable})):
            return
        self._warned = True
        logger.warning(
            "the state of the graph around this router has no key 'sensitivity' (nor %s): LangGraph"
            " drops what a caller says of it; use aegis_graph.RoutedMessagesState, or"
            " router.with_options(sensitivity=...)",
            ", ".join(repr(key) for key in PROTECTING if key != "sensitivity"),
        )
