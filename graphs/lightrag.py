"""The graph ``lightrag`` of LangGraph Studio: documents into a knowledge graph, and questions.

Give it ``documents`` (texts by name), a ``question``, or both. ``insert`` tells of each document
while it runs; when the budget ends it stops, and the same input goes on from there. ``answer`` is
the router, and opens. ``mode`` is naive, local, global, hybrid or mix.

It needs ``pip install 'aegis-graph[lightrag]'``, and a provider of embeddings. The workspace is
``studio`` in the folder that ``AEGIS_LIGHTRAG`` names, or ``data/lightrag``.
"""

import os

from aegis_graph import RoutedLightRAG, RouterConfig, create_lightrag

graph = create_lightrag(
    RoutedLightRAG(
        RouterConfig.load(),
        working_dir=os.environ.get("AEGIS_LIGHTRAG") or "data/lightrag",
        workspace="studio",
    )
)
