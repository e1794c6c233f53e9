"""The default chains, for answers and for images, where the configuration names none."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from aegis_graph.config.specs import BudgetSpec, EmbeddingSpec, ProviderSpec

DEFAULT_PROVIDERS: tuple[ProviderSpec, ...] = (
    ProviderSpec(
        name="ollama",
        kind="ollama",
        model="llama3.2:3b",
        base_url="http://localhost:11434",
        location="local",
        price="free",
    ),
    ProviderSpec(
        name="dashscope",
        kind="dashscope",
        model="qwen-plus",
        base_url="https://dashscope-intl.aliyuncs.com/api/v1",
        api_key_env="ALIBABA_CLOUD_API_KEY",
        location="cloud",
    ),
    ProviderSpec(
        name="openai",
        kind="openai",
        model="gpt-4o",
        api_key_env="OPENAI_API_KEY",
        location="cloud",
        images=True,
    ),
    ProviderSpec(
        name="extractive",
        kind="extractive",
        model="best-sentences",
        location="local",
        price="free",
        tasks=("answer",),
    ),
)
"""The original deployment's chain, then the embedded provider that needs nothing."""

DEFAULT_EMBEDDINGS: tuple[EmbeddingSpec, ...] = (
    EmbeddingSpec(
        name="ollama",
        kind="ollama",
        model="bge-m3",
        dimensions=1024,
        base_url="http://localhost:11434",
        location="local",
        price="free",
    ),
)
"""One local model for many languages. A second row would have to give the same vectors."""

DEFAULT_BUDGETS: tuple[BudgetSpec, ...] = (
    BudgetSpec(scope="provider:dashscope", window="month", limit_usd=Decimal(10)),
    BudgetSpec(scope="provider:openai", window="month", limit_usd=Decimal(20)),
)
"""The original deployment's monthly limits."""

VISION_PROVIDERS: tuple[ProviderSpec, ...] = (
    ProviderSpec(
        name="dashscope_vision",
        kind="dashscope",
        model="qwen3-vl-30b-a3b-instruct",
        base_url="https://dashscope-intl.aliyuncs.com/api/v1",
        api_key_env="ALIBABA_CLOUD_API_KEY",
        location="cloud",
        timeout_s=120,
        max_output_tokens=4096,
        tasks=("vision",),
        images=True,
        temperature=0.1,
        # The service's own penalty, 1.5, spoils transcriptions.
        options={"vl_high_resolution_images": True, "presence_penalty": 0},
    ),
    ProviderSpec(
        name="dashscope_vision_thinking",
        kind="dashscope",
        model="qwen3-vl-30b-a3b-thinking",
        base_url="https://dashscope-intl.aliyuncs.com/api/v1",
        api_key_env="ALIBABA_CLOUD_API_KEY",
        location="cloud",
        timeout_s=240,
        max_output_tokens=4096,
        tasks=("vision",),
        images=True,
        thinking=True,
        options={"vl_high_resolution_images": True},
    ),
    ProviderSpec(
        name="ollama_vision",
        kind="ollama",
        model="qwen2.5vl:7b",
        base_url="http://localhost:11434",
        location="local",
        price="free",
        timeout_s=300,
        max_output_tokens=4096,
        tasks=("vision",),
        images=True,
    ),
    ProviderSpec(
        name="ocr",
        kind="ocr",
        model="rapidocr",
        location="local",
        price="free",
        timeout_s=300,
        max_output_tokens=100_000,
        tasks=("vision",),
        images=True,
    ),
)
"""The original deployment's model, its thinking sibling for when the first is refused or its quota
is used up, a model on this machine, and text recognition that needs nothing."""

VISION_BUDGETS: tuple[BudgetSpec, ...] = (
    BudgetSpec(scope="task:vision", window="month", limit_usd=Decimal(10)),
)
"""The original deployment's limit for DashScope, for both of its models that look at images."""


def with_vision_providers(document: Mapping[str, Any], limit_usd: Decimal | None) -> dict[str, Any]:
    """A configuration's document with providers that take images, and with a limit for them.

    Args:
        document: What the file says; it is checked later.
        limit_usd: What the default chain may spend in a month; the default limit when absent.
    """
    rows = document.get("providers")
    if isinstance(rows, list):
        named = [row for row in rows if isinstance(row, dict)]
        return (
            dict(document) if any(map(_takes_images, named)) else _add_local_vision(document, named)
        )
    if rows is not None:
        # Not a list: the check of the whole document says so.
        return dict(document)
    names = {spec.name for spec in VISION_PROVIDERS}
    budgets = document.get("budgets", _budgets(limit_usd))
    # A limit of a provider of the other default chain stays in the ledger, and is no fault here.
    others = {f"provider:{spec.name}" for spec in DEFAULT_PROVIDERS if spec.name not in names}
    if isinstance(budgets, list):
        budgets = [
            row for row in budgets if not (isinstance(row, dict) and row.get("scope") in others)
        ]
    # The file's aliases are names for the other default chain.
    return {**document, "providers": VISION_PROVIDERS, "budgets": budgets, "aliases": {}}


def _takes_images(row: Mapping[str, Any]) -> bool:
    tasks = row.get("tasks")
    # Not a list: refused by the check of the whole document.
    serves = not isinstance(tasks, list) or "vision" in tasks
    return bool(row.get("images")) and serves and row.get("enabled", True) is not False


def _add_local_vision(document: Mapping[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    taken = {row.get("name") for row in rows}
    # Rows as a file has them: without an address, so that OLLAMA_BASE_URL counts for them too.
    local = [
        spec.model_dump(exclude_unset=True, exclude={"base_url"})
        for spec in VISION_PROVIDERS
        if spec.location == "local" and spec.name not in taken
    ]
    return {**document, "providers": [*document["providers"], *local]}


def _budgets(limit_usd: Decimal | None) -> list[BudgetSpec]:
    if limit_usd is None:
        return list(VISION_BUDGETS)
    return [spec.model_copy(update={"limit_usd": limit_usd}) for spec in VISION_BUDGETS]
