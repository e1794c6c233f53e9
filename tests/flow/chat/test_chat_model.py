"""The router as a chat model: what a caller of any chat model can expect of it."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tracers import BaseTracer
from langchain_core.tracers.schemas import Run
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from typing_extensions import override

from aegis_graph import RoutedChatModel
from aegis_graph.errors import (
    AllProvidersFailedError,
    BudgetExceededError,
    InvalidRequestError,
)
from aegis_graph.routing.observer import RunObserver, with_observer
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    DUST_S,
    KINDS,
    ask,
    assert_one_row_per_call,
    assert_sound,
    drawn,
    dust_settles,
    made,
    make_config,
    open_router,
    provider,
    rows,
)

PARIS = Reply("Paris is the capital.", input_tokens=11, output_tokens=4)
FACTS = {
    "provider",
    "model",
    "cost_usd",
    "cost_basis",
    "route_id",
    "attempt",
    "attempts",
    "skipped",
}


def routed(server: LoopbackServer, db: Path, *kinds: str, **fields: Any) -> RoutedChatModel:
    chain = [provider(server, kind) for kind in kinds or KINDS]
    return RoutedChatModel(router=open_router(make_config(server, db, providers=chain)), **fields)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_answer_says_who_gave_it_and_what_it_cost(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.script(kind, PARIS)
    answer = await routed(server, db, kind).ainvoke("Which city?")
    assert answer.text == PARIS.text
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (
        11,
        4,
    )
    facts = answer.response_metadata
    assert set(facts) >= FACTS
    (row,) = rows(db)
    assert (facts["provider"], facts["route_id"]) == (kind, row["route_id"])
    assert facts["attempts"][0]["cost_usd"] == facts["cost_usd"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_adds_up_to_the_same_answer(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.script(kind, PARIS, PARIS)
    model = routed(server, db, kind)
    whole = await model.ainvoke("Which city?")
    total = AIMessageChunk(content="")
    pieces = 0
    async for chunk in model.astream("Which city?"):
        assert isinstance(chunk, AIMessageChunk)
        total += chunk
        pieces += bool(chunk.text)
    assert pieces > 1
    assert total.text == whole.text
    assert total.usage_metadata == whole.usage_metadata
    assert set(total.response_metadata) >= FACTS
    for key in ("provider", "model", "cost_usd", "cost_basis", "attempt", "finish_reason"):
        assert total.response_metadata[key] == whole.response_metadata[key]
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


async def test_the_next_provider_answers_where_one_fails(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", Fault.status(404))
    server.script("dashscope", PARIS)
    answer = await routed(server, db).ainvoke("Which city?")
    assert [row["provider"] for row in answer.response_metadata["attempts"]] == [
        "ollama",
        "dashscope",
    ]


async def test_the_callers_messages_stay_as_they_are(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", PARIS)
    asked = HumanMessage("Which city?")
    await routed(server, db, "ollama").ainvoke([asked])
    assert asked == HumanMessage("Which city?")
    assert asked.id is None


async def test_an_unknown_argument_is_refused_by_name(server: LoopbackServer, db: Path) -> None:
    with pytest.raises(
        InvalidRequestError, match=r"^logit_bias: the router knows no such argument"
    ):
        await routed(server, db).ainvoke("Which city?", logit_bias={"3": 1})
    assert not server.calls()


async def test_when_nobody_answers_the_error_carries_the_attempts(
    server: LoopbackServer, db: Path
) -> None:
    for kind in KINDS:
        server.script(kind, Fault.status(404))
    with pytest.raises(AllProvidersFailedError) as caught:
        await routed(server, db).ainvoke("Which city?")
    assert [row["provider"] for row in caught.value.attempts] == list(KINDS)


async def test_an_abandoned_stream_is_settled(server: LoopbackServer, db: Path) -> None:
    server.script("openai", Fault.slow_stream(PARIS, interval_s=30))
    stream = routed(server, db, "openai").astream("Which city?")
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    await asyncio.to_thread(server.wait_until_idle)
    await dust_settles(db)
    (row,) = made(db)
    assert (row["status"], row["cost_basis"]) == ("cancelled", "estimated")
    assert_sound(db)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["path", "file address", "object address"])
async def test_a_text_that_names_a_file_is_sent_as_text_and_nothing_else(
    server: LoopbackServer, db: Path, tmp_path: Path, kind: Any, form: str
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the words of the file")
    path = str(secret)
    text = {"path": path, "file address": secret.as_uri(), "object address": f"oss://{path}"}[form]
    server.script(kind, PARIS, PARIS)
    model = routed(server, db, kind)
    await model.ainvoke(text)
    await model.ainvoke([HumanMessage([{"type": "text", "text": text}])])
    assert [entry.generation for entry in server.journal] == [True, True]
    for call in server.calls():
        sent = json.dumps(call.body)
        assert sent.count(text) == 1
        assert "the words of the file" not in sent


@pytest.mark.parametrize("kind", KINDS)
async def test_stop_temperature_and_cap_reach_the_wire(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.script(kind, PARIS, PARIS)
    model = routed(server, db, kind, temperature=0.25, stop=["END"], max_output_tokens=77)
    await model.ainvoke("Which city?")
    await model.ainvoke("Which city?", stop=["FIN"], temperature=0.5, max_tokens=66)
    for call, stop, temperature, cap in zip(
        server.calls(), (["END"], ["FIN"]), (0.25, 0.5), (77, 66), strict=True
    ):
        body = {**call.body, **call.body.get("options", {}), **call.body.get("parameters", {})}
        assert (body["stop"], body["temperature"]) == (stop, temperature)
        assert cap in (body.get("num_predict"), body.get("max_tokens"))


async def test_one_call_may_be_more_private_than_the_others(
    server: LoopbackServer, db: Path
) -> None:
    server.script("openai", PARIS)
    server.script("ollama", PARIS)
    model = routed(server, db, "openai", "ollama", user_id="ada")
    open_one = await model.ainvoke("Which city?")
    private = await model.bind(sensitivity="pii", task="answer", user_id="bob").ainvoke("Who?")
    assert open_one.response_metadata["provider"] == "openai"
    assert private.response_metadata["provider"] == "ollama"
    asked = [(row["user_id"], row["sensitivity"], row["task"]) for row in made(db)]
    assert asked == [("ada", "internal", "chat"), ("bob", "pii", "answer")]


async def test_all_calls_of_a_run_share_its_envelope(server: LoopbackServer, db: Path) -> None:
    server.always("openai", PARIS)
    model = routed(server, db, "openai", run_id="job-1", max_cost_usd="0.00004")
    with pytest.raises(BudgetExceededError):
        await model.ainvoke("Which city?")
    assert not server.calls()


async def test_usage_is_counted_once_and_attempts_are_shown_once(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", PARIS)
    model = routed(server, db, "openai")
    with get_usage_metadata_callback() as usage:
        await model.ainvoke("Which city?")
        model.invoke("Which city?")
        assert [chunk async for chunk in model.astream("Which city?")]
        assert list(model.stream("Which city?"))
    assert {name: row["output_tokens"] for name, row in usage.usage_metadata.items()} == {
        "gpt-4o": 16
    }


class Traces(BaseTracer):
    """Keeps what a tracer would send away."""

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Run] = []

    @override
    def _persist_run(self, run: Run) -> None:
        self.roots.append(run)

    def models(self) -> list[str]:
        return [run.name for root in self.roots for run in _all_runs(root) if run.run_type == "llm"]


def _all_runs(run: Run) -> list[Run]:
    return [run, *(below for child in run.child_runs for below in _all_runs(child))]


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a host"])
async def test_a_trace_shows_one_model_run(server: LoopbackServer, db: Path, inside: bool) -> None:
    server.always("openai", PARIS)
    model = routed(server, db, "openai")
    traces = Traces()

    async def node(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    host = StateGraph(MessagesState).add_node("llm", node).add_edge(START, "llm").compile()
    asked: Any = {"messages": [HumanMessage("Which city?")]} if inside else "Which city?"
    await (host if inside else model).ainvoke(asked, {"callbacks": [traces]})
    assert traces.models() == ["RoutedChatModel"]
    # The attempt is there below it, and in a host also as a step of the router.
    names = [run.name for root in traces.roots for run in _all_runs(root)]
    assert names.count("attempt_openai") == (2 if inside else 1)


def test_five_hundred_threads_ask_at_once(server: LoopbackServer, db: Path) -> None:
    count = 500
    everybody = threading.Barrier(count)
    server.always("ollama", PARIS)
    model = routed(server, db, "ollama")
    answers: list[str] = []

    def ask(number: int) -> None:
        everybody.wait(DUST_S)
        if number % 2:
            answers.append(model.invoke("Which city?").text)
        else:
            answers.append("".join(chunk.text for chunk in model.stream("Which city?")))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [PARIS.text] * count
    assert len(made(db)) == count
    assert_sound(db)


async def test_sync_calls_inside_a_running_loop_return(server: LoopbackServer, db: Path) -> None:
    server.always("dashscope", PARIS)
    model = routed(server, db, "dashscope")
    assert model.invoke("Which city?").text == PARIS.text
    assert "".join(chunk.text for chunk in model.stream("Which city?")) == PARIS.text
    assert (await model.ainvoke("Which city?")).text == PARIS.text


async def test_a_router_with_a_memory_of_its_own_is_used_without_it(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", PARIS)
    config = make_config(server, db, providers=[provider(server, "ollama")])
    model = RoutedChatModel(router=open_router(config, checkpointer=InMemorySaver()))
    for text in ("Which city?", "Which river?"):
        await model.ainvoke(text, {"configurable": {"thread_id": "t"}})
    assert [len(call.body["messages"]) for call in server.calls()] == [1, 1]


async def test_a_configuration_of_the_model_reaches_its_run(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", PARIS)
    traces = Traces()
    named = routed(server, db, "ollama").with_config(
        {"run_name": "city", "tags": ["t"], "metadata": {"m": 1}, "callbacks": [traces]}
    )
    await named.ainvoke("Which city?")
    named.invoke("Which city?")
    for run in traces.roots:
        assert (run.name, run.run_type) == ("city", "llm")
        assert "t" in (run.tags or [])
        assert run.metadata["m"] == 1


@pytest.mark.parametrize("where", ["tags of the model", "tags of its configuration"])
async def test_a_host_is_not_shown_what_is_tagged_nostream(
    server: LoopbackServer, db: Path, where: str
) -> None:
    server.always("ollama", PARIS)
    at_model = where == "tags of the model"
    model = routed(server, db, "ollama", tags=["nostream"] if at_model else None)
    quiet = model if at_model else model.with_config({"tags": ["nostream"]})

    async def node(state: MessagesState) -> Any:
        await quiet.ainvoke(state["messages"])
        return {}

    host = StateGraph(MessagesState).add_node("llm", node).add_edge(START, "llm").compile()
    asked: Any = {"messages": [HumanMessage("Which city?")]}
    assert [part async for part in host.astream(asked, stream_mode="messages")] == []
    assert len(made(db)) == 1


async def test_a_row_names_the_conversation_also_outside_a_graph(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", PARIS)
    model = routed(server, db, "ollama")
    thread: Any = {"configurable": {"thread_id": "t-7"}}
    await model.ainvoke("Which city?", thread)
    model.invoke("Which city?", thread)
    assert [chunk async for chunk in model.astream("Which city?", thread)]
    assert list(model.stream("Which city?", thread))
    assert [row["thread_id"] for row in made(db)] == ["t-7"] * 4


@pytest.mark.parametrize("kind", ["openai", "dashscope", "ollama"])
async def test_images_reach_a_model_that_takes_them(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.script(kind, PARIS, model="sees")
    blind = provider(server, "openai", name="blind")
    config = make_config(
        server,
        db,
        providers=[blind, provider(server, kind, model="sees", images=True, price="free")],
    )
    model = RoutedChatModel(router=open_router(config))
    picture = base64.b64encode(drawn(text="PARIS")).decode()
    part = {"type": "image", "base64": picture, "mime_type": "image/png"}
    answer = await model.ainvoke([HumanMessage([{"type": "text", "text": "What?"}, part])])
    assert [one["code"] for one in answer.response_metadata["skipped"]] == ["images"]
    (call,) = server.calls()
    assert picture in json.dumps(call.body)


async def test_a_call_that_nobody_waits_for_any_more_is_not_made(
    server: LoopbackServer, db: Path
) -> None:
    router = open_router(make_config(server, db, providers=[provider(server, "openai")]))
    observer = RunObserver()
    observer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await router.ainvoke(ask(), with_observer(observer))
    await dust_settles(db)
    assert not server.calls()
    (row,) = rows(db)
    assert (row["status"], row["cost_basis"], row["cost_nano_usd"]) == ("cancelled", "none", 0)
    assert_sound(db)
