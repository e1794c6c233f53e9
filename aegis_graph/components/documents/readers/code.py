"""Source code and configuration files, cut between functions."""

from __future__ import annotations

from aegis_graph.components.documents.readers.content import Content, RawDocument, Section
from aegis_graph.components.documents.readers.encoding import decode


def read(raw: RawDocument) -> Content:
    """The code as it is."""
    return Content([Section(text=decode(raw.data), first_line=1, code=True)])
