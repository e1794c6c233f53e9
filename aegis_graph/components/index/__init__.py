"""An index of documents that is kept on disk."""

from aegis_graph.components.index.index import DocumentIndex as DocumentIndex
from aegis_graph.components.index.index import create_index as create_index
