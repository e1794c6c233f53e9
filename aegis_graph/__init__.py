"""The LLM routing subgraph that a LangGraph application drops in."""

import logging

from aegis_graph.chat_model import RoutedChatModel
from aegis_graph.config import RouterConfig
from aegis_graph.embeddings import create_embeddings
from aegis_graph.handle import RouterHandle
from aegis_graph.ledger.factory import create_ledger
from aegis_graph.router import create_router, router_builder

__all__ = [
    "RoutedChatModel",
    "RouterConfig",
    "RouterHandle",
    "create_embeddings",
    "create_ledger",
    "create_router",
    "router_builder",
]

# Whether and where the package's log is shown is for the application to say.
logging.getLogger(__name__).addHandler(logging.NullHandler())
