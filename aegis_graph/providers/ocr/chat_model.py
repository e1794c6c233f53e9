"""A chat model without network that answers with the text it reads in the images."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr
from typing_extensions import override

from aegis_graph.errors import UnsupportedContentError
from aegis_graph.providers.ocr.engine import OcrEngine, TextLine
from aegis_graph.request.images import image_bytes, is_image

MODEL_NAME = "rapidocr"
MARKER = "(Text recognition: what is written in the image; no language model looked at it.)"
NO_TEXT = "No text was found in the image."


class ChatOcr(BaseChatModel):
    """Answers with the text in the images of the last message that has some, and says it is OCR.

    Instructions are not followed, because no model reads them. Each line with its four corners, in
    pixels, and the engine's confidence is in ``response_metadata["lines"]``. One image is read at
    a time, in a thread of its own: the engine uses all cores already. The cap of the answer counts
    words, and so does the usage.

    Example:
        >>> ChatOcr().invoke([HumanMessage([image_part(Path("a.png"))])]).text  # doctest: +SKIP
        'Invoice 2024-0815 ...'
    """

    _engine: OcrEngine | None = PrivateAttr(default=None)
    _thread: ThreadPoolExecutor = PrivateAttr(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="aegis-ocr")
    )

    @property
    @override
    def _llm_type(self) -> str:
        return "ocr"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": MODEL_NAME}

    def load(self) -> None:
        """Load the models now, and not at the first image.

        Raises:
            ModuleNotFoundError: The extra is not installed.
        """
        self._thread.submit(self._loaded).result()

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = self._thread.submit(self._answer, messages, stop, max_tokens).result()
        return ChatResult(generations=[ChatGeneration(message=message)])

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # A call that is cancelled while it waits for the thread is not read for.
        loop = asyncio.get_running_loop()
        message = await loop.run_in_executor(self._thread, self._answer, messages, stop, max_tokens)
        return ChatResult(generations=[ChatGeneration(message=message)])

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield _chunk(self._generate(messages, stop, **kwargs))

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        yield _chunk(await self._agenerate(messages, stop, **kwargs))

    def _loaded(self) -> OcrEngine:
        # Without a lock: only the one thread calls this.
        if self._engine is None:
            self._engine = OcrEngine()
        return self._engine

    def _answer(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, max_tokens: int | None
    ) -> AIMessage:
        pages = [self._loaded().read(image) for image in images_of(messages)]
        whole = "\n\n".join(page.text or NO_TEXT for page in pages)
        text, finish = _truncated(whole, stop or (), max_tokens)
        return AIMessage(
            content=f"{text}\n\n{MARKER}",
            usage_metadata=_usage(messages, text),
            response_metadata={
                "model_name": MODEL_NAME,
                "finish_reason": finish,
                "ocr": True,
                "text": text if any(page.lines for page in pages) else "",
                "lines": [
                    _record(line, number)
                    for number, page in enumerate(pages)
                    for line in page.lines
                ],
            },
        )


def images_of(messages: Sequence[BaseMessage]) -> list[bytes]:
    """The images of the last message that has some.

    Raises:
        UnsupportedContentError: There are none, or one is not in the message itself.
    """
    for message in reversed(messages):
        parts = [] if isinstance(message.content, str) else message.content
        found = [image_bytes(part) for part in parts if isinstance(part, dict) and is_image(part)]
        images = [data for data in found if data is not None]
        if len(images) < len(found):
            raise UnsupportedContentError("text recognition fetches no image from an address")
        if images:
            return images
    raise UnsupportedContentError("there is no image to read")


def _record(line: TextLine, image: int) -> dict[str, Any]:
    corners = [list(corner) for corner in line.box]
    return {"text": line.text, "box": corners, "score": round(line.score, 4), "image": image}


def _truncated(text: str, stop: Sequence[str], max_tokens: int | None) -> tuple[str, str]:
    # ``partition`` raises for an empty word.
    for word in filter(None, stop):
        text = text.partition(word)[0]
    words = text.split()
    if max_tokens is None or len(words) <= max_tokens:
        return text, "stop"
    return " ".join(words[:max_tokens]), "length"


def _usage(messages: Sequence[BaseMessage], text: str) -> UsageMetadata:
    # At least one token, also of an image alone: a usage of none would count as none reported.
    prompt_words = 1 + sum(len(message.text.split()) for message in messages)
    answer_words = len(text.split())
    return UsageMetadata(
        input_tokens=prompt_words,
        output_tokens=answer_words,
        total_tokens=prompt_words + answer_words,
    )


def _chunk(result: ChatResult) -> ChatGenerationChunk:
    message = result.generations[0].message
    assert isinstance(message, AIMessage), "this model answers with nothing else"
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content=message.content,
            usage_metadata=message.usage_metadata,
            response_metadata=message.response_metadata,
            chunk_position="last",
        )
    )
