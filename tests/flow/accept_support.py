"""A check of answers that names a city or does not, and two providers that it chooses between."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage

from aegis_graph import Request
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import Row, flat_price, provider

GOOD, BAD = "It is Paris.", "No idea."
REASON = "names no city"


def names_a_city(request: Request, answer: AIMessage) -> str | None:
    return None if "Paris" in answer.text else REASON


def cascade(server: LoopbackServer, **changes: Any) -> list[Row]:
    """A cheap provider, and a dear one."""
    return [
        provider(server, "ollama", **flat_price("1"), **changes),
        provider(server, "openai", **flat_price("5"), **changes),
    ]


def answer_with(server: LoopbackServer, cheap: str, dear: str) -> None:
    server.always("ollama", Reply(cheap, output_tokens=1))
    server.always("openai", Reply(dear, output_tokens=1))
