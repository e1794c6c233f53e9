"""What this package relies on in LightRAG beyond its documented interface, and traps it closes."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
from pathlib import Path

import lightrag  # type: ignore[import-untyped]
import pipmaster  # type: ignore[import-untyped]
import pytest
from lightrag.kg import shared_storage  # type: ignore[import-untyped]

from aegis_graph.components.lightrag import forecast, library
from aegis_graph.components.lightrag.settings import PieceTokenizer
from aegis_graph.errors import ConfigError
from aegis_graph.testing import LoopbackServer
from tests.flow.components.lightrag_support import (
    DOCUMENTS,
    extraction,
    lightrag_config,
    open_rag,
    operation,
    play,
)

ROOT = Path(__file__).parents[2]
WAIT_S = 60.0


def run(program: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_methods_and_tables_that_are_wrapped_are_there() -> None:
    process = inspect.signature(lightrag.LightRAG.process_single_document)
    assert process.parameters["doc_id"].kind is inspect.Parameter.KEYWORD_ONLY
    assert inspect.iscoroutinefunction(lightrag.LightRAG._process_extract_entities)
    for name in ("_shared_dicts", "_init_flags", "_update_flags", "_namespace_data_cache"):
        assert hasattr(shared_storage, name)
    for name in ("commit_manual_retry_request", "finalize_pipeline_ingress"):
        assert inspect.iscoroutinefunction(getattr(shared_storage, name))


def test_its_prompts_are_no_longer_than_the_forecast_takes_them_for(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.add(DOCUMENTS)
    longest = dict.fromkeys(("extract", "glean", "summary"), 0)
    for call in server.calls():
        if (name := operation(call)) in longest:
            size = sum(len(message["content"].encode()) for message in call.body["messages"])
            longest[name] = max(longest[name], size)
    text = max(len(document.encode()) for document in DOCUMENTS.values())
    said = max(len(extraction(document).encode()) for document in DOCUMENTS.values())
    assert longest["extract"] <= forecast.EXTRACT_PROMPT_BYTES + text
    around = forecast.EXTRACT_PROMPT_BYTES + forecast.GLEAN_PROMPT_BYTES
    assert longest["glean"] <= around + text + said
    assert longest["summary"] <= forecast.SUMMARY_PROMPT_BYTES + said


def test_nothing_is_installed_while_it_is_built() -> None:
    real = pipmaster.install
    with (
        library._without_installing(),
        pytest.raises(ModuleNotFoundError, match="pip install neo4j"),
    ):
        pipmaster.install("neo4j")
    assert pipmaster.install is real


def test_a_dotenv_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AEGIS_TEST_LEAK=1\n", encoding="utf-8")
    program = (
        "import os\nfrom aegis_graph.components.lightrag import library\nlibrary.load()\n"
        "print(os.environ.get('AEGIS_TEST_LEAK'), os.environ.get('PYTHON_DOTENV_DISABLED'))"
    )
    assert run(program, tmp_path) == "None None\n"


def test_a_variable_that_would_end_the_process_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENTITY_TYPES", "Person")
    with pytest.raises(ConfigError, match="ENTITY_TYPES: LightRAG refuses"):
        library.load()


def test_without_the_extra_the_install_line_is_given_when_it_runs(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["lightrag"] = None
from aegis_graph import RoutedLightRAG, create_lightrag
graph = create_lightrag(RoutedLightRAG(working_dir="rag"))
graph.get_graph(xray=True).draw_mermaid()
try:
    graph.invoke({"documents": {"a": "b"}})
except ModuleNotFoundError as missing:
    print(missing)
"""
    assert run(program, tmp_path) == "LightRAG needs: pip install 'aegis-graph[lightrag]'\n"


def test_a_program_ends_that_closes_nothing(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    config = lightrag_config(server, db).model_dump_json(exclude={"source"})
    program = """
import asyncio, sys
from pathlib import Path
from aegis_graph import RouterConfig
from tests.flow.components.lightrag_support import DOCUMENTS, open_rag
rag = open_rag(RouterConfig.model_validate_json(sys.argv[1]), Path("rag"))
print(asyncio.run(rag.aadd(DOCUMENTS)).state)
"""
    assert run(program, tmp_path, config) == "done\n"


@pytest.mark.parametrize(
    "text",
    ["", "Größe 1,024 km²", "日本語のテキスト", "a\x00b\ud800c\n\n\t", "Привет мир", "🦊" * 3],
)
def test_the_tokenizer_gives_back_every_text(text: str) -> None:
    tokenizer = PieceTokenizer()
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    middle = len(tokens) // 2
    assert tokenizer.decode(tokens[:middle]) + tokenizer.decode(tokens[middle:]) == text


STOPPED_ON_THE_CONSOLE = """
import logging, sys
from pathlib import Path

import lightrag

from aegis_graph.testing import LoopbackServer
from tests.flow.components.lightrag_support import DOCUMENTS, lightrag_config, open_rag, play

folder = Path(sys.argv[1])
with LoopbackServer() as server:
    play(server)
    with open_rag(lightrag_config(server, folder / "costs.db"), folder / "rag") as rag:
        print(rag.add(DOCUMENTS, run_id="a", max_cost_usd="0.01").state)
        print(rag.add(DOCUMENTS).state)
print(logging.getLogger().handlers, logging.getLogger().level)
"""


def test_an_insert_that_is_stopped_and_resumed_prints_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_ON_THE_CONSOLE, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=WAIT_S,
        check=True,
    )

    assert done.stdout.splitlines() == ["stopped", "done", f"[] {logging.WARNING}"]
    assert done.stderr == ""
