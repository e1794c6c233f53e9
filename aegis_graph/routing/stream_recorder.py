"""What a streamed attempt has produced so far, which settles it where it ends early."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk
from typing_extensions import override

from aegis_graph.errors import UnfitAnswerError
from aegis_graph.providers.tool_arguments import are_whole
from aegis_graph.text.runaway import MAX_BLANK


class StreamRecorder(BaseCallbackHandler):
    """Keeps every chunk of a streamed attempt, and passes it on.

    An attempt that dies before its first word leaves no trace in the caller's stream: the empty
    chunks before that word are passed on together with it.

    Args:
        on_piece: Called at once when a chunk arrives.
        pass_on: Called with each chunk for the caller; ``None`` where the caller waits for the
            whole answer.
    """

    # LangChain runs other handlers in a thread: one hop per chunk, and not on the attempt's loop.
    run_inline = True
    raise_error = True
    """So that a stream can be ended here."""
    ignore_chat_model = True
    """Leaves out the event that a call begins: LangChain would first write all messages as text."""

    def __init__(
        self,
        on_piece: Callable[[], None] | None = None,
        pass_on: Callable[[AIMessageChunk], None] | None = None,
    ) -> None:
        self._chunks: list[AIMessageChunk] = []
        self._withheld: list[AIMessageChunk] = []
        self._on_piece = on_piece
        self._pass_on = pass_on
        self._has_content = False
        self._gets_chunks = False
        self._blanks = 0
        self.on_content: Callable[[], None] | None = None
        """Called once, when a chunk with something in it arrives, before it is passed on."""

    @property
    def has_content(self) -> bool:
        """Whether a chunk with something in it arrived."""
        # Kept once it is true: it is asked with every chunk, and would read all of them each time.
        self._has_content = self._has_content or any(message_text(chunk) for chunk in self._chunks)
        return self._has_content

    @property
    def passes_on(self) -> bool:
        """Whether the caller is given chunks."""
        return self._pass_on is not None

    @property
    def answer_text(self) -> str:
        """The words of the answer alone."""
        return "".join(chunk.text for chunk in self._chunks)

    @property
    def text(self) -> str:
        """All of it, reasoning and tool calls included."""
        return "".join(map(message_text, self._chunks))

    @property
    def usages(self) -> list[UsageMetadata]:
        """The usages that came, in their order."""
        return [chunk.usage_metadata for chunk in self._chunks if chunk.usage_metadata]

    def check_calls(self) -> None:
        """Make sure that each tool call came whole: LangChain closes the brackets of a cut one.

        Raises:
            UnfitAnswerError: The arguments of one are not one JSON object.
        """
        pieces = (piece for chunk in self._chunks for piece in chunk.tool_call_chunks)
        if not are_whole(pieces):
            raise UnfitAnswerError("the arguments of a tool call are no JSON object")

    def flush(self) -> None:
        """Pass on what was withheld: an answer may be complete and have no content at all."""
        if self._pass_on is not None:
            for chunk in self._withheld:
                self._pass_on(chunk)
        self._withheld.clear()

    @override
    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep a chunk.

        Raises:
            UnfitAnswerError: The model writes blanks and nothing else.
        """
        if isinstance(chunk, ChatGenerationChunk) and isinstance(chunk.message, AIMessageChunk):
            self._gets_chunks = True
            self._keep(chunk.message)
        if isinstance(token, str) and token:
            self._blanks = self._blanks + len(token) if token.isspace() else 0
            if self._blanks >= MAX_BLANK:
                # Up to the cap it would go on like this, at the price of an answer.
                raise UnfitAnswerError("the answer goes on in blanks")

    @override
    def on_stream_event(self, event: Any, **kwargs: Any) -> None:
        """Keep a piece of a stream of events, ``version="v3"``, where no chunk arrives."""
        # Each piece counts once, also where both kinds of events report it.
        if event["event"] != "content-block-delta" or self._gets_chunks:
            return
        delta = event["delta"]
        args = delta.get("args") or delta.get("fields", {}).get("args")
        calls = [tool_call_chunk(args=args, index=event["index"])] if args else []
        thought = {"reasoning_content": delta["reasoning"]} if delta.get("reasoning") else {}
        self._keep(
            AIMessageChunk(
                content=delta.get("text") or "",
                additional_kwargs=thought,
                tool_call_chunks=calls,
            )
        )

    def _keep(self, chunk: AIMessageChunk) -> None:
        self._chunks.append(chunk)
        if self._on_piece is not None:
            self._on_piece()
        if self.on_content is not None and self.has_content:
            on_content, self.on_content = self.on_content, None
            on_content()
        if self._pass_on is not None:
            self._withheld.append(chunk)
            if self.has_content:
                self.flush()


def message_text(message: AIMessage) -> str:
    """All text that a provider produced in a message: answer, reasoning and tool calls."""
    text = message.text + str(message.additional_kwargs.get("reasoning_content") or "")
    # A chunk has parts of arguments only, which are no JSON yet.
    if isinstance(message, AIMessageChunk):
        return text + "".join(chunk.get("args") or "" for chunk in message.tool_call_chunks)
    calls = [{"name": call["name"], "args": call["args"]} for call in message.tool_calls]
    return text + (json.dumps(calls, default=str) if calls else "")
