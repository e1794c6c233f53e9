"""The passages that a question is about."""

from aegis_graph.components.retriever.retriever import create_retriever as create_retriever
