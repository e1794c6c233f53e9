"""The parameters of OpenAI's requests: which are taken, passed over, or refused."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from aegis_graph.errors import InvalidRequestError

PASSED_OVER = frozenset(
    {
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
        "verbosity",
    }
)
"""Of which an answer is right with or without them: hints, and what a provider is to keep."""

_ONLY: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "background": (False,),
    "truncation": ("disabled",),
    "include": ([],),
}
"""Parameters that may say one thing alone: what happens without them as well."""


def given_parameters(body: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The parameters that say something.

    Args:
        body: The request's.
        known: Those that are taken.

    Raises:
        InvalidRequestError: One is unknown, or asks for what no provider behind here does.

    Example:
        >>> given_parameters({"model": "auto", "n": 1, "stop": None, "store": True}, {"model"})
        {'model': 'auto'}
    """
    given = {name: value for name, value in body.items() if value is not None}
    for name, value in given.items():
        if name in _ONLY:
            if value not in _ONLY[name] or isinstance(value, bool) != isinstance(
                _ONLY[name][0], bool
            ):
                only = " or ".join(map(_shown, _ONLY[name]))
                refuse(name, f"this server takes {only} alone, not {_shown(value)}")
        elif name not in known and name not in PASSED_OVER:
            refuse(name[:60], "is no parameter that this server takes")
    return {name: value for name, value in given.items() if name in known}


def text_of(name: str, value: object) -> str:
    """A parameter that has to be text.

    Raises:
        InvalidRequestError: It is not.
    """
    if not isinstance(value, str):
        refuse(name, f"must be text, not {_shown(value)}")
    return value


def flag_of(name: str, value: object) -> bool:
    """A parameter that has to be true or false; absent, it is false.

    Raises:
        InvalidRequestError: It is neither.
    """
    if value is not None and not isinstance(value, bool):
        refuse(name, f"must be true or false, not {_shown(value)}")
    return bool(value)


def object_of(name: str, value: object) -> dict[str, Any]:
    """A parameter that has to be an object.

    Raises:
        InvalidRequestError: It is not.
    """
    if not isinstance(value, dict):
        refuse(name, f"must be an object, not {_shown(value)}")
    return value


def list_of(name: str, value: object) -> list[Any]:
    """A parameter that has to be a list.

    Raises:
        InvalidRequestError: It is not.
    """
    if not isinstance(value, list):
        refuse(name, f"must be a list, not {_shown(value)}")
    return value


def refuse(name: str, what: str) -> NoReturn:
    """Refuse a request because of a parameter."""
    raise InvalidRequestError(f"{name}: {what}")


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
