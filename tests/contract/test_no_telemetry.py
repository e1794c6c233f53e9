"""What is installed talks to the providers alone, and reports to no vendor.

Every extra is used once in a process of its own, whose way out leads through a proxy that listens,
and which then stays for as long as the first report of a library takes to come.
"""

from __future__ import annotations

import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typing_extensions import override

from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.components.lightrag_support import lightrag_config, play
from tests.flow.support import make_config, provider

ROOT = Path(__file__).parents[2]
STAY_S = 30.0
"""How long a process stays after its use: onnxruntime's first report came after 10 to 15 s."""
END_S = 600.0
"""Generous: how long a process may take, its stay included."""

WATCH = """
import os, sys

log = os.open(os.environ["WENT_PAST"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
here = {None, "", "localhost", "0.0.0.0", "127.0.0.1", "127.0.0.2", "::1"}

def watch(event, args):
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in here:
        os.write(log, f"{event} {host}\\n".encode())

sys.addaudithook(watch)
"""
"""Runs first in every process, and in those that it starts: sees what goes past the proxy."""

IMAGE = ROOT / "examples" / "images" / "receipt.png"
OCR_ONLY = """
[ledger]
url = "sqlite:///{folder}/costs.db"

[[providers]]
name = "ocr"
kind = "ocr"
model = "rapidocr"
location = "local"
tasks = ["vision"]
images = true
"""

START = f"""
import sys, threading
def stay():
    print("used", flush=True)
    threading.Event().wait({STAY_S})
"""

CONTROL = """
import socket, urllib.request
try:
    urllib.request.urlopen("https://telemetry.invalid/")
except OSError:
    pass
try:
    socket.create_connection(("direct.invalid", 443))
except OSError:
    pass
stay()
"""

OCR = f"""
from pathlib import Path
from langchain_core.messages import HumanMessage
from aegis_graph import RouterConfig, create_router, image_part
asked = [HumanMessage([image_part(Path({str(IMAGE)!r}))])]
router = create_router(RouterConfig.load())
result = router.invoke({{"messages": asked, "task": "vision", "sensitivity": "pii"}})
assert "TOTAL" in result["messages"][-1].text.upper(), result
stay()
"""

DESCRIBE = f"""
from aegis_graph.cli import main
assert main(["describe", {str(IMAGE)!r}, "--kind", "text", "--sensitivity", "pii"]) == 0
stay()
"""

STUDIO = """
import os
from pathlib import Path
from tests.studio.dev_server import dev_server
with dev_server(Path.cwd(), os.environ) as client:
    asked = {"paths": ["examples/images/receipt.png"], "kind": "text", "sensitivity": "pii"}
    result = client.runs.wait(None, "vision", input=asked)
    assert "TOTAL" in result["results"][0]["text"].upper(), result
    stay()
"""

CHAT = """
from aegis_graph import RouterConfig, create_router
from tests.flow.support import KEYS, ask
config = RouterConfig.model_validate_json(sys.argv[1])
result = create_router(config, environ=KEYS).invoke(ask())
assert result["messages"][-1].text == "Hello", result
stay()
"""

PRICES = """
from aegis_graph import RouterConfig, create_router
from aegis_graph.errors import BudgetExceededError
from tests.flow.support import KEYS, ask
config = RouterConfig.model_validate_json(sys.argv[1])
try:
    create_router(config, environ=KEYS).invoke(ask())
except BudgetExceededError:
    stay()
"""
"""A price from the book says that the budget is too small, so that nothing is asked."""

LIGHTRAG = """
import asyncio
from pathlib import Path
from aegis_graph import RouterConfig
from tests.flow.components.lightrag_support import DOCUMENTS, QUESTION, open_rag
async def use():
    async with open_rag(RouterConfig.model_validate_json(sys.argv[1]), Path("rag")) as rag:
        assert (await rag.aadd(DOCUMENTS)).state == "done"
        assert QUESTION in await rag.aquery(QUESTION)
        await asyncio.to_thread(stay)
asyncio.run(use())
"""

RAY = """
import ray
from aegis_graph.bulk.ray_cluster import connect
assert connect(1)
assert ray.get(ray.remote(lambda: 6 * 7).remote()) == 42
stay()
"""

PROGRAMS = {
    "control": CONTROL,
    "ocr": OCR,
    "aegis describe": DESCRIBE,
    "langgraph dev": STUDIO,
    "lightrag": LIGHTRAG,
    "ray": RAY,
    "dashscope": CHAT,
    "langchain": CHAT,
    "anyllm": CHAT,
    "genai-prices": PRICES,
}


