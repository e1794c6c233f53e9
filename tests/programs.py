"""Programs in processes of their own: forked from one interpreter, or fresh ones."""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[1]
WAIT_S = 120.0
"""Generous: how long a program may take that has to end."""


class Program:
    """A program that was started. Leaving it as a context kills it where it still runs."""

    def __init__(self, output: int, errors: int, report: int) -> None:
        self._report = open(report, "rb")  # noqa: SIM115 - closed by the thread that reads it
        self.pid = int(self._report.readline())
        self.returncode: int | None = None
        """Its exit status, or minus the signal that ended it; None while it runs."""
        self._read: list[bytes] = [b"", b""]
        # Both at once: a program stops where one of its pipes is full.
        self._readers = [
            threading.Thread(target=self._drain, args=(index, pipe), daemon=True)
            for index, pipe in enumerate((output, errors))
        ]
        self._waiter = threading.Thread(target=self._await_status, daemon=True)
        for thread in (*self._readers, self._waiter):
            thread.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.send_signal(signal.SIGKILL)
        self.communicate()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        # It may have ended a moment ago, and its status be on the way.
        with suppress(ProcessLookupError):
            if self.returncode is None:
                os.kill(self.pid, number)

    def wait(self, timeout_s: float = WAIT_S) -> int:
        """Its exit status, once it has ended."""
        self._waiter.join(timeout_s)
        assert self.returncode is not None, f"the program has not ended within {timeout_s:g} s"
        return self.returncode

    def communicate(self, timeout_s: float = WAIT_S) -> tuple[bytes, bytes]:
        """Wait for its end; what it wrote to standard output and to standard error."""
        self.wait(timeout_s)
        for reader in self._readers:
            reader.join(timeout_s)
            assert not reader.is_alive(), "another process holds the program's output"
        return self._read[0], self._read[1]

    def _drain(self, index: int, file: int) -> None:
        with open(file, "rb") as pipe:
            self._read[index] = pipe.read()

    def _await_status(self) -> None:
        with self._report:
            self.returncode = int(self._report.readline())


class _Server:
    """The interpreter that programs are forked from; see ``program_server``."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._turn = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.program_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
            )

    def stop(self) -> None:
        """End the interpreter; programs that run go on."""
        self._control.close()
        self._process.wait(WAIT_S)

    def start(self, order: Mapping[str, Any]) -> Program:
        """Fork a program."""
        output, output_in = os.pipe()
        errors, errors_in = os.pipe()
        reported, report = os.pipe()
        with open(os.devnull, "rb") as nothing:
            files = [nothing.fileno(), output_in, errors_in, report]
            body = json.dumps(order).encode()
            with self._turn:
                socket.send_fds(self._control, [len(body).to_bytes(4, "big")], files)
                self._control.sendall(body)
        for file in files[1:]:
            os.close(file)
        return Program(output, errors, reported)


@functools.cache
def _server() -> _Server:
    server = _Server()
    atexit.register(server.stop)
    return server


def bare(folder: Path, **variables: str) -> dict[str, str]:
    """An environment that says nothing but where programs are, and what is given."""
    taken = {name: os.environ[name] for name in ("PATH", "SSL_CERT_FILE")}
    return {**taken, "HOME": str(folder), "PYTHONPATH": str(ROOT), **variables}


def start(
    code: str, *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None
) -> Program:
    """Run code as ``python -W error -c`` does, with the package imported already.

    Args:
        code: The program.
        arguments: What it finds in ``sys.argv``.
        cwd: Its folder.
        environ: Its environment; a bare one when absent.
    """
    variables = dict(bare(cwd) if environ is None else environ)
    order = {"code": code, "arguments": arguments, "cwd": str(cwd), "environ": variables}
    return _server().start(order)


def run(
    code: str,
    *arguments: str,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Run code as ``start`` does, to its end.

    Args:
        code: The program.
        arguments: What it finds in ``sys.argv``.
        cwd: Its folder.
        environ: Its environment; a bare one when absent.
        fresh: Start an interpreter that has imported nothing, as a user does.
    """
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    if fresh:
        variables = bare(cwd) if environ is None else environ
        return subprocess.run(
            command, cwd=cwd, env=variables, capture_output=True, timeout=WAIT_S, check=False
        )
    with start(code, *arguments, cwd=cwd, environ=environ) as program:
        output, errors = program.communicate()
        return subprocess.CompletedProcess(command, program.wait(), output, errors)


def run_text(
    code: str,
    *arguments: str,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run code as ``run`` does; what it wrote, as text."""
    done = run(code, *arguments, cwd=cwd, environ=environ, fresh=fresh)
    output, errors = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, output, errors)
