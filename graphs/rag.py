"""The graph ``rag`` of LangGraph Studio: from a question to a cited answer, under one envelope.

Give it a ``question``, and as ``max_cost_usd`` what the whole run may cost. ``decompose`` and
``answer`` open to show the routing subgraph inside them. The output has the plan, the documents,
the checked answer, and the cost of each step.
"""

from aegis_graph import RouterHandle
from aegis_graph.components.rag import create_rag
from graphs.documents import retriever

graph = create_rag(RouterHandle(watch=True), retriever)
