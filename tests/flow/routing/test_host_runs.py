"""A host that watches nothing runs the router without LangGraph's engine, and sees the same."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.flow.routing.watched_hosts import LISTENERS, Watched, seen_by

MODES = ("values", "updates", "messages", "custom", "tasks", "debug", "checkpoints")
NODES = ("router", "bound", "called", "passed on", "model", "nested", "sent")


def often(usual: object, *others: object) -> st.SearchStrategy[object]:
    """Mostly the usual, so that most hosts watch in one way or two."""
    return st.one_of(st.just(usual), st.just(usual), st.sampled_from((usual, *others)))


def for_its_caller(watched: Watched) -> Watched:
    """Sync callers have neither node timeouts nor async nodes."""
    if watched.call not in ("invoke", "stream"):
        return watched
    memory = watched.memory.replace("sqlite", "memory")
    node = watched.node if watched.node in ("router", "bound", "nested", "sent") else "router"
    return replace(watched, timeout="none", memory=memory, node=node)


watched_hosts = st.builds(
    Watched,
    call=st.sampled_from(("ainvoke", "ainvoke", "invoke", "astream", "stream", "astream_events")),
    modes=st.lists(st.sampled_from(MODES), min_size=1, max_size=3, unique=True).map(tuple),
    subgraphs=often(False, True),
    memory=often("none", "memory", "sqlite"),
    own=often(None, False),
    hooked=st.booleans(),
    listener=often("none", *LISTENERS),
    node=st.sampled_from(NODES),
    case=st.sampled_from(("answered", "fell back", "failed", "misspelt")),
    pause=often("none", "before", "after", "inside"),
    limit=often(None, 1, 2, 3, 4, 5, 6, 25, 100),
    configurable=often((), (("user_id", "ada"),), (("sensitivity", "pii"),)),
    context=often(None, "internal", "pii"),
    retried=st.booleans(),
    timeout=often("none", "run", "idle", "heartbeat"),
    drained=often(False, True),
).map(for_its_caller)


@example(Watched())
@example(Watched(call="astream", modes=("custom",)))
@example(Watched(call="astream", modes=("updates",), subgraphs=True))
@example(Watched(drained=True, case="fell back"))
@example(Watched(limit=3))
@example(Watched(listener="sync"))
@example(Watched(memory="memory", pause="inside"))
@example(Watched(memory="memory", own=False))
@example(Watched(memory="sqlite", own=False, hooked=False, case="fell back"))
@given(watched_hosts)
@settings(max_examples=40)
def test_a_host_sees_the_same_with_the_engine_and_without(watched: Watched) -> None:
    with tempfile.TemporaryDirectory() as folder:
        walked_in, directly = seen_by(watched, Path(folder), by_engine=False)
        ran_in, by_engine = seen_by(watched, Path(folder), by_engine=True)
    assert directly == by_engine
    # A run that ended in its first node has one task in any case.
    if ran_in > 1:
        assert (walked_in > 1) is watched.is_watched
