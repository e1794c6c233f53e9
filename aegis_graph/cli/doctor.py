"""``aegis doctor``: what works and what does not, without buying anything."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from aegis_graph.cli import NOT_ADMITTED, OK
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.interrupts import run_async
from aegis_graph.cli.limits import limit_lines, limits_as_json, limits_in_use
from aegis_graph.cli.output import new_console, print_lines
from aegis_graph.cli.row_warnings import row_warnings
from aegis_graph.clock import utc_now
from aegis_graph.config.accept import ANY_TASK
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ConfigError, LedgerError
from aegis_graph.ledger.factory import calendar_of, create_ledger
from aegis_graph.ledger.limit_status import LimitStatus
from aegis_graph.ledger.report_rows import Overrun
from aegis_graph.pricing.money import usd_text
from aegis_graph.providers.registry import create_provider
from aegis_graph.routing.application.checks import accept_checks
from aegis_graph.text.foreign import clean_text

_MOST_MODELS = 12
"""Models of a server that are shown where it lacks the row's; ``--json`` has all of them."""

OVERRUN_DAYS = 30
"""How far the report looks back for attempts that cost more than was reserved."""

_TITLES = {"Providers": "providers", "Providers for images": "vision", "Embeddings": "embeddings"}


@dataclass(frozen=True, slots=True)
class _ProviderCheck:
    """One provider."""

    provider: str
    enabled: bool
    kind: str
    model: str
    location: str
    key: bool | None
    """``None`` where no key is needed."""
    reachable: bool | None
    model_there: bool | None
    """``None`` where there is no free way to ask."""
    price_known: bool | None
    """``None`` where it was not looked up."""
    problem: str
    installed: bool = True
    models: tuple[str, ...] = ()
    """What the server has, where the row's model is not among it."""
    warnings: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether the router may ask it, as far as can be seen for free."""
        # Where there is no free way to ask, nothing speaks against the provider.
        return (
            self.enabled
            and bool(self.price_known)
            and self.key is not False
            and self.installed
            and self.reachable is not False
        )


@dataclass(frozen=True, slots=True)
class _LedgerCheck:
    """The ledger."""

    url: str
    schema_version: int | None
    problem: str = ""
    overruns: tuple[Overrun, ...] = ()
    """Of the last ``OVERRUN_DAYS``."""
    limits: tuple[LimitStatus, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        rows = [
            {
                "provider": one.provider,
                "attempts": one.attempts,
                "usd": usd_text(one.nano_usd),
                "unbelieved": one.unbelieved,
            }
            for one in self.overruns
        ]
        return {
            "url": self.url,
            "writable": not self.problem,
            "schema_version": self.schema_version,
            "problem": self.problem,
            "overruns": rows,
            "limits": limits_as_json(self.limits),
        }

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        state = self.problem or f"writable, schema version {self.schema_version}"
        yield f"Ledger {self.url}: {state}"
        for one in self.overruns:
            parts = []
            if one.attempts:
                above = f"cost ${usd_text(one.nano_usd)} more than was reserved"
                parts.append(f"{one.attempts} attempts {above}")
            if one.unbelieved:
                parts.append(
                    f"{one.unbelieved} reported more than can be true, and cost their hold"
                )
            yield f"  !! {one.provider}, last {OVERRUN_DAYS} days: {'; '.join(parts)}"
        yield from limit_lines(self.limits)


def doctor(options: argparse.Namespace) -> int:
    """Check every provider and the ledger; status 0 when a request can be answered."""
    config = load_config(options)
    vision = load_config(options, RouterConfig.load_vision)
    chains: dict[str, Sequence[ProviderSpec]] = {
        "providers": config.providers,
        "vision": [row for row in vision.providers if row.images and _serves_vision(row)],
        "embeddings": config.embeddings,
    }
    found, ledger = run_async(_check_all(config, chains))
    problem = _checks_problem(config)
    # By the chain for text: without the other two most requests can still be answered.
    usable = any(finding.usable for finding in found["providers"])
    healthy = usable and not ledger.problem and not problem
    if options.json:
        rows = {name: [asdict(finding) for finding in chain] for name, chain in found.items()}
        accept = {"checks": dict(config.accept), "problem": problem}
        print(
            json.dumps({"healthy": healthy, **rows, "accept": accept, "ledger": ledger.as_json()})
        )
    else:
        console = new_console()
        # In a file or a pipe nothing is wrapped.
        width = console.width if sys.stdout.isatty() else sys.maxsize
        for title, name in _TITLES.items():
            print_lines(console, [f"{title}, in the order in which they are asked:"])
            for line in _lines(found[name], width=width):
                print(line)
            print()
        print_lines(console, [*_check_lines(config, problem), *ledger.lines()])
        print("\nA request can be answered." if healthy else "\nNo request can be answered.")
    return OK if healthy else NOT_ADMITTED


def _checks_problem(config: RouterConfig) -> str:
    """Why a check of answers cannot be had, if one cannot."""
    try:
        accept_checks(config)
    except ConfigError as error:
        return str(error)
    return ""


def _check_lines(config: RouterConfig, problem: str) -> Iterator[str]:
    for task, check in config.accept.items():
        yield f"Answers to {'every other task' if task == ANY_TASK else task} must pass {check}"
    if problem:
        yield f"  !! {problem}"


def _serves_vision(row: ProviderSpec) -> bool:
    return row.tasks is None or "vision" in row.tasks


async def _check_all(
    config: RouterConfig, chains: Mapping[str, Sequence[ProviderSpec]]
) -> tuple[dict[str, list[_ProviderCheck]], _LedgerCheck]:
    found = {
        # All at once: one unreachable server would hold up the others for its time limit.
        name: list(await asyncio.gather(*(_check_provider(row, config) for row in rows)))
        for name, rows in chains.items()
    }
    return found, await _check_ledger(config)


async def _check_ledger(config: RouterConfig) -> _LedgerCheck:
    url, day = config.ledger.url_without_password, calendar_of(config.ledger).day(utc_now())
    try:
        ledger = create_ledger(config)
        version = await ledger.check()
        first_day = (day - timedelta(days=OVERRUN_DAYS)).isoformat()
        overruns, limits = await ledger.overruns(first_day), await limits_in_use(ledger, config)
        return _LedgerCheck(url, version, overruns=tuple(overruns), limits=tuple(limits))
    except (LedgerError, ModuleNotFoundError) as error:  # also where its driver is not installed
        return _LedgerCheck(url, None, problem=str(error))


async def _check_provider(row: ProviderSpec, config: RouterConfig) -> _ProviderCheck:
    about = (row.name, row.enabled, row.kind, row.model, row.location)
    if not row.enabled:
        problem = "switched off by enabled = false"
        return _ProviderCheck(*about, None, None, None, price_known=None, problem=problem)
    try:
        provider = create_provider(row, source=config.source, environ=config.variables())
    # A row that the router would refuse is one line of the report, not the end of it.
    except ConfigError as error:
        return _ProviderCheck(*about, None, None, None, price_known=False, problem=str(error))
    # Whether there is a key, never the key: the report is made to be shown around.
    key = bool(provider.api_key()) if provider.key_env else None
    # Before the probe, which would need the package.
    if package := provider.missing_package():
        return _ProviderCheck(
            *about, key, None, None, price_known=True, problem=f"needs: {package}", installed=False
        )
    probe = await provider.probe()
    problems = [f"{provider.key_env} is not set"] if key is False else []
    # A provider may have written it, and this goes to a terminal.
    detail = clean_text(probe.detail, key=provider.api_key())
    if probe.reachable is False:
        problems.append(f"not reachable: {detail}")
    elif detail:
        problems.append(detail)
    return _ProviderCheck(
        *about,
        key,
        probe.reachable,
        probe.model_there,
        price_known=True,
        problem="; ".join(problems),
        models=probe.models if probe.model_there is False else (),
        warnings=tuple(row_warnings(provider, probe)),
    )


def _lines(findings: Sequence[_ProviderCheck], *, width: int) -> Iterator[str]:
    """A provider's facts, and below them what is wrong, in lines that the terminal does not cut."""
    names = max((len(finding.provider) for finding in findings), default=0)
    models = max((len(finding.model) for finding in findings), default=0)
    for finding in findings:
        cells = [finding.provider.ljust(names), finding.model.ljust(models), *_facts(finding)]
        yield from _wrapped(cells, width=width, gap="  ", first=2, others=names + 4)
        for mark, text in _remarks(finding):
            words = f"{mark} {text}".split()
            yield from _wrapped(words, width=width, gap=" ", first=names + 4, others=names + 7)


