"""The provider kind ``dashscope``: Alibaba's Model Studio."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import httpx
from pydantic import SecretStr
from typing_extensions import override

from aegis_graph.errors import (
    BadRequestError,
    InvalidRequestError,
    MalformedAnswerError,
    ProviderError,
    StreamCutError,
)
from aegis_graph.providers.base import OpenModel, Provider
from aegis_graph.providers.client_errors import error_from_body, transport_error
from aegis_graph.providers.dashscope.batch import (
    BatchChatProvider,
    batch_files_of,
    batch_url_of,
)
from aegis_graph.providers.dashscope.chat_model import (
    DEFAULT_BASE_URL,
    ChatDashScope,
)
from aegis_graph.providers.dashscope.error_codes import DASHSCOPE_CODES
from aegis_graph.providers.dashscope.messages import (
    is_multimodal,
)
from aegis_graph.providers.dashscope.qwen import QwenProvider
from aegis_graph.providers.dashscope.sdk import BEGUN, load_sdk
from aegis_graph.providers.http import httpx_client, probe_models, recorded_http_client
from aegis_graph.providers.probe import Probe


class DashScopeProvider(QwenProvider):
    """DashScope over its native protocol and its official SDK."""

    @property
    @override
    def address(self) -> str:
        return self.spec.base_url or DEFAULT_BASE_URL

    @override
    def open_waiting(self, *, source: str, environ: Mapping[str, str] | None) -> Provider:
        """The same model by Batch Chat."""
        url = batch_url_of(self.spec, self.settings.batch_url)
        if url is None:
            why = f"Batch Chat is in the Beijing region only, and the row is at {self.address}"
            raise self.no_waiting(source, f"{why}; take it away, or name it as options.batch_url")
        spec = self.spec.model_copy(update={"half_price": False, "base_url": url})
        return BatchChatProvider(spec, source=source, environ=environ)

    @override
    def open_batches(self) -> Provider:
        """The same model, asked in OpenAI's protocol by the lines of a file."""
        files = batch_files_of(self.address)
        if files is None:
            raise self.no_batches(f"{self.address} does not end in /api/v1")
        spec = self.spec.model_copy(update={"half_price": False, "base_url": files.url})
        batches = BatchChatProvider(spec, source=self.source, environ=self._environ)
        batches.batch_files, batches.open_http = files, recorded_http_client
        return batches

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
            **self.settings.model_dump(exclude={"batch_url"}),
            temperature=self.spec.temperature,
        )
        return OpenModel(model, model.aclose)

    @override
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        """The cap of the answer; the model takes it for a cap of its thinking as well."""
        return {"max_tokens": max_output_tokens}

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
    async def probe(self) -> Probe:
        """Ask the base address for anything: any status means that the service is there."""
        found, _ = await probe_models(self.spec, self.address)
        return found


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
