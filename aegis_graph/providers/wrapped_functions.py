"""Whether a library's function is still its own: packages that watch calls put theirs there."""

from __future__ import annotations

from types import FunctionType


def home_of(function: object) -> str:
    """The module whose code a function runs; empty for what is no plain function.

    Example:
        >>> import json
        >>> home_of(json.dumps), home_of(len)
        ('json', '')
    """
    # By its globals: a wrapper takes over every name of what it wraps, and some its class as well.
    return str(function.__globals__["__name__"]) if type(function) is FunctionType else ""
