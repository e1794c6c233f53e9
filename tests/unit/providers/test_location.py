"""A row that says ``local`` is local, or says why it is to count so."""

from __future__ import annotations

from typing import Any

import pytest

from aegis_graph import ProviderSpec, RouterConfig, create_embeddings, create_router
from aegis_graph.components.model_chain import provider_specs
from aegis_graph.errors import ConfigError

LOCAL = {"name": "gpu", "location": "local", "price": "free"}


def build(row: dict[str, Any]) -> ProviderSpec:
    config = RouterConfig.model_validate({"providers": [{**LOCAL, **row}], "budgets": []})
    return provider_specs(create_router(config))[0]


PUBLIC: list[dict[str, Any]] = [
    {"kind": "openai", "model": "gpt-4o"},
    {"kind": "openai", "model": "gpt-4o", "base_url": "https://api.openai.com/v1"},
    {"kind": "openai", "model": "m", "base_url": "http://203.0.114.9:8000/v1"},
    {"kind": "openai", "model": "gpt-oss:120b-cloud", "base_url": "http://localhost:11434/v1"},
    {"kind": "ollama", "model": "llama3.2:3b", "base_url": "https://ollama.com"},
    {"kind": "ollama", "model": "gpt-oss:120b-cloud"},
    {"kind": "ollama", "model": "glm-4.6:cloud"},
    {"kind": "dashscope", "model": "qwen-plus"},
    {"kind": "langchain", "model": "openai:gpt-4o"},
    {"kind": "langchain", "model": "ollama:gpt-oss:120b-cloud"},
    {"kind": "langchain", "model": "mistralai:mistral-small-latest"},
    {
        "kind": "langchain",
        "model": "openai:m",
        "options": {"arguments": {"openai_api_base": "https://api.example.com"}},
    },
    {
        "kind": "anyllm",
        "model": "ollama:m",
        "options": {"arguments": {"a": "http://localhost", "b": "https://example.com"}},
    },
    {"kind": "anyllm", "model": "openai:gpt-4o"},
    {"kind": "anyllm", "model": "llamafile:m"},
]
ROWS_OF_ONES_OWN: list[dict[str, Any]] = [
    {"kind": "openai", "model": "m", "base_url": "http://gpu:8000/v1"},
    {"kind": "ollama", "model": "llama3.2:3b"},
    {"kind": "ollama", "model": "my-cloud", "base_url": "http://10.0.0.5:11434"},
    {"kind": "langchain", "model": "ollama:llama3.2:3b"},
    {"kind": "langchain", "model": "openai:m", "base_url": "http://host.docker.internal/v1"},
    {"kind": "anyllm", "model": "llamafile:m", "base_url": "http://127.0.0.1:8080/v1"},
    {"kind": "extractive", "model": "best-sentences"},
    {"kind": "ocr", "model": "rapidocr"},
]


@pytest.mark.parametrize("row", PUBLIC)
def test_a_row_that_leaves_the_network_is_not_local(row: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"providers\.gpu\.location: is 'local', but .*trusted ="):
        build(row)
    build({**row, "trusted": "our own host, contract of 2026"})
    build({**row, "location": "cloud"})


@pytest.mark.parametrize("row", ROWS_OF_ONES_OWN)
def test_a_row_of_ones_own_is_local(row: dict[str, Any]) -> None:
    assert build(row).location == "local"


def test_the_error_names_the_place() -> None:
    with pytest.raises(ConfigError, match=r"api\.openai\.com is a public address"):
        build(PUBLIC[0])
    with pytest.raises(ConfigError, match="Ollama runs gpt-oss:120b-cloud in its cloud"):
        build(PUBLIC[5])
    with pytest.raises(ConfigError, match="the row has no base_url"):
        build({"kind": "langchain", "model": "mistralai:m"})


def test_a_row_in_the_cloud_has_nothing_to_be_trusted_with() -> None:
    row = {"kind": "openai", "model": "gpt-4o", "location": "cloud", "trusted": "yes"}
    with pytest.raises(ConfigError, match=r"providers\.gpu\.trusted: means nothing"):
        build(row)


def test_a_row_of_embeddings_keeps_to_the_same() -> None:
    row = {**LOCAL, "kind": "openai", "model": "text-embedding-3-small", "dimensions": 1536}
    config = RouterConfig.model_validate({"embeddings": [row]})
    with pytest.raises(ConfigError, match=r"embeddings\.gpu\.location"):
        create_embeddings(config)


def test_the_default_chain_is_held_to_it_by_its_variable() -> None:
    config = RouterConfig.load(environ={"OLLAMA_BASE_URL": "https://ollama.com"})
    with pytest.raises(ConfigError, match=r"ollama\.com is a public address"):
        create_router(config)
