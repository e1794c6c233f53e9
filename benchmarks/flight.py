"""Rows about many calls at once: the rate, calls that wait for the provider, several processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from field import NO_PEERS, Field, Name, Result, Scale, Worker, added, measured, pick
from table import Row, at_least, at_most, interleaved

LATENCY_MS = 400


def many_callers(scale: Scale, field: Field) -> list[Row]:
    """Calls per second of one process."""
    url = field.url()
    with field.workers(
        litellm=("peers.litellm_router", {"url": url}),
        default=("default_client", {"kind": "openai", "url": url}),
        ours=("router", {"kind": "openai", "url": url, "ledger": field.ledger()}),
    ) as workers:
        found = measured(
            scale.rounds // 2 or 1, workers, "flight", callers=scale.callers, each=scale.each
        )
    ours = pick(found, "ours", "per_s")
    name = f"calls per second, {scale.callers} callers"
    default = Row(name, "/s", ours, pick(found, "default", "per_s"), "default ChatOpenAI, bare")
    if not field.has_peers:
        return [Row(name, "/s", skipped=NO_PEERS), default]
    theirs = pick(found, "litellm", "per_s")
    return [Row(name, "/s", ours, theirs, "LiteLLM Router", "2 times", at_least(2)), default]


IN_FLIGHT_TARGETS = {100: 0.85, 200: 0.75, 500: 0.6}
"""Shares of what the provider allows, by callers."""


IN_FLIGHT = {
    "openai": ("openai", "default ChatOpenAI"),
    "ollama": ("ollama", "default ChatOllama"),
    "host": ("openai, in a host", "default ChatOpenAI in that host"),
}
"""What rows of each contestant are called, and the client as it comes that stands beside it."""


def slow_provider(scale: Scale, field: Field) -> list[Row]:
    """Many calls that each wait for the provider."""
    rows = []

    def at(kind: str) -> str:
        return field.url(kind, delay_ms=LATENCY_MS)

    in_host = {"kind": "openai", "url": at("openai"), "folder": str(field.folder)}
    with field.workers(
        default_openai=("default_client", {"kind": "openai", "url": at("openai")}),
        default_ollama=("default_client", {"kind": "ollama", "url": at("ollama")}),
        default_host=("host_contestants.default_host", in_host),
        httpx=("httpx_client", {"url": at("openai")}),
        openai=("router", {"kind": "openai", "url": at("openai"), "ledger": field.ledger()}),
        ollama=("router", {"kind": "ollama", "url": at("ollama"), "ledger": field.ledger()}),
        host=("host_contestants.routed_host", {**in_host, "ledger": field.ledger()}),
    ) as workers:
        for callers, each in scale.in_flight:
            found = measured(scale.few_rounds, workers, "flight", callers=callers, each=each)
            for name in IN_FLIGHT:
                rows += _in_flight(found, name, callers)
    return rows


def _in_flight(found: Mapping[Name, list[Result]], contestant: Name, callers: int) -> list[Row]:
    called, default = IN_FLIGHT[contestant]
    rate, waited = pick(found, contestant, "per_s"), pick(found, contestant, "p50_ms")
    name, latency = f"{callers} in flight of {LATENCY_MS} ms, {called}", [float(LATENCY_MS)]
    # What is left when nothing but the provider is waited for.
    most = [callers * 1000 / LATENCY_MS] * len(rate)
    share = IN_FLIGHT_TARGETS.get(callers, 0.1)
    of_all = ("all that the provider allows", f"{share:.0%}", at_least(share))
    no_fewer = (default, "no fewer", at_least(1.0))
    return [
        Row(name, "/s", rate, pick(found, "httpx", "per_s"), "ChatOpenAI over httpx"),
        Row(name, "/s", rate, pick(found, f"default_{contestant}", "per_s"), *no_fewer),
        Row(name, "/s", rate, most, *of_all),
        Row(name, "ms p50", waited, latency * len(rate), "the provider's latency"),
    ]


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
    seconds = [pick(found, name, "seconds") for name in ("ours", "bare")]
    return [
        Row(title, "s until all are done", *seconds, "same client", "1.25 times", at_most(1.25)),
        Row(
            f"{title}, memory above theirs",
            "KB a request",
            added(found, "ours", "bare", "kb_each"),
            pick(found, "bare", "kb_each"),
            "same client",
            "60 KB",
            lambda value, _: value <= 60,
        ),
    ]


def processes(scale: Scale, field: Field) -> list[Row]:
    """By how much the rate grows when as many processes as cores share one ledger."""
    url, ledger = field.url(), field.ledger()
    options = {"kind": "openai", "url": url}
    load = {"callers": scale.callers // 2, "each": scale.each_of_processes}

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
    return [Row(name, "times", ours, bare, "no ledger", "0.95 times", at_least(0.95))]
