"""What the ledger tells of its last attempts, on both stores."""

from __future__ import annotations

from aegis_graph.ledger.past_attempts import past_attempts
from aegis_graph.ledger.settlements import unused_hold
from tests.contract.ledger_store import Store, hold, settlement


async def test_an_attempt_that_was_cut_short_is_told_and_an_unused_hold_is_not(
    store: Store,
) -> None:
    ledger = store.open()
    for status, cost_basis in (
        ("answered", "reported"),
        ("failed", "none"),
        ("cancelled", "held"),
        ("cancelled", "estimated"),
    ):
        made = await ledger.admit([hold(9)])
        ended = settlement(made, 1, status=status, cost_basis=cost_basis, latency_ms=70)
        await ledger.settle([ended])
    made = await ledger.admit([hold(9)])
    assert made.hold_id is not None
    await ledger.settle([unused_hold(made.hold_id)])
    found = await ledger.read(past_attempts(10))
    assert [(one.answered, one.cancelled, one.latency_ms) for one in found] == [
        (True, False, 70),
        (False, False, 70),
        (False, True, 70),
        (False, True, 70),
    ]
