"""The valid answers of the three wires as documents, which the corpus changes and writes again."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from typing_extensions import override

from aegis_graph.testing.corpus.changes import Change, Document
from aegis_graph.testing.corpus.hostile_response import Forms
from aegis_graph.testing.loopback.journal import ProtocolName, Received
from aegis_graph.testing.loopback.replies import EVENT_STREAM, JSON, NDJSON, RawReply, Reply
from aegis_graph.testing.wires.dashscope import DashScopeWire
from aegis_graph.testing.wires.ollama import OllamaWire
from aegis_graph.testing.wires.openai import OpenAIWire
from aegis_graph.testing.wires.wire import Wire

TEXT = "The capital is Paris"
ANSWER = Reply(TEXT, input_tokens=50, output_tokens=6)
TOOL_ANSWER = Reply(
    input_tokens=50,
    output_tokens=6,
    tool_calls=({"name": "weather", "args": {"city": "Paris"}, "id": "call_1"},),
)

_LITERAL = re.compile(r'"@@(.*?)@@"')


def literal(text: str) -> str:
    """What Python cannot write as JSON: ``encode`` puts these characters there as they are."""
    return f"@@{text}@@"


def encode(document: object) -> bytes:
    """A document as JSON, in ASCII: halves of surrogate pairs are written as escapes."""
    return _LITERAL.sub(r"\1", json.dumps(document, separators=(",", ":"))).encode()


class UsageNames(NamedTuple):
    """What a wire calls the counts; details as table and key."""

    input: str
    output: str
    total: str | None = None
    cached: tuple[str, str] | None = None
    reasoning: tuple[str, str] | None = None


class WireForm(ABC):
    """One wire: its valid answers, and how a document of it is written."""

    name: ClassVar[ProtocolName]
    wire: ClassVar[Wire]
    path: ClassVar[str]
    stream_headers: ClassVar[Mapping[str, str]]
    end: ClassVar[bytes] = b""
    """What follows the last document of a stream."""
    usage_names: ClassVar[UsageNames]

    @abstractmethod
    def frame(self, document: object) -> bytes:
        """A document, or bytes in its place, as a piece of a stream."""

    @abstractmethod
    def documents_of(self, data: bytes) -> Iterable[Document]:
        """The documents in the bytes of a stream."""

    @abstractmethod
    def usage_of(self, document: Document) -> Document | None:
        """The table that has the counts, where this document has them."""

    @abstractmethod
    def finish_of(self, document: Document) -> tuple[Document, str] | None:
        """The table and the key of the finish reason, where this document has one."""

    @abstractmethod
    def message_of(self, document: Document) -> Document | None:
        """The message, or the piece of one."""

    def whole(self, reply: Reply = ANSWER) -> Document:
        """A valid answer as one document."""
        document: Document = json.loads(encode(self.wire.whole(reply, self._call(False))))
        return document

    def events(self, reply: Reply = ANSWER) -> list[Document]:
        """A valid answer as the documents of a stream."""
        call = self._call(True)
        pieces = [*self.wire.chunks(reply, call), self.wire.ending(reply, call)]
        return [document for piece in pieces for document in self.documents_of(piece.data)]

    def streamed(self) -> bytes:
        """The bytes of a valid answer's stream."""
        return b"".join(map(self.frame, self.events())) + self.end

    def body(self, document: object, *, headers: Mapping[str, str] = JSON) -> RawReply:
        """A document, or bytes in its place, as the body of a response."""
        data = document if isinstance(document, bytes) else encode(document)
        return RawReply(headers=headers, body=data)

    def stream(
        self, documents: Iterable[object], *, end: bytes | None = None, **more: Any
    ) -> RawReply:
        """Documents, or bytes in their place, as a stream with its end."""
        pieces = [self.frame(document) for document in documents]
        last = self.end if end is None else end
        chunks = (*pieces, last) if last else tuple(pieces)
        return RawReply(headers=self.stream_headers, chunks=chunks, **more)

    def changed(self, change: Change, reply: Reply = ANSWER) -> Forms:
        """A valid answer with a change in each of its documents."""
        whole, events = self.whole(reply), self.events(reply)
        for document in (whole, *events):
            change(document)
        return Forms(self.body(whole), self.stream(events))

    def with_usage(self, change: Change) -> Forms:
        """A valid answer with a change in each table of counts."""

        def change_usage(document: Document) -> None:
            usage = self.usage_of(document)
            if usage is not None:
                change(usage)

        return self.changed(change_usage)

    def with_finish(self, reason: object, reply: Reply = ANSWER) -> Forms:
        """A valid answer with another finish reason."""

        def change(document: Document) -> None:
            place = self.finish_of(document)
            if place is not None:
                place[0][place[1]] = reason

        return self.changed(change, reply)

    def _call(self, streamed: bool) -> Received:
        return Received(
            number=1,
            protocol=self.name,
            path=self.path,
            model="m",
            body={"stream_options": {"include_usage": True}},
            headers={},
            streamed=streamed,
            generation=True,
            arrived_at=0.0,
        )


