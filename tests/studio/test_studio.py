"""The graphs in LangGraph Studio: the real ``langgraph dev`` server, without a key or a network."""

from __future__ import annotations

import json
import re
import runpy
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph_sdk.client import SyncLangGraphClient

from aegis_graph.text.passages import Passage, format_question
from tests.studio.dev_server import MAKE_STUDIO, ROOT, START_S, dev_server

GRAPHS = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))["graphs"]
QUESTION = "How do I stop spending when the budget is used up?"
ONLY_EXTRACTIVE = """
[[providers]]
name = "newcomer"
kind = "extractive"
model = "best-sentences"
location = "local"
"""
FALLBACK = ["budget_check", "attempt_ollama", "budget_check", "attempt_extractive", "record_cost"]

DRAW_WITH_NOTHING = """
import asyncio, inspect, json, runpy, sys, traceback

def refuse(event, args):
    writes = event == "open" and set(args[1] or "") & set("wax+")
    if writes or event in {"socket.connect", "socket.getaddrinfo", "sqlite3.connect", "os.mkdir"}:
        raise RuntimeError(f"{event}: {args}")

def draw(place):
    path, _, name = place.partition(":")
    graph = runpy.run_path(path)[name]
    graph = asyncio.run(graph()) if inspect.iscoroutinefunction(graph) else graph
    return graph.get_graph(xray=True).draw_mermaid()

sys.addaudithook(refuse)
drawn = {}
for place in sys.argv[1:]:
    try:
        drawn[place] = draw(place)
    except BaseException:
        drawn[place] = traceback.format_exc()
print(json.dumps(drawn))
"""


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    """Each graph by its place, drawn by one interpreter; or the traceback of what it raised."""
    places = [graph["path"] for graph in GRAPHS.values()]
    done = subprocess.run(
        [sys.executable, "-B", "-c", DRAW_WITH_NOTHING, *places],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_graph_imports_and_draws_with_an_empty_environment(
    graph: str, drawn: dict[str, str]
) -> None:
    picture = drawn[GRAPHS[graph]["path"]]
    assert "Traceback" not in picture, f"{graph}:\n{picture}"
    assert "budget_check" in picture
    assert "attempt_" in picture


def test_the_documents_are_those_of_the_named_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "whales.md"
    document.write_text("A whale is a mammal.", encoding="utf-8")
    monkeypatch.setenv("AEGIS_DOCUMENTS", str(tmp_path))

    retriever = runpy.run_path(str(ROOT / "graphs" / "documents.py"))["retriever"]

    found = retriever.invoke("What is a whale?")
    assert [one.metadata["source"] for one in found] == [document.name]


@dataclass(frozen=True, slots=True)
class Studio:
    """A running server, and what it leaves behind."""

    client: SyncLangGraphClient
    folder: Path
    log: Path
    outside: socket.socket
    """Listens where the server would go through to any other host."""

    def ledger_rows(self, route_id: str) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self.folder / "costs.db")) as connection:
            rows = connection.execute(
                "SELECT provider, status FROM requests WHERE route_id = ? ORDER BY attempt",
                (route_id,),
            )
            return list(rows)

    def ledger_tasks(self, run_id: str) -> list[str]:
        with closing(sqlite3.connect(self.folder / "costs.db")) as connection:
            rows = connection.execute(
                "SELECT task FROM requests WHERE run_id = ? ORDER BY id", (run_id,)
            )
            return [str(row[0]) for row in rows]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """``langgraph dev`` without a key, where whatever leaves this machine is heard."""
    folder = tmp_path_factory.mktemp("studio")
    config = folder / "aegis.toml"
    # Without cooldowns, which would make a test's result depend on those before it.
    config.write_text(
        f"[ledger]\nurl = 'sqlite:///{folder / 'costs.db'}'\n[health]\nfailures = 10_000\n",
        encoding="utf-8",
    )
    with socket.create_server(("127.0.0.1", 0)) as outside, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen: whoever connects is refused
        environ = {
            "HOME": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AEGIS_CONFIG": str(config),
            "OLLAMA_BASE_URL": _url(nobody),
            "HTTP_PROXY": _url(outside),
            "HTTPS_PROXY": _url(outside),
            "NO_PROXY": "127.0.0.1",
        }
        with dev_server(folder, environ) as client:
            yield Studio(client, folder, folder / "server.log", outside)


