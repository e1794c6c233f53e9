"""A pipeline that nobody watches runs without LangGraph's engine, and comes to the same."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.flow.components.test_rag import QUESTION
from tests.flow.components.watched_rag import PLAIN, WatchedRag, seen_by
from tests.flow.routing.test_host_runs import often
from tests.flow.routing.watched_hosts import LISTENERS

MODES = ("values", "updates", "messages", "custom")
ASKED = (
    (("question", QUESTION),),
    (("question", PLAIN),),
    (("question", QUESTION), ("sensitivity", "pii")),
    (("question", QUESTION), ("sensitivity", "pi")),
    (("question", QUESTION), ("max_cost_usd", "0")),
    (("question", QUESTION), ("user_id", "ada"), ("unknown", "key")),
    (("question", QUESTION), ("sensitivty", "pii")),
    (("question", " "),),
)


def for_its_caller(watched: WatchedRag) -> WatchedRag:
    """Sync callers have no async nodes; and only what a checkpointer keeps can be paused."""
    pause = watched.pause if watched.memory else "none"
    if watched.call in ("ainvoke", "astream"):
        return replace(watched, pause=pause)
    host = "node" if watched.host == "called" else watched.host
    source = watched.source.replace("async ", "")
    return replace(watched, pause=pause, host=host, source=source)


watched_pipelines = st.builds(
    WatchedRag,
    call=st.sampled_from(("ainvoke", "ainvoke", "invoke", "invoke", "astream", "stream")),
    modes=st.lists(st.sampled_from(MODES), min_size=1, max_size=2, unique=True).map(tuple),
    subgraphs=often(False, True),
    host=st.sampled_from(("none", "node", "called")),
    memory=often(False, True),
    listener=often("none", *LISTENERS),
    source=st.sampled_from(("retriever", "function", "async function")),
    behaviour=often("finds", "finds nothing", "fails", "interrupts", "drains"),
    decompose=often(True, False),
    case=often("answered", "no plan", "failed"),
    asked=often(*ASKED),
    pause=st.sampled_from(("none", "before", "after")),
    limit=often(None, 1, 2, 3, 4, 5, 6, 9, 25, 100),
).map(for_its_caller)


@example(WatchedRag())
@example(WatchedRag(call="invoke", case="failed"))
@example(WatchedRag(host="node", case="no plan"))
@example(WatchedRag(host="node", limit=4))
@example(WatchedRag(host="called", source="async function", behaviour="interrupts"))
@example(WatchedRag(source="function", behaviour="interrupts", call="invoke"))
@example(WatchedRag(host="node", behaviour="drains"))
@example(WatchedRag(host="node", memory=True, pause="after"))
@example(WatchedRag(behaviour="interrupts"))
@example(WatchedRag(behaviour="interrupts", decompose=False, call="invoke"))
@example(WatchedRag(behaviour="fails", call="invoke"))
@example(WatchedRag(listener="async"))
@example(WatchedRag(decompose=False))
@given(watched=watched_pipelines)
@settings(max_examples=40)
def test_a_question_comes_to_the_same_with_the_engine_and_without(watched: WatchedRag) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (walked_in, directly), (ran_in, by_engine) = [
            seen_by(watched, Path(folder) / name, by_engine=by_engine)
            for name, by_engine in (("walked.db", False), ("engine.db", True))
        ]
    assert directly == by_engine
    inside = "find" if watched.decompose else "retrieve"
    assert set(ran_in) <= {inside}
    if walked_in:
        assert (inside not in walked_in) is watched.walks
