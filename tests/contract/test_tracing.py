"""What LangSmith is sent of a request: everything of an internal one, nothing of a private one.

A program is run whose environment switches tracing on, and leads it to a server of the test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard

from aegis_graph.testing import LoopbackServer, Reply
from tests.contract.test_where_data_goes import chat_row, config_of, embedding_row
from tests.programs import bare, run_text
from tests.raw_server import Asked, raw_server, whole

PROGRAM = """
import asyncio, sys
from typing import Any
from langchain_core.messages import HumanMessage
from langchain_core.tracers.langchain import LangChainTracer, wait_for_all_tracers
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict
from aegis_graph import (
    RoutedChatModel, RouterConfig, RouterHandle, create_answer_generator, create_embeddings,
    create_router,
)

config = RouterConfig.model_validate_json(sys.argv[1])
router = create_router(config)
saved = create_router(config, checkpointer=InMemorySaver())
handle = RouterHandle(config)
answers = create_answer_generator(router)
model = RoutedChatModel(router=router)
embeddings = create_embeddings(config)

class State(TypedDict, total=False):
    done: bool

SCHEMA = {"title": "Word", "type": "object", "properties": {"word": {"type": "string"}}}

def asked(word, level):
    return {"messages": [HumanMessage(word)], "sensitivity": level}

def host(word, level, sync):
    async def anode(state: State) -> Any:
        await router.ainvoke(asked(word, level))
        await model.ainvoke(word, sensitivity=level)
        return {"done": True}
    def node(state: State) -> Any:
        router.invoke(asked(word, level))
        model.invoke(word, sensitivity=level)
        return {"done": True}
    builder = StateGraph(State)
    builder.add_node("ask", node if sync else anode)
    builder.add_edge(START, "ask")
    return builder.compile()

async def all_of(stream):
    return [piece async for piece in stream]

def thread(word):
    return {"configurable": {"thread_id": word}}

ASYNC = {
    "ainvoke": lambda w, s: router.ainvoke(asked(w, s)),
    "given": lambda w, s: router.ainvoke(asked(w, s), {"callbacks": [LangChainTracer()]}),
    "bound": lambda w, s: router.with_config(callbacks=[LangChainTracer()]).ainvoke(asked(w, s)),
    "astream": lambda w, s: all_of(router.astream(asked(w, s))),
    "amessages": lambda w, s: all_of(router.astream(asked(w, s), stream_mode="messages")),
    "aevents": lambda w, s: all_of(router.astream_events(asked(w, s), version="v2")),
    "abatch": lambda w, s: router.abatch([asked(w, s)]),
    "asaved": lambda w, s: saved.ainvoke(asked(w, s), thread(w)),
    "handle": lambda w, s: handle.ainvoke(asked(w, s)),
    "ahost": lambda w, s: host(w, s, False).ainvoke({}),
    "amodel": lambda w, s: model.ainvoke(w, sensitivity=s),
    "abound": lambda w, s: model.bind(sensitivity=s).ainvoke(w),
    "afield": lambda w, s: RoutedChatModel(router=router, sensitivity=s).ainvoke(w),
    "aown": lambda w, s: RoutedChatModel(router=router, callbacks=[LangChainTracer()]).ainvoke(
        w, sensitivity=s),
    "aschema": lambda w, s: model.with_structured_output(SCHEMA).ainvoke(w, sensitivity=s),
    "aschemafield": lambda w, s: RoutedChatModel(
        router=router, sensitivity=s).with_structured_output(SCHEMA).ainvoke(w),
    "aschemastream": lambda w, s: all_of(
        model.with_structured_output(SCHEMA).astream(w, sensitivity=s)),
    "amodelstream": lambda w, s: all_of(model.astream(w, sensitivity=s)),
    "agenerate": lambda w, s: model.agenerate([[HumanMessage(w)]], sensitivity=s),
    "answers": lambda w, s: answers.ainvoke(
        {"question": w, "documents": [{"page_content": w}], "sensitivity": s}),
    "aembed": lambda w, s: embeddings.with_options(sensitivity=s).aembed([w]),
}
SYNC = {
    "schema": lambda w, s: model.with_structured_output(SCHEMA, include_raw=True).invoke(
        w, sensitivity=s),
    "schemastream": lambda w, s: list(
        RoutedChatModel(router=router, sensitivity=s).with_structured_output(SCHEMA).stream(w)),
    "invoke": lambda w, s: router.invoke(asked(w, s)),
    "stream": lambda w, s: list(router.stream(asked(w, s))),
    "batch": lambda w, s: router.batch([asked(w, s)]),
    "saved": lambda w, s: saved.invoke(asked(w, s), thread(w)),
    "host": lambda w, s: host(w, s, True).invoke({}),
    "model": lambda w, s: model.invoke(w, sensitivity=s),
    "modelstream": lambda w, s: list(model.stream(w, sensitivity=s)),
    "modelbatch": lambda w, s: model.batch([w], sensitivity=s),
    "embed": lambda w, s: embeddings.with_options(sensitivity=s).embed_query(w),
}

async def main():
    for name, use in ASYNC.items():
        # One after the other, with a word between: what is private must not silence what is not.
        for number, level in enumerate(("internal", "pii", "public", "confidential", "hipaa")):
            await use(f"{level}-{name}-{number}", level)

def main_sync():
    for name, use in SYNC.items():
        for number, level in enumerate(("internal", "pii", "public", "confidential", "hipaa")):
            use(f"{level}-{name}-{number}", level)

asyncio.run(main())
main_sync()
wait_for_all_tracers()
print(",".join([*ASYNC, *SYNC]))
"""

LEVELS = ("internal", "pii", "public", "confidential", "hipaa")
OPEN = ("internal", "public")


def unpacked(asked: Asked) -> str:
    body = asked.body
    if asked.headers.get("content-encoding") == "zstd":
        body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body.decode("utf-8", "replace")


def answer_to(body: Mapping[str, Any]) -> str:
    asked = body["messages"][-1]["content"]
    return json.dumps({"word": f"answer {asked}"}) if "format" in body else f"answer {asked}"


@pytest.mark.parametrize("more", [{}, {"LANGSMITH_HIDE_INPUTS": "false"}], ids=["on", "explicit"])
def test_nothing_of_a_private_request_is_traced(tmp_path: Path, more: Mapping[str, str]) -> None:
    with (
        LoopbackServer() as played,
        raw_server(lambda asked: whole(b"{}", status="202 Accepted")) as traces,
    ):
        played.always("ollama", lambda call: Reply(answer_to(call.body)))
        rows = {
            "providers": [chat_row("ollama", played.ollama_url)],
            "embeddings": [embedding_row("ollama", played.ollama_url)],
        }
        config = config_of(tmp_path / "costs.db", **rows)
        environ = bare(
            tmp_path,
            LANGSMITH_TRACING="true",
            LANGSMITH_ENDPOINT=traces.url,
            LANGSMITH_API_KEY="lsv2_test",
            **more,
        )
        done = run_text(PROGRAM, config.model_dump_json(), cwd=tmp_path, environ=environ)
        assert done.returncode == 0, done.stderr
    names = done.stdout.strip().split(",")
    sent = "\n".join(map(unpacked, traces.asked))
    found = {
        (level, name)
        for name in names
        for number, level in enumerate(LEVELS)
        if f"{level}-{name}-{number}" in sent
    }
    assert {one for one in found if one[0] not in OPEN} == set()
    assert {name for level, name in found if level == "internal"} == set(names)
    assert {name for level, name in found if level == "public"} == set(names)
