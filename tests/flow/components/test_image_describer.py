"""The image describer over played providers: results, cost, what is kept, and how it degrades."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from aegis_graph import (
    RouterConfig,
    create_image_describer,
    create_image_store,
    describe_image,
    image_part,
)
from aegis_graph.components.image_describer.results import ONLY_OCR
from aegis_graph.errors import ConfigError, DocumentError, InvalidRequestError, StoreError
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from tests import programs
from tests.flow.support import (
    KEYS,
    assert_sound,
    drawn,
    eventually,
    flat_price,
    made,
    make_config,
    open_router,
    provider,
    rows,
)

CAT = {"description": "A cat on a mat.", "text": "", "objects": ["cat", "mat"], "colours": ["grey"]}
ANSWER = Reply(json.dumps(CAT), input_tokens=200, output_tokens=40)


def eye(server: LoopbackServer, **more: Any) -> dict[str, Any]:
    row = {"name": "eye", "model": "qwen3-vl-30b-a3b-instruct", "images": True}
    return provider(server, "dashscope", **{**row, **more})


def config_of(server: LoopbackServer, db: Path, *providers: Any, **more: Any) -> RouterConfig:
    return make_config(server, db, providers=list(providers) or [eye(server)], **more)


def describer(config: RouterConfig, **more: Any) -> Any:
    return create_image_describer(
        open_router(config), **{"store": create_image_store(config), **more}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images, two of them the same, and a file that is none."""
    scans = tmp_path / "scans"
    scans.mkdir()
    for number, name in enumerate(["a.png", "b.png", "c.png"]):
        (scans / name).write_bytes(drawn(100 + number, 60))
    (scans / "d.png").write_bytes(drawn(100, 60))
    (scans / "e.png").write_bytes(b"no image")
    return scans


def shown(call: Received) -> str:
    """The image that a call to DashScope carries."""
    parts = call.body["input"]["messages"][-1]["content"]
    return str(next(part["image"] for part in parts if "image" in part))


