"""Inputs as items of a job: their JSON, and the keys that name them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from os import PathLike, fspath
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_openai_messages
from pydantic import BaseModel

from aegis_graph.bulk.records import BulkItem
from aegis_graph.errors import InvalidRequestError

MOST_KEY = 128
"""Characters of a key: with the job's name it is a run and a thread of the ledger."""

_HALVES = re.compile(r"[\ud800-\udfff]")

KeyOf = str | Callable[[Mapping[str, Any]], str]
"""What names an item: a field of its input, or a function of it."""


def items_of(inputs: Iterable[Any], *, key: KeyOf | None = None) -> Iterator[BulkItem]:
    """Inputs as items, one after the other.

    Args:
        inputs: Items, mappings that the graph is invoked with, or texts, each of which is a
            question to a router.
        key: What names an item; the hash of its input when absent.

    Raises:
        InvalidRequestError: An input is none, or its key is not one.

    Example:
        >>> [item.key for item in items_of([{"id": "a", "question": "?"}], key="id")]
        ['a']
    """
    if isinstance(inputs, str | bytes | Mapping | AsyncIterable) or not isinstance(
        inputs, Iterable
    ):
        raise InvalidRequestError(
            f"items: {type(inputs).__name__} is no sequence of inputs; give it a list of them"
        )
    for number, one in enumerate(inputs, start=1):
        yield one if isinstance(one, BulkItem) else _item(one, number, key)


def item_key(given: Mapping[str, Any], place: str = "an input") -> str:
    """What names an input that has no name: SHA-256 of its JSON, hexadecimal.

    Args:
        given: The input.
        place: What a message begins with.

    Raises:
        InvalidRequestError: It is no JSON.
    """
    return hashlib.sha256(canonical_json(given, place).encode()).hexdigest()


def canonical_json(value: Any, place: str) -> str:
    """A value as JSON with sorted keys; messages, models and the like in their plain form.

    Args:
        value: The value.
        place: What a message begins with.

    Raises:
        InvalidRequestError: It has something that is none, such as a number that is infinite.
    """
    try:
        text = json.dumps(
            value,
            sort_keys=True,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            default=plain,
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"{place}: is no JSON ({error}); give it texts, finite numbers, lists and mappings"
        ) from error
    # Half a character can be kept as an escape alone. What is wrong with its item is the graph's
    # to say: it stops no other.
    return _HALVES.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def plain(value: Any) -> Any:
    """A value that JSON does not know, in a form that it knows.

    Raises:
        TypeError: There is none.
    """
    if isinstance(value, BaseMessage):
        return convert_to_openai_messages(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, PathLike):
        return fspath(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _item(one: Any, number: int, key: KeyOf | None) -> BulkItem:
    if isinstance(one, str):
        one = {"messages": [{"role": "user", "content": one}]}
    if not isinstance(one, Mapping):
        raise InvalidRequestError(
            f"item {number}: {type(one).__name__} is no input; give it a mapping"
            " that the graph is invoked with"
        )
    return BulkItem(checked_key(_named(one, number, key), f"item {number}"), one)


def _named(one: Mapping[str, Any], number: int, key: KeyOf | None) -> object:
    if key is None:
        return item_key(one, f"item {number}")
    if callable(key):
        return key(one)
    if key not in one:
        raise InvalidRequestError(f"item {number}: has no field {key!r}, which is to be its key")
    return one[key]


def checked_key(key: object, place: str) -> str:
    """A key as text.

    Args:
        key: Text or a whole number.
        place: What a message begins with.

    Raises:
        InvalidRequestError: It is no key.
    """
    text = str(key) if isinstance(key, int) and not isinstance(key, bool) else key
    if isinstance(text, str) and 0 < len(text) <= MOST_KEY and text.isprintable():
        return text
    raise InvalidRequestError(
        f"{place}: the key {key!r:.60} is no printable text of 1 to {MOST_KEY} characters"
    )
