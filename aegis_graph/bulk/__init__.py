"""Many items through one graph, under one envelope of money."""

from aegis_graph.bulk.job import create_bulk

__all__ = ["create_bulk"]
