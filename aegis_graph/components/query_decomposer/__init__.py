"""A question in the steps that answer it."""

from aegis_graph.components.query_decomposer.graph import (
    create_query_decomposer as create_query_decomposer,
)
