"""``ChatDashScope``: Alibaba's Model Studio as a LangChain chat model, over the official SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_validator
from typing_extensions import override

from aegis_graph.errors import InvalidRequestError
from aegis_graph.providers.dashscope.messages import (
    AnswerReader,
    ToolChoice,
    is_multimodal,
    thinking_mode,
    to_wire,
    tool_choice_to_wire,
)
from aegis_graph.providers.dashscope.sdk import cloud_row, collected, open_client
from aegis_graph.providers.http import httpx_client
from aegis_graph.providers.tool_arguments import joined_answer

DEFAULT_BASE_URL = "https://dashscope-intl.aliyuncs.com/api/v1"
"""Singapore. A key belongs to one region."""

DEFAULT_THINKING_BUDGET = 4096
"""Tokens for thinking where neither a budget nor a cap was given."""

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 600.0
"""Seconds between two reads. The caller bounds the whole: comment frames would reset this one."""

_SAMPLING = (
    *("max_tokens", "temperature", "top_p", "top_k", "seed"),
    *("presence_penalty", "repetition_penalty"),
)

_TIMEOUT = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=None)


class ChatDashScope(BaseChatModel):
    """A chat model of DashScope, over the native protocol.

    Every call streams on the wire, also where the whole answer is asked for: it is the one form
    that every model takes, and it has no time limit of its own. An answer that ends without a
    finish reason raises ``StreamCutError``; everything else that goes wrong is the SDK's error.

    Images are parts of a message: an ``https`` address, base64 data, or, from a program only,
    ``{"image": pathlib.Path(...)}`` or ``{"image": bytes}``. Size, shape and format are checked
    before anything is sent. A text is always sent as that text, also where it is a path. What the
    images took is in ``usage_metadata["input_token_details"]["image"]``.

    An instance belongs to one event loop from its first call on; close it with ``aclose``.
    ``enable_thinking``, ``thinking_budget`` and ``vl_high_resolution_images`` can be given for one
    call as well, like ``max_tokens``.

    Example:
        >>> model = ChatDashScope(model="qwen-plus", api_key="sk-secret", max_tokens=100)
        >>> "sk-secret" in repr(model)
        False
    """

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1)
    api_key: SecretStr
    base_url: str = DEFAULT_BASE_URL
    multimodal: bool | None = None
    """Whether to use the multimodal path. The model's name decides when this is absent."""
    enable_thinking: bool = False
    """Whether a model that can think does. Some always do."""
    thinking_budget: int | None = Field(default=None, ge=1)
    """Most tokens of thinking, beside ``max_tokens``; as many as those when absent."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of the answer. Thinking does not count."""
    temperature: float | None = Field(default=None, ge=0, lt=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    repetition_penalty: float | None = Field(default=None, gt=0)
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    stop: list[str] | None = None
    streaming: bool = False
    """Whether callbacks get each piece also of an answer that is asked for whole."""
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """The service's own default is 1.5 for some vision models, which spoils transcriptions."""
    vl_high_resolution_images: bool = False
    """Whether an image may take up to 16,384 tokens instead of 2,560."""
    extra_body: Mapping[str, Any] = {}
    """Further entries of the protocol's ``parameters``."""
    extra_headers: Mapping[str, str] = {}
    http_client: Callable[[], httpx.AsyncClient] | None = Field(
        default=None, exclude=True, repr=False
    )
    """Opens the client of asynchronous calls; by default one for ``base_url`` and this key."""

    _http: httpx.AsyncClient | None = PrivateAttr(default=None)
    _client: Any = PrivateAttr(default=None)
    _opening: asyncio.Lock = PrivateAttr(default_factory=asyncio.Lock)

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, key: SecretStr) -> SecretStr:
        # The SDK would send an empty key, and look for another in files for an absent one.
        if not key.get_secret_value().strip():
            raise ValueError("the key is empty")
        return key

    @property
    @override
    def _llm_type(self) -> str:
        return "dashscope"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        own = set(ChatDashScope.model_fields) - set(BaseChatModel.model_fields) - {"api_key"}
        return self.model_dump(include=own)

    async def aclose(self) -> None:
        """Close the connections. A later call opens new ones."""
        http, self._http, self._client = self._http, None, None
        if http is not None:
            await http.aclose()

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: ToolChoice = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model.

        Args:
            tools: What ``convert_to_openai_tool`` takes.
            tool_choice: ``auto``, ``none``, a tool's name, or ``any`` where there is one tool.
            **kwargs: More arguments for each call.

        Raises:
            ValueError: The choice is none of these; DashScope knows no ``required``.
        """
        rows = [convert_to_openai_tool(tool) for tool in tools]
        choice = tool_choice_to_wire(tool_choice, rows)
        return self.bind(tools=rows, **({"tool_choice": choice} if choice else {}), **kwargs)

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return joined_answer(await collected(self._astream(messages, stop, **kwargs)))

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        stream = await self._endpoint(await self._connected()).create(**request)
        reader = AnswerReader(self.model)
        async with aclosing(aiter(stream)) as frames:
            async for frame in frames:
                # Fields the wire left out stay out: the SDK would report them as 0 tokens.
                chunk = reader.read(frame.model_dump(exclude_unset=True))
                if chunk is not None:
                    yield ChatGenerationChunk(message=chunk)
        yield ChatGenerationChunk(message=reader.end(stream.headers))

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return joined_answer(list(self._stream(messages, stop, **kwargs)))

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        # A client per call: nothing would close a kept one, and building it costs 20 ms.
        with httpx.Client(timeout=_TIMEOUT, headers=dict(self.extra_headers)) as http:
            client = open_client("Client", http_client=http, **self._settings())
            stream = self._endpoint(client).create(**request)
            reader = AnswerReader(self.model)
            for frame in stream:
                chunk = reader.read(frame.model_dump(exclude_unset=True))
                if chunk is not None:
                    yield ChatGenerationChunk(message=chunk)
        yield ChatGenerationChunk(message=reader.end(stream.headers))

    def _request(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            **{name: getattr(self, name) for name in _SAMPLING},
            "stop": stop or self.stop,
            **options,
        }
        # The SDK has no arguments of these names.
        more = dict(self.extra_body)
        if request.pop("vl_high_resolution_images", self.vl_high_resolution_images):
            more["vl_high_resolution_images"] = True
        if more:
            request["parameters"] = more
        request.update(self._thinking(request))
        return {
            **{name: value for name, value in request.items() if value is not None},
            "model": self.model,
            "messages": to_wire(messages, multimodal=self._is_multimodal),
            "stream": True,
            # Otherwise each frame repeats the answer so far.
            "incremental_output": True,
            # The SDK puts no key on a client that it did not build.
            "api_key": self.api_key.get_secret_value(),
        }

    def _thinking(self, request: dict[str, Any]) -> dict[str, Any]:
        mode = thinking_mode(self.model)
        if mode == "never":
            # The service refuses the word even where it says no.
            return {"enable_thinking": None, "thinking_budget": None}
        wanted = request.get("enable_thinking", self.enable_thinking)
        if not wanted and mode == "optional":
            return {"enable_thinking": False, "thinking_budget": None}
        if isinstance(request.get("tool_choice"), dict):
            raise InvalidRequestError("DashScope cannot force a tool while the model thinks")
        budget = request.get("thinking_budget") or self.thinking_budget
        budget = budget or request["max_tokens"] or DEFAULT_THINKING_BUDGET
        # The service refuses JSON mode from a model that thinks.
        return {"enable_thinking": True, "thinking_budget": budget, "response_format": None}

    @property
    def _is_multimodal(self) -> bool:
        return is_multimodal(self.model) if self.multimodal is None else self.multimodal

    def _endpoint(self, client: Any) -> Any:
        return client.multimodal.chat if self._is_multimodal else client.chat.completions

    async def _connected(self) -> Any:
        if self._client is None:
            async with self._opening:
                if self._client is None:
                    # The SDK takes a second to import, certificates some milliseconds to read.
                    await asyncio.to_thread(self._open)
        return self._client

    def _open(self) -> None:
        http = self.http_client() if self.http_client else self._own_http_client()
        http.headers.update(self.extra_headers)
        self._client = open_client("AsyncClient", http_client=http, **self._settings())
        self._http = http

    def _own_http_client(self) -> httpx.AsyncClient:
        row = cloud_row(self.model, self.base_url, self.extra_headers)
        return httpx_client(row, self.api_key.get_secret_value(), timeout=_TIMEOUT)

    def _settings(self) -> dict[str, Any]:
        return {
            "api_key": self.api_key.get_secret_value(),
            "base_url": self.base_url,
            "timeout": READ_TIMEOUT_S,
        }
