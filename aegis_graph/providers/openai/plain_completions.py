"""Chat completions as a server sends them: the JSON itself, not the client's objects made of it.

OpenAI's client makes objects of its types of each body and each piece, and LangChain dictionaries
of these again, a fifth of a call's processor time (``benchmarks/README.md``). Here the same client
sends the same request, and LangChain reads what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx2
from openai import AsyncStream

from aegis_graph.providers.wrapped_functions import home_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.resources.chat.completions import AsyncCompletions

_PATH = "/chat/completions"

_OPTIONS = {"extra_headers": "headers", "extra_query": "params", "extra_body": "extra_json"}
"""Arguments of a completion that are no fields of its body, and how the client's ``post`` names
them: https://github.com/openai/openai-python#undocumented-endpoints."""


class PlainCompletions:
    """Stands where ``ChatOpenAI`` has the completions of OpenAI's asynchronous client.

    Args:
        client: Sends the requests.
    """

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    @property
    def with_raw_response(self) -> Any:
        """What asks for answers in one piece, where ``ChatOpenAI`` looks for it."""
        theirs = self._client.chat.completions
        return theirs.with_raw_response if _is_watched(theirs) else _WholeAnswers(self._client)

    async def create(self, **payload: Any) -> AsyncStream[object]:
        """Ask for an answer in pieces.

        Raises:
            openai.OpenAIError: As the client's own ``create`` does.
        """
        theirs: Any = self._client.chat.completions
        if _is_watched(theirs):
            watched: AsyncStream[object] = await theirs.create(**payload)
            return watched
        body, options = _body_and_options(payload)
        return await self._client.post(
            _PATH,
            body=body,
            options=options,
            cast_to=object,
            stream=True,
            stream_cls=AsyncStream[object],
        )


class _WholeAnswers:
    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    async def create(self, **payload: Any) -> Any:
        if payload.get("stream"):
            # With a key of LangSmith's gateway, whose headers of a stream are read as well.
            return await self._client.chat.completions.with_raw_response.create(**payload)
        body, options = _body_and_options(payload)
        sent = await self._client.post(_PATH, body=body, options=options, cast_to=httpx2.Response)
        return _WholeAnswer(sent)


class _WholeAnswer:
    """What ``ChatOpenAI`` uses of the client's raw answers."""

    def __init__(self, http_response: httpx2.Response) -> None:
        self.http_response = http_response
        self.headers = http_response.headers

    def parse(self) -> Any:
        return self.http_response.json()


def _is_watched(completions: AsyncCompletions) -> bool:
    """Whether a package that watches OpenAI's client has put its own function in its place."""
    return not home_of(type(completions).create).startswith("openai.")


def _body_and_options(payload: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    options = {to: payload[name] for name, to in _OPTIONS.items() if payload.get(name)}
    if "timeout" in payload:
        options["timeout"] = payload["timeout"]
    body = {name: payload[name] for name in payload if name not in _OPTIONS and name != "timeout"}
    return body, options
