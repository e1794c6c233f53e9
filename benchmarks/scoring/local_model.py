"""A configuration with one model behind an address of this machine or network, free of charge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.specs import EmbeddingSpec, ProviderSpec

URL = "AEGIS_QUALITY_URL"
MODEL = "AEGIS_QUALITY_MODEL"
EMBEDDINGS_URL = "AEGIS_QUALITY_EMBEDDINGS_URL"
TIMEOUT_S = 30.0
"""For the list of models and one vector; both are asked for once."""

HOW = (
    f"set {URL} to an OpenAI-compatible address, such as http://127.0.0.1:8080/v1 "
    f"({MODEL}: a model of it, by default the first; {EMBEDDINGS_URL}: one that embeds)"
)


def local_config(environ: Mapping[str, str], folder: Path) -> RouterConfig:
    """The configuration that the environment names, with a ledger in the folder.

    Raises:
        ValueError: An address is missing, does not answer, or has no model.
    """
    if not environ.get(URL):
        raise ValueError(HOW)
    url = environ[URL].rstrip("/")
    name = environ.get(MODEL) or _first_model(url)
    # The same words for the same prompt, as far as the server can.
    shared: Any = {"kind": "openai", "location": "local", "price": "free"}
    chat = ProviderSpec(name="local", model=name, base_url=url, temperature=0.0, **shared)
    embeddings: tuple[EmbeddingSpec, ...] = ()
    if environ.get(EMBEDDINGS_URL):
        at = environ[EMBEDDINGS_URL].rstrip("/")
        model = _first_model(at)
        size = _dimensions(at, model)
        row = EmbeddingSpec(name="vectors", model=model, base_url=at, dimensions=size, **shared)
        embeddings = (row,)
    ledger = LedgerSpec(url=f"sqlite:///{folder / 'costs.db'}")
    return RouterConfig(
        ledger=ledger, providers=(chat,), embeddings=embeddings, budgets=(), source=URL
    )


def _first_model(url: str) -> str:
    models = _asked("GET", f"{url}/models", None).get("data") or []
    if not models:
        raise ValueError(f"{url}/models: lists no model")
    return str(models[0]["id"])


def _dimensions(url: str, model: str) -> int:
    body = {"model": model, "input": ["length"]}
    return len(_asked("POST", f"{url}/embeddings", body)["data"][0]["embedding"])


def _asked(method: str, url: str, body: Any) -> Any:
    try:
        answer = httpx.request(method, url, json=body, timeout=TIMEOUT_S)
        return answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise ValueError(f"{url}: {error or type(error).__name__}") from error
