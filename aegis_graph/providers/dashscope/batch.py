"""Batch Chat: Model Studio's models at half the price, for calls that can wait up to an hour.

The same call in OpenAI's protocol at another host, which holds the connection until the answer is
there, and sends it whole: https://help.aliyun.com/zh/model-studio/openai-compatible-batch-chat.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from typing_extensions import override

from aegis_graph.config.addresses import host_of
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ProviderError
from aegis_graph.pricing.prices import Price
from aegis_graph.providers.base import OpenModel
from aegis_graph.providers.client_errors import client_error
from aegis_graph.providers.dashscope.error_codes import DASHSCOPE_CODES
from aegis_graph.providers.dashscope.messages import thinking_mode
from aegis_graph.providers.dashscope.prices import BATCH, batch_price
from aegis_graph.providers.dashscope.qwen import QwenProvider
from aegis_graph.providers.http import no_sync_client, openai_http_client, probe_models
from aegis_graph.providers.probe import Probe
from aegis_graph.providers.waiting_tier import BatchFiles
from aegis_graph.types import CallOptions

BATCH_URL = "https://batch.dashscope.aliyuncs.com/compatible-mode/v1"
"""In the Beijing region; no other region has one."""

_BEIJING = re.compile(r"dashscope\.aliyuncs\.com|[\w-]+\.cn-beijing\.maas\.aliyuncs\.com")

_ARGUMENTS = ("top_p", "presence_penalty", "seed")
_FIELDS = ("top_k", "repetition_penalty")
"""Settings of a row: those that OpenAI's client has arguments for, and the others."""


def batch_url_of(spec: ProviderSpec, named: str | None) -> str | None:
    """Where a row's calls go at half the price: the address that it names, or its region's.

    Args:
        spec: The row.
        named: The address in its options.

    Example:
        >>> row = ProviderSpec(name="q", kind="dashscope", model="qwen-plus", location="cloud")
        >>> batch_url_of(row, None)
    """
    if named is not None:
        return named.rstrip("/")
    return BATCH_URL if _BEIJING.fullmatch(host_of(spec.base_url or "")) else None


def batch_files_of(address: str) -> BatchFiles | None:
    """Where the files of many calls go that a row with this address has; ``None`` for nowhere.

    Source: https://help.aliyun.com/en/model-studio/batch-interfaces-compatible-with-openai, which
    says 500 MB for a file, 6 MB for a line, and that only lines that were answered are billed.

    >>> batch_files_of("https://dashscope-intl.aliyuncs.com/api/v1").url
    'https://dashscope-intl.aliyuncs.com/compatible-mode/v1'
    """
    root = address.removesuffix("/api/v1")
    if root == address:
        return None
    return BatchFiles(
        url=f"{root}/compatible-mode/v1",
        most_bytes=500 * 10**6,
        most_line_bytes=6 * 10**6,
        name_key="ds_name",
        free_errors=True,
    )


class BatchChatProvider(QwenProvider):
    """A row of the kind ``dashscope`` in its tier at half the price; ``base_url`` is its address.

    What it answers is billed at half of the row's price, or at ``price.service_tiers.batch``.
    """

    tier = BATCH
    least_wait_s = 60.0
    most_wait_s = 3600.0
    open_http: Callable[[ProviderSpec, str | None], Any] = staticmethod(openai_http_client)
    """Opens what carries its calls."""

    def __init__(
        self, spec: ProviderSpec, *, source: str, environ: Mapping[str, str] | None
    ) -> None:
        super().__init__(spec, source=source, environ=environ)
        self.price = batch_price(self.price)

    @override
    def served_price(self, model: str) -> Price | None:
        whole = super().served_price(model)
        return None if whole is None else batch_price(whole)

    @override
    def load(self) -> None:
        import aegis_graph.providers.dashscope.batch_chat_model  # noqa: F401, PLC0415  # slow

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        """The chat model, without retries of its own.

        Raises:
            AuthenticationError: There is no key.
        """
        # As with every kind, its client is imported when it is first used.
        from pydantic import SecretStr  # noqa: PLC0415

        from aegis_graph.providers.dashscope.batch_chat_model import ChatBatch  # noqa: PLC0415

        client = self.open_http(self.spec, api_key)
        model = ChatBatch(
            model=self.spec.model,
            api_key=SecretStr(self.checked_key(api_key)),
            base_url=self.spec.base_url,
            max_retries=0,
            http_client=no_sync_client(),
            http_async_client=client,
        )
        return OpenModel(model, client.aclose)

    @override
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        row = self.settings.model_dump(exclude_none=True)
        body = {name: row[name] for name in _FIELDS if name in row}
        if self.settings.vl_high_resolution_images:
            body["vl_high_resolution_images"] = True
        # As an argument the client renames the cap to the newer name, which covers the thinking.
        body |= {**self.settings.extra_body, "max_tokens": max_output_tokens}
        body |= self._thinking(max_output_tokens)
        arguments: dict[str, Any] = {name: row[name] for name in _ARGUMENTS if name in row}
        if self.spec.temperature is not None:
            arguments["temperature"] = self.spec.temperature
        if self.settings.extra_headers:
            arguments["extra_headers"] = dict(self.settings.extra_headers)
        return {**arguments, "extra_body": body}

    def _thinking(self, max_output_tokens: int) -> dict[str, Any]:
        if self.thinks:
            budget = self.settings.thinking_budget or max_output_tokens
            return {"enable_thinking": True, "thinking_budget": budget}
        # The service refuses the word even where it says no.
        return {} if thinking_mode(self.spec.model) == "never" else {"enable_thinking": False}

    @override
    def arguments(self, max_output_tokens: int, options: CallOptions) -> dict[str, Any]:
        asked, arguments = self.option_arguments(options), self.call_options(max_output_tokens)
        body = arguments["extra_body"]
        for name in ("response_format", "top_k"):
            # The client has no argument for the second, and loses the usage by the first. JSON
            # mode is refused from a model that thinks.
            if name in asked and not (self.thinks and name == "response_format"):
                body[name] = asked[name]
            asked.pop(name, None)
        return {**arguments, **asked}

    @override
    def translate(self, error: Exception) -> ProviderError:
        return client_error(error, codes=DASHSCOPE_CODES)

    @override
    async def probe(self) -> Probe:
        """Ask the address for anything: any status means that the service is there."""
        found, _ = await probe_models(self.spec, self.spec.base_url or BATCH_URL)
        return found
