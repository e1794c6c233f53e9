"""Plain text, and files whose name says nothing about what they are."""

from __future__ import annotations

from aegis_graph.components.documents.readers.content import Content, RawDocument, Section
from aegis_graph.components.documents.readers.encoding import decode


def read(raw: RawDocument) -> Content:
    """The text as it is."""
    return Content([Section(text=decode(raw.data), first_line=1)])