@pytest.fixture
def studio(server: Studio) -> Iterator[Studio]:
    """The server. Its log is printed for the tests that fail, and may not report blocking calls."""
    before = server.log.stat().st_size
    yield server
    log = server.log.read_bytes()[before:].decode("utf-8", errors="replace")
    print(log)
    assert "Blocking call" not in log


@pytest.mark.parametrize("name", MAKE_STUDIO)
def test_make_studio_switches_off_what_talks_to_its_maker(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.split("\nstudio:", 1)[1].split("\n\n", 1)[0]

    # Traces may be asked for; without a word none are sent.
    assert re.search(rf"\b{name}=(\$\${{{name}:-)?{MAKE_STUDIO[name]}\b", recipe), recipe


def test_the_router_answers_without_a_key_or_a_network(studio: Studio) -> None:
    passages = [Passage(source="a.md", text="The limit is 10 USD a month.")]
    prompt = HumanMessage(format_question("What is the limit?", passages))

    result = _run(studio, "router", {"messages": [prompt.model_dump()], "task": "answer"})

    assert result["messages"][-1]["content"].startswith("The limit is 10 USD a month. [1]")
    assert [row["provider"] for row in result["attempts"]] == ["ollama", "extractive"]
    assert {row["provider"]: row["code"] for row in result["skipped"]} == {
        "dashscope": "key",
        "openai": "key",
    }
    rows = studio.ledger_rows(result["route_id"])
    assert rows == [("ollama", "failed"), ("extractive", "answered")]


def test_the_answer_graph_cites_the_example_documents(studio: Studio) -> None:
    result = _run(studio, "answer", {"question": QUESTION})

    assert "[1]" in result["answer"]
    assert (ROOT / "examples" / "documents" / result["citations"][0]["source"]).is_file()
    assert result["attempts"][-1]["status"] == "answered"


def test_a_stream_shows_the_fallback_step_by_step(studio: Studio) -> None:
    stream = studio.client.runs.stream(
        None,
        "answer",
        input={"question": QUESTION},
        stream_mode=["messages-tuple", "custom", "updates"],
        stream_subgraphs=True,
    )
    parts = [(part.event.partition("|"), part.data) for part in stream]

    updates = [(place, list(data)) for (mode, _, place), data in parts if mode == "updates"]
    inner = [nodes for place, nodes in updates if "|generate:" in place]
    outer = [nodes for place, nodes in updates if not place]
    events = [
        (data["event"], data.get("provider")) for (mode, _, _), data in parts if mode == "custom"
    ]
    chunks = [data[0] for (mode, _, _), data in parts if mode == "messages"]
    spoken = "".join(one["content"] for one in chunks if one["type"].startswith("AI"))
    assert inner == [[node] for node in FALLBACK]
    assert outer == [["prepare"], ["retrieve"], ["answer"]]
    assert events == [
        ("attempt_started", "ollama"),
        ("attempt_started", "extractive"),
        ("citations", None),
    ]
    assert spoken == parts[-1][1]["answer"]["answer"]


def test_a_thread_answers_one_question_after_another(studio: Studio) -> None:
    thread = studio.client.threads.create()["thread_id"]

    first = _run(studio, "answer", {"question": QUESTION}, thread=thread)
    second = _run(studio, "answer", {"question": "What does qwen-max cost?"}, thread=thread)

    assert first["route_id"] != second["route_id"]
    assert len(second["attempts"]) == len(studio.ledger_rows(second["route_id"]))
    assert "1.60" in second["answer"]
    assert first["ledger_run_id"] != second["ledger_run_id"]


def test_the_pipeline_says_what_each_step_cost(studio: Studio) -> None:
    question = "What is the limit of OpenAI, and when do weeks begin?"

    result = _run(studio, "rag", {"question": question, "max_cost_usd": "0.01"})

    assert [(one["task"], one["calls"]) for one in result["costs"]] == [
        ("decompose", 1),
        ("answer", 2),
    ]
    assert "Weeks begin on Monday. [" in result["answer"]
    assert result["degraded_reason"].startswith("no plan was made: every provider failed")


def test_a_run_is_interrupted_and_resumed_and_its_history_read(studio: Studio) -> None:
    thread = studio.client.threads.create()["thread_id"]
    asked = {"question": "What is the limit of OpenAI, and when do weeks begin?"}

    studio.client.runs.wait(thread, "rag", input=asked, interrupt_before=["answer"])
    paused = studio.client.threads.get_state(thread)
    assert isinstance(paused["values"], dict)
    planned = studio.ledger_tasks(paused["values"]["ledger_run_id"])
    result = studio.client.runs.wait(thread, "rag", input=None)

    assert (paused["next"], planned) == (["answer"], ["decompose"])
    assert isinstance(result, dict)
    assert "Weeks begin on Monday. [" in result["answer"]
    assert studio.ledger_tasks(result["ledger_run_id"]) == ["decompose", "answer", "answer"]
    history = studio.client.threads.get_history(thread)
    assert [state["next"] for state in reversed(history)][-4:] == [
        ["prepare"],
        ["decompose"],
        ["answer"],
        [],
    ]


def test_a_run_is_stopped_between_steps_and_goes_on_with_its_history(studio: Studio) -> None:
    thread = studio.client.threads.create()["thread_id"]
    asked = {"question": QUESTION, "sensitivity": "pii"}

    studio.client.runs.wait(thread, "rag", input=asked, interrupt_before=["answer"])
    state = studio.client.threads.get_state(thread)
    assert state["next"] == ["answer"]
    result = studio.client.runs.wait(thread, "rag", input=None)

    assert isinstance(result, dict)
    assert [row["provider"] for row in result["attempts"]] == ["ollama", "extractive"]
    assert len(studio.ledger_rows(result["route_id"])) == len(result["attempts"])
    steps = [one["next"] for one in studio.client.threads.get_history(thread)]
    assert steps == [[], ["answer"], ["decompose"], ["prepare"], ["__start__"]]


def test_a_refused_request_says_why(studio: Studio) -> None:
    hello: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Hello"}],
        "sensitivity": "pii",
    }

    result = studio.client.runs.wait(None, "router", input=hello, raise_error=False)

    assert isinstance(result, dict)
    error = result["__error__"]
    assert error["error"] == "AllProvidersFailedError"
    assert "ollama failed" in error["message"]
    assert "dashscope not asked" in error["message"]


