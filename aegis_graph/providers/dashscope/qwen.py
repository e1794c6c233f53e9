"""What the models of Alibaba's Model Studio take, whichever of its protocols they are asked in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from langchain_core.messages import AIMessage
from typing_extensions import override

from aegis_graph.config.addresses import host_of
from aegis_graph.config.specs import SchemaMethod
from aegis_graph.errors import AuthenticationError, StreamCutError
from aegis_graph.pricing.prices import Price
from aegis_graph.providers.base import Provider, ProviderOptions
from aegis_graph.providers.call_arguments import without_strict
from aegis_graph.providers.dashscope.images import qwen_image_tokens
from aegis_graph.providers.dashscope.messages import (
    is_finished,
    is_multimodal,
    thinking_mode,
    tool_choice_to_wire,
)
from aegis_graph.providers.dashscope.options import DashScopeOptions
from aegis_graph.providers.dashscope.prices import dashscope_price
from aegis_graph.request.images import ImageSize
from aegis_graph.types import FINISH_REASON, CallOptions

DEFAULT_KEY_ENV = "ALIBABA_CLOUD_API_KEY"
_OWN_HOST = re.compile(r"(batch\.)?dashscope[\w-]*\.aliyuncs\.com|[\w.-]+\.maas\.aliyuncs\.com")
"""Hosts of the service, one for each region and workspace: the key of that variable is theirs."""


class QwenProvider(Provider):
    """A model of Model Studio: what it takes, and what it is billed for."""

    options_type: ClassVar[type[ProviderOptions]] = DashScopeOptions
    sampling = frozenset({"temperature", "top_p", "top_k", "seed", "presence_penalty"})

    @cached_property
    def settings(self) -> DashScopeOptions:
        """The row's options. Embeddings have others."""
        return self.options if isinstance(self.options, DashScopeOptions) else DashScopeOptions()

    @property
    @override
    def key_env(self) -> str | None:
        """The service answers nothing without a key; a server of one's own may."""
        is_own = _OWN_HOST.fullmatch(host_of(self.address or ""))
        return self.spec.api_key_env or (DEFAULT_KEY_ENV if is_own else None)

    def checked_key(self, api_key: str | None) -> str:
        """The key as clients take it: a word that is not sent, where none is needed.

        Raises:
            AuthenticationError: There is no key, and there should be one.
        """
        if not api_key and self.key_env:
            raise AuthenticationError(f"{self.spec.name}: there is no key")
        return api_key or "none"

    @property
    @override
    def structured(self) -> SchemaMethod:
        """A model that thinks takes a schema in its prompt only.

        Tools are not documented for the models that take images.
        """
        in_words = self.thinks or is_multimodal(self.spec.model)
        return self.spec.structured or ("prompt" if in_words else "tool")

    @override
    def offered_tools(self, options: CallOptions) -> tuple[list[dict[str, Any]], str | None]:
        tools, choice = super().offered_tools(options)
        return without_strict(tools), choice

    @override
    def tool_choice(self, choice: str, tools: Sequence[Mapping[str, Any]]) -> Any:
        """One tool can be forced, and none while the model thinks."""
        if choice == "auto":
            return choice
        if len(tools) != 1 or self.thinks:
            return None
        return tool_choice_to_wire("required", tools)

    @property
    @override
    def takes_default_temperature(self) -> bool:  # type: ignore[override]  # decided by the row
        """Where the model does not think."""
        return not self.thinks

    @property
    def thinks(self) -> bool:
        """Whether the model thinks before it answers."""
        mode = thinking_mode(self.spec.model)
        return mode == "always" or (mode == "optional" and self.spec.thinking)

    @override
    def output_bound(self, max_output_tokens: int) -> int:
        """Thinking is billed as output, beside the cap; without a budget it has the cap's size."""
        if not self.thinks:
            return max_output_tokens
        return max_output_tokens + (self.settings.thinking_budget or max_output_tokens)

    @override
    def model_price(self, model: str) -> Price | None:
        return dashscope_price(self.spec.model_copy(update={"model": model}))

    @override
    def image_bound(self, size: ImageSize | None) -> int:
        high_resolution = self.settings.vl_high_resolution_images
        return qwen_image_tokens(self.spec.model, size, high_resolution=high_resolution)

    @override
    def check_complete(self, answer: AIMessage) -> None:
        """What is missing may have been billed all the same."""
        if not is_finished(answer.response_metadata.get(FINISH_REASON)):
            raise StreamCutError("the answer has no finish reason", outcome_unknown=True)
