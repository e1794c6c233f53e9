"""The scopes that an attempt's cost counts in, and the words that name several of them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import get_args

from aegis_graph.errors import ConfigError
from aegis_graph.types import TAG_KEY_PATTERN, GroupBy

SCOPE_COLUMNS: Mapping[str, str] = {
    "provider": "provider",
    "model": "model",
    "task": "task",
    "user": "user_id",
    "run": "run_id",
}
"""The kinds of scopes beside ``total`` and ``tag``, in the order of ``scopes_of``, and the columns
of ``requests`` that name them."""

_EACH = re.compile(rf"(user:|tag:{TAG_KEY_PATTERN}=)\*")
_BY_TAG = re.compile(rf"tag:{TAG_KEY_PATTERN}")


def scopes_of(
    provider: str,
    model: str,
    task: str,
    user_id: str,
    run_id: str | None = None,
    tags: str | None = None,
) -> tuple[str, ...]:
    """The scopes that an attempt's cost counts in.

    Example:
        >>> scopes_of("here", "m", "chat", "ada", tags='{"team": "search"}')[-2:]
        ('user:ada', 'tag:team=search')
    """
    always = ("total", f"provider:{provider}", f"model:{model}", f"task:{task}", f"user:{user_id}")
    known = always if run_id is None else (*always, f"run:{run_id}")
    return known if tags is None else (*known, *_tag_scopes(tags))


def tags_text(tags: Mapping[str, str]) -> str | None:
    """Tags as a row has them: JSON with sorted keys, ``None`` where there are none.

    Example:
        >>> tags_text({"team": "search", "env": "live"})
        '{"env": "live", "team": "search"}'
    """
    return json.dumps(tags, sort_keys=True, ensure_ascii=False) if tags else None


def tags_of(text: str | None) -> dict[str, str]:
    """The tags of a row."""
    return dict(json.loads(text)) if text else {}


# Kept: a request's scopes are asked for several times, and many requests have the same tags.
@lru_cache(maxsize=1024)
def _tag_scopes(text: str) -> tuple[str, ...]:
    return tuple(f"tag:{key}={value}" for key, value in tags_of(text).items())


@lru_cache(maxsize=1024)
def each_prefix(scope: str) -> str | None:
    """What the scopes begin with of which a limit is for each one alone; ``None`` for any other.

    Example:
        >>> each_prefix("user:*"), each_prefix("tag:team=*"), each_prefix("user:ada")
        ('user:', 'tag:team=', None)
    """
    found = _EACH.fullmatch(scope)
    return found and found[1]


def matching_scope(name: str, scopes: Sequence[str]) -> str | None:
    """The one of an attempt's scopes that a limit of this name is about, if any.

    Example:
        >>> matching_scope("user:*", ("total", "user:ada")), matching_scope("user:bob", ("total",))
        ('user:ada', None)
    """
    prefix = each_prefix(name)
    if prefix is None:
        return name if name in scopes else None
    return next((scope for scope in scopes if scope.startswith(prefix)), None)


def scope_list_text(scopes: Iterable[str]) -> str:
    """Some scopes as a row has them: JSON."""
    return json.dumps(list(scopes), ensure_ascii=False)


# Kept: the rows of one provider have the same.
@lru_cache(maxsize=1024)
def scope_list(text: str | None) -> tuple[str, ...]:
    """The scopes that a row has."""
    return tuple(json.loads(text)) if text else ()


def report_prefix(by: str) -> str:
    """What the scopes begin with that a report by ``provider``, ``tag:KEY`` and so on is about.

    Raises:
        ConfigError: There is no such report.
    """
    if _BY_TAG.fullmatch(by):
        return f"{by}="
    if by not in get_args(GroupBy):
        raise ConfigError(f"by: {by!r} is none of {', '.join(get_args(GroupBy))}, tag:KEY")
    return f"{by}:" if by in SCOPE_COLUMNS else "total"


def after_prefix(prefix: str) -> str:
    """The first text after all that begin with this one, in the order of bytes.

    Example:
        >>> after_prefix("user:"), after_prefix("tag:team=")
        ('user;', 'tag:team>')
    """
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
