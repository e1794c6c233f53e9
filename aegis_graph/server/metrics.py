"""``/metrics``: the ledger's sums for a monitoring system, in Prometheus' text format.

Counters are read from the totals: they survive restarts and pruning, are the same in every process,
and amounts are exact to the nano-dollar. No name of a user is a label, and no value that only
callers choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import LedgerError
from aegis_graph.ledger import budgets
from aegis_graph.ledger.activity import ProviderFailures, failures_by_provider
from aegis_graph.ledger.attempts import held_now
from aegis_graph.ledger.factory import calendar_of
from aegis_graph.ledger.limit_status import LimitStatus, limit_statuses
from aegis_graph.ledger.queries import Query
from aegis_graph.ledger.records import BudgetStatus
from aegis_graph.ledger.report import spending
from aegis_graph.ledger.report_rows import CostRow
from aegis_graph.ledger.windows import ALL_DAYS, Calendar
from aegis_graph.pricing.money import usd_text
from aegis_graph.routing.limits import configured_limits
from aegis_graph.server.refusals import ledger_refusal
from aegis_graph.server.services import ServerServices
from aegis_graph.types import TASKS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

OTHER_TASK = "other"
"""The label of all tasks that neither the package nor the configuration names."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: a value, with what it is of."""

    labels: Mapping[str, str]
    value: str


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric with all its samples."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: Sequence[Sample]

    def lines(self) -> Iterator[str]:
        r"""Its part of the text format.

        Source: https://prometheus.io/docs/instrumenting/exposition_formats/

        Example:
            >>> one = Metric("aegis_x", "gauge", "What it is.", [Sample({"a": 'b"'}, "1")])
            >>> print(*one.lines(), sep=chr(10))
            # HELP aegis_x What it is.
            # TYPE aegis_x gauge
            aegis_x{a="b\""} 1
        """
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for sample in self.samples:
            labels = ",".join(f'{name}="{_escaped(text)}"' for name, text in sample.labels.items())
            yield f"{self.name}{f'{{{labels}}}' if labels else ''} {sample.value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def metrics_routes(services: ServerServices) -> list[BaseRoute]:
    """The routes for a monitoring system.

    Args:
        services: Of the app.
    """

    async def metrics(_: Request) -> Response:
        try:
            found = await services.ledger.read(_read(services))
        except LedgerError as error:
            return ledger_refusal(error)
        text = "".join(f"{line}\n" for metric in found for line in metric.lines())
        return Response(text, media_type=CONTENT_TYPE)

    return [Route("/metrics", metrics)]


def _read(services: ServerServices) -> Query[list[Metric]]:
    config, now = services.config, services.clock()
    calendar = calendar_of(config.ledger)
    found: list[Metric] = []
    for by in ("provider", "model", "task"):
        rows = yield from spending(by, ALL_DAYS)
        found += _counters(by, _known_tasks(rows, config) if by == "task" else rows)
    found.append(_reasons((yield from failures_by_provider())))
    holds, held = yield from held_now()
    found += [
        _gauge("aegis_open_holds", "Attempts under way, or whose outcome never came.", holds),
        _gauge("aegis_held_usd", "USD that is held for them.", usd_text(held)),
        _gauge(
            "aegis_waiting_requests",
            "Requests of this process that wait for room in a limit.",
            services.ledger.queue.waiting(),
        ),
    ]
    found += _limits((yield from limit_statuses(configured_limits(config), now, calendar)))
    named = {(one.scope, one.window) for one in (yield from budgets.in_force())}
    statuses = yield from budgets.statuses(now, calendar)
    # Those that a rule for each user or value made are as many as callers make.
    found += _budgets([one for one in statuses if (one.scope, one.window) in named], calendar)
    return found


def _gauge(name: str, help: str, value: int | str) -> Metric:
    return Metric(name, "gauge", help, [Sample({}, str(value))])


