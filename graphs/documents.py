"""The documents that the graphs of LangGraph Studio answer from.

They are those in the folder that ``AEGIS_DOCUMENTS`` names, or ``examples/documents`` of this
checkout. They are read by the first question; start the server again when they have changed.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from aegis_graph.components.documents import read_passages
from aegis_graph.components.retriever import create_retriever
from aegis_graph.text.passages import Passage

DOCUMENTS = Path(
    os.environ.get("AEGIS_DOCUMENTS") or Path(__file__).parents[1] / "examples" / "documents"
)


def passages() -> Sequence[Passage]:
    """Each named by its path below the folder, which citations show."""
    return read_passages([DOCUMENTS])


retriever = create_retriever(passages)
