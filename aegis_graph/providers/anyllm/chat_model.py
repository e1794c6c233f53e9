"""A chat model over Mozilla's any-llm, which speaks to some fifty providers in OpenAI's words.

Every provider of any-llm answers in OpenAI's types, so LangChain's own OpenAI model reads them:
only the call underneath it is another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from langchain_core.language_models.base import LangSmithParams
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from typing_extensions import override

from aegis_graph.providers.openai.chat_model import CompatibleAnswers

if TYPE_CHECKING:
    from any_llm import AnyLLM


class ChatAnyLLM(CompatibleAnswers, ChatOpenAI):
    """A chat model of one any-llm client. Async only; every call streams on the wire.

    Args:
        client: Built once: building one costs 20 ms.
        model: The model's name, as its provider knows it.
        provider: any-llm's name of the provider.
    """

    provider: str

    def __init__(self, client: AnyLLM, *, model: str, provider: str, **fields: Any) -> None:
        asked = _Completions(client)
        super().__init__(  # type: ignore[call-arg]
            model=model,
            provider=provider,
            client=asked,
            async_client=asked,
            api_key=SecretStr("any-llm has it"),
            base_url="any-llm",
            streaming=True,
            stream_usage=True,
            use_responses_api=False,
            max_retries=0,
            stream_chunk_timeout=None,
            **fields,
        )

    @property
    @override
    def _llm_type(self) -> str:
        return "any-llm"

    @classmethod
    @override
    def is_lc_serializable(cls) -> bool:
        """It holds a live client."""
        return False

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop, **kwargs)
        params["ls_provider"] = self.provider
        return params


class _Completions:
    """Stands where ``ChatOpenAI`` has OpenAI's completions, and asks any-llm."""

    def __init__(self, client: AnyLLM) -> None:
        self._client = client

    async def create(self, *, extra_body: dict[str, Any] | None = None, **asked: Any) -> _Chunks:
        return _Chunks(await self._client.acompletion(**asked, **(extra_body or {})))


class _Chunks:
    """A stream that is closed when it is left, also in the middle."""

    def __init__(self, chunks: Any) -> None:
        self._chunks = chunks

    async def __aenter__(self) -> AsyncIterator[Any]:
        return aiter(self._chunks)

    async def __aexit__(self, *_: object) -> None:
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()