class OpenAIForm(WireForm):
    """OpenAI's wire: one ``data:`` line per document, and ``[DONE]``."""

    name = "openai"
    wire = OpenAIWire()
    path = "/v1/chat/completions"
    stream_headers = EVENT_STREAM
    end = b"data: [DONE]\n\n"
    usage_names = UsageNames(
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        ("prompt_tokens_details", "cached_tokens"),
        ("completion_tokens_details", "reasoning_tokens"),
    )

    @override
    def frame(self, document: object) -> bytes:
        return document if isinstance(document, bytes) else b"data: " + encode(document) + b"\n\n"

    @override
    def documents_of(self, data: bytes) -> Iterable[Document]:
        return _sse_documents(data)

    @override
    def usage_of(self, document: Document) -> Document | None:
        return document.get("usage")

    @override
    def finish_of(self, document: Document) -> tuple[Document, str] | None:
        for choice in document["choices"]:
            if choice["finish_reason"] is not None:
                return choice, "finish_reason"
        return None

    @override
    def message_of(self, document: Document) -> Document | None:
        for choice in document["choices"]:
            message: Document = choice.get("message") or choice.get("delta")
            return message
        return None


class OllamaForm(WireForm):
    """Ollama's wire: a line per document, the last of which says ``done``."""

    name = "ollama"
    wire = OllamaWire()
    path = "/api/chat"
    stream_headers = NDJSON
    usage_names = UsageNames("prompt_eval_count", "eval_count")

    @override
    def frame(self, document: object) -> bytes:
        return document if isinstance(document, bytes) else encode(document) + b"\n"

    @override
    def documents_of(self, data: bytes) -> Iterable[Document]:
        return [json.loads(line) for line in data.splitlines() if line]

    @override
    def usage_of(self, document: Document) -> Document | None:
        return document if document["done"] else None

    @override
    def finish_of(self, document: Document) -> tuple[Document, str] | None:
        return (document, "done_reason") if document["done"] else None

    @override
    def message_of(self, document: Document) -> Document | None:
        message: Document = document["message"]
        return message


class DashScopeForm(WireForm):
    """DashScope's own wire: events with a number and a status, the counts in each of them."""

    name = "dashscope"
    wire = DashScopeWire()
    path = "/api/v1/services/aigc/text-generation/generation"
    stream_headers = EVENT_STREAM
    usage_names = UsageNames(
        "input_tokens",
        "output_tokens",
        "total_tokens",
        ("prompt_tokens_details", "cached_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
    )

    @override
    def frame(self, document: object) -> bytes:
        if isinstance(document, bytes):
            return document
        return b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:" + encode(document) + b"\n\n"

    @override
    def documents_of(self, data: bytes) -> Iterable[Document]:
        return _sse_documents(data)

    @override
    def usage_of(self, document: Document) -> Document | None:
        return document.get("usage")

    @override
    def finish_of(self, document: Document) -> tuple[Document, str] | None:
        choice = document["output"]["choices"][0]
        return None if choice["finish_reason"] == "null" else (choice, "finish_reason")

    @override
    def message_of(self, document: Document) -> Document | None:
        message: Document = document["output"]["choices"][0]["message"]
        return message


FORMS: Mapping[ProtocolName, WireForm] = {
    form.name: form for form in (OpenAIForm(), OllamaForm(), DashScopeForm())
}


def _sse_documents(data: bytes) -> list[Document]:
    lines = (
        line.removeprefix(b"data:").strip() for line in data.split(b"\n") if line[:5] == b"data:"
    )
    return [json.loads(line) for line in lines if line != b"[DONE]"]
