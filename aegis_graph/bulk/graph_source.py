"""The graph of a job: opened, searched for its routers and stores, and known again later."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any

from langchain_core.runnables import Runnable
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel.protocol import PregelProtocol

from aegis_graph.bulk.records import JobIdentity, ResultFormat
from aegis_graph.chat.profile import providers_in_force
from aegis_graph.components.model_chain import model_chain
from aegis_graph.components.private_store import PrivateStore
from aegis_graph.components.router_node import RouterGraph
from aegis_graph.errors import InvalidRequestError
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.routing.assembly import RouterBuilder
from aegis_graph.routing.handle import RouterHandle

OpenGraph = Callable[
    [], RouterGraph | Awaitable[RouterGraph] | AbstractAsyncContextManager[RouterGraph]
]
"""Opens the graph in the process and on the event loop that runs it."""
GraphSource = RouterGraph | OpenGraph | str
"""A compiled graph, what opens one, or ``module:name`` of either."""

_WHOLE = "__root__"
"""LangGraph's name for the whole of a state that has no fields."""
_DEEPEST = 12
"""How far below a graph its routers are looked for."""


@dataclass(frozen=True, slots=True)
class FoundParts:
    """What was found in a graph."""

    graph: RouterGraph
    ledger: SqlLedger
    """Of its routers."""
    models: str
    """What its routers' chains of models are known by."""
    has_store: bool
    """Whether a component keeps the answers that it paid for in a file."""

    @property
    def checkpointer(self) -> BaseCheckpointSaver[Any] | None:
        """What keeps the steps of a run that broke off, if anything does."""
        kept = getattr(self.graph, "checkpointer", None)
        return kept if isinstance(kept, BaseCheckpointSaver) else None

    @property
    def keeps_answers(self) -> bool:
        """Whether a run that broke off finds the answers that were paid for."""
        return self.has_store or self.checkpointer is not None

    def identity(self, name: str, form: ResultFormat) -> JobIdentity:
        """What a job over this graph is known by."""
        nodes = getattr(self.graph, "nodes", {})
        facts = {
            "name": str(getattr(self.graph, "name", "")),
            "nodes": " ".join(sorted(nodes)),
            "models": self.models,
        }
        return JobIdentity(name=name, graph=facts, format=form)


async def open_graph(source: GraphSource, stack: AsyncExitStack) -> RouterGraph:
    """The graph that a source names.

    Args:
        source: The graph, or what opens it.
        stack: Closes it again, where it has to be.

    Raises:
        InvalidRequestError: There is no graph.
    """
    found: Any = _imported(source) if isinstance(source, str) else source
    if not isinstance(found, PregelProtocol) and callable(found):
        found = found()
    if inspect.isawaitable(found):
        found = await found
    if isinstance(found, AbstractAsyncContextManager):
        found = await stack.enter_async_context(found)
    if not isinstance(found, PregelProtocol):
        raise InvalidRequestError(
            f"graph: {type(found).__name__} is no compiled graph; give it the result of"
            " compile(), a function that returns one, or its 'module:name'"
        )
    return found


def find_parts(graph: RouterGraph) -> FoundParts:
    """Search a graph for its routers and stores.

    Raises:
        InvalidRequestError: It has no router, or routers with several ledgers.
    """
    found = list(_inside(graph))
    routers = [one for one in found if isinstance(one, RouterHandle) or providers_in_force(one)]
    ledgers = {id(ledger): ledger for one in routers if (ledger := _ledger_of(one)) is not None}
    if not ledgers:
        raise InvalidRequestError(
            "graph: there is no router in it, so its cost would be unknown; let its nodes ask one"
            " of create_router()"
        )
    places = {str(getattr(one.store, "path", id(one.store))) for one in ledgers.values()}
    if len(places) > 1:
        raise InvalidRequestError("graph: its routers have several ledgers; let them share one")
    chains = sorted(line for one in routers for line in model_chain(one))
    return FoundParts(
        graph,
        next(iter(ledgers.values())),
        hashlib.sha256("\n".join(chains).encode()).hexdigest()[:16],
        any(isinstance(one, PrivateStore) and one.is_file for one in found),
    )


def input_fields(graph: RouterGraph) -> frozenset[str] | None:
    """The fields of a graph's input; ``None`` where it has no such form.

    Example:
        >>> from aegis_graph import RouterConfig, create_relation_extractor, create_router
        >>> graph = create_relation_extractor(create_router(RouterConfig()))
        >>> "text" in input_fields(graph), "question" in input_fields(graph)
        (True, False)
    """
    builder = getattr(graph, "builder", None)
    if not isinstance(builder, StateGraph):
        return None
    return frozenset(builder.schemas[builder.input_schema]) - {_WHOLE} or None


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise InvalidRequestError(f"graph: {name!r} is no 'module:name'")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InvalidRequestError(f"graph: {name!r} cannot be imported: {error}") from error
    return found


def _ledger_of(router: Any) -> SqlLedger | None:
    if isinstance(router, RouterHandle):
        ledger: Any = router.ledger
    else:
        nodes = router.builder.nodes_around
        ledger = None if nodes is None else nodes.services.ledger
    return ledger if isinstance(ledger, SqlLedger) else None


def _inside(graph: Any) -> Iterator[Any]:
    """A graph, and what its nodes use: each object once, the nearest first."""
    passed: set[int] = set()
    level, depth = [graph], 0
    while level and depth < _DEEPEST:
        new = [one for one in level if id(one) not in passed]
        passed |= {id(one) for one in new}
        yield from new
        level, depth = [part for one in new for part in _parts(one)], depth + 1


def _parts(one: Any) -> list[Any]:
    """What an object leads to, where that can be a router, a store or what uses one."""
    if isinstance(one, FunctionType):
        return _of_function(one)
    if isinstance(one, MethodType):
        return [one.__self__, one.__func__]
    if isinstance(one, Mapping):
        return list(one.values()) if len(one) <= 1000 else []
    if isinstance(one, list | tuple):
        return list(one) if len(one) <= 1000 else []
    if isinstance(getattr(one, "builder", None), RouterBuilder):
        return []
    nodes = getattr(one, "nodes", None) if isinstance(one, PregelProtocol) else None
    if nodes is not None:
        return list(nodes.values())
    ours = type(one).__module__.startswith(("aegis_graph.", "langgraph.pregel", "langgraph._in"))
    if ours or isinstance(one, Runnable) or hasattr(type(one), "__pydantic_fields__"):
        slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
        values = [getattr(one, name, None) for name in slots if isinstance(name, str)]
        return [*values, *getattr(one, "__dict__", {}).values()]
    return []


def _of_function(function: FunctionType) -> list[Any]:
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    known = function.__globals__
    used = [known[name] for name in function.__code__.co_names if name in known]
    wanted = (PregelProtocol, Runnable, FunctionType)
    return cells + [value for value in used if isinstance(value, wanted)]
