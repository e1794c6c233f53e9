"""How far a job is, from its file and its ledger. Pure."""

from __future__ import annotations

from aegis_graph.bulk.envelope import JobMoney
from aegis_graph.bulk.records import BulkProgress, JobFacts


def progress_of(facts: JobFacts, money: JobMoney | None = None) -> BulkProgress:
    """How far a job is.

    Args:
        facts: Of its own file.
        money: Of its ledger; what its results say they cost when absent.
    """
    rate = facts.items_per_s
    is_working = facts.state in {"running", "paused"}
    return BulkProgress(
        name=facts.name,
        state=facts.state,
        reason=facts.reason,
        total=facts.total,
        done=facts.done,
        failed=facts.failed,
        set_aside=facts.set_aside,
        leased=facts.leased,
        pending=facts.pending,
        spent_nano_usd=facts.spent_nano_usd if money is None else money.spent,
        envelope_nano_usd=facts.envelope_nano_usd,
        bought_twice_at_most=facts.twice_items,
        bought_twice_nano_usd=facts.twice_nano_usd,
        items_per_s=rate,
        seconds_left=facts.open / rate if rate and is_working else None,
    )


def rest_nano_usd(progress: BulkProgress) -> int | None:
    """What the items without a result would cost, by what the others did; rounded up.

    Returns:
        ``None`` where none has a result, 0 where all have one.
    """
    rest = progress.pending + progress.failed + progress.leased
    ended = progress.done + progress.set_aside
    if not rest:
        return 0
    return -(-progress.spent_nano_usd * rest // ended) if ended else None
