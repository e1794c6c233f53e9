"""The graph ``router`` of LangGraph Studio: one routed LLM call.

Studio draws ``budget_check``, one ``attempt_`` node per provider of the configuration, ``accept``
where the file names checks of answers, and ``record_cost``. Give it a message, and choose ``task``
and ``sensitivity``: the run lights up the providers that were asked, every fallback leads back
through ``budget_check``, and the result lists the ``attempts`` with what each cost, and the
providers that were ``skipped``, with the reason.

The configuration is the file that ``AEGIS_CONFIG`` names, or the defaults. What changes in the file
is in force at the next run, here and in the other graphs. Keys are looked up by name when a call
needs one, and the ledger is opened by the first request.
"""

from aegis_graph import RouterHandle
from aegis_graph.routing.router import Router

handle = RouterHandle(watch=True)


async def graph() -> Router:
    return await handle.current()
