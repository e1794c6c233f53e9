"""``/v1/embeddings``."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, cast, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from aegis_graph.config.aliases import AUTO
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.embeddings import EmbeddedTexts, RoutedEmbeddings, create_embeddings
from aegis_graph.errors import AegisError
from aegis_graph.server.endpoint.choices import request_choices
from aegis_graph.server.endpoint.connection import while_connected
from aegis_graph.server.endpoint.errors import refusal_of
from aegis_graph.server.endpoint.json_body import json_body
from aegis_graph.server.endpoint.parameters import given_parameters, list_of, refuse, text_of
from aegis_graph.server.refusals import refusal
from aegis_graph.server.services import ServerServices

MAX_TEXTS = 2048
"""Source: https://platform.openai.com/docs/api-reference/embeddings/create"""

_KNOWN = frozenset({"model", "input", "encoding_format", "dimensions", "metadata"})
_OPTIONS = ("sensitivity", "user_id", "run_id", "max_cost_usd", "tags")
"""The choices that a request for vectors has."""
_PASSED_OVER = frozenset({"task", "thread_id"})

EncodingFormat = Literal["float", "base64"]


class EmbeddingsEndpoint:
    """Gives the vectors of texts.

    Args:
        services: Of the app.
    """

    def __init__(self, services: ServerServices) -> None:
        self._services = services
        self._built: tuple[RouterConfig, RoutedEmbeddings] | None = None

    async def answer(self, request: Request) -> Response:
        """Serve one request."""
        try:
            body = await json_body(request)
            given = given_parameters(body, _KNOWN)
            texts, encoding = _texts(given.get("input")), _encoding(given.get("encoding_format"))
            name = text_of("model", given.get("model"))
            if name not in self._names():
                says = f"model: {name[:200]!r} gives no vectors; there are {self._names()}"
                return refusal(404, says, code="model_not_found", param="model")
            embeddings = self._embeddings()
            _check_dimensions(given.get("dimensions"), embeddings.dimensions)
            asked = embeddings.with_options(**_options(request, body))
            found = await while_connected(request.receive, asked.aembed(texts))
        except AegisError as error:
            return refusal_of(error)
        return _response(found, encoding)

    def _names(self) -> list[str]:
        rows = [row for row in self._services.config.embeddings if row.enabled]
        return list(
            dict.fromkeys([AUTO, *(name for row in rows for name in (row.name, row.model))])
        )

    def _embeddings(self) -> RoutedEmbeddings:
        """Those of the configuration in force, built anew when there is another one."""
        config = self._services.config
        if self._built is None or self._built[0] is not config:
            built = create_embeddings(
                config,
                ledger=self._services.ledger,
                clock=self._services.clock,
                environ=self._services.environ,
            )
            self._built = config, built
        return self._built[1]


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    texts = list_of("input", value)
    if not 0 < len(texts) <= MAX_TEXTS:
        refuse("input", f"must be 1 to {MAX_TEXTS} texts")
    if not all(isinstance(text, str) for text in texts):
        # LangChain's client sends numbers of tokens unless it is asked not to.
        refuse(
            "input",
            "must be texts, not numbers of tokens, which only one vendor's models share"
            " (LangChain: check_embedding_ctx_length=False)",
        )
    return texts


def _encoding(value: object) -> EncodingFormat:
    if value is None:
        return "float"
    if value not in get_args(EncodingFormat):
        refuse("encoding_format", "must be float or base64")
    return cast("EncodingFormat", value)


def _check_dimensions(value: object, dimensions: int) -> None:
    if value is not None and (value != dimensions or isinstance(value, bool)):
        refuse("dimensions", f"the configured vectors have {dimensions}, and no other number")


def _options(request: Request, body: Mapping[str, Any]) -> Any:
    choices = request_choices(request, body)
    for name in choices:
        # A limit that is passed over would be one that is not kept.
        if name not in _OPTIONS and name not in _PASSED_OVER:
            refuse(name, "is no choice of a request for vectors")
    return {name: choices[name] for name in _OPTIONS if name in choices}


def _response(found: EmbeddedTexts, encoding: EncodingFormat) -> JSONResponse:
    answered = [row for row in found.attempts if row["status"] == "answered"]
    cost = sum((Decimal(row["cost_usd"]) for row in found.attempts), Decimal(0))
    usage = {
        "prompt_tokens": found.input_tokens,
        "total_tokens": found.input_tokens,
        "cost_usd": f"{cost:f}",
    }
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, encoding)}
            for index, vector in enumerate(found.vectors)
        ],
        "model": answered[-1]["model"],
        "usage": usage,
    }
    headers = {
        "x-aegis-provider": answered[-1]["provider"],
        "x-aegis-cost-usd": usage["cost_usd"],
        "x-aegis-attempts": str(len(found.attempts)),
    }
    return JSONResponse(body, headers={name: str(value) for name, value in headers.items()})


def _encoded(vector: Sequence[float], encoding: EncodingFormat) -> list[float] | str:
    if encoding == "float":
        return list(vector)
    numbers = array("f", vector)
    # Little-endian, whatever the machine: OpenAI's clients read it as such.
    if array("H", [1]).tobytes() != b"\x01\x00":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode("ascii")