def _known_tasks(rows: Iterable[CostRow], config: RouterConfig) -> list[CostRow]:
    """The tasks that have a name here, and all others as one: callers may name any."""
    known = {*TASKS, *(task for row in config.providers for task in row.tasks or ())}
    return [
        *(row for row in rows if row.name in known),
        _sum(OTHER_TASK, [row for row in rows if row.name not in known]),
    ]


def _sum(name: str, rows: Sequence[CostRow]) -> CostRow:
    def total(column: str) -> int:
        return sum(getattr(row, column) for row in rows)

    return CostRow(
        name,
        total("calls"),
        total("failures"),
        total("input_tokens"),
        total("output_tokens"),
        total("spent_nano_usd"),
        total("held_nano_usd"),
        total("cached_input_tokens"),
        total("cache_write_tokens"),
    )


def _counters(by: str, rows: Sequence[CostRow]) -> Iterator[Metric]:
    def counter(name: str, help: str, samples: Iterable[tuple[CostRow, str, str]]) -> Metric:
        lines = [
            Sample({by: row.name, **({"kind": kind} if kind else {})}, value)
            for row, kind, value in samples
        ]
        return Metric(f"aegis_{by}_{name}_total", "counter", help, lines)

    yield counter("attempts", f"Attempts by {by}.", ((row, "", str(row.calls)) for row in rows))
    yield counter(
        "failures",
        f"Attempts without an answer by {by}.",
        ((row, "", str(row.failures)) for row in rows),
    )
    yield counter(
        "cost_usd", f"USD spent by {by}.", ((row, "", usd_text(row.spent_nano_usd)) for row in rows)
    )
    yield counter(
        "tokens",
        f"Tokens by {by} and by what is paid for them.",
        ((row, kind, str(number)) for row in rows for kind, number in _tokens(row).items()),
    )


def _reasons(failures: Iterable[ProviderFailures]) -> Metric:
    return Metric(
        "aegis_provider_failures_by_reason_total",
        "counter",
        "Attempts without an answer by provider and by the error that ended them.",
        [
            Sample({"provider": one.provider, "reason": one.reason}, str(one.number))
            for one in failures
        ],
    )


def _tokens(row: CostRow) -> dict[str, int]:
    cached = row.cached_input_tokens + row.cache_write_tokens
    return {
        "fresh_input": max(0, row.input_tokens - cached),
        "cache_read": row.cached_input_tokens,
        "cache_write": row.cache_write_tokens,
        "output": row.output_tokens,
    }


def _limits(statuses: Iterable[LimitStatus]) -> Iterator[Metric]:
    # A user is no label, whoever named that user in a limit.
    known = [
        ({"scope": one.scope, "unit": one.unit}, one)
        for one in statuses
        if one.used is not None and not one.scope.startswith(("user:", "tag:"))
    ]
    for name, help in (
        ("most", "What a limit lets through, in its own unit."),
        ("used", "What is in use of a limit."),
    ):
        samples = [Sample(labels, str(getattr(one, name))) for labels, one in known]
        yield Metric(f"aegis_limit_{name}", "gauge", help, samples)


def _budgets(statuses: Iterable[BudgetStatus], calendar: Calendar) -> Iterator[Metric]:
    known = [
        ({"scope": one.scope, "window": one.window}, one)
        for one in statuses
        if not one.scope.startswith("user:")
    ]
    for part, help in (
        ("limit", "USD that a budget allows in its window."),
        ("spent", "USD spent of a budget in its window."),
        ("held", "USD held of a budget in its window."),
        ("left", "USD left of a budget in its window."),
    ):
        samples = [
            Sample(labels, usd_text(getattr(one, f"{part}_nano_usd"))) for labels, one in known
        ]
        yield Metric(f"aegis_budget_{part}_usd", "gauge", help, samples)
    ends = [
        Sample(labels, str(int(calendar.begin(date.fromisoformat(one.end_day)).timestamp())))
        for labels, one in known
        if one.end_day != ALL_DAYS.end
    ]
    yield Metric(
        "aegis_budget_end_timestamp_seconds", "gauge", "When a budget's window ends.", ends
    )