CLOUD = ("169.254.169.254", "metadata.google.internal")
"""Where Ray asks at its start whether its host is a cloud's: that cloud's own addresses, which lead
nowhere else. Nothing that it has switches that off."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that used something, stayed, and ended."""

    status: int
    output: str
    went_out: list[str]
    """What the proxy was asked for, and which hosts were asked past it."""


class Proxy(socketserver.ThreadingTCPServer):
    """Writes down what it is asked for, and lets nothing through."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Refuse)
        self.asked: list[str] = []

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead clients here, all but those of servers on this machine."""
        url, here = f"http://127.0.0.1:{self.server_address[1]}", "127.0.0.1,localhost"
        names = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "ALL_PROXY": url, "NO_PROXY": here}
        return {**names, **{name.lower(): value for name, value in names.items()}}


class _Refuse(socketserver.StreamRequestHandler):
    @override
    def handle(self) -> None:
        assert isinstance(self.server, Proxy)
        self.server.asked.append(self.rfile.readline(65_536).decode("latin-1").strip())
        self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Ended]]:
    """Every program, run at the same time as the others, so that all stay together."""
    folder = tmp_path_factory.mktemp("telemetry")
    with ExitStack() as stack:
        chat, rag = (stack.enter_context(LoopbackServer()) for _ in range(2))
        play(rag)
        for protocol in ("openai", "dashscope"):
            chat.always(protocol, Reply("Hello"))
        arguments = _arguments(chat, rag, folder)
        runs = {
            name: stack.enter_context(_started(program, folder / name, arguments.get(name, "")))
            for name, program in PROGRAMS.items()
        }
        yield {name: run() for name, run in runs.items()}


def _arguments(chat: LoopbackServer, rag: LoopbackServer, folder: Path) -> dict[str, str]:
    """The configurations of the programs that take one."""
    library = provider(chat, "openai", model="openai:gpt-4o")
    chains = {
        "dashscope": provider(chat, "dashscope"),
        "langchain": {**library, "kind": "langchain"},
        "anyllm": {**library, "kind": "anyllm"},
    }
    configs = {
        name: make_config(chat, folder / name / "costs.db", providers=[row])
        for name, row in chains.items()
    }
    # Without a price in its row, and at OpenAI's own address, it is looked up.
    book = {**provider(chat, "openai"), "base_url": None}
    del book["price"]
    configs["genai-prices"] = make_config(
        chat, folder / "genai-prices" / "costs.db", providers=[book], budgets={"total": "0.000001"}
    )
    configs["lightrag"] = lightrag_config(rag, folder / "lightrag" / "costs.db")
    return {name: one.model_dump_json(exclude={"source"}) for name, one in configs.items()}


@contextmanager
def _started(program: str, folder: Path, argument: str) -> Iterator[Callable[[], Ended]]:
    """A program in a folder and a process of its own, and a function that waits for its end."""
    watch, went_past = folder / "watch", folder / "went_past"
    watch.mkdir(parents=True)
    (watch / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    (folder / "aegis.toml").write_text(OCR_ONLY.format(folder=folder), encoding="utf-8")
    output = folder / "output"
    with Proxy() as proxy, output.open("w", encoding="utf-8") as file:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        # Nothing of the tests' own environment: onnxruntime is silent where it finds ``CI``.
        environ = {
            **proxy.environ,
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join((str(watch), str(ROOT))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AEGIS_CONFIG": str(folder / "aegis.toml"),
            "WENT_PAST": str(went_past),
        }
        process = subprocess.Popen(
            [sys.executable, "-c", START + program, argument],
            cwd=folder,
            env=environ,
            stdout=file,
            stderr=subprocess.STDOUT,
        )

        def end() -> Ended:
            status = process.wait(END_S)
            past = went_past.read_text(encoding="utf-8").splitlines()
            return Ended(status, output.read_text(encoding="utf-8"), [*proxy.asked, *past])

        try:
            yield end
        finally:
            process.kill()
            process.wait()
            proxy.shutdown()


def test_what_goes_out_is_seen(ended: Mapping[str, Ended]) -> None:
    control = ended["control"]

    assert (control.status, control.output) == (0, "used\n")
    assert control.went_out == [
        "CONNECT telemetry.invalid:443 HTTP/1.0",
        "socket.getaddrinfo direct.invalid",
    ]


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "control"])
def test_it_talks_to_servers_of_this_machine_alone(ended: Mapping[str, Ended], name: str) -> None:
    process = ended[name]

    assert process.status == 0, process.output
    assert "used" in process.output.splitlines()
    asked = process.went_out
    if name == "ray":
        asked = [line for line in asked if not any(host in line for host in CLOUD)]
    assert asked == []