def test_the_drawing_shows_the_router_inside_the_answer_graph(studio: Studio) -> None:
    drawing = studio.client.assistants.get_graph("answer", xray=True)

    nodes = {str(node["id"]) for node in drawing["nodes"]}
    edges = {(edge["source"], edge["target"]) for edge in drawing["edges"]}
    llm = "answer:generate"
    assert {"retrieve", "answer:cite", *(f"{llm}:{node}" for node in FALLBACK)} <= nodes
    assert (f"{llm}:attempt_ollama", f"{llm}:budget_check") in edges
    assert (f"{llm}:attempt_ollama", f"{llm}:attempt_dashscope") not in edges


@pytest.mark.parametrize(
    ("graph", "required"),
    [
        ("router", "messages"),
        ("answer", "question"),
        ("decompose", "question"),
        ("rag", "question"),
    ],
)
def test_the_input_form_requires_one_field(studio: Studio, graph: str, required: str) -> None:
    (assistant,) = studio.client.assistants.search(graph_id=graph)
    form = studio.client.assistants.get_schemas(assistant["assistant_id"])["input_schema"]

    assert assistant["description"] == GRAPHS[graph]["description"]
    assert form is not None
    assert form["required"] == [required]
    chosen = {"sensitivity", "user_id", "max_output_tokens", "run_id", "max_cost_usd"}
    assert chosen < set(form["properties"])


