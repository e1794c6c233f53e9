"""An answer in the form of ``/v1/responses``, whole and as events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessageChunk

from aegis_graph.routing.observer import ChunkEvent
from aegis_graph.server.endpoint.answer_endpoint import AnswerHead
from aegis_graph.server.endpoint.answers import RoutedAnswer
from aegis_graph.server.endpoint.asking import Piece


def _begun(head: AnswerHead) -> dict[str, Any]:
    """A response that has just begun; it repeats what steered it."""
    body = head.body
    repeated = {name: body.get(name) for name in ("instructions", "metadata", "temperature")}
    return {
        "id": f"resp_{head.route_id}",
        "object": "response",
        "created_at": head.created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "max_output_tokens": body.get("max_output_tokens"),
        "model": head.model,
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "store": False,
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p"),
        "truncation": "disabled",
        "usage": None,
        **repeated,
    }


def whole_response(head: AnswerHead, answer: RoutedAnswer) -> dict[str, Any]:
    """A response that is complete, or ended at its cap of tokens."""
    texts = [message_item(answer.route_id, answer.text)] if answer.text else []
    calls = [
        call_item(answer.route_id, index, call["id"], **call["function"])
        for index, call in enumerate(answer.tool_calls)
    ]
    return {**_begun(head), "output": [*texts, *calls], **_ended(answer)}


def _ended(answer: RoutedAnswer) -> dict[str, Any]:
    cut = answer.finish_reason == "length"
    return {
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "usage": answer.usage(inward="input", outward="output"),
        "aegis": answer.route,
    }


def text_part(text: str) -> dict[str, Any]:
    """The text of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_item(route_id: str, text: str | None) -> dict[str, Any]:
    """A message; one that has just begun has no text."""
    content = [] if text is None else [text_part(text)]
    status = "in_progress" if text is None else "completed"
    kind = {"type": "message", "id": f"msg_{route_id}", "status": status}
    return {**kind, "role": "assistant", "content": content}


def call_item(
    route_id: str, index: int, call_id: str | None, *, name: str, arguments: str, done: bool = True
) -> dict[str, Any]:
    """A call of a function."""
    status = "completed" if done else "in_progress"
    kind = {"type": "function_call", "id": f"fc_{route_id}_{index}", "status": status}
    return {**kind, "call_id": call_id, "name": name, "arguments": arguments}


class ResponseEvents:
    """Turns the pieces of one answer into the events of a response.

    Args:
        head: What is known of it.
    """

    def __init__(self, head: AnswerHead) -> None:
        self._head = _begun(head)
        self._route_id = head.route_id
        self._number = 0
        self._text: str | None = None
        self._calls: dict[int, dict[str, Any]] = {}
        self._items: list[dict[str, Any]] = []
        """Those that are open or done, in their order."""

    def begin(self) -> bytes:
        """The events before the first piece."""
        begun = ("response.created", "response.in_progress")
        return b"".join(self.event(kind, response=self._head) for kind in begun)

    def of(self, piece: Piece) -> bytes:
        """The events of a piece."""
        if isinstance(piece, ChunkEvent):
            return b"".join(self._of_chunk(piece.chunk))
        return b"".join(self._last(RoutedAnswer(piece)))

    def failed(self, error: Mapping[str, Any]) -> bytes:
        """The events that say that the answer broke off."""
        problem = error["error"]
        said = {"code": problem["code"], "message": problem["message"]}
        ended = {**self._head, "status": "failed", "error": said}
        # Clients end at the first; the second is for those that read responses alone.
        first = self.event("error", **said, param=problem["param"])
        return first + self.event("response.failed", response=ended)

    def end(self) -> bytes:
        """Nothing: the events of the last piece say that it is the last."""
        return b""

    def _of_chunk(self, chunk: AIMessageChunk) -> Iterator[bytes]:
        if text := str(chunk.text):
            yield from self._of_text(text)
        for call in chunk.tool_call_chunks:
            yield from self._of_call(dict(call))

    def _last(self, answer: RoutedAnswer) -> Iterator[bytes]:
        # Of an answer that came whole, all of it.
        if not self._items:
            if answer.text:
                yield from self._of_text(answer.text)
            for index, call in enumerate(answer.tool_calls):
                function = call["function"]
                row = {"index": index, "id": call["id"], "name": function["name"]}
                yield from self._of_call({**row, "args": function["arguments"]})
        for place, item in enumerate(list(self._items)):
            yield from self._done(place, item)
        ended = {**self._head, "output": self._items, **_ended(answer)}
        yield self.event(f"response.{ended['status']}", response=ended)

    def _of_text(self, text: str) -> Iterator[bytes]:
        if self._text is None:
            self._text = ""
            self._items.append(message_item(self._route_id, None))
            place = len(self._items) - 1
            yield self.event(
                "response.output_item.added", output_index=place, item=self._items[place]
            )
            yield self._part("added", place, "")
        self._text += text
        yield self.event(
            "response.output_text.delta",
            **self._place(self._message_place()),
            content_index=0,
            delta=text,
            logprobs=[],
        )

    def _of_call(self, call: Mapping[str, Any]) -> Iterator[bytes]:
        index = call["index"] or 0
        if index not in self._calls:
            item = call_item(
                self._route_id, index, call["id"], name=call["name"], arguments="", done=False
            )
            self._calls[index] = item
            self._items.append(item)
            yield self.event(
                "response.output_item.added", output_index=self._items.index(item), item=item
            )
        item = self._calls[index]
        if call["args"]:
            item["arguments"] += call["args"]
            yield self.event(
                "response.function_call_arguments.delta",
                **self._place(self._items.index(item)),
                delta=call["args"],
            )

    def _done(self, place: int, item: Mapping[str, Any]) -> Iterator[bytes]:
        if item["type"] == "message":
            text = self._text or ""
            yield self.event(
                "response.output_text.done",
                **self._place(place),
                content_index=0,
                text=text,
                logprobs=[],
            )
            yield self._part("done", place, text)
            self._items[place] = message_item(self._route_id, text)
        else:
            yield self.event(
                "response.function_call_arguments.done",
                **self._place(place),
                name=item["name"],
                arguments=item["arguments"],
            )
            self._items[place] = {**item, "status": "completed"}
        yield self.event("response.output_item.done", output_index=place, item=self._items[place])

    def _part(self, what: str, place: int, text: str) -> bytes:
        return self.event(
            f"response.content_part.{what}",
            **self._place(place),
            content_index=0,
            part=text_part(text),
        )

    def _message_place(self) -> int:
        return next(at for at, item in enumerate(self._items) if item["type"] == "message")

    def _place(self, place: int) -> dict[str, Any]:
        return {"item_id": self._items[place]["id"], "output_index": place}

    def event(self, kind: str, **data: Any) -> bytes:
        """One event, with its number."""
        body = {"type": kind, "sequence_number": self._number, **data}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(body)}\n\n".encode()
