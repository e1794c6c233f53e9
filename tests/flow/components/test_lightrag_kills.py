"""An insert whose process is killed at any point is resumed: the same graph, nothing bought twice.

A few points of the insert are tried; with ``AEGIS_ALL_CUTS`` set, all of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from aegis_graph.testing import LoopbackServer, Received, Reply
from aegis_graph.testing.wires.embeddings import embedding_reply
from tests.flow.components.lightrag_support import (
    DOCUMENTS,
    bought,
    graph_of,
    lightrag_config,
    model,
    open_rag,
    operation,
    play,
)
from tests.flow.support import made

ROOT = Path(__file__).parents[3]
CALLS = 13
"""At least, of an insert of the three documents: extract, glean and summary three each, and
vectors, whose number depends on who flushes first."""

CUTS = range(1, CALLS + 1) if os.environ.get("AEGIS_ALL_CUTS") else (2, 7, 11)
WAIT_S = 60.0

INSERT = """
import json, sys
from pathlib import Path
from aegis_graph import RouterConfig
from tests.flow.components.lightrag_support import DOCUMENTS, open_rag

config, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
with open_rag(RouterConfig.model_validate(config), folder) as rag:
    rag.add(DOCUMENTS)
"""


class Executioner:
    """Kills a process when a call arrives, before the call is answered."""

    def __init__(self, cut: int) -> None:
        self._left = cut
        self._lock = threading.Lock()
        self.victim: subprocess.Popen[bytes] | None = None

    def answer(self, call: Received) -> Reply:
        with self._lock:
            self._left -= 1
            if self._left == 0 and self.victim is not None:
                self.victim.send_signal(signal.SIGKILL)
                self.victim.wait(WAIT_S)
        return model(call) if "messages" in call.body else embedding_reply(call)


def insert_until_killed(server: LoopbackServer, db: Path, folder: Path, cut: int) -> int:
    """Insert in a process that dies when the server gets a call; the process's exit status."""
    executioner = Executioner(cut)
    server.always("ollama", executioner.answer)
    server.always("ollama", executioner.answer, model="bge-m3")
    config = lightrag_config(server, db).model_dump(mode="json", exclude={"source"})
    process = subprocess.Popen(
        [sys.executable, "-c", INSERT, json.dumps(config), str(folder)], cwd=ROOT
    )
    executioner.victim = process
    status = process.wait(WAIT_S)
    server.wait_until_idle()
    return status


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The graph of an insert that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    with LoopbackServer() as server:
        play(server)
        with open_rag(lightrag_config(server, folder / "costs.db"), folder / "rag") as rag:
            assert rag.add(DOCUMENTS).state == "done"
    return graph_of(folder / "rag")


@pytest.mark.parametrize("cut", CUTS)
def test_a_killed_insert_is_resumed(
    server: LoopbackServer, db: Path, tmp_path: Path, whole: dict[str, object], cut: int
) -> None:
    folder = tmp_path / "rag"
    assert insert_until_killed(server, db, folder, cut) == -signal.SIGKILL
    # What was on its way when the process died may have been answered to nobody.
    known = {row["query_hash"] for row in made(db) if row["status"] == "answered"}
    before = len(server.calls())
    play(server)
    with open_rag(lightrag_config(server, db), folder) as rag:
        report = rag.add(DOCUMENTS)

    assert (report.state, report.reason) == ("done", None)
    assert graph_of(folder) == whole
    # No request that was ever answered was asked again.
    paid = [row for row in made(db) if row["status"] == "answered"]
    assert set(Counter((row["task"], row["query_hash"]) for row in paid).values()) == {1}
    resumed = [row["query_hash"] for row in paid if row["query_hash"] not in known]
    assert len(server.calls()) - before == len(resumed)
    # And the server saw no extraction more often than once, but for those that were under way.
    under_way = sum(row["status"] != "answered" for row in made(db))
    twice = sum(count - 1 for count in bought(server).values())
    assert twice <= under_way
    assert {operation(call) for call in server.calls()} == {"extract", "glean", "summary", "embed"}
