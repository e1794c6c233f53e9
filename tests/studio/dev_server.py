"""The real ``langgraph dev`` server, in a copy of the checkout, as ``make studio`` starts it."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

ROOT = Path(__file__).parents[2]
START_S = 240.0
"""Until the server must answer. It takes two seconds on an idle machine, and over a minute on one
that runs other tests."""
STOP_S = 10.0
DEV = ("dev", "--no-browser", "--no-reload")
MAKE_STUDIO: Mapping[str, str] = {
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "LANGGRAPH_NO_VERSION_CHECK": "true",
    "LANGSMITH_TRACING": "false",
}
"""The variables that ``make studio`` sets."""


@contextmanager
def dev_server(folder: Path, environ: Mapping[str, str]) -> Iterator[SyncLangGraphClient]:
    """Serve the graphs from a folder, because the server writes where it is started.

    Args:
        folder: Gets a copy of the graphs and of the examples, and the log ``server.log``.
        environ: The server's environment, beside what ``make studio`` sets.
    """
    shutil.copy(ROOT / "langgraph.json", folder)
    for part in ("graphs", "examples"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    log = folder / "server.log"
    port = _free_port()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "langgraph_cli", *DEV, "--port", str(port)],
            cwd=folder,
            env={**environ, **MAKE_STUDIO},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_ready(process, port, log)
            with get_sync_client(url=f"http://127.0.0.1:{port}", api_key=None) as client:
                yield client
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not _is_ready(port):
        try:
            code = process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline:
                continue
            raise AssertionError(
                f"langgraph dev is not ready after {START_S:g} s:\n{log.read_text()}"
            ) from None
        raise AssertionError(f"langgraph dev ended with {code}:\n{log.read_text()}")


def _is_ready(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=1)) as connection:
        try:
            connection.request("GET", "/ok")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
