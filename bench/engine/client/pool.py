"""A request on its way through an application's connection pool, and what is known of that pool:
connections in use, created, lost and opened again.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic_ns  # CLOCK_MONOTONIC on Linux, as bench.core.clock, at half the price of a call
from typing import Generic, TypeVar

from bench.core.clock import NS_PER_S
from bench.engine.board import Reconnection
from bench.protocols.wants.state import Search
from bench.stack.target import address_of

WAITING, CONNECTING, SENT, RETURNING = range(4)
"""Stages of a ticket: no connection yet; one given, perhaps being opened; command written; answered."""

NEVER = -1
FAR_AHEAD_NS = 1 << 60
TIMER_STEP_S = 0.001
"""How much too early a timer of the event loop may ring."""


def limit_s(left_ns: int) -> float:
    """Seconds to give a client library as a limit, so that it ends nothing before its time. Never 0,
    which some take for none.
    """
    return max(left_ns, 0) / NS_PER_S + TIMER_STEP_S


class RunClock:
    """Nanoseconds from run zero; negative before it."""

    def __init__(self) -> None:
        self.start_ns = monotonic_ns() + FAR_AHEAD_NS
        self.run_label = 0
        """What `{run}` stands for."""

    def now_ns(self) -> int:
        """Time from run zero."""
        return monotonic_ns() - self.start_ns


@dataclass(slots=True)
class Leg:
    """One request of an arrival of several; times in ns from run zero."""

    name: int
    """What it is counted as: a name of the program."""
    sent_ns: int = NEVER
    done_ns: int = NEVER
    status: int = 0
    is_refused: bool = False
    """Whether it was sent once more behind its answer."""


class PendingRequest:
    """One arrival, from the moment it is taken from the plan; times in ns from run zero."""

    __slots__ = (
        "answers",
        "arrival",
        "began_ns",
        "captured",
        "done_ns",
        "has_asked",
        "holds_late",
        "key",
        "lane",
        "late_ns",
        "legs",
        "operation",
        "planned_ns",
        "row",
        "sent_ns",
        "stage",
        "task",
    )

    def __init__(self, planned_ns: int, row: int, operation: int, key: int, arrival: int) -> None:
        self.planned_ns = planned_ns
        self.row = row
        self.operation = operation
        self.key = key
        self.arrival = arrival
        self.began_ns = NEVER
        self.has_asked = False
        self.late_ns = NEVER
        """For how long the generator itself held it back; never of one that did not begin."""
        self.holds_late = False
        """Whether it took a connection and was late."""
        self.sent_ns = NEVER
        self.done_ns = NEVER
        self.lane = NEVER
        self.stage = WAITING
        self.answers: tuple[int, ...] = ()
        """What its answers brought: columns of a table of answers."""
        self.legs: list[Leg] = []
        """The requests of an arrival of several, as far as it has come; how the last ended is its outcome."""
        self.captured: Search | None = None
        """Where what its answers must have is looked for and kept; None where nothing is wanted."""
        self.task: asyncio.Task[None] | None = None


CURRENT: ContextVar[PendingRequest | None] = ContextVar("CURRENT", default=None)
"""The arrival that the running task works on: a connection pool is called from inside the client
library, which has no place to hand it through."""


NO_MORE_NS = 1 << 62


class PoolUse:
    """Follows the number of connections in use; times in ns from run zero, never backwards."""

    def __init__(self, size: int, measured: Sequence[tuple[int, int]]) -> None:
        self._size = size
        self._measured = list(measured)
        """Start and end of each measured phase, in order."""
        self._phases = iter(self._measured)
        self._to_next_phase()
        self._since_ns = 0
        self._area = 0
        self._highest = 0
        self._highest_ns: int | None = None
        self._highest_on_time = 0
        self.in_use = 0
        self.in_late_use = 0
        """Those of them that arrivals hold which the generator itself began late."""

    def change(self, now_ns: int, by: int) -> None:
        """`by` connections more (or, negative, fewer) are in use from now on."""
        if self._start_ns <= self._since_ns <= now_ns < self._end_ns:
            # Twice for every arrival, so the case without a boundary in between is short.
            self._area += self.in_use * (now_ns - self._since_ns)
            self._since_ns = now_ns
        else:
            self.account(now_ns)
        self.in_use += by
        if self._start_ns <= now_ns:  # fewer, too: what is left may be held since before the phase
            self._note_highest(now_ns)

    def account(self, now_ns: int) -> None:
        """Count the time since the last change up to now."""
        while now_ns > self._since_ns:
            overlap = min(now_ns, self._end_ns) - max(self._since_ns, self._start_ns)
            if overlap > 0:
                self._area += self.in_use * overlap
                self._note_highest(max(self._since_ns, self._start_ns))
            self._since_ns = min(now_ns, self._end_ns)
            if now_ns >= self._end_ns:
                self._to_next_phase()

    def _note_highest(self, now_ns: int) -> None:
        if self.in_use > self._highest:
            self._highest, self._highest_ns = self.in_use, now_ns
        self._highest_on_time = max(self._highest_on_time, self.in_use - self.in_late_use)

    def _to_next_phase(self) -> None:
        self._start_ns, self._end_ns = next(self._phases, (NO_MORE_NS, NO_MORE_NS))

    def figures(self) -> dict[str, float]:
        """size, and the highest and mean share of it in use; 0 where no measured time has passed.

        The highest also without what arrivals held that the generator began late; and when it was reached,
        where it is not 0.
        """
        passed = sum(max(min(self._since_ns, end) - start, 0) for start, end in self._measured)
        mean = self._area / passed / self._size if passed else 0.0
        reached = {} if self._highest_ns is None else {"utilization_max_ns": self._highest_ns}
        return {
            **reached,
            "size": self._size,
            "utilization_max": self._highest / self._size,
            "utilization_max_on_time": self._highest_on_time / self._size,
            "utilization_mean": mean,
        }


KEPT_NOTES = 100_000
LATE_NS = 2_000_000
"""An arrival that began later than this belongs to a burst which the generator made by standing still."""


class PoolMonitor:
    """Told by a client library's pool what it does; connections have numbers from 0.

    Written in the loop's thread; other threads may read the counts and pop the notes.
    """

    def __init__(self, size: int, measured: Sequence[tuple[int, int]], clock: RunClock) -> None:
        self.size = size
        self.use = PoolUse(size, measured)
        self.created = 0
        """Connections made known to the pool."""
        self.opened = 0
        """Times that a connection was opened and greeted."""
        self.lost = 0
        self.reconnected = 0
        self.broken_replies = 0
        """Times that bytes were no reply of the protocol."""
        self.stray_replies = 0
        """Replies that nothing had asked for."""
        self.left_read_only = 0
        """Connections closed because their server takes no writes."""
        self.addresses: Counter[str] = Counter()
        """How many connections were opened to each, the first one first."""
        self.notes: deque[Reconnection] = deque(maxlen=KEPT_NOTES)
        self._clock = clock
        self._greeted: set[int] = set()
        self._away: dict[int, tuple[int, int]] = {}
        """Number of a lost connection -> when it was found lost, attempts to open it since."""

    @property
    def connected(self) -> int:
        """Connections that are open as far as the application knows."""
        return len(self._greeted) - len(self._away)

    def on_created(self) -> int:
        """A connection became part of the pool; returns its number."""
        self.created += 1
        return self.created - 1

    def on_address(self, transport: asyncio.BaseTransport | None) -> None:
        """A connection was opened to where this leads."""
        place = transport.get_extra_info("peername") if transport is not None else None
        if isinstance(place, tuple):
            self.addresses[address_of(*place[:2])] += 1
        elif place:
            self.addresses[str(place)] += 1

    def on_acquired(self) -> None:
        """One more is in use, by the arrival that the running task works on."""
        ticket = CURRENT.get()
        if ticket is not None and ticket.late_ns >= LATE_NS and not ticket.holds_late:
            ticket.holds_late = True
            self.use.in_late_use += 1
        self.use.change(self._clock.now_ns(), 1)

    def on_returned(self) -> None:
        """One fewer is in use."""
        self.use.change(self._clock.now_ns(), -1)

    def on_ended(self, ticket: PendingRequest) -> None:
        """An arrival has ended, with or without a connection."""
        if ticket.holds_late:
            self.use.in_late_use -= 1

    def on_lost(self, number: int) -> None:
        """The connection was found broken, or could not be opened."""
        found, attempts = self._away.get(number, (0, 0))
        if number not in self._greeted:
            return
        if attempts == 0:
            self.lost += 1
            found = self._clock.now_ns()
        self._away[number] = (found, attempts + 1)

    def on_parted(self, number: int) -> None:
        """The connection was closed after an answer: the next of that number is no reconnection."""
        self._greeted.discard(number)
        self._away.pop(number, None)

    def on_opened(self, number: int) -> None:
        """The connection is open and the server has answered on it."""
        self.opened += 1
        if number not in self._greeted:
            self._greeted.add(number)
            return
        if number not in self._away:  # it had broken while it was not used
            self.on_lost(number)
        found, attempts = self._away.pop(number)
        now = self._clock.now_ns()
        self.reconnected += 1
        self.notes.append(
            Reconnection(
                thread=0,
                lane=number,
                lost_ns=found + self._clock.start_ns,
                back_ns=now + self._clock.start_ns,
                attempts=attempts,
            )
        )

    def leaked(self) -> int:
        """Connections still in use, plus those beyond the pool's size; asked when all arrivals have ended."""
        return self.use.in_use + max(self.created - self.size, 0)


