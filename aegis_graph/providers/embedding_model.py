"""An embedding model in the form in which the router calls every model.

The router asks a chat model with messages; an embedding model is asked with one message per text,
and its answer carries the vectors. So embeddings are admitted, tried, priced and recorded by the
same code as answers.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr
from typing_extensions import override

from aegis_graph.config.specs import EmbeddingSpec
from aegis_graph.errors import MalformedAnswerError
from aegis_graph.providers.base import Provider
from aegis_graph.providers.http.bodies import MAX_BODY_BYTES
from aegis_graph.providers.usage import whole_count
from aegis_graph.request.request import Request

VECTORS = "vectors"
"""Where the answer has them, among its ``additional_kwargs``."""

TextType = Literal["document", "query"]
"""Some models embed what is searched and what searches differently; it is a message's ``name``."""


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """What a provider answered: a vector per text, in their order."""

    vectors: Sequence[Sequence[float]]
    input_tokens: int | None
    """``None`` where the provider did not say."""


BYTES_PER_NUMBER = 32
"""Most text of one number of a vector: all digits of a double with sign, exponent and comma."""

EmbedTexts = Callable[[list[str], TextType], Awaitable[EmbeddingResult]]


class EmbeddingChatModel(BaseChatModel):
    """Answers messages with the vectors of their texts.

    Args:
        embed: One call to the provider.
        model: The model's name, for traces.
    """

    model: str
    _embed: EmbedTexts = PrivateAttr()

    def __init__(self, embed: EmbedTexts, *, model: str) -> None:
        super().__init__(model=model)  # type: ignore[call-arg]  # pydantic's fields
        self._embed = embed

    @property
    @override
    def _llm_type(self) -> str:
        return "embedding"

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text_type: TextType = "query" if messages[0].name == "query" else "document"
        embedded = await self._embed([message.text for message in messages], text_type)
        answer = AIMessage(
            "",
            additional_kwargs={VECTORS: [list(vector) for vector in embedded.vectors]},
            response_metadata={"texts": len(messages)},
            usage_metadata=_usage(embedded.input_tokens),
        )
        return ChatResult(generations=[ChatGeneration(message=answer)])

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise TypeError("an embedding model is asked through the router, which is asynchronous")


def check_vectors(answer: AIMessage, *, dimensions: int) -> None:
    """Make sure that an answer has vectors that can be stored beside others.

    Args:
        answer: The answer of an ``EmbeddingChatModel``.
        dimensions: Length of each vector.

    Raises:
        MalformedAnswerError: It has not.
    """
    vectors, texts = answer.additional_kwargs[VECTORS], answer.response_metadata["texts"]
    if len(vectors) != texts:
        raise MalformedAnswerError(f"{len(vectors)} vectors for {texts} texts")
    for vector in vectors:
        if len(vector) != dimensions:
            raise MalformedAnswerError(
                f"a vector of {len(vector)} dimensions; the configuration says {dimensions}"
            )
        if not all(map(math.isfinite, vector)):
            raise MalformedAnswerError("a vector with a number that is none")


def _usage(reported: object) -> UsageMetadata | None:
    tokens = whole_count(reported)
    if tokens is None:
        return None
    return UsageMetadata(input_tokens=tokens, output_tokens=0, total_tokens=tokens)


class EmbeddingProvider(Provider):
    """What the kinds have in common: no output, and vectors that are checked."""

    texts_per_call: ClassVar[int] = 64
    """Most texts of one call where the row does not say it."""

    streams_whole_answers = False

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        assert isinstance(self.spec, EmbeddingSpec), "the registry builds these from such rows only"
        return self.spec.dimensions

    @property
    def most_bytes(self) -> int:
        """Most bytes of one answer, which is as long as its vectors are."""
        texts = (self.spec.batch_size if isinstance(self.spec, EmbeddingSpec) else None) or 0
        numbers = max(texts, self.texts_per_call) * self.dimensions
        return max(MAX_BODY_BYTES, BYTES_PER_NUMBER * numbers)

    @override
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        """None: an embedding has no output to cap."""
        return {}

    @override
    def arguments(self, max_output_tokens: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """None: what a request may choose is about answers."""
        return {}

    @override
    def make_room(self, arguments: dict[str, Any], request: Request) -> None:
        """Nothing to choose: a text that is too long is an error."""
        return

    @override
    def check_room(self, answer: AIMessage, arguments: Mapping[str, Any], request: Request) -> None:
        """Nothing to check, for the same reason."""
        return

    @override
    def output_bound(self, max_output_tokens: int) -> int:
        """No output is billed."""
        return 0

    @override
    def check_complete(self, answer: AIMessage) -> None:
        """Vectors come whole or not at all."""

    @override
    def check_content(self, answer: AIMessage) -> None:
        """Make sure that there is a vector of the right length for each text.

        Raises:
            MalformedAnswerError: There is not.
        """
        check_vectors(answer, dimensions=self.dimensions)
