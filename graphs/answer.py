"""The graph ``answer`` of LangGraph Studio: a question answered from a folder of documents.

Studio draws ``retrieve``, ``llm`` and ``cite``; ``llm`` is the router, and opens to show its
``budget_check``, ``attempt_`` nodes and ``record_cost``. Give it a ``question``: the run shows the
passages that were found, the prompt, every attempt, and the answer with the sentences it cites.
Without a key and without Ollama the embedded provider answers, by quoting the passages.

The documents are those in the folder that ``AEGIS_DOCUMENTS`` names, or ``examples/documents`` of
this checkout. They are read by the first question; start the server again when they have changed.
"""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from aegis_graph import RouterConfig, create_router
from aegis_graph.components.answer import create_answer_graph
from aegis_graph.components.documents import read_passages
from aegis_graph.components.retrieval import PassageIndex
from aegis_graph.text.passages import Passage

DOCUMENTS = Path(
    os.environ.get("AEGIS_DOCUMENTS") or Path(__file__).parents[1] / "examples" / "documents"
)


@cache
def index() -> PassageIndex:
    return PassageIndex(read_passages([_as_seen_from_here(DOCUMENTS)]))


def retrieve(question: str) -> Sequence[Passage]:
    return index().search(question)


def _as_seen_from_here(folder: Path) -> Path:
    """Relative where it can be, because citations show it."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


graph = create_answer_graph(create_router(RouterConfig.load()), retrieve)
