"""The endpoint, by clients that nobody here wrote, each in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.testing import Received, Reply
from tests.server.apps import made_key
from tests.server.served import Served

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / ".venv-clients"
PROGRAMS = ROOT / "tests" / "clients"
PYTHON = CLIENTS / "bin" / "python"
NODE_PROGRAM = CLIENTS / "node" / "ask.mjs"

needs_clients = pytest.mark.skipif(
    not PYTHON.exists(), reason="the clients are not installed: make test-clients"
)


def reply(call: Received) -> Reply:
    """What is asked for: a call of a tool, a value in a schema, or a sentence."""
    if call.body.get("tools"):
        return Reply(tool_calls=({"name": "weather", "args": {"city": "Paris"}, "id": "c1"},))
    if call.body.get("response_format"):
        return Reply('{"name": "Paris", "country": "France"}')
    return Reply("It is in Paris.", input_tokens=12, output_tokens=4)


async def key_of(served: Served) -> str:
    served.provider.always("openai", reply)
    return await made_key(served.app)


def run(*command: str | Path, key: str, home: Path, **more: str) -> str:
    """What a program says, which has the key, and of this process's environment nothing else."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment = {**kept, "HOME": str(home), "KEY": key, "NO_PROXY": "127.0.0.1", **more}
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def last_json(text: str) -> Any:
    return json.loads(text.strip().splitlines()[-1])


def check_rows(served: Served, count: int) -> None:
    rows = served.rows()
    assert [row["status"] for row in rows] == ["answered"] * count
    assert {row["tags"] for row in rows} == {'{"api_key": "app"}'}


@needs_clients
async def test_litellm(served: Served, tmp_path: Path) -> None:
    key = await key_of(served)
    # Its list of prices is the one of its wheel, and is not fetched.
    more = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    found = run(
        PYTHON, PROGRAMS / "ask_litellm.py", served.openai_url, key=key, home=tmp_path, **more
    )
    assert last_json(found) == {
        "text": "It is in Paris.",
        "tokens": 16,
        "stream": "It is in Paris.",
        "tool": "weather",
        "parsed": {"name": "Paris", "country": "France"},
        "vectors": 2,
        "refusal": 404,
    }
    check_rows(served, 5)


@needs_clients
async def test_llama_index(served: Served, tmp_path: Path) -> None:
    key = await key_of(served)
    found = run(PYTHON, PROGRAMS / "ask_llama_index.py", served.openai_url, key=key, home=tmp_path)
    assert last_json(found) == {
        "text": "It is in Paris.",
        "stream": "It is in Paris.",
        "tool": "weather",
        "args": {"city": "Paris"},
    }
    check_rows(served, 3)


@needs_clients
async def test_llm(served: Served, tmp_path: Path) -> None:
    key = await key_of(served)
    model: dict[str, Any] = {
        "model_id": "aegis",
        "model_name": "auto",
        "api_base": served.openai_url,
    }
    model |= {"api_key_name": "aegis", "supports_schema": True}
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([model]), encoding="utf-8")
    more = {"LLM_USER_PATH": str(tmp_path)}
    ask = (CLIENTS / "bin" / "llm", "-m", "aegis", "--key", key)
    for options in ((), ("--no-stream",)):
        said = run(*ask, *options, "Where is the Louvre?", key=key, home=tmp_path, **more)
        assert said.strip() == "It is in Paris."
    parsed = run(
        *ask, "--schema", "name str, country str", "The city?", key=key, home=tmp_path, **more
    )
    assert json.loads(parsed) == {"name": "Paris", "country": "France"}
    check_rows(served, 3)


async def test_openai_for_node(served: Served, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not NODE_PROGRAM.exists():
        pytest.skip("Node or its client is not installed: make test-clients")
    key = await key_of(served)
    found = run(node, NODE_PROGRAM, served.openai_url, key=key, home=tmp_path)
    assert last_json(found) == {
        "text": "It is in Paris.",
        "tokens": 16,
        "stream": "It is in Paris.",
        "tool": "weather",
        "responses": "It is in Paris.",
        "vectors": [1024, 1024],
        "refusal": ["NotFoundError", 404, "model_not_found"],
    }
    check_rows(served, 5)