@pytest.mark.parametrize(
    ("graph", "fields"),
    [
        ("lightrag", {"documents", "question", "mode", "sensitivity", "max_cost_usd"}),
        ("relations", {"text", "documents", "schema", "sensitivity", "max_cost_usd"}),
        ("vision", {"paths", "kind", "sensitivity", "max_cost_usd"}),
    ],
)
def test_the_input_form_has_a_field_for_what_it_takes(
    studio: Studio, graph: str, fields: set[str]
) -> None:
    (assistant,) = studio.client.assistants.search(graph_id=graph)
    form = studio.client.assistants.get_schemas(assistant["assistant_id"])["input_schema"]
    drawing = studio.client.assistants.get_graph(graph, xray=True)

    assert assistant["description"] == GRAPHS[graph]["description"]
    assert form is not None
    assert fields <= set(form["properties"])
    assert any("budget_check" in str(node["id"]) for node in drawing["nodes"])


def test_the_text_in_an_image_is_read_without_a_model(studio: Studio) -> None:
    result = _run(
        studio,
        "vision",
        {"paths": ["examples/images/receipt.png"], "kind": "text"},
    )

    (one,) = result["results"]
    assert "TOTAL" in one["text"].upper(), str(one)
    assert result["degraded"]


def test_relations_that_nobody_may_extract_are_degraded_and_block_nothing(studio: Studio) -> None:
    (assistant,) = studio.client.assistants.search(graph_id="relations")
    form = studio.client.assistants.get_schemas(assistant["assistant_id"])["input_schema"]
    drawing = studio.client.assistants.get_graph("relations", xray=True)

    result = _run(studio, "relations", {"text": "Ada Berg was born in Ulm."})

    assert form is not None
    assert {"text", "documents", "known_entities", "schema", "only"} < set(form["properties"])
    nodes = {str(node["id"]) for node in drawing["nodes"]}
    assert {"cut", "gather", "merge", "extract:ask:budget_check"} <= nodes
    assert (result["degraded"], result["entities"]) == (True, [])
    assert "ollama failed" in result["degraded_reason"]
    [failed] = result["failed_chunks"]
    assert failed["places"] == [{"source": "text", "document": 0, "start": 0}]


def test_a_changed_configuration_is_in_force_at_the_next_run(studio: Studio) -> None:
    file = studio.folder / "aegis.toml"
    before = file.read_text(encoding="utf-8")
    passages = [Passage(source="a.md", text="The limit is 10 USD a month.")]
    prompt = HumanMessage(format_question("What is the limit?", passages)).model_dump()
    try:
        file.write_text(before + ONLY_EXTRACTIVE, encoding="utf-8")
        result = _run(studio, "router", {"messages": [prompt], "task": "answer"})
        answer = _run(studio, "answer", {"question": QUESTION})
        drawing = studio.client.assistants.get_graph("router")
    finally:
        file.write_text(before, encoding="utf-8")
    restored = _run(studio, "router", {"messages": [prompt], "task": "answer"})

    assert [row["provider"] for row in result["attempts"]] == ["newcomer"]
    assert {row["provider"] for row in answer["attempts"]} == {"newcomer"}
    assert "attempt_newcomer" in {str(node["id"]) for node in drawing["nodes"]}
    assert [row["provider"] for row in restored["attempts"]] == ["ollama", "extractive"]


def test_nothing_goes_out_to_the_network(studio: Studio) -> None:
    _run(studio, "answer", {"question": QUESTION})

    studio.outside.setblocking(False)
    with pytest.raises(BlockingIOError):
        studio.outside.accept()


def _run(
    studio: Studio, graph: str, request: dict[str, Any], *, thread: str | None = None
) -> dict[str, Any]:
    result = studio.client.runs.wait(thread, graph, input=request)
    assert isinstance(result, dict)
    return result


def _url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"
