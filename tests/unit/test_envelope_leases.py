"""An envelope that is lent in parts is never spent twice, whatever the workers do."""

from __future__ import annotations

import pytest
from envelope_leases import EnvelopeLeases
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

WORKERS = ("a", "b", "c")
AMOUNTS = st.integers(0, 300)


class LeasesOfWorkers(RuleBasedStateMachine):
    """Workers that lease, reserve, pay, give back and die in any order."""

    @initialize(envelope=st.integers(0, 1000), parts=st.integers(1, 20))
    def lend(self, envelope: int, parts: int) -> None:
        self.leases = EnvelopeLeases(envelope, parts=parts)
        self.holds: list[tuple[str, int]] = []
        self.paid = self.lost = 0

    @rule(worker=st.sampled_from(WORKERS), hold=AMOUNTS)
    def admit(self, worker: str, hold: int) -> None:
        there_is = self.leases.free(worker) + self.leases.left
        taken = self.leases.take(worker, hold=hold)
        assert taken == (hold <= there_is)
        assert self.leases.admit(worker, hold) == taken
        if taken:
            self.holds.append((worker, hold))

    @rule(worker=st.sampled_from(WORKERS), hold=AMOUNTS)
    def admit_without_asking(self, worker: str, hold: int) -> None:
        free = self.leases.free(worker)
        admitted = self.leases.admit(worker, hold)
        assert admitted == (hold <= free)
        if admitted:
            self.holds.append((worker, hold))

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        worker, hold = self.holds.pop(data.draw(st.integers(0, len(self.holds) - 1)))
        cost = data.draw(st.integers(0, hold))
        self.leases.settle(worker, hold, cost)
        self.paid += cost

    @rule(worker=st.sampled_from(WORKERS))
    def give_back(self, worker: str) -> None:
        self.leases.give_back(worker)
        assert self.leases.free(worker) == 0

    @rule(worker=st.sampled_from(WORKERS))
    def lose(self, worker: str) -> None:
        before = self.leases.spent
        self.leases.lose(worker)
        self.lost += self.leases.spent - before
        self.holds = [one for one in self.holds if one[0] != worker]

    @invariant()
    def nothing_is_spent_or_lent_that_is_not_there(self) -> None:
        leases = self.leases
        assert leases.left + leases.out() + leases.spent == leases.envelope
        assert leases.spent == self.paid + self.lost
        assert min(leases.left, leases.out(), leases.spent) >= 0
        assert all(leases.free(worker) >= 0 for worker in WORKERS)
        assert sum(hold for _, hold in self.holds) + leases.spent <= leases.envelope


test_leases_never_exceed_the_envelope = LeasesOfWorkers.TestCase


def test_a_lease_is_a_part_of_what_is_left() -> None:
    leases = EnvelopeLeases(1000, parts=10)
    for worker, lent in (("a", 100), ("b", 90), ("c", 81)):
        assert leases.take(worker, hold=1)
        assert leases.free(worker) == lent


def test_what_was_given_back_is_lent_again() -> None:
    leases = EnvelopeLeases(100, parts=1)
    assert leases.take("a", hold=10)
    assert not leases.take("b", hold=10)
    leases.give_back("a")
    assert leases.take("b", hold=10)


def test_a_call_cannot_cost_more_than_its_hold() -> None:
    leases = EnvelopeLeases(100, parts=1)
    leases.take("a", hold=10)
    leases.admit("a", 10)
    with pytest.raises(ValueError, match="a hold of 10 of 10 cannot cost 11"):
        leases.settle("a", 10, 11)


def test_an_envelope_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="an envelope of -1"):
        EnvelopeLeases(-1, parts=1)
