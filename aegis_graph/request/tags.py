"""A request's tags: what its caller counts it by, beside its task, user and run. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aegis_graph.errors import InvalidRequestError
from aegis_graph.types import MAX_TAG_VALUE, MAX_TAGS, TAG_KEY_PATTERN


def checked_tags(tags: object) -> dict[str, str]:
    """A request's tags, sorted by key.

    Raises:
        InvalidRequestError: One line that says what is wrong.

    Example:
        >>> checked_tags({"team": "search", "env": "live"})
        {'env': 'live', 'team': 'search'}
    """
    pairs = _mapping(tags)
    if len(pairs) > MAX_TAGS:
        raise InvalidRequestError(
            f"tags: {len(pairs)} from all places together; at most {MAX_TAGS} can be counted"
        )
    for key, value in pairs.items():
        if not isinstance(key, str) or not re.fullmatch(TAG_KEY_PATTERN, key):
            raise InvalidRequestError(
                f"tags: {str(key)[:60]!r} is no key of 1 to 40 letters, digits and any of - _ ."
            )
        if not _is_value(value):
            raise InvalidRequestError(
                f"tags: the value of {key!r} must be printable text of 1 to {MAX_TAG_VALUE}"
                " characters"
            )
    return dict(sorted(pairs.items()))


def joined_tags(nearer: object, farther: object) -> dict[str, Any]:
    """The tags of two places together; of a key that both have, the nearer one's value.

    Raises:
        InvalidRequestError: One of the two is no mapping.

    Example:
        >>> joined_tags({"team": "ads"}, {"team": "search", "env": "live"})
        {'team': 'ads', 'env': 'live'}
    """
    return {**_mapping(farther), **_mapping(nearer)}


def is_text_mapping(value: object) -> bool:
    """Whether something that is called ``tags`` can be a request's: a host's are often a list."""
    return isinstance(value, Mapping) and all(
        isinstance(text, str) for pair in value.items() for text in pair
    )


def _is_value(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TAG_VALUE and value.isprintable()


def _mapping(tags: object) -> Mapping[Any, Any]:
    if tags is None:
        return {}
    if not isinstance(tags, Mapping):
        raise InvalidRequestError(
            f"tags: {type(tags).__name__} is no mapping of text to text, such as"
            " {'team': 'search'}"
        )
    return tags
