"""Where contestants are measured: each in a process of its own, beside one provider."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from table import interleaved
from worker import work

HERE = Path(__file__).parent
Result = dict[str, float]
Name = str


@dataclass(frozen=True)
class Scale:
    """How much is done; the small one only proves that everything runs."""

    rounds: int = 15
    calls: int = 60
    """Of one caller in a round."""
    streams: int = 20
    """Streamed ones."""
    few_rounds: int = 3
    """Of what takes seconds."""
    callers: int = 50
    each: int = 6
    each_of_processes: int = 30
    in_flight: tuple[tuple[int, int], ...] = ((100, 12), (200, 8), (500, 5))
    """Callers, and how often each asks."""
    crowd: int = 1000
    pieces: int = 200
    processes: int = os.cpu_count() or 1
    kinds: tuple[str, ...] = ("openai", "ollama")
    host_rounds: int = 9
    """Of hosts and streams, which are many."""
    host_calls: int = 20
    host_streams: int = 8
    forked: bool = False
    """Whether contestants are forked from one interpreter, and none imports anything by itself."""


QUICK = Scale(
    rounds=1,
    calls=3,
    streams=1,
    few_rounds=1,
    callers=4,
    each=1,
    each_of_processes=1,
    in_flight=((8, 1),),
    crowd=8,
    pieces=20,
    kinds=("ollama",),
    host_rounds=1,
    host_calls=1,
    host_streams=1,
    forked=True,
)

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        "aegis_graph.chat.chat_model",
        "aegis_graph.components.rag",
        "aegis_graph.ledger.factory",
        "aegis_graph.routing.router",
        "httpx_aiohttp",
        "langchain_ollama",
        "langchain_openai",
        "langgraph.checkpoint.memory",
        "langgraph.checkpoint.sqlite.aio",
    ]
)


class Worker:
    """A contestant in a process of its own."""

    def __init__(self, python: Path, module: str, name: Name, **options: Any) -> None:
        self._process = subprocess.Popen(
            [python, HERE / "worker.py", module, name, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(HERE.parent)},
            text=True,
        )
        self._read()

    def start(self, measure: str, **options: int | str) -> None:
        """Ask for a measurement without waiting for it."""
        assert self._process.stdin
        print(json.dumps({"measure": measure, **options}), file=self._process.stdin, flush=True)

    def finish(self) -> Result:
        """What was found."""
        return self._read()

    def measure(self, measure: str, **options: int | str) -> Result:
        """Measure now."""
        self.start(measure, **options)
        return self._read()

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)

    def _read(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the contestant {self._process.args!r} ended; see above")
        return json.loads(line)


class ForkedWorker(Worker):
    """A contestant in a process that begins with everything imported."""

    def __init__(self, module: str, name: Name, **options: Any) -> None:
        self._pipe, theirs = _forks.Pipe()
        arguments = (module, name, options, theirs)
        self._fork = _forks.Process(target=_work, args=arguments, daemon=True)
        self._fork.start()
        theirs.close()
        self._read()

    def start(self, measure: str, **options: int | str) -> None:
        """Ask for a measurement without waiting for it."""
        self._pipe.send({"measure": measure, **options})

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._fork.join(60)

    def _read(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError:
            raise RuntimeError("a contestant ended; see above") from None


def _work(module: str, name: Name, options: dict[str, Any], pipe: Connection) -> None:
    work(module, name, options, iter(pipe.recv, None), pipe.send)


class Field:
    """Where contestants are started: the provider's address, a place for ledgers, the peers."""

    def __init__(self, port: int, folder: Path, peers: Path, *, forked: bool) -> None:
        self.folder = folder
        self._port, self._peers, self._forked = port, peers, forked
        self._ledgers = 0
        self.has_peers = peers.exists()

    def url(
        self, kind: str = "openai", *, status: int = 200, delay_ms: int = 0, words: int | str = 8
    ) -> str:
        """The provider that behaves so."""
        path = "/v1" if kind == "openai" else ""
        return f"http://127.0.0.1:{self._port}/{status}/{delay_ms}/{words}{path}"

    def ledger(self) -> str:
        """The address of a ledger that is not there yet."""
        self._ledgers += 1
        return f"sqlite:///{self.folder}/{self._ledgers}.db"

    @contextmanager
    def workers(
        self, forked: bool = False, /, **wanted: tuple[str, dict[str, Any]]
    ) -> Iterator[dict[Name, Worker]]:
        """Start contestants by name; peers only where their environment is there.

        Args:
            forked: Whether each begins as a copy of one interpreter, which takes no time.
            wanted: The function that builds it, of ``contestants`` where it names no module.
        """
        with ExitStack() as stack:
            found = {}
            for name, (contestant, options) in wanted.items():
                *modules, function = contestant.split(".")
                module = modules[0] if modules else "contestants"
                if module == "peers" and not self.has_peers:
                    continue
                if module == "peers":
                    found[name] = Worker(self._peers, module, function, **options)
                elif self._forked or forked:
                    found[name] = ForkedWorker(module, function, **options)
                else:
                    found[name] = Worker(Path(sys.executable), module, function, **options)
                stack.callback(found[name].close)
            yield found


@contextmanager
def open_field(peers: Path, *, forked: bool) -> Iterator[Field]:
    """The provider in its own process, and a folder on the disk."""
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        command = [sys.executable, HERE / "provider.py"]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout
            port = int(server.stdout.readline())
            yield Field(port, Path(folder), peers, forked=forked)
        finally:
            server.communicate(timeout=60)


def measured(
    rounds: int, workers: Mapping[Name, Worker], measure: str, **options: int | str
) -> dict[Name, list[Result]]:
    """Each contestant once per round, in turns."""
    steps = [lambda one=worker: one.measure(measure, **options) for worker in workers.values()]
    return dict(zip(workers, interleaved(rounds, *steps), strict=True))


def pick(results: Mapping[Name, list[Result]], name: Name, key: str) -> list[float]:
    """One figure of a contestant, once per round."""
    return [result[key] for result in results[name]]


def added(
    results: Mapping[Name, list[Result]], name: Name, bare: Name, key: str, also: Name | None = None
) -> list[float]:
    """What each round took more than the bare one, and another one, of the same round."""
    columns = [pick(results, one, key) for one in (name, bare, also) if one is not None]
    # Not below a microsecond: a ratio needs something to divide by.
    return [max(more - sum(less), 0.001) for more, *less in zip(*columns, strict=True)]


NO_PEERS = "not measured: the peers' environment is not there; `make bench` builds it"
