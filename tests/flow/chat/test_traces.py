"""What a tracer sees of a call: the model that answered, what it cost, and who failed before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import HumanMessage
from langchain_core.tracers import BaseTracer
from langchain_core.tracers.schemas import Run
from langgraph.graph import START, MessagesState, StateGraph
from typing_extensions import override

from aegis_graph import RoutedChatModel
from aegis_graph.errors import AllProvidersFailedError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import KEYS, ask, make_config, open_router, provider

PARIS = Reply("Paris is the capital.", input_tokens=11, output_tokens=4)
NAMES = {
    "ollama": ("ollama", "llama3.2:3b"),
    "dashscope": ("dashscope", "qwen-plus"),
    "openai": ("openai", "gpt-4o"),
}
"""As LangChain's own runs name the models of these kinds."""


class Recorder(BaseTracer):
    """Keeps what a tracer would send away."""

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Run] = []

    @override
    def _persist_run(self, run: Run) -> None:
        self.roots.append(run)

    def all(self) -> list[Run]:
        return [run for root in self.roots for run in below(root)]

    def of_the_model(self) -> Run:
        (found,) = (run for run in self.all() if run.run_type == "llm")
        return found


def below(run: Run) -> Iterator[Run]:
    yield run
    for child in run.child_runs:
        yield from below(child)


def ls_names(run: Run) -> tuple[Any, Any]:
    metadata = run.extra["metadata"]
    return metadata.get("ls_provider"), metadata.get("ls_model_name")


async def call(model: RoutedChatModel, how: str, tracer: Recorder, **more: Any) -> None:
    config: Any = {"callbacks": [tracer]}
    if how == "ainvoke":
        await model.ainvoke("Which city?", config, **more)
    elif how == "invoke":
        model.invoke("Which city?", config, **more)
    elif how == "astream":
        assert [piece async for piece in model.astream("Which city?", config, **more)]
    elif how == "stream":
        assert list(model.stream("Which city?", config, **more))
    else:

        async def node(state: MessagesState) -> Any:
            return {"messages": [await model.ainvoke(state["messages"], **more)]}

        host = StateGraph(MessagesState).add_node("llm", node).add_edge(START, "llm").compile()
        await host.ainvoke({"messages": [HumanMessage("Which city?")]}, config)


WHOLE = ("ainvoke", "invoke", "in a host")
WAYS = (*WHOLE, "astream", "stream")


def routed(server: LoopbackServer, db: Path, *kinds: str, **fields: Any) -> RoutedChatModel:
    chain = [provider(server, kind) for kind in kinds]
    return RoutedChatModel(router=open_router(make_config(server, db, providers=chain)), **fields)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("kind", NAMES)
async def test_the_run_names_the_model_that_answered(
    server: LoopbackServer, db: Path, kind: Any, how: str
) -> None:
    server.script(kind, PARIS)
    tracer = Recorder()
    await call(routed(server, db, kind), how, tracer)
    run = tracer.of_the_model()
    assert ls_names(run) == NAMES[kind]
    metadata, message = run.extra["metadata"], run.outputs["generations"][0][0]["message"]["kwargs"]  # type: ignore[index]
    assert (metadata["provider"], metadata["model"]) == (kind, NAMES[kind][1])
    assert message["usage_metadata"]["total_tokens"] == 15
    facts = message["response_metadata"]
    assert (facts["provider"], facts["cost_usd"]) == (kind, metadata["cost_usd"])
    (attempt,) = run.child_runs
    assert (attempt.name, attempt.error, ls_names(attempt)) == (
        f"attempt_{kind}",
        None,
        NAMES[kind],
    )
    assert attempt.outputs is not None
    assert attempt.outputs["cost_usd"] == facts["cost_usd"]
    if how in WHOLE:
        told = run.outputs["llm_output"]  # type: ignore[index]
        assert (told["provider"], told["cost_usd"]) == (kind, facts["cost_usd"])


@pytest.mark.parametrize("how", WAYS)
async def test_a_failed_attempt_is_a_run_with_its_error(
    server: LoopbackServer, db: Path, how: str
) -> None:
    server.script("ollama", Fault.status(404))
    server.script("openai", PARIS)
    tracer = Recorder()
    await call(routed(server, db, "ollama", "openai"), how, tracer)
    run = tracer.of_the_model()
    failed, answered = run.child_runs
    assert (failed.name, ls_names(failed)) == ("attempt_ollama", NAMES["ollama"])
    assert failed.error is not None
    assert failed.error.startswith("ModelAccessError(")
    assert (answered.error, ls_names(run)) == (None, NAMES["openai"])


async def test_when_no_provider_answers_every_attempt_is_there(
    server: LoopbackServer, db: Path
) -> None:
    for kind in ("ollama", "openai"):
        server.script(kind, Fault.status(404))
    tracer = Recorder()
    with pytest.raises(AllProvidersFailedError):
        await call(routed(server, db, "ollama", "openai"), "ainvoke", tracer)
    assert [bool(run.error) for run in tracer.of_the_model().child_runs] == [True, True]


@pytest.mark.parametrize("how", WAYS)
async def test_usage_is_counted_once(server: LoopbackServer, db: Path, how: str) -> None:
    server.script("openai", PARIS)
    with get_usage_metadata_callback() as usage:
        await call(routed(server, db, "openai"), how, Recorder())
    assert [one["total_tokens"] for one in usage.usage_metadata.values()] == [15]


async def test_an_attempts_run_has_nothing_of_the_request_and_no_key(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Fault.status(400))
    server.script("openai", PARIS)
    tracer = Recorder()
    await call(routed(server, db, "ollama", "openai"), "ainvoke", tracer)
    for run in tracer.of_the_model().child_runs:
        said = f"{run.inputs} {run.outputs} {run.error} {run.extra}"
        assert "Which city?" not in said
        assert PARIS.text not in said
        assert not any(key in said for key in KEYS.values())


@pytest.mark.parametrize("level", ["confidential", "pii", "hipaa"])
@pytest.mark.parametrize("how", ["ainvoke", "invoke", "astream", "stream"])
async def test_of_a_private_call_no_attempt_is_traced(
    server: LoopbackServer, db: Path, how: str, level: str
) -> None:
    server.script("ollama", Fault.status(404), PARIS)
    tracer = Recorder()
    model = routed(server, db, "ollama")
    with pytest.raises(AllProvidersFailedError):
        await call(model, how, tracer, sensitivity=level)
    assert tracer.all() == []


async def test_a_routers_own_run_shows_the_providers_models(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Fault.status(404))
    server.script("openai", PARIS)
    chain = [provider(server, kind) for kind in ("ollama", "openai")]
    router = open_router(make_config(server, db, providers=chain))
    tracer = Recorder()
    await router.ainvoke(ask(), {"callbacks": [tracer]})
    failed, answered = (run for run in tracer.all() if run.run_type == "llm")
    assert (ls_names(failed), bool(failed.error)) == (NAMES["ollama"], True)
    assert (ls_names(answered), answered.error) == (NAMES["openai"], None)
