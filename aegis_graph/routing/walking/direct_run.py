"""What is known of a run of the router's own nodes, which goes through no engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from aegis_graph.request.request import Request

DIRECT_RUN = "__aegis_direct_run"
"""Its key in the state, which no engine has."""


@dataclass(slots=True)
class DirectRun:
    """One such run."""

    is_heard: bool
    """Whether a callback or a tracer may hear of what happens in it."""
    request: Request | None = None
    """What is asked, once it is read: nothing in a run changes it."""


def direct_run(state: Mapping[str, Any]) -> DirectRun | None:
    """The run that a state belongs to, where it goes through no engine."""
    return cast("DirectRun | None", state.get(DIRECT_RUN))
