"""The graph ``answer`` of LangGraph Studio: a question answered from a folder of documents.

Studio draws ``retrieve`` and ``answer``; ``answer`` is the answer generator, and opens to show how
it asks the router, checks the citations, or declines. Give it a ``question``: the run shows the
documents that were found, the prompt, every attempt, and the answer with the spans it cites.
Without a key and without Ollama the embedded provider answers, by quoting the documents.
"""

from aegis_graph import RouterHandle
from aegis_graph.components.rag import create_rag
from graphs.documents import retriever

graph = create_rag(RouterHandle(watch=True), retriever, decompose=False, name="answer")
