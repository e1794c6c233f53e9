"""What held rows have really cost, as far as a bill tells: a share for each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import ROUND_CEILING

from aegis_graph.ledger.bills.booked import HeldRow, held_rows
from aegis_graph.ledger.bills.comparison import ComparedGroup
from aegis_graph.ledger.bills.groups import billed_name
from aegis_graph.ledger.corrections import Correction, shared_cost
from aegis_graph.ledger.queries import Query
from aegis_graph.pricing.money import NANO_PER_USD


def held_corrections(compared: Sequence[ComparedGroup]) -> Query[list[tuple[Correction, int]]]:
    """The rows that would cost something else, each with what it has cost so far.

    Days for which the bill has nothing of a model are left out: it may still come.
    """
    billed = [one for one in compared if one.group.lines and one.group.booked_usd("held_usd")]
    if not billed:
        return []
    rows = yield from held_rows(one.group.period for one in billed)
    shares: list[tuple[Correction, int]] = []
    of_group: defaultdict[int, list[HeldRow]] = defaultdict(list)
    for row in rows:
        for at, one in enumerate(billed):
            if _belongs(row, one):
                of_group[at].append(row)
    for at, own in of_group.items():
        # Rounded up: no correction counts less as spent than was billed.
        cost = (billed[at].held_is_usd * NANO_PER_USD).to_integral_value(ROUND_CEILING)
        holds = [(row.id, row.nano_usd) for row in own]
        was = dict(holds)
        shares += [(share, was[share.row_id]) for share in shared_cost(holds, int(cost))]
    return [(share, was) for share, was in shares if share.cost_nano_usd != was]


def _belongs(row: HeldRow, one: ComparedGroup) -> bool:
    group = one.group
    return (
        row.provider == group.provider
        and group.period.start <= row.moment < group.period.end
        and billed_name(row, [group.model]) is not None
    )
