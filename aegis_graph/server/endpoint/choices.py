"""What a caller chooses beside the messages: by headers, by ``metadata``, and by its key.

What protects can be made stricter by any of the three, and looser by none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from starlette.requests import Request

from aegis_graph.errors import InvalidRequestError
from aegis_graph.ledger.api_keys import KEY_TAG
from aegis_graph.request.choices import CHOICES, joined_choices, refuse_misspelt
from aegis_graph.server.access import Caller, caller_of
from aegis_graph.types import SENSITIVITIES

HEADER_PREFIX = "x-aegis-"
THREAD_ID = "thread_id"


def request_choices(request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of a request, under the names that the router has for them, and ``thread_id``.

    Args:
        request: With its headers and its caller.
        body: With its ``metadata`` and OpenAI's ``user``.

    Raises:
        InvalidRequestError: A choice is unknown or wrong, or not the caller's to make.
    """
    caller = caller_of(request)
    # One by one: a header may come twice, and a word of ``metadata`` in two spellings.
    said = [*_of_headers(request), *_of_metadata(body)]
    floor = {"sensitivity": caller.sensitivity}
    chosen = joined_choices([*said, floor])
    # ``joined_choices`` looks at a level only where two places say one.
    if chosen.get("sensitivity", SENSITIVITIES[0]) not in SENSITIVITIES:
        joined_choices([chosen, chosen])
    user = _user(caller, chosen.get("user_id"), body)
    if user is not None:
        chosen["user_id"] = user
    if KEY_TAG in chosen.get("tags", {}):
        raise InvalidRequestError(f"tags: {KEY_TAG} is the server's own; it names the key")
    if caller.tags:
        chosen["tags"] = {**chosen.get("tags", {}), **caller.tags}
    if "max_cost_usd" in chosen:
        # An envelope without a run is that of this request.
        chosen.setdefault("run_id", uuid4().hex)
    thread_id = next((one[THREAD_ID] for one in said if THREAD_ID in one), None)
    return chosen if thread_id is None else {**chosen, THREAD_ID: thread_id}


def _user(caller: Caller, named: object, body: Mapping[str, Any]) -> Any:
    """Whom the request is counted for."""
    if caller.user is None:
        # OpenAI's own word for it, where nothing of ours names one.
        return named if named is not None else body.get("user")
    # Only an admin may ask on behalf of others: a budget of the user is one of the key.
    if named is None or named == caller.user or caller.role == "admin":
        return named or caller.user
    raise InvalidRequestError(f"user: this key calls as {caller.user!r}, and for no other user")


def _of_headers(request: Request) -> Iterator[dict[str, Any]]:
    for name, text in request.headers.items():
        if name.startswith(HEADER_PREFIX):
            word = name.removeprefix(HEADER_PREFIX).replace("-", "_")
            if word not in _READERS:
                known = ", ".join(HEADER_PREFIX + one.replace("_", "-") for one in _READERS)
                raise InvalidRequestError(f"{name}: is unknown; there are {known}")
            yield {_NAMES.get(word, word): _READERS[word](word, text)}


def _of_metadata(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    metadata = body.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, Mapping):
        raise InvalidRequestError("metadata: must be an object")
    words = [word.removeprefix("aegis_") for word in metadata]
    refuse_misspelt("metadata", words, tuple(_READERS))
    for word, value in zip(words, metadata.values(), strict=True):
        # Other words are the caller's own, and no concern of the router.
        if word in _READERS and value is not None:
            yield {_NAMES.get(word, word): _READERS[word](word, value)}


def _as_it_is(_: str, value: object) -> object:
    return value


def _number(word: str, value: object) -> object:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError as error:
        raise InvalidRequestError(f"{word}: {value!r} is no number") from error


def _names(_: str, value: object) -> object:
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


def _tags(word: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    if not all(middle for _, middle, _ in pairs):
        raise InvalidRequestError(f"{word}: {value[:80]!r} is no list like team=search,env=live")
    return {key.strip(): text.strip() for key, _, text in pairs}


_OF_THE_BODY = frozenset({"model", "max_output_tokens"})
"""Choices that OpenAI has parameters for."""

_READERS: Mapping[str, Callable[[str, object], object]] = {
    **{name: _as_it_is for name in (*CHOICES, "user", THREAD_ID) if name not in _OF_THE_BODY},
    "tags": _tags,
    "providers": _names,
    "timeout_s": _number,
    "max_wait_s": _number,
}
"""The words that headers and ``metadata`` may have, and how the text of each is read."""

_NAMES = {"user": "user_id"}
"""Those that the router calls otherwise."""
