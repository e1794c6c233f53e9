"""``/v1/responses``, as far as text, images, functions and streams go; nothing of it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from aegis_graph.server.endpoint.answer_endpoint import AnswerEndpoint, AnswerHead
from aegis_graph.server.endpoint.answers import RoutedAnswer
from aegis_graph.server.endpoint.chat_request import ChatRequest
from aegis_graph.server.endpoint.responses_answer import ResponseEvents, whole_response
from aegis_graph.server.endpoint.responses_request import responses_request


class ResponsesEndpoint(AnswerEndpoint):
    """Answers in OpenAI's newer form."""

    @override
    def read(self, body: Mapping[str, Any]) -> ChatRequest:
        return responses_request(body)

    @override
    def whole(self, answer: RoutedAnswer, head: AnswerHead) -> dict[str, Any]:
        return whole_response(head, answer)

    @override
    def events(self, head: AnswerHead, wanted: ChatRequest) -> ResponseEvents:
        return ResponseEvents(head)
