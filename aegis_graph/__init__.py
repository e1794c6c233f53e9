"""The LLM routing subgraph that a LangGraph application drops in."""

import logging

from aegis_graph.chat_model import RoutedChatModel
from aegis_graph.components.answer_generator import create_answer_generator
from aegis_graph.components.image_describer import create_image_describer, describe_image
from aegis_graph.components.image_store import create_image_store
from aegis_graph.components.query_decomposer import create_query_decomposer
from aegis_graph.components.rag import create_rag
from aegis_graph.components.relation_export import to_neo4j_csv, to_networkx
from aegis_graph.components.relation_extractor import create_relation_extractor
from aegis_graph.components.relation_schema import RelationSchema
from aegis_graph.components.retriever import create_retriever
from aegis_graph.config import RouterConfig
from aegis_graph.embeddings import create_embeddings
from aegis_graph.handle import RouterHandle
from aegis_graph.image_parts import image_part
from aegis_graph.ledger.factory import create_ledger
from aegis_graph.router import create_router, router_builder

__all__ = [
    "RelationSchema",
    "RoutedChatModel",
    "RouterConfig",
    "RouterHandle",
    "create_answer_generator",
    "create_embeddings",
    "create_image_describer",
    "create_image_store",
    "create_ledger",
    "create_query_decomposer",
    "create_rag",
    "create_relation_extractor",
    "create_retriever",
    "create_router",
    "describe_image",
    "image_part",
    "router_builder",
    "to_neo4j_csv",
    "to_networkx",
]

# Whether and where the package's log is shown is for the application to say.
logging.getLogger(__name__).addHandler(logging.NullHandler())
