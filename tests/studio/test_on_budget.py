"""A budget's question in the LangGraph server, which is what Studio shows and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langgraph_sdk.schema import Command

from aegis_graph.testing import LoopbackServer, Reply
from tests import programs
from tests.flow.cli.test_on_budget import CONFIG
from tests.studio.dev_server import dev_server


def test_a_run_waits_in_studio_and_is_resumed_with_the_answer(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        server.always("openai", Reply("Paris.", input_tokens=1, output_tokens=1))
        (tmp_path / "aegis.toml").write_text(CONFIG.format(server=server))
        environ = programs.bare(tmp_path, AEGIS_CONFIG="aegis.toml")
        asked: Any = {"messages": [{"role": "user", "content": "Which city?"}]}
        with dev_server(tmp_path, environ) as client:
            thread = client.threads.create()["thread_id"]
            client.runs.wait(thread, "router", input=asked)
            (waiting,) = client.threads.get_state(thread)["tasks"]
            (question,) = waiting["interrupts"]
            assert question["value"]["text"].startswith("$0.4 needed, $0.1 left of total/month.")
            answer = Command(resume={"approve_usd": "0.3"})
            done = client.runs.wait(thread, "router", command=answer)
        assert isinstance(done, dict)
        assert done["messages"][-1]["content"] == "Paris."
        assert len(server.calls()) == 1