Connection = TypeVar("Connection")


class ConnectionNumbers(Generic[Connection]):
    """Which connection has which number; a PoolMonitor is notified. Connections are compared by identity."""

    def __init__(self, watch: PoolMonitor, is_open: Callable[[Connection], bool]) -> None:
        self._watch = watch
        self._is_open = is_open
        self._held: dict[int, Connection] = {}
        self._numbers: dict[int, int] = {}
        """id of a held connection -> its number."""
        self._free: set[int] = set()

    def take(self) -> int:
        """The number of a connection that is about to be opened."""
        if not self._free:
            # Those that broke while they were not used: nothing reports that.
            for number, connection in list(self._held.items()):
                if not self._is_open(connection):
                    self.lost(number, connection)
        return self._free.pop() if self._free else self._watch.on_created()

    def opened(self, number: int, connection: Connection) -> None:
        """It is open."""
        self._held[number] = connection
        self._numbers[id(connection)] = number
        self._watch.on_opened(number)

    def unopened(self, number: int) -> None:
        """It could not be opened."""
        self._watch.on_lost(number)
        self._free.add(number)

    def number_of(self, connection: Connection) -> int:
        """The number of an open connection."""
        return self._numbers[id(connection)]

    def connection(self, number: int) -> Connection | None:
        """The connection of that number, where one is held."""
        return self._held.get(number)

    def lost(self, number: int, connection: Connection | None) -> None:
        """It is broken. Idempotent."""
        if connection is not None and self._held.get(number) is connection:
            self._let_go(number, connection)
            self._watch.on_lost(number)

    def parted(self, number: int, connection: Connection) -> None:
        """It was closed after an answer, as the server had said or as it is used to."""
        if self._held.get(number) is connection:
            self._let_go(number, connection)
            self._watch.on_parted(number)

    def _let_go(self, number: int, connection: Connection) -> None:
        del self._held[number]
        del self._numbers[id(connection)]
        self._free.add(number)