async def test_each_image_is_one_routed_request_with_a_structured_result(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("dashscope", ANSWER)
    events: list[dict[str, Any]] = []
    result: dict[str, Any] = {}
    stream = describer(config_of(server, db)).astream(
        {"paths": [str(folder)], "user_id": "anna"}, stream_mode=["custom", "values"]
    )
    async for mode, data in stream:
        if mode == "custom":
            events.append(data)
        else:
            result = data

    names = [Path(one["source"]).name for one in result["results"]]
    assert names == ["a.png", "b.png", "c.png", "d.png", "e.png"]
    first, *_, twin, bad = result["results"]
    assert {key: first[key] for key in ("description", "text", "objects")} == {
        key: CAT[key] for key in ("description", "text", "objects")
    }
    assert first["colours"] == [{"name": "grey", "hex": None, "share": None}]
    assert (first["method"], first["provider"], first["cost_usd"]) == ("model", "eye", "0.000072")
    assert (twin["description"], twin["kept"], twin["cost_usd"]) == (CAT["description"], True, "0")
    assert (bad["error"], bad["error_type"]) == (
        "not an image that can be read",
        "InvalidRequestError",
    )
    assert result["degraded_reason"] == "1 of 5 without an answer"

    assert len(server.calls()) == len(rows(db)) == len(result["attempts"]) == 3
    assert {(row["user_id"], row["task"]) for row in rows(db)} == {("anna", "vision")}
    total = sum(Decimal(row["cost_usd"]) for row in result["attempts"])
    assert total * 10**9 == sum(row["cost_nano_usd"] for row in rows(db))
    assert Counter(event["event"] for event in events) == {"image_started": 4, "image_done": 4}
    assert {event["count"] for event in events} == {4}
    assert "A cat" not in json.dumps(events), "events tell of the progress only"
    assert_sound(db)


async def test_a_second_run_buys_nothing_and_what_decides_a_result_buys_again(
    server: LoopbackServer, db: Path, folder: Path, tmp_path: Path
) -> None:
    server.always("dashscope", ANSWER)
    config = config_of(server, db)
    request: dict[str, Any] = {"paths": [str(folder)]}

    async def calls_of(graph: Any, **changes: Any) -> int:
        before = len(server.calls())
        result = await graph.ainvoke({**request, **changes})
        assert sum(one["error"] is None for one in result["results"]) == 4
        return len(server.calls()) - before

    assert await calls_of(describer(config)) == 3
    assert await calls_of(describer(config)) == 0
    result = await describer(config).ainvoke(request)
    assert (result["attempts"], {one["cost_usd"] for one in result["results"]}) == ([], {"0"})
    for changes in (
        {"kind": "text"},
        {"language": "de"},
        {"sensitivity": "public"},
        {"max_output_tokens": 50},
        {"again": True},
    ):
        assert await calls_of(describer(config), **changes) == 3, changes
    (tmp_path / "image_description.en.md").write_text("Say what it shows, as JSON.")
    assert await calls_of(describer(config, prompts_folder=tmp_path)) == 3
    other = config_of(server, db, eye(server, temperature=1.0))
    assert await calls_of(describer(other)) == 3
    assert await calls_of(describer(config, store=None)) == 3


@pytest.mark.parametrize("sensitivity", ["confidential", "pii", "hipaa"])
async def test_sensitive_images_stay_here_and_nothing_about_them_is_written(
    server: LoopbackServer, db: Path, folder: Path, sensitivity: str
) -> None:
    server.always("dashscope", ANSWER)
    server.always("ollama", ANSWER)
    config = config_of(server, db, eye(server), provider(server, "ollama", images=True))
    graph = describer(config)
    await graph.ainvoke({"paths": [str(folder)]})
    assert len(server.calls("dashscope")) == 3
    for _ in range(2):
        result = await graph.ainvoke({"paths": [str(folder)], "sensitivity": sensitivity})
        assert {one["provider"] for one in result["results"]} == {"ollama", None}
    assert (len(server.calls("dashscope")), len(server.calls("ollama"))) == (3, 6)
    store = create_image_store(config)
    with closing(sqlite3.connect(store.path)) as kept:
        assert kept.execute("SELECT count(*) FROM results").fetchone() == (3,)


async def test_when_the_budget_is_used_up_the_rest_says_so(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("dashscope", Reply("A cat.", output_tokens=1))
    dear = eye(server, **flat_price("0.5"))
    config = config_of(server, db, dear, budgets={"provider:eye": "1"})
    (folder / "d.png").unlink()
    result = await describer(config).ainvoke({"paths": [str(folder)], "kind": "text"})
    kinds = Counter(one["error_type"] for one in result["results"])
    assert kinds == {None: 2, "BudgetExceededError": 1, "InvalidRequestError": 1}
    assert len(server.calls()) == len(made(db)) == 2
    assert result["degraded_reason"] == "2 of 4 without an answer"


async def test_all_images_of_a_request_share_its_envelope(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("dashscope", Reply("A cat.", output_tokens=1))
    config = config_of(server, db, eye(server, **flat_price("0.5")))
    request = {"paths": [str(folder)], "kind": "text", "max_cost_usd": "1"}
    result = await describer(config).ainvoke(request)
    # Which of the three comes too late is not settled; one of them is in the folder twice.
    refused = {
        one["sha256"] for one in result["results"] if one["error_type"] == "BudgetExceededError"
    }
    assert (len(server.calls()), len(refused)) == (2, 1)
    assert len({row["run_id"] for row in rows(db)}) == 1


async def test_without_a_model_the_text_is_recognized_and_that_is_said_and_not_kept_for_long(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(drawn(640, 480, text="Invoice 2024-0815"))
    server.script("dashscope", Fault.status(503), Fault.status(503))
    ocr = {"name": "ocr", "kind": "ocr", "model": "rapidocr", "location": "local", "images": True}
    config = config_of(server, db, eye(server, max_retries=0), ocr)
    result = await describer(config).ainvoke({"paths": [str(tmp_path / "a.png")]})
    (one,) = result["results"]
    assert (one["method"], one["text"]) == ("ocr", "Invoice 2024-0815")
    assert (one["description"], one["objects"]) == ("", [])
    assert one["colours"][0] == {
        "name": "white",
        "hex": "#ffffff",
        "share": pytest.approx(0.96, abs=0.04),
    }
    assert (one["colours_by"], one["degraded_reason"]) == ("computed", ONLY_OCR)
    assert [len(line["box"]) for line in one["lines"]] == [4] * len(one["lines"])
    assert result["degraded_reason"] == f"1 of 1: {ONLY_OCR}"
    with closing(sqlite3.connect(create_image_store(config).path)) as kept:
        assert kept.execute("SELECT degraded FROM results").fetchall() == [(1,)]


async def test_concurrency_is_bounded_by_count_and_by_bytes(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    for number in range(8):
        (tmp_path / f"{number}.png").write_bytes(drawn(100 + number, 60))
    size = (tmp_path / "0.png").stat().st_size
    server.always("dashscope", Reply("A cat.", latency_s=0.02))
    config = config_of(server, db)
    # The server remembers the most that it ever saw, so the narrowest comes first.
    for concurrency, room, most in ((8, 1, 1), (8, 2 * size + size // 2, 2), (3, 10**9, 3)):
        graph = describer(config, store=None, concurrency=concurrency, room_bytes=room)
        await graph.ainvoke({"paths": [str(tmp_path)], "kind": "text"})
        assert server.peak_in_flight <= most
    assert len(server.calls()) == 24


KILLED = """
import asyncio, os, sys
from pathlib import Path
from aegis_graph.cli import main
sys.exit(main(["describe", "scans", "--kind", "text", "--config", "aegis.toml"]))
"""


def kept(store: Path) -> int:
    if not store.exists():
        return 0
    with closing(sqlite3.connect(store, timeout=30)) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not tables:
            return 0
        return int(connection.execute("SELECT count(*) FROM results").fetchone()[0])


def test_a_killed_run_is_resumed_and_buys_only_the_rest(
    server: LoopbackServer, tmp_path: Path
) -> None:
    (tmp_path / "scans").mkdir()
    for number in range(7):
        (tmp_path / "scans" / f"{number}.png").write_bytes(drawn(100 + number, 60))
    (tmp_path / "aegis.toml").write_text(
        f"""
[ledger]
url = "sqlite:///{tmp_path}/costs.db"

[[providers]]
name = "eye"
kind = "dashscope"
model = "qwen3-vl-30b-a3b-instruct"
base_url = "{server.dashscope_url}"
api_key_env = "LOOPBACK_KEY"
location = "cloud"
images = true
"""
    )
    environ = programs.bare(tmp_path, **KEYS)
    answered: set[str] = set()

    def answer(call: Received) -> Reply | Fault:
        if len(answered) >= 3:
            return Fault.hang()
        answered.add(shown(call))
        return Reply("Some text.")

    server.always("dashscope", answer)
    # Leaving the context kills it.
    with programs.start(KILLED, cwd=tmp_path, environ=environ):
        eventually(lambda: kept(tmp_path / "image_results.db") == 3, goal="three results kept")
    before = len(server.calls())

    server.always("dashscope", Reply("Some text."))
    done = programs.run_text(KILLED, cwd=tmp_path, environ=environ)
    assert done.returncode == 0, done.stderr
    assert "7 of 7 answered, 3 kept from before" in done.stdout
    bought = [shown(call) for call in server.calls()[before:]]
    assert len(bought) == len(set(bought)) == 4
    assert not answered & set(bought)


async def test_with_a_checkpointer_a_cancelled_run_goes_on_where_it_was(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(drawn(100 + number, 60))
    config = config_of(server, db)
    graph = describer(config, store=None, checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "t"}}
    server.script("dashscope", Reply("one"), Reply("two"), Fault.hang(), Fault.hang())

    async def run_until_two_are_done() -> None:
        done = 0
        request = {"paths": [str(tmp_path)], "kind": "text"}
        async for event in graph.astream(request, thread, stream_mode="custom"):
            done += event["event"] == "image_done"
            if done == 2:
                return

    await run_until_two_are_done()
    server.always("dashscope", Reply("later"))
    result = await graph.ainvoke(None, thread)
    texts = Counter(one["text"] for one in result["results"])
    assert texts["later"] >= 2
    assert sum(texts.values()) == 4
    bought = Counter(shown(call) for call in server.calls())
    assert max(bought.values()) <= 2


async def test_a_second_request_on_a_thread_starts_with_nothing(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("dashscope", ANSWER)
    graph = describer(config_of(server, db), store=None, checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"paths": [str(folder)], "sensitivity": "public"}, thread)
    result = await graph.ainvoke({"paths": [str(folder / "a.png")]}, thread)
    assert [Path(one["source"]).name for one in result["results"]] == ["a.png"]
    assert rows(db)[-1]["sensitivity"] == "internal"


def test_sync_hosts_get_the_same(server: LoopbackServer, db: Path, folder: Path) -> None:
    server.always("dashscope", ANSWER)

    class Host(TypedDict, total=False):
        paths: list[str]
        results: list[Mapping[str, Any]]

    host = StateGraph(Host)
    host.add_node("vision", describer(config_of(server, db)))
    host.add_edge(START, "vision")
    result = host.compile().invoke({"paths": [str(folder)]})
    assert [one["error"] is None for one in result["results"]] == [True] * 4 + [False]
    assert len(server.calls()) == 3


async def test_one_image_has_a_short_way(server: LoopbackServer, db: Path, tmp_path: Path) -> None:
    server.always("dashscope", ANSWER)
    router = open_router(config_of(server, db))
    path = tmp_path / "cat.gif"
    path.write_bytes(drawn(kind="GIF"))
    result = await describe_image(router, path, user_id="anna")
    assert (result["source"], result["objects"]) == (str(path), ["cat", "mat"])
    assert shown(server.calls()[0]).startswith("data:image/png;base64,")
    assert rows(db)[0]["user_id"] == "anna"
    with pytest.raises(InvalidRequestError, match="not an image"):
        await describe_image(router, b"hello")


@pytest.mark.parametrize(
    ("request_", "error", "complaint"),
    [
        ({}, DocumentError, "name at least one"),
        ({"paths": "scans"}, InvalidRequestError, "paths: must be a list"),
        ({"paths": [""]}, InvalidRequestError, "paths: must be a list"),
        ({"paths": ["a.png"], "kind": "poem"}, InvalidRequestError, "kind: 'poem' is unknown"),
        ({"paths": ["a.png"], "language": "fr"}, InvalidRequestError, "language: 'fr' is unknown"),
    ],
)
async def test_a_wrong_request_is_refused_in_one_line(
    server: LoopbackServer, db: Path, request_: Any, error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        await describer(config_of(server, db)).ainvoke(request_)
    assert server.journal == ()


async def test_a_wrong_sensitivity_never_becomes_a_lower_one(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    for wrong in ("", "PII"):
        with pytest.raises(InvalidRequestError, match="sensitivity"):
            await describer(config_of(server, db)).ainvoke(
                {"paths": [str(folder)], "sensitivity": wrong}
            )
    assert server.journal == ()


async def test_a_store_that_cannot_be_read_is_said_before_anything_is_bought(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    config = config_of(server, db)
    create_image_store(config).path.write_bytes(b"not a database at all, but some bytes" * 40)
    with pytest.raises(StoreError, match="delete the file"):
        await describer(config).ainvoke({"paths": [str(folder)]})
    assert server.journal == ()


async def test_parts_of_a_message_are_images_too(server: LoopbackServer, db: Path) -> None:
    server.always("dashscope", ANSWER)
    parts = [image_part(drawn()), {"type": "text", "text": "no image"}]
    result = await describer(config_of(server, db)).ainvoke({"images": parts})
    assert [(one["source"], one["error"]) for one in result["results"]] == [
        ("image 1", None),
        ("image 2", "not an image part; make it with image_part"),
    ]


def test_a_wrong_prompt_is_told_when_the_graph_is_built(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    (tmp_path / "image_text.en.md").write_text("It costs $5")
    with pytest.raises(ConfigError, match=r"image_text\.en\.md"):
        describer(config_of(server, db), prompts_folder=tmp_path)


def test_the_drawing_shows_the_router_inside(server: LoopbackServer, db: Path) -> None:
    drawing = describer(config_of(server, db)).get_graph(xray=True).draw_mermaid()
    for name in ("find", "gather", "budget_check", "attempt_eye", "record_cost"):
        assert name in drawing
