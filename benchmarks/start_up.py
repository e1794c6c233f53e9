"""Rows about what a user waits for at first: imports, the command line, memory."""

from __future__ import annotations

import compileall
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from field import HERE, Field, Scale
from table import Row, interleaved

AEGIS = Path(sys.executable).with_name("aegis")
IMPORTS = """
import sys, time
began = time.perf_counter()
import langgraph.graph
langgraph_s = time.perf_counter() - began
import aegis_graph
alone_s = time.perf_counter() - began - langgraph_s
aegis_graph.create_router, aegis_graph.RouterConfig
print(langgraph_s, alone_s, time.perf_counter() - began - langgraph_s)
heavy = {"dashscope", "openai", "ollama", "lightrag", "rapidocr", "onnxruntime"} & set(sys.modules)
assert not heavy, f"imported before it is used: {heavy}"
"""


MEMORY = """
import asyncio, pathlib, sys
from langchain_core.messages import HumanMessage
from aegis_graph import RouterConfig, create_router
config = RouterConfig.load(sys.argv[1])
router = create_router(config)
asked = {"messages": [HumanMessage("Hi")]}
async def use():
    for _ in range(20):
        await router.ainvoke(asked)
    async for _ in router.astream(asked, stream_mode="messages"):
        pass
asyncio.run(use())
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").open())
print(int(status["VmRSS"].split()[0]) / 1024)
"""
FLOOR = """
import pathlib
import langgraph.graph
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").open())
print(int(status["VmRSS"].split()[0]) / 1024)
"""
TOML = """
[ledger]
url = "{ledger}"
[[providers]]
name = "{kind}"
kind = "{kind}"
model = "gpt-4o"
base_url = "{url}"
location = "local"
price = "free"
"""


def _compile() -> None:
    """Compile the package, as pip does with what it installs, and not with a checkout."""
    compileall.compile_dir(HERE.parent / "aegis_graph", quiet=1)


def command_line(scale: Scale, field: Field) -> list[Row]:
    """What a shell waits for: the answer's first character on a terminal, and a table of costs."""
    _compile()
    config, folder = _config(field, "ollama"), str(field.folder)
    documents = HERE.parent / "examples" / "documents"
    index = ("--index-dir", folder, "--config", config)
    subprocess.run([AEGIS, "index", documents, *index], check=True, capture_output=True)
    question = [AEGIS, "ask", "What is a hold?", "--index", "documents", *index]

    def first_character() -> float:
        ours, theirs = pty.openpty()
        began = time.perf_counter()
        with subprocess.Popen(question, stdout=theirs, stderr=subprocess.DEVNULL) as process:
            assert os.read(ours, 1)
            seconds = time.perf_counter() - began
            # Whatever else it prints would wait for a reader.
            process.kill()
        os.close(ours)
        os.close(theirs)
        return seconds

    floor = _runs(sys.executable, "-c", "import langgraph.graph")
    found = interleaved(
        scale.rounds // 2 or 1,
        first_character,
        _runs(AEGIS, "costs", "--config", config),
        floor,
        _runs(sys.executable, "-c", "import rich.table"),
    )
    return [
        Row(
            "aegis ask over an index, until its first character",
            "s",
            found[0],
            found[2],
            "import langgraph.graph",
            "0.8 s",
            lambda value, _: value <= 0.8,
        ),
        Row(
            "aegis costs",
            "s",
            found[1],
            found[3],
            "import rich.table",
            "0.3 s",
            lambda value, _: value <= 0.3,
        ),
    ]


def memory(scale: Scale, field: Field) -> list[Row]:
    """Memory of a process whose router was used and that does nothing more."""
    _compile()

    def megabytes(*command: str) -> Callable[[], float]:
        environ = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        return lambda: float(subprocess.check_output([sys.executable, "-c", *command], env=environ))

    wanted = [megabytes(MEMORY, _config(field, kind)) for kind in scale.kinds]
    *found, floor = interleaved(scale.few_rounds, *wanted, megabytes(FLOOR))
    beside = "import langgraph.graph"
    fits: Any = lambda value, _: value <= 90  # noqa: E731
    return [
        Row(f"memory of an idle process, {kind}", "MB", ours, floor, beside, "90 MB", fits)
        for kind, ours in zip(scale.kinds, found, strict=True)
    ]


def _config(field: Field, kind: str) -> str:
    path = field.folder / f"{kind}.toml"
    path.write_text(TOML.format(kind=kind, url=field.url(kind), ledger=field.ledger()))
    return str(path)


def _runs(*command: str | Path) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began

    return run


def start_up(scale: Scale, field: Field) -> list[Row]:
    """Importing the package, and asking the command line for help."""
    _compile()

    def imports() -> list[float]:
        environ = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        command = [sys.executable, "-c", IMPORTS]
        return [float(part) for part in subprocess.check_output(command, env=environ).split()]

    found: Any = interleaved(
        scale.rounds // 2 or 1, imports, _runs(AEGIS, "--help"), _runs(sys.executable, "-c", "pass")
    )
    langgraph, alone, router = zip(*found[0], strict=True)
    name, floor = "import aegis_graph after langgraph.graph", "import langgraph.graph"
    quick: Any = lambda value, _: value <= 0.15  # noqa: E731
    return [
        Row(name, "s", alone, langgraph, floor, "0.15 s", quick),
        Row(f"{name}, and create_router", "s", router, langgraph, floor, "0.15 s", quick),
        Row(
            "aegis --help",
            "s",
            found[1],
            found[2],
            "an empty Python",
            "0.3 s",
            lambda value, _: value <= 0.3,
        ),
    ]
