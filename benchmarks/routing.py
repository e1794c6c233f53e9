"""Measure the router beside what a user would pick instead, in one run: ``make bench``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from table import Report, Row, at_least, at_most, interleaved

HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv-bench" / "bin" / "python"
LATENCY_MS = 400
Result = dict[str, float]
Name = str


@dataclass(frozen=True)
class Scale:
    """How much is done; the small one only proves that everything runs."""

    rounds: int = 15
    calls: int = 30
    """Of one caller in a round."""
    few_rounds: int = 3
    """Of what takes seconds."""
    callers: int = 50
    each: int = 6
    in_flight: tuple[tuple[int, int], ...] = ((100, 4), (200, 3), (500, 2))
    """Callers, and how often each asks."""
    crowd: int = 1000
    pieces: int = 200
    processes: int = os.cpu_count() or 1
    kinds: tuple[str, ...] = ("openai", "ollama")


QUICK = Scale(
    rounds=1,
    calls=3,
    few_rounds=1,
    callers=4,
    each=1,
    in_flight=((8, 1),),
    crowd=8,
    pieces=20,
    kinds=("ollama",),
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

    def start(self, measure: str, **options: int) -> None:
        """Ask for a measurement without waiting for it."""
        assert self._process.stdin
        print(json.dumps({"measure": measure, **options}), file=self._process.stdin, flush=True)

    def finish(self) -> Result:
        """What was found."""
        return self._read()

    def measure(self, measure: str, **options: int) -> Result:
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


class Field:
    """Where contestants are started: the provider's address, a place for ledgers, the peers."""

    def __init__(self, port: int, folder: Path, peers: Path) -> None:
        self.folder = folder
        self._port, self._peers = port, peers
        self._ledgers = 0
        self.has_peers = peers.exists()

    def url(
        self, kind: str = "openai", *, status: int = 200, delay_ms: int = 0, words: int = 8
    ) -> str:
        """The provider that behaves so."""
        path = "/v1" if kind == "openai" else ""
        return f"http://127.0.0.1:{self._port}/{status}/{delay_ms}/{words}{path}"

    def ledger(self) -> str:
        """The address of a ledger that is not there yet."""
        self._ledgers += 1
        return f"sqlite:///{self.folder}/{self._ledgers}.db"

    @contextmanager
    def workers(self, **wanted: tuple[str, dict[str, Any]]) -> Iterator[dict[Name, Worker]]:
        """Start contestants by name; peers only where their environment is there."""
        with ExitStack() as stack:
            found = {}
            for name, (contestant, options) in wanted.items():
                peer = contestant in {"openai_client", "litellm_router", "any_llm"}
                if peer and not self.has_peers:
                    continue
                python = self._peers if peer else Path(sys.executable)
                module = "peers" if peer else "contestants"
                found[name] = Worker(python, module, contestant, **options)
                stack.callback(found[name].close)
            yield found


@contextmanager
def open_field(peers: Path) -> Iterator[Field]:
    """The provider in its own process, and a folder on the disk."""
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        command = [sys.executable, HERE / "provider.py"]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout
            yield Field(int(server.stdout.readline()), Path(folder), peers)
        finally:
            server.communicate(timeout=60)


def measured(
    rounds: int, workers: Mapping[Name, Worker], measure: str, **options: int
) -> dict[Name, list[Result]]:
    """Each contestant once per round, in turns."""
    steps = [lambda one=worker: one.measure(measure, **options) for worker in workers.values()]
    return dict(zip(workers, interleaved(rounds, *steps), strict=True))


def _pick(results: Mapping[Name, list[Result]], name: Name, key: str) -> list[float]:
    return [result[key] for result in results[name]]


def _added(
    results: Mapping[Name, list[Result]], name: Name, bare: Name, key: str, also: Name | None = None
) -> list[float]:
    """What each round took more than the bare one, and another one, of the same round."""
    columns = [_pick(results, one, key) for one in (name, bare, also) if one is not None]
    # Not below a microsecond: a ratio needs something to divide by.
    return [max(more - sum(less), 0.001) for more, *less in zip(*columns, strict=True)]


