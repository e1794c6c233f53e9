"""The LLM routing subgraph that a LangGraph application drops in.

A name's module is imported when the name is first used, so that what needs little starts quickly.
"""

import importlib
import logging
import typing

if typing.TYPE_CHECKING:
    from aegis_graph.chat.chat_model import RoutedChatModel as RoutedChatModel
    from aegis_graph.components.answer_generator import (
        create_answer_generator as create_answer_generator,
    )
    from aegis_graph.components.documents import read_passages as read_passages
    from aegis_graph.components.image_describer import (
        create_image_describer as create_image_describer,
    )
    from aegis_graph.components.image_describer import describe_image as describe_image
    from aegis_graph.components.image_describer.store import (
        create_image_store as create_image_store,
    )
    from aegis_graph.components.lightrag.graphs import create_lightrag as create_lightrag
    from aegis_graph.components.lightrag.graphs import (
        create_lightrag_insert as create_lightrag_insert,
    )
    from aegis_graph.components.lightrag.graphs import (
        create_lightrag_query as create_lightrag_query,
    )
    from aegis_graph.components.lightrag.rag import RoutedLightRAG as RoutedLightRAG
    from aegis_graph.components.lightrag.settings import LightRAGSettings as LightRAGSettings
    from aegis_graph.components.query_decomposer import (
        create_query_decomposer as create_query_decomposer,
    )
    from aegis_graph.components.rag import create_rag as create_rag
    from aegis_graph.components.relation_extractor import (
        create_relation_extractor as create_relation_extractor,
    )
    from aegis_graph.components.relation_extractor.export import to_neo4j_csv as to_neo4j_csv
    from aegis_graph.components.relation_extractor.export import to_networkx as to_networkx
    from aegis_graph.components.relation_extractor.schema import RelationSchema as RelationSchema
    from aegis_graph.components.retriever import create_retriever as create_retriever
    from aegis_graph.config.router_config import RouterConfig as RouterConfig
    from aegis_graph.embeddings import create_embeddings as create_embeddings
    from aegis_graph.ledger.factory import create_ledger as create_ledger
    from aegis_graph.providers.base import Provider as Provider
    from aegis_graph.providers.base import ProviderOptions as ProviderOptions
    from aegis_graph.request.image_files import image_part as image_part
    from aegis_graph.routing.handle import RouterHandle as RouterHandle
    from aegis_graph.routing.router import Router as Router
    from aegis_graph.routing.router import create_router as create_router
    from aegis_graph.routing.router import router_builder as router_builder

_HOMES = {
    "LightRAGSettings": "aegis_graph.components.lightrag.settings",
    "Provider": "aegis_graph.providers.base",
    "ProviderOptions": "aegis_graph.providers.base",
    "RelationSchema": "aegis_graph.components.relation_extractor.schema",
    "RoutedChatModel": "aegis_graph.chat.chat_model",
    "RoutedLightRAG": "aegis_graph.components.lightrag.rag",
    "Router": "aegis_graph.routing.router",
    "RouterConfig": "aegis_graph.config.router_config",
    "RouterHandle": "aegis_graph.routing.handle",
    "create_answer_generator": "aegis_graph.components.answer_generator",
    "create_embeddings": "aegis_graph.embeddings",
    "create_image_describer": "aegis_graph.components.image_describer",
    "create_image_store": "aegis_graph.components.image_describer.store",
    "create_ledger": "aegis_graph.ledger.factory",
    "create_lightrag": "aegis_graph.components.lightrag.graphs",
    "create_lightrag_insert": "aegis_graph.components.lightrag.graphs",
    "create_lightrag_query": "aegis_graph.components.lightrag.graphs",
    "create_query_decomposer": "aegis_graph.components.query_decomposer",
    "create_rag": "aegis_graph.components.rag",
    "create_relation_extractor": "aegis_graph.components.relation_extractor",
    "create_retriever": "aegis_graph.components.retriever",
    "create_router": "aegis_graph.routing.router",
    "describe_image": "aegis_graph.components.image_describer",
    "image_part": "aegis_graph.request.image_files",
    "read_passages": "aegis_graph.components.documents",
    "router_builder": "aegis_graph.routing.router",
    "to_neo4j_csv": "aegis_graph.components.relation_extractor.export",
    "to_networkx": "aegis_graph.components.relation_extractor.export",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> typing.Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# Whether and where the package's log is shown is for the application to say.
logging.getLogger(__name__).addHandler(logging.NullHandler())
