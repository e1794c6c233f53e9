"""What the configuration says of indexes of documents."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from aegis_graph.config.config_model import ConfigModel
from aegis_graph.types import Sensitivity


class IndexSpec(ConfigModel):
    """How documents are indexed."""

    sensitivity: Mapping[str, Sensitivity] = Field(default_factory=dict)
    """How private documents are whose paths match a pattern, such as ``hr/*``; of all that is said
    of a document, the strictest counts."""
