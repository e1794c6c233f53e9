"""Whether OpenTelemetry's instrumentations are to be silent here, and by whose wish.

Only where the program has loaded OpenTelemetry is anything instrumented.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_BY_US = "aegis-suppressed"
"""Key of the context under which this package says that it is the one that wishes it."""


@contextmanager
def suppressed_instrumentation() -> Iterator[None]:
    """Silence other instrumentations for a block, which may write down what is private."""
    context: Any = sys.modules.get("opentelemetry.context")
    if context is None:
        yield
        return
    silent = context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True)
    token = context.attach(context.set_value(_BY_US, not is_suppressed(), silent))
    try:
        yield
    finally:
        context.detach(token)


def is_suppressed() -> bool:
    """Whether the application itself wants no spans here."""
    context: Any = sys.modules.get("opentelemetry.context")
    if context is None or not context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY):
        return False
    return not context.get_value(_BY_US)
