"""Counts of Ollama's that are none: the answer they came with is kept all the same."""

from __future__ import annotations

from functools import partial
from typing import Any

from aegis_graph.providers.usage import whole_count

_COUNTS = frozenset({"prompt_eval_count", "eval_count"})
_NANOSECONDS = frozenset(
    {"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}
)
"""What Ollama's client wants to be whole numbers.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""


def leave_out_wrong_counts(client: Any) -> None:
    """Have an ``ollama.AsyncClient`` leave out counts that are none, and keep the answer.

    It gives up the whole answer for one of a wrong type, and has no place for a reader of one's
    own: all that it reads goes through this method.
    """
    theirs = client._request

    def request(answer_type: Any, *args: Any, **kwargs: Any) -> Any:
        return theirs(partial(_built, answer_type), *args, **kwargs)

    client._request = request


def _built(answer_type: Any, /, **part: Any) -> Any:
    if not part.keys().isdisjoint(_COUNTS | _NANOSECONDS):
        part = {name: value for name, value in part.items() if not _is_wrong(name, value)}
    return answer_type(**part)


def _is_wrong(name: str, value: object) -> bool:
    if name in _NANOSECONDS:
        return type(value) is not int
    return name in _COUNTS and whole_count(value) is None
