"""An interpreter that has imported the package, and forks a program for each test that needs one.

``tests.programs`` starts it and sends it orders. Importing the package takes a second and more of
processor time, a fork takes milliseconds. A program runs as ``python -W error -c`` runs it, to the
end of the interpreter: what threads and finalizers do at exit is what they do there.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from types import CodeType, ModuleType
from typing import Any

PRELOADED = (
    "aegis_graph.cli.ask",
    "aegis_graph.cli.costs",
    "aegis_graph.cli.describe",
    "aegis_graph.cli.doctor",
    "aegis_graph.cli.export",
    "aegis_graph.cli.ledger",
    "aegis_graph.components.rag",
    "httpx_aiohttp",
    "langchain_ollama",
    "langchain_openai",
    "tests.flow.support",
)
"""Not ``psycopg``: programs without it are tested."""
LENGTH_BYTES = 4
FILES = 4
"""What an order brings: the program's standard input, output and error, and where to report."""


def read_order(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next order and its files; None when the tests have ended."""
    head, files, _, _ = socket.recv_fds(control, LENGTH_BYTES, FILES)
    if not head:
        return None
    length, body = int.from_bytes(head, "big"), b""
    while len(body) < length:
        body += control.recv(length - len(body))
    return json.loads(body), files


def forked(files: list[int]) -> bool:
    """Fork twice, and say whether this is the program.

    The process between the two waits for the program and reports its number and its exit status,
    so that the server is free for the next order.
    """
    if os.fork():
        for file in files:
            os.close(file)
        return False
    *standard, report = files
    program = os.fork()
    if not program:
        os.close(report)
        return True
    # A reader of the program's output sees its end when no process has it open for writing.
    for file in standard:
        os.close(file)
    os.write(report, f"{program}\n".encode())
    status = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    os.write(report, f"{status}\n".encode())
    os._exit(0)


def become(order: dict[str, Any], standard: list[int]) -> CodeType:
    """Give this process what a new one is started with."""
    for number, file in enumerate(standard):
        os.dup2(file, number)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environ"])
    time.tzset()
    places = os.environ.get("PYTHONPATH", "")
    sys.path[:0] = ["", *(place for place in places.split(os.pathsep) if place)]
    sys.argv = ["-c", *order["arguments"]]
    return compile(order["code"], "<string>", "exec")


def reap() -> None:
    """Forget the processes that have reported."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                return
        except ChildProcessError:
            return


def serve(control: socket.socket) -> CodeType | None:
    """Fork a program for each order; what returns is a program, or None at the end of the tests."""
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    # Else the collector of every program would copy all that was imported.
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with control:
        while order := read_order(control):
            reap()
            what, files = order
            if forked(files):
                return become(what, files[:-1])
    return None


if __name__ == "__main__":
    if code := serve(socket.socket(fileno=int(sys.argv[1]))):
        sys.modules["__main__"] = ModuleType("__main__")
        exec(code, sys.modules["__main__"].__dict__)
