"""The router's output, as all of OpenAI's forms of an answer have it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, cast

from langchain_core.messages import AIMessage

from aegis_graph.chat.chunks import RouterResult
from aegis_graph.providers.finish_reasons import Outcome, meaning_of
from aegis_graph.types import FINISH_REASON

FinishReasonWord = Literal["stop", "length", "tool_calls", "content_filter"]

_WORDS: Mapping[Outcome, FinishReasonWord] = {
    "complete": "stop",
    "tools": "tool_calls",
    "length": "length",
    "filtered": "content_filter",
    "failed": "stop",
}


class RoutedAnswer:
    """A whole answer.

    Args:
        result: The router's output.
    """

    def __init__(self, result: RouterResult) -> None:
        self._result = result
        self.message = cast("AIMessage", result["messages"][-1])
        self._facts: Mapping[str, Any] = self.message.response_metadata

    @property
    def text(self) -> str:
        """What the model says; JSON where that was asked for."""
        return str(self.message.text)

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tools that the model calls, in OpenAI's form."""
        return [
            {
                "id": call["id"],
                "type": "function",
                "function": {
                    "name": call["name"],
                    "arguments": json.dumps(call["args"], ensure_ascii=False),
                },
            }
            for call in self.message.tool_calls
        ]

    @property
    def finish_reason(self) -> FinishReasonWord:
        """Why it ended, in OpenAI's word."""
        found = _WORDS[meaning_of(self._facts.get(FINISH_REASON, "stop")).outcome]
        if self.message.tool_calls and found == "stop":
            return "tool_calls"
        return "stop" if found == "tool_calls" and not self.message.tool_calls else found

    @property
    def route_id(self) -> str:
        """The request, as the ledger names it."""
        return str(self._result["route_id"])

    @property
    def model(self) -> str:
        """The model that answered, as the configuration names it."""
        return str(self._facts["model"])

    @property
    def cost_usd(self) -> str:
        """What all attempts cost together, in USD as exact decimal text."""
        total = sum((Decimal(row["cost_usd"]) for row in self._result["attempts"]), Decimal(0))
        return f"{total:f}"

    @property
    def route(self) -> dict[str, Any]:
        """How the answer came about: what OpenAI's form has no place for."""
        return {
            "route_id": self.route_id,
            "provider": self._facts["provider"],
            "model": self.model,
            "cost_usd": self.cost_usd,
            "cost_basis": self._facts["cost_basis"],
            "attempts": self._result["attempts"],
            "skipped": self._result["skipped"],
        }

    @property
    def headers(self) -> dict[str, str]:
        """The same for those who read headers."""
        return {
            **route_headers(self.route_id, str(self._facts["provider"]), self.model),
            "x-aegis-cost-usd": self.cost_usd,
            "x-aegis-cost-basis": str(self._facts["cost_basis"]),
            "x-aegis-attempts": str(len(self._result["attempts"])),
        }

    def usage(self, *, inward: str, outward: str) -> dict[str, Any]:
        """The tokens of the answer, and what the whole request cost.

        Args:
            inward: OpenAI's word for what went in: ``prompt`` or ``input``.
            outward: Its word for what came out.
        """
        found = self.message.usage_metadata
        taken, given = (found["input_tokens"], found["output_tokens"]) if found else (0, 0)
        details: Mapping[str, Any] = found or {}
        of_input = details.get("input_token_details") or {}
        of_output = details.get("output_token_details") or {}
        return {
            f"{inward}_tokens": taken,
            f"{outward}_tokens": given,
            "total_tokens": taken + given,
            f"{inward}_tokens_details": {"cached_tokens": of_input.get("cache_read") or 0},
            f"{outward}_tokens_details": {"reasoning_tokens": of_output.get("reasoning") or 0},
            "cost_usd": self.cost_usd,
            "cost_basis": self._facts["cost_basis"],
        }


def route_headers(route_id: str, provider: str, model: str) -> dict[str, str]:
    """What is known of the route as soon as an answer begins."""
    names = {"x-aegis-provider": provider, "x-aegis-model": model}
    # A header has no characters but those of Latin-1, and no line breaks.
    safe = {name: text for name, text in names.items() if text.isascii() and text.isprintable()}
    return {"x-request-id": route_id, "x-aegis-route-id": route_id, **safe}
