"""The graph ``decompose`` of LangGraph Studio: a question taken apart and looked up.

Give it a ``question`` with several parts, such as a comparison: the run shows the plan, each
sub-question with the documents that were found for it, and what the plan cost. Without a model the
question is looked up as it is, and the output says ``degraded``.
"""

from aegis_graph import RouterHandle
from aegis_graph.components.query_decomposer import create_query_decomposer
from graphs.documents import retriever

graph = create_query_decomposer(RouterHandle(watch=True), retriever, name="decompose")
