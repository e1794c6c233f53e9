"""What the router stands beside, from an environment of its own; see ``requirements.in``."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

from worker import PROMPT, Contestant

# Before its import: it would fetch its price map, and nothing here uses the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

MESSAGES: Any = [{"role": "user", "content": PROMPT}]
KEY = "sk-none"


def openai_client(*, url: str) -> Contestant:
    """The OpenAI client as it comes."""
    from openai import AsyncOpenAI  # noqa: PLC0415  each process imports its own contestant only

    client = AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0)

    async def call() -> Any:
        return await client.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, max_tokens=64
        )

    async def stream() -> AsyncIterator[Any]:
        chunks = await client.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, max_tokens=64, stream=True
        )
        async for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk

    return Contestant(call, stream)


def litellm_router(*, url: str, failing_url: str | None = None) -> Contestant:
    """LiteLLM's Router with a budget; with a fallback where a first deployment fails."""
    router = _router(url, failing_url)

    async def call() -> Any:
        return await router.acompletion(model="first", messages=MESSAGES, max_tokens=64)

    async def stream() -> AsyncIterator[Any]:
        chunks = await router.acompletion(
            model="first", messages=MESSAGES, max_tokens=64, stream=True
        )
        async for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk

    return Contestant(call, stream)


async def litellm_host(*, url: str, folder: str, checkpoints: str = "none") -> Contestant:
    """LiteLLM's Router in a node of a host graph."""
    from host_graph import HostNode, host  # noqa: PLC0415
    from langchain_core.messages import AIMessage, convert_to_openai_messages  # noqa: PLC0415

    router = _router(url)

    def asked(state: Any) -> dict[str, Any]:
        messages = convert_to_openai_messages(state["messages"])
        return {"model": "first", "messages": messages, "max_tokens": 64}

    def told(answer: Any) -> dict[str, Any]:
        return {"messages": [AIMessage(answer.choices[0].message.content)]}

    def call(state: Any) -> dict[str, Any]:
        return told(router.completion(**asked(state)))

    async def acall(state: Any) -> dict[str, Any]:
        return told(await router.acompletion(**asked(state)))

    return await host(HostNode(call, acall), checkpoints=checkpoints, folder=folder)


def _router(url: str, failing_url: str | None = None) -> Any:
    import litellm  # noqa: PLC0415
    from litellm import Router  # noqa: PLC0415

    litellm.telemetry = False

    def deployment(name: str, address: str) -> dict[str, Any]:
        parameters = {"model": "openai/gpt-4o", "api_base": address, "api_key": KEY}
        return {"model_name": name, "litellm_params": parameters}

    return Router(
        model_list=[deployment("first", failing_url or url), deployment("second", url)],
        provider_budget_config={"openai": {"budget_limit": 1e6, "time_period": "30d"}},  # type: ignore[dict-item]
        fallbacks=[{"first": ["second"]}] if failing_url else [],
        num_retries=0,
        disable_cooldowns=True,
    )


def any_llm(*, url: str) -> Contestant:
    """any-llm's ``acompletion``, which builds its client for each call."""
    from any_llm import acompletion  # noqa: PLC0415

    async def call() -> Any:
        return await acompletion(
            model="gpt-4o",
            provider="openai",
            messages=MESSAGES,
            api_base=url,
            api_key=KEY,
            max_tokens=64,
        )

    return Contestant(call)
