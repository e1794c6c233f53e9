"""Reading documents, and cutting them into passages."""

from aegis_graph.components.documents.files import DocumentSet as DocumentSet
from aegis_graph.components.documents.files import read_passages as read_passages
