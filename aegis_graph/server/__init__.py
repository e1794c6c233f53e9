"""One ASGI app over the router and its ledger: dashboard, OpenAI-compatible endpoint, metrics."""

try:
    import starlette  # noqa: F401  looked for before anything below needs it
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "the server needs: pip install 'aegis-graph[server]'", name=missing.name
    ) from missing

from aegis_graph.server.app import create_app as create_app
