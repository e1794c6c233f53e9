"""Documents of a folder as passages."""

from aegis_graph.components.documents.files import read_passages as read_passages
