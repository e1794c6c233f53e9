"""The LLM routing subgraph that a LangGraph application drops in."""

from aegis_graph.config import RouterConfig
from aegis_graph.router import create_ledger, create_router, router_builder

__all__ = ["RouterConfig", "create_ledger", "create_router", "router_builder"]
