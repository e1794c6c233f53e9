"""A simulation of workers on one budget, by discrete events that are drawn from a seed."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from admission_times import TransactionTimes
from envelope_leases import EnvelopeLeases

from aegis_graph.ledger.writer import MAX_BATCH

Then = Callable[[], None]

MOST = 0.95
"""Of the envelope: what is seen until so much is spent says how fast the fleet is; after that, some
of the workers have no money and wait for what others give back."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many workers there are, and what each of them does."""

    workers: int
    concurrency: int = 32
    """Calls that a worker has in flight."""
    call_s: float = 1.0
    """Median of what a call takes; its distribution is lognormal."""
    spread: float = 0.4
    hold_nano_usd: int = 1_000_000
    """What a call reserves; it costs a fifth to all of that."""
    calls_each: int = 600
    """About how many calls of each worker the envelope is enough for."""
    round_trip_s: float = 0.0005
    """Between a worker and the shared database."""

    @property
    def envelope(self) -> int:
        """What all calls may cost together, in nano-USD."""
        return self.workers * self.calls_each * self.hold_nano_usd * 3 // 5


@dataclass
class Outcome:
    """What came of it."""

    calls: int = 0
    """That were settled."""
    seconds: float = 0.0
    """Until most of the money was spent, and so all that is counted here but money itself."""
    waits: list[float] = field(default_factory=list)
    """How long each admission took."""
    shared: int = 0
    """Transactions in the shared database."""
    busy_s: float = 0.0
    """How long its lock was held."""
    spent: int = 0
    left: int = 0

    def percentile(self, percent: int) -> float:
        """Of the waits, by nearest rank."""
        return sorted(self.waits)[-(-len(self.waits) * percent // 100) - 1]


class Clock:
    """Does what is due, in the order of time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Then]] = []
        self._numbers = count()

    def after(self, seconds: float, then: Then) -> None:
        """Do something so much later."""
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), then))

    def run(self) -> None:
        """Until nothing is due."""
        while self._due:
            self.now, _, then = heapq.heappop(self._due)
            then()


class Lock:
    """One writer at a time, in the order in which they came."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[tuple[float, Then]] = deque()
        self._taken = False
        self.transactions, self.busy_s = 0, 0.0

    def hold(self, seconds: float, then: Then) -> None:
        """Hold it for so long as soon as it is free, then go on."""
        self._waiting.append((seconds, then))
        if not self._taken:
            self._next()

    def _next(self) -> None:
        self._taken = bool(self._waiting)
        if self._taken:
            seconds, then = self._waiting.popleft()
            self.transactions, self.busy_s = self.transactions + 1, self.busy_s + seconds
            self._clock.after(seconds, lambda: self._end(then))

    def _end(self, then: Then) -> None:
        self._next()
        then()


class Writer:
    """Commits all that has arrived at once, one transaction after the other, as the ledger does."""

    def __init__(
        self, clock: Clock, lock: Lock, times: TransactionTimes, round_trip_s: float = 0.0
    ) -> None:
        self._clock, self._lock, self._times, self._trip = clock, lock, times, round_trip_s
        self._queue: list[Then] = []
        self._busy = False

    def submit(self, then: Then) -> None:
        """Go on when an operation is committed."""
        self._queue.append(then)
        if not self._busy:
            self._busy = True
            self._clock.after(0, self._begin)

    def _begin(self) -> None:
        batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
        held = self._times.locked(len(batch), self._trip)
        self._clock.after(
            self._times.between(len(batch)),
            lambda: self._lock.hold(held, lambda: self._committed(batch)),
        )

    def _committed(self, batch: list[Then]) -> None:
        for then in batch:
            then()
        self._busy = bool(self._queue)
        if self._busy:
            self._clock.after(0, self._begin)


@dataclass
class _Worker:
    name: str
    shared: Writer
    own: Writer
    waiting: deque[Then] = field(default_factory=deque)
    """Callers for which its lease has no room."""
    asking: bool = False
    """Whether it has asked for another lease."""


class Simulation:
    """Runs a fleet until its envelope is spent.

    Args:
        fleet: The workers.
        shared: What a transaction in the shared database takes.
        own: What one takes in a worker's own file, in which it admits with a lease.
        parts: A lease is what is left divided by so many; ``None`` for no leases.
        seed: Of all that is drawn.
    """

    def __init__(
        self,
        fleet: Fleet,
        shared: TransactionTimes,
        own: TransactionTimes,
        *,
        parts: int | None,
        seed: int,
    ) -> None:
        self._fleet, self._leased = fleet, parts is not None
        self._draw = random.Random(seed)
        self._clock = Clock()
        self._lock = Lock(self._clock)
        # A part that is smaller than a hold makes each lease one hold: it is admitted centrally.
        self._money = EnvelopeLeases(fleet.envelope, parts=parts or fleet.envelope)
        self._outcome = Outcome()
        self._parked: deque[tuple[_Worker, Then]] = deque()
        self._workers = [
            _Worker(
                f"{number}",
                Writer(self._clock, self._lock, shared, fleet.round_trip_s),
                Writer(self._clock, Lock(self._clock), own),
            )
            for number in range(fleet.workers)
        ]

    def run(self) -> Outcome:
        """What came of it.

        Raises:
            AssertionError: More was spent than there is, or money was lost on the way.
        """
        for worker in self._workers:
            for _ in range(self._fleet.concurrency):
                # Not all at once: in step, they would wait for each other more than others do.
                self._clock.after(self._draw.random() * self._fleet.call_s, self._caller(worker))
        self._clock.run()
        outcome, money = self._outcome, self._money
        outcome.spent, outcome.left = money.spent, money.left
        assert money.out() == 0, "a worker kept money"
        assert money.spent + money.left == self._fleet.envelope
        return outcome

    def _caller(self, worker: _Worker) -> Then:
        def begin() -> None:
            began = self._clock.now

            def admitted() -> None:
                if not self._outcome.seconds:
                    self._outcome.waits.append(self._clock.now - began)
                took = self._fleet.call_s * self._draw.lognormvariate(0, self._fleet.spread)
                self._clock.after(took, ended)

            if self._leased:
                worker.waiting.append(admitted)
                self._serve(worker)
            else:
                self._admit_centrally(worker, admitted)

        def ended() -> None:
            hold = self._fleet.hold_nano_usd
            cost = self._draw.randint(hold // 5, hold)

            def settled() -> None:
                self._money.settle(worker.name, hold, cost)
                self._count()
                if self._leased:
                    self._serve(worker)
                else:
                    self._money.give_back(worker.name)
                    self._wake()
                begin()

            (worker.own if self._leased else worker.shared).submit(settled)

        return begin

    def _admit_centrally(self, worker: _Worker, admitted: Then) -> None:
        def decide() -> None:
            hold = self._fleet.hold_nano_usd
            if self._money.take(worker.name, hold=hold):
                self._money.admit(worker.name, hold)
                admitted()
            else:
                self._parked.append((worker, admitted))

        worker.shared.submit(decide)

    def _wake(self) -> None:
        """Let one that found no money try again: a call has cost less than its hold."""
        if self._parked and self._money.left >= self._fleet.hold_nano_usd:
            self._admit_centrally(*self._parked.popleft())

    def _serve(self, worker: _Worker) -> None:
        """Admit in the worker's own file what its lease has room for; ask for more if need be."""
        while worker.waiting and self._money.admit(worker.name, self._fleet.hold_nano_usd):
            worker.own.submit(worker.waiting.popleft())
        if worker.waiting and not worker.asking:
            worker.asking = True
            worker.shared.submit(lambda: self._lend(worker))

    def _lend(self, worker: _Worker) -> None:
        worker.asking = False
        if self._money.take(worker.name, hold=self._fleet.hold_nano_usd):
            self._serve(worker)
        else:
            self._money.give_back(worker.name)

    def _count(self) -> None:
        """One more call was settled."""
        outcome = self._outcome
        if outcome.seconds:
            return
        outcome.calls += 1
        if self._money.spent >= self._fleet.envelope * MOST:
            outcome.seconds = self._clock.now
            outcome.shared, outcome.busy_s = self._lock.transactions, self._lock.busy_s