def _facts(finding: _ProviderCheck) -> tuple[str, ...]:
    if not finding.enabled:
        return ("switched off",)
    return (
        "usable    " if finding.usable else "not usable",
        finding.location.ljust(5),
        _yes_no_unknown(finding.key, "key set", "no key", unknown="no key needed").ljust(13),
        _yes_no_unknown(finding.reachable, "reachable", "unreachable").ljust(11),
        _yes_no_unknown(
            finding.model_there, "model there", "model not there", unknown="model not asked"
        ),
        "price known" if finding.price_known else "row refused",
    )


def _remarks(finding: _ProviderCheck) -> Iterator[tuple[str, str]]:
    if finding.problem and finding.enabled:
        yield "->", finding.problem
    if finding.models:
        shown = ", ".join(map(clean_text, finding.models[:_MOST_MODELS]))
        more = len(finding.models) - _MOST_MODELS
        yield "->", f"it has {shown}" + (f" and {more} more" if more > 0 else "")
    for warning in finding.warnings:
        yield "!!", warning


def _wrapped(
    cells: Sequence[str], *, width: int, gap: str, first: int, others: int
) -> Iterator[str]:
    """Cells in as many lines as they need, each with its indent."""
    line, empty = " " * first, True
    for cell in cells:
        if not empty and len(line) + len(gap) + len(cell.rstrip()) > width:
            yield line.rstrip()
            line, empty = " " * others, True
        line += cell if empty else gap + cell
        empty = False
    yield line.rstrip()


def _yes_no_unknown(value: bool | None, yes: str, no: str, *, unknown: str = "not asked") -> str:
    return unknown if value is None else yes if value else no
