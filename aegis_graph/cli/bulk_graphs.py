"""The graph of a job, made from what a command line says of it."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langgraph.pregel.protocol import PregelProtocol

from aegis_graph.cli.bulk_arguments import GRAPHS
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.request_options import choices_of
from aegis_graph.components.documents.files import read_passages
from aegis_graph.components.image_describer.graph import create_image_describer
from aegis_graph.components.image_describer.store import create_image_store
from aegis_graph.components.index.embedding import space_name
from aegis_graph.components.index.index import create_index
from aegis_graph.components.rag import create_rag
from aegis_graph.components.relation_extractor.graph import create_relation_extractor
from aegis_graph.components.retriever.retriever import create_retriever
from aegis_graph.components.router_node import RouterGraph
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.embeddings import create_embeddings
from aegis_graph.errors import ConfigError
from aegis_graph.routing.router import Router, create_router

OpenedGraph = RouterGraph | Awaitable[RouterGraph] | AbstractAsyncContextManager[RouterGraph]

KEPT_ANSWERS = "answers.db"
"""The file with the paid answers of a job's relation extractor, in the folder of its results."""


@dataclass(frozen=True, slots=True)
class GraphRecipe:
    """How to make the graph of a job; plain, so that any process can make it again.

    Args:
        graph: One of ``GRAPHS``, or ``MODULE:NAME``.
        results: The folder of the job's results.
        config: The configuration's file.
        choices: What the command line says of the requests.
        docs: Documents that ``ask`` answers from.
        index: The index that it answers from instead.
        index_dir: Where indexes are.
        plan: Whether ``ask`` may take a question apart, by one more call.
    """

    graph: str
    results: str
    config: str | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    docs: Sequence[str] = ()
    index: str | None = None
    index_dir: str | None = None
    plan: bool = True

    @classmethod
    def of(cls, options: argparse.Namespace) -> GraphRecipe:
        """The recipe of a command line.

        Raises:
            ConfigError: Its options do not fit to its graph.
        """
        if options.graph == "ask" and bool(options.docs) == bool(options.index):
            raise ConfigError("--graph ask: name either --docs PATH or --index NAME")
        choices = choices_of(options)
        # Of the whole job, not of each item.
        choices.pop("max_cost_usd", None)
        if options.graph not in GRAPHS and choices:
            raise ConfigError(
                f"{', '.join(sorted(choices))}: bind it to the router of {options.graph}, by"
                " router.with_options"
            )
        return cls(
            graph=options.graph,
            results=str(options.results),
            config=None if options.config is None else str(options.config),
            choices=choices,
            docs=[str(path) for path in options.docs or ()],
            index=options.index,
            index_dir=None if options.index_dir is None else str(options.index_dir),
            plan=not options.no_plan,
        )

    def __call__(self) -> OpenedGraph:
        """The graph, or what it is to be awaited or entered from.

        Raises:
            ConfigError: There is none, or the configuration is wrong.
        """
        make = _MAKERS.get(self.graph)
        return _imported(self.graph) if make is None else make(self)

    def load(self, load: Callable[..., RouterConfig] = RouterConfig.load) -> RouterConfig:
        """The configuration."""
        file = None if self.config is None else Path(self.config)
        return load_config(argparse.Namespace(config=file), load)

    def router(self, config: RouterConfig) -> Router:
        """The router, with the choices bound to it."""
        # A job has no one to ask: an item that does not fit waits until there is more.
        on_budget = config.routing.on_budget
        router = create_router(config, on_budget="raise" if on_budget == "interrupt" else on_budget)
        return router.with_options(**self.choices) if self.choices else router


def _relations(recipe: GraphRecipe) -> RouterGraph:
    store = Path(recipe.results, KEPT_ANSWERS)
    return create_relation_extractor(recipe.router(recipe.load()), store=store)


def _describe(recipe: GraphRecipe) -> RouterGraph:
    config = recipe.load(RouterConfig.load_vision)
    return create_image_describer(recipe.router(config), store=create_image_store(config))


def _ask(recipe: GraphRecipe) -> RouterGraph:
    config = recipe.load()
    if recipe.index is None:
        retriever = create_retriever(read_passages([Path(path) for path in recipe.docs]))
        return create_rag(recipe.router(config), retriever, decompose=recipe.plan)
    folder = None if recipe.index_dir is None else Path(recipe.index_dir)
    spaces = create_index(recipe.index, folder=folder).status().spaces
    embeddings = None
    # A question is embedded only where there are vectors that it can be compared with.
    if spaces and any(row.enabled for row in config.embeddings):
        embeddings = create_embeddings(config)
        embeddings = embeddings if space_name(embeddings) in spaces else None
    index = create_index(recipe.index, folder=folder, embeddings=embeddings)
    return create_rag(recipe.router(config), index.retriever(), decompose=recipe.plan)


_MAKERS: Mapping[str, Callable[[GraphRecipe], RouterGraph]] = {
    "relations": _relations,
    "describe": _describe,
    "ask": _ask,
}


def _imported(name: str) -> OpenedGraph:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigError(f"--graph {name}: is none of {', '.join(GRAPHS)}, and no MODULE:NAME")
    # As for ``python -m``: an application's modules lie where it is started.
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(f"--graph {name}: there is no module {error.name} here") from error
    except AttributeError as error:
        raise ConfigError(f"--graph {name}: {module} has no {attribute}") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    graph = found() if callable(found) and not isinstance(found, PregelProtocol) else found
    if not isinstance(graph, PregelProtocol | Awaitable | AbstractAsyncContextManager):
        raise ConfigError(
            f"--graph {name}: {type(graph).__name__} is no compiled graph, and no function that"
            " makes one"
        )
    return graph
