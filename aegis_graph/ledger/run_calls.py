"""What the ledger knows of the calls of runs, by the runs' ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.store import LIST_LIMIT, padded_count


class RunCall(NamedTuple):
    """One call of a run."""

    id: int
    route_id: str
    query_hash: str
    nano_usd: int
    """What it cost, or holds as long as that is not known."""
    is_open: bool


def calls_of_runs(run_ids: Sequence[str]) -> Query[dict[str, tuple[RunCall, ...]]]:
    """The calls of some runs, in their order; those without any are left out."""
    found: defaultdict[str, list[RunCall]] = defaultdict(list)
    for at in range(0, len(run_ids), LIST_LIMIT):
        some = run_ids[at : at + LIST_LIMIT]
        number = padded_count(len(some))
        rows = yield Statement(
            "SELECT run_id, id, route_id, query_hash, status, cost_nano_usd, hold_nano_usd"
            f" FROM requests WHERE run_id IN ({', '.join('?' * number)}) ORDER BY id",
            (*some, *[""] * (number - len(some))),
        )
        for run, id_, route_id, query_hash, status, cost, hold in rows:
            is_open = status == "reserved"
            nano_usd = int(hold if is_open else cost)
            found[run].append(RunCall(int(id_), route_id, query_hash, nano_usd, is_open))
    return {run: tuple(calls) for run, calls in found.items()}


def open_runs() -> Query[list[str]]:
    """The runs that hold money now, each as often as it has a hold."""
    rows = yield Statement(
        "SELECT run_id FROM requests WHERE status = 'reserved' AND run_id IS NOT NULL"
    )
    return [run for (run,) in rows]


def unanswered_errors(run_id: str, since: str) -> Query[set[str]]:
    """The errors of a run's requests that had no answer, since an instant."""
    rows = yield Statement(
        "SELECT error_type FROM unanswered WHERE run_id = ? AND timestamp >= ?", (run_id, since)
    )
    return {error_type for (error_type,) in rows}