NO_PEERS = "not measured: the peers' environment is not there; `make bench` builds it"


def one_caller(scale: Scale, field: Field) -> list[Row]:
    """Time added to a call, and to one whose first provider fails."""
    url, failing = field.url(), field.url(status=500)
    with field.workers(
        openai=("openai_client", {"url": url}),
        litellm=("litellm_router", {"url": url}),
        litellm_fallback=("litellm_router", {"url": url, "failing_url": failing}),
        any_llm=("any_llm", {"url": url}),
        bare=("same_client", {"kind": "openai", "url": url}),
        empty=("empty_graph", {}),
        disk=("disk", {"folder": str(field.folder)}),
        ours=("router", {"kind": "openai", "url": url, "ledger": field.ledger()}),
        no_ledger=("router", {"kind": "openai", "url": url, "ledger": None}),
        ours_fallback=(
            "router",
            {"kind": "openai", "url": url, "failing_url": failing, "ledger": field.ledger()},
        ),
        with_fallbacks=("with_fallbacks", {"url": url, "failing_url": failing}),
    ) as workers:
        found = measured(scale.rounds, workers, "latency", count=scale.calls)

    added = _added(found, "ours", "bare", "p50_ms")
    cpu = _added(found, "ours", "bare", "cpu_ms")
    empty = _pick(found, "empty", "p50_ms")
    failed = _pick(found, "ours_fallback", "p50_ms")
    name, unit, fallback = "added by a routed call", "ms p50", "a call whose first provider fails"
    graph = "empty graph of three nodes"
    rows = [
        Row(name, unit, added, empty, graph, "1.6 times", at_most(1.6)),
        Row(f"{name}, processor time", "ms", cpu, _pick(found, "empty", "cpu_ms"), graph, ""),
        Row(
            f"{name}, less the disk's share",
            unit,
            _added(found, "ours", "bare", "p50_ms", "disk"),
            empty,
            graph,
        ),
        Row(
            f"{name}, without a ledger",
            unit,
            _added(found, "no_ledger", "bare", "p50_ms"),
            empty,
            graph,
        ),
        Row(fallback, unit, failed, _pick(found, "with_fallbacks", "p50_ms"), "with_fallbacks"),
    ]
    if not field.has_peers:
        return [*rows, Row(name, unit, skipped=NO_PEERS), Row(fallback, unit, skipped=NO_PEERS)]
    theirs = _added(found, "litellm", "openai", "p50_ms")
    theirs_cpu = _added(found, "litellm", "openai", "cpu_ms")
    router = "LiteLLM Router over the OpenAI client"
    return [
        Row(name, unit, added, theirs, router, "0.5 times", at_most(0.5)),
        Row(f"{name}, processor time", "ms", cpu, theirs_cpu, router),
        Row(
            name,
            unit,
            added,
            _added(found, "any_llm", "openai", "p50_ms"),
            "any-llm over the OpenAI client",
        ),
        Row(
            fallback,
            unit,
            failed,
            _pick(found, "litellm_fallback", "p50_ms"),
            "LiteLLM Router",
            "0.4 times",
            at_most(0.4),
        ),
        *rows,
    ]


def many_callers(scale: Scale, field: Field) -> list[Row]:
    """Calls per second of one process."""
    url = field.url()
    with field.workers(
        litellm=("litellm_router", {"url": url}),
        default=("default_client", {"kind": "openai", "url": url}),
        ours=("router", {"kind": "openai", "url": url, "ledger": field.ledger()}),
    ) as workers:
        found = measured(
            scale.rounds // 2 or 1, workers, "flight", callers=scale.callers, each=scale.each
        )
    ours = _pick(found, "ours", "per_s")
    name = f"calls per second, {scale.callers} callers"
    default = Row(name, "/s", ours, _pick(found, "default", "per_s"), "default ChatOpenAI, bare")
    if not field.has_peers:
        return [Row(name, "/s", skipped=NO_PEERS), default]
    theirs = _pick(found, "litellm", "per_s")
    return [Row(name, "/s", ours, theirs, "LiteLLM Router", "2 times", at_least(2)), default]


