"""The provider kind ``dashscope``: Alibaba's Model Studio."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import httpx
from langchain_core.messages import AIMessage
from pydantic import SecretStr
from typing_extensions import override

from aegis_graph.config.addresses import host_of
from aegis_graph.config.specs import SchemaMethod
from aegis_graph.errors import (
    AuthenticationError,
    BadRequestError,
    InvalidRequestError,
    MalformedAnswerError,
    ProviderError,
    StreamCutError,
)
from aegis_graph.pricing.prices import Price
from aegis_graph.providers.base import OpenModel, Probe, Provider, ProviderOptions
from aegis_graph.providers.call_arguments import without_strict
from aegis_graph.providers.client_errors import error_from_body, transport_error
from aegis_graph.providers.dashscope.chat_model import (
    DEFAULT_BASE_URL,
    ChatDashScope,
)
from aegis_graph.providers.dashscope.error_codes import DASHSCOPE_CODES
from aegis_graph.providers.dashscope.images import qwen_image_tokens
from aegis_graph.providers.dashscope.messages import (
    is_finished,
    is_multimodal,
    thinking_mode,
    tool_choice_to_wire,
)
from aegis_graph.providers.dashscope.options import DashScopeOptions
from aegis_graph.providers.dashscope.prices import dashscope_price
from aegis_graph.providers.dashscope.sdk import BEGUN, load_sdk
from aegis_graph.providers.http import httpx_client, probe_models
from aegis_graph.request.images import ImageSize
from aegis_graph.types import FINISH_REASON, CallOptions

DEFAULT_KEY_ENV = "ALIBABA_CLOUD_API_KEY"
_OWN_HOST = re.compile(r"dashscope[\w-]*\.aliyuncs\.com|[\w.-]+\.maas\.aliyuncs\.com")
"""Hosts of the service, one for each region and workspace: the key of that variable is theirs."""


class DashScopeProvider(Provider):
    """DashScope over its native protocol and its official SDK."""

    options_type: ClassVar[type[ProviderOptions]] = DashScopeOptions
    sampling = frozenset({"temperature", "top_p", "top_k", "seed", "presence_penalty"})

    @property
    @override
    def address(self) -> str:
        return self.spec.base_url or DEFAULT_BASE_URL

    @property
    @override
    def key_env(self) -> str | None:
        """The service answers nothing without a key; a server of one's own may."""
        is_own = _OWN_HOST.fullmatch(host_of(self.address))
        return self.spec.api_key_env or (DEFAULT_KEY_ENV if is_own else None)

    @override
    def load(self) -> None:
        load_sdk()

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        """The chat model, without retries of its own.

        Raises:
            AuthenticationError: There is no key.
        """
        model = ChatDashScope(
            model=self.spec.model,
            api_key=SecretStr(self.checked_key(api_key)),
            base_url=self.address,
            http_client=partial(httpx_client, self.spec, api_key),
            # The name of a new model says nothing; its row does.
            multimodal=self.spec.images or is_multimodal(self.spec.model),
            enable_thinking=self.spec.thinking,
            **self.options.model_dump(),
            temperature=self.spec.temperature,
        )
        return OpenModel(model, model.aclose)

    def checked_key(self, api_key: str | None) -> str:
        """The key as the SDK takes it: a word that is not sent, where none is needed.

        Raises:
            AuthenticationError: There is no key, and there should be one.
        """
        if not api_key and self.key_env:
            raise AuthenticationError(f"{self.spec.name}: there is no key")
        return api_key or "none"

    @override
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        """The cap of the answer; the model takes it for a cap of its thinking as well."""
        return {"max_tokens": max_output_tokens}

    @property
    @override
    def structured(self) -> SchemaMethod:
        """A model that thinks takes a schema in its prompt only.

        Tools are not documented for the models that take images.
        """
        in_words = self._thinks or is_multimodal(self.spec.model)
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
        if len(tools) != 1 or self._thinks:
            return None
        return tool_choice_to_wire("required", tools)

    @property
    @override
    def takes_default_temperature(self) -> bool:  # type: ignore[override]  # decided by the row
        """Where the model does not think."""
        return not self._thinks

    @property
    def _thinks(self) -> bool:
        mode = thinking_mode(self.spec.model)
        return mode == "always" or (mode == "optional" and self.spec.thinking)

    @override
    def output_bound(self, max_output_tokens: int) -> int:
        """Thinking is billed as output, beside the cap; without a budget it has the cap's size."""
        if not self._thinks:
            return max_output_tokens
        budget = self.options.model_dump().get("thinking_budget")
        return max_output_tokens + (budget or max_output_tokens)

    @override
    def own_price(self) -> Price | None:
        return dashscope_price(self.spec)

    @override
    def image_bound(self, size: ImageSize | None) -> int:
        return qwen_image_tokens(self.spec.model, size, high_resolution=self._high_resolution)

    @override
    def translate(self, error: Exception) -> ProviderError:
        """The error of ours, by the service's code first and the status second."""
        if isinstance(error, ProviderError):
            return error
        # A text with half of a surrogate pair cannot be encoded.
        if isinstance(error, InvalidRequestError | UnicodeEncodeError):
            return BadRequestError("the messages have no form in DashScope's protocol")
        if _is_instance(error, "httpx_sse", "SSEError"):
            return MalformedAnswerError("no event stream", outcome_unknown=True)
        if _is_instance(error, "dashscope.v2.errors", "DashScopeError") and not _is_instance(
            error, "dashscope.v2.errors", "APIConnectionError"
        ):
            return _sdk_error(error)
        if isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ReadTimeout):
            # The SDK wraps what fails before the answer begins; this failed inside it.
            return StreamCutError("the connection was cut in the answer", outcome_unknown=True)
        return transport_error(error)

    @override
    def check_complete(self, answer: AIMessage) -> None:
        """What is missing may have been billed all the same."""
        if not is_finished(answer.response_metadata.get(FINISH_REASON)):
            raise StreamCutError("the answer has no finish reason", outcome_unknown=True)

    @override
    async def probe(self) -> Probe:
        """Ask the base address for anything: any status means that the service is there."""
        found, _ = await probe_models(self.spec, self.address)
        return found

    @property
    def _high_resolution(self) -> bool:
        return bool(self.options.model_dump()["vl_high_resolution_images"])


def _is_instance(error: BaseException, module: str, name: str) -> bool:
    """Whether an error is of a class of a module that may not even be installed."""
    error_type = getattr(sys.modules.get(module), name, None)
    return error_type is not None and isinstance(error, error_type)


def _sdk_error(error: Any) -> ProviderError:
    # Inside a stream the SDK reports the stream's own status, which says nothing.
    status = error.status_code if error.status_code and error.status_code >= 400 else None
    if status is None and not error.code:
        return MalformedAnswerError("unreadable event in the stream", outcome_unknown=True)
    # The SDK fills the code in where the body has it in a place of its own.
    body = error.body if isinstance(error.body, Mapping) else {"message": error.message}
    return error_from_body(
        {"code": error.code, **body},
        status=status,
        headers=error.headers,
        begun=BEGUN in getattr(error, "__notes__", ()),
        codes=DASHSCOPE_CODES,
    )
