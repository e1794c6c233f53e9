"""Entities and relations of texts, each with its evidence."""

from aegis_graph.components.relation_extractor.graph import (
    create_relation_extractor as create_relation_extractor,
)