def streams(scale: Scale, field: Field, kind: str) -> list[Row]:
    """Time to the first token, and for each one after it."""
    few, many = 20, 20 + scale.pieces
    wanted = {}
    for name, words in (("short", few), ("long", many)):
        url = field.url(kind, words=words)
        wanted |= {
            f"default_{name}": ("default_client", {"kind": kind, "url": url}),
            f"bare_{name}": ("same_client", {"kind": kind, "url": url}),
            f"empty_{name}": ("empty_graph", {"kind": kind, "url": url}),
            f"ours_{name}": ("router", {"kind": kind, "url": url, "ledger": field.ledger()}),
            f"model_{name}": ("routed_model", {"kind": kind, "url": url, "ledger": field.ledger()}),
        }
    with field.workers(**wanted) as workers:
        found = measured(scale.rounds, workers, "stream", count=max(scale.calls // 4, 1))

    def per_chunk(name: Name, key: str) -> list[float]:
        more = _added(found, f"{name}_long", f"{name}_short", key)
        return [milliseconds * 1000 / scale.pieces for milliseconds in more]

    def first_token(name: Name) -> list[float]:
        return _added(found, f"{name}_short", "bare_short", "first_ms")

    first, graph = "first token of a stream over the bare client", "empty graph around it"
    rows = []
    for name, what in (("ours", kind), ("model", f"{kind}, RoutedChatModel")):
        title, empty = f"{first}, {what}", first_token("empty")
        rows.append(
            Row(title, "ms p50", first_token(name), empty, graph, "1.6 times", at_most(1.6))
        )
        for key, measured_by in (("whole_ms", ""), ("cpu_ms", ", processor time")):
            title, ours = f"each chunk of a stream, {what}{measured_by}", per_chunk(name, key)
            for beside, called in (
                ("default", "bare client as it comes"),
                ("bare", "bare client, our transport"),
                ("empty", graph),
            ):
                goal = {} if beside == "empty" else {"target": "1.3 times", "met": at_most(1.3)}
                rows.append(Row(title, "us", ours, per_chunk(beside, key), called, **goal))
    return rows


def slow_provider(scale: Scale, field: Field) -> list[Row]:
    """Many calls that each wait for the provider."""
    rows = []
    targets = {100: 4.0, 200: 4.5, 500: 3.0}

    def at(kind: str) -> str:
        return field.url(kind, delay_ms=LATENCY_MS)

    with field.workers(
        default=("default_client", {"kind": "openai", "url": at("openai")}),
        openai=("router", {"kind": "openai", "url": at("openai"), "ledger": field.ledger()}),
        ollama=("router", {"kind": "ollama", "url": at("ollama"), "ledger": field.ledger()}),
    ) as workers:
        for callers, each in scale.in_flight:
            found = measured(scale.few_rounds, workers, "flight", callers=callers, each=each)
            default = _pick(found, "default", "per_s")
            goal = targets.get(callers, 1.0)
            for kind in ("openai", "ollama"):
                name = f"{callers} in flight of {LATENCY_MS} ms, {kind}"
                rate = _pick(found, kind, "per_s")
                rows.append(
                    Row(
                        name,
                        "/s",
                        rate,
                        default,
                        "default ChatOpenAI, bare",
                        f"{goal:g} times",
                        at_least(goal),
                    )
                )
                if callers == scale.in_flight[0][0]:
                    p50 = _pick(found, kind, "p50_ms")
                    latency = [float(LATENCY_MS)] * len(p50)
                    rows.append(
                        Row(
                            name,
                            "ms p50",
                            p50,
                            latency,
                            "the provider's latency",
                            "1.25 times",
                            at_most(1.25),
                        )
                    )
    return rows


def crowd(scale: Scale, field: Field, kind: str) -> list[Row]:
    """A thousand calls at once, each time in new processes: memory is not given back."""
    url = field.url(kind, delay_ms=1000)
    found: dict[Name, list[Result]] = {"bare": [], "ours": []}
    for number in range(scale.few_rounds):
        order = ("bare", "ours") if number % 2 else ("ours", "bare")
        for name in order:
            wanted = (
                ("same_client", {"kind": kind, "url": url})
                if name == "bare"
                else ("router", {"kind": kind, "url": url, "ledger": field.ledger()})
            )
            with field.workers(one=wanted) as workers:
                found[name].append(workers["one"].measure("flight", callers=scale.crowd, each=1))
    title = f"{scale.crowd} in flight of 1 s, {kind}"
    seconds = [_pick(found, name, "seconds") for name in ("ours", "bare")]
    return [
        Row(title, "s until all are done", *seconds, "same client", "1.25 times", at_most(1.25)),
        Row(
            f"{title}, memory above theirs",
            "KB a request",
            _added(found, "ours", "bare", "kb_each"),
            _pick(found, "bare", "kb_each"),
            "same client",
            "60 KB",
            lambda value, _: value <= 60,
        ),
    ]


def processes(scale: Scale, field: Field) -> list[Row]:
    """By how much the rate grows when as many processes as cores share one ledger."""
    url, ledger = field.url(), field.ledger()
    options = {"kind": "openai", "url": url}
    load = {"callers": scale.callers // 2, "each": scale.each}

    with ExitStack() as stack:

        def team(address: str | None) -> list[Worker]:
            wanted = {
                f"worker_{number}": ("router", {**options, "ledger": address})
                for number in range(scale.processes)
            }
            return list(stack.enter_context(field.workers(**wanted)).values())

        teams = {"ours": team(ledger), "bare": team(None)}

        def rate(workers: list[Worker]) -> float:
            began = time.perf_counter()
            for worker in workers:
                worker.start("flight", **load)
            for worker in workers:
                worker.finish()
            seconds = time.perf_counter() - began
            return len(workers) * load["callers"] * load["each"] / seconds

        for worker in (*teams["ours"], *teams["bare"]):
            worker.measure("latency", count=1)

        def growth(name: Name) -> Callable[[], float]:
            return lambda: rate(teams[name]) / rate(teams[name][:1])

        ours, bare = interleaved(scale.rounds // 2 or 1, growth("ours"), growth("bare"))
    name = f"growth of the rate with {scale.processes} processes on one SQLite file"
    return [Row(name, "times", ours, bare, "no ledger", "0.9 times", at_least(0.9))]


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


def start_up(scale: Scale) -> list[Row]:
    """Importing the package, and asking the command line for help."""

    def imports() -> list[float]:
        environ = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        command = [sys.executable, "-c", IMPORTS]
        return [float(part) for part in subprocess.check_output(command, env=environ).split()]

    def runs(*command: str | Path) -> Callable[[], float]:
        def run() -> float:
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            return time.perf_counter() - began

        return run

    aegis = Path(sys.executable).with_name("aegis")
    found: Any = interleaved(
        scale.rounds // 2 or 1, imports, runs(aegis, "--help"), runs(sys.executable, "-c", "pass")
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


def main() -> None:
    """Measure everything, and show it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a smoke run; its figures say little")
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options.add_argument(
        "--peers", type=Path, metavar="PYTHON", default=PEERS, help="the peers' interpreter"
    )
    chosen = options.parse_args()
    scale, report = QUICK if chosen.quick else Scale(), Report()
    with open_field(chosen.peers) as field:
        rows = [
            *one_caller(scale, field),
            *many_callers(scale, field),
            *(row for kind in scale.kinds for row in streams(scale, field, kind)),
            *slow_provider(scale, field),
            *(row for kind in scale.kinds for row in crowd(scale, field, kind)),
            *processes(scale, field),
            *start_up(scale),
        ]
    report.finish(rows, chosen.json)


if __name__ == "__main__":
    main()
