"""The graph ``relations`` of LangGraph Studio: a text's entities and relations, with their places.

Studio draws ``cut``, ``extract``, ``gather`` and ``merge``. ``extract`` runs once for each chunk,
and opens to show ``recall``, ``ask`` and ``read``; ``ask`` is the router, and opens to show its
attempts. Give it a ``text``, and perhaps a ``schema`` such as
``{"relations": [["Person", "BORN_IN", "City"]], "strict": true}``. The result lists what was found,
what was dropped and why, and the chunks that failed, whose ids go into ``only`` to run them alone.

It needs a model: the embedded provider extracts nothing, so without Ollama and keys the result is
``degraded``. Answers are kept in memory, or in the file that ``AEGIS_EXTRACTIONS`` names.
"""

import os

from aegis_graph import RouterHandle, create_relation_extractor

graph = create_relation_extractor(
    RouterHandle(watch=True), store=os.environ.get("AEGIS_EXTRACTIONS") or None
)
