"""The compiled loop in a thread of its own, and what of the connections it owns.

It is loaded while the proxy already serves, because it needs packages and takes a second; until then,
and where it cannot be loaded, the Python loop passes the bytes on, as it does under a toxic. Only
the thread that has it parked may touch what it owns.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable

import numpy as np

from bench.core.clock import WallLabel
from bench.core.jit import PLAIN
from bench.core.threads import ask_for_turns_of
from bench.engine.wire import relay
from bench.engine.wire.relay import (
    AT,
    BUFFER,
    COLUMNS,
    CONTROLS,
    EPOLL,
    EVICTED,
    LENGTH,
    PARK,
    PARKED,
    PASSED,
    PEER,
    POOL,
    REASONS,
    RESUME,
    SINCE,
    STOP,
    TOLD,
    WAKE,
)
from bench.engine.wire.syscalls import EVENT_WORDS, SO_TIMESTAMPNS
from chaos.proxy.loop import BUCKETS, RELAY, ROW, ROWS, Gauges

TURN_NS = 100_000
"""Of a processor: some bytes passed on."""
READ_BYTES = 65_536
MOST_DESCRIPTORS = 65_536
"""Of a higher number the Python loop has the connection."""
EVENTS = 256
PARKING_S = 5.0
STEP_S = 0.00002


class Relay:
    """Owns pairs of descriptors that are watched by `epoll`."""

    def __init__(self, epoll: int, wake: int, released: int, gauges: Gauges) -> None:
        """wake: an eventfd that `epoll` reports. released: one that says that pairs were let go of."""
        self._resume = os.eventfd(0, os.EFD_CLOEXEC)
        self._wake = wake
        control = self._control = np.zeros(CONTROLS, dtype=np.int64)
        control[EPOLL], control[WAKE], control[RESUME], control[TOLD] = epoll, wake, self._resume, released
        self._flows = np.full((MOST_DESCRIPTORS, COLUMNS), -1, dtype=np.int64)
        self._flows[:, PASSED] = 0
        self._most = 0
        self._pool = np.zeros((POOL, READ_BYTES), dtype=np.uint8)
        self._owners = np.full(POOL, -1, dtype=np.int64)
        self._evicted = np.zeros((MOST_DESCRIPTORS, REASONS), dtype=np.int64)
        self._seen = 0
        self._gauges = gauges
        words = np.frombuffer(gauges.words, dtype=np.int64)
        row = words[RELAY * ROW : (RELAY + 1) * ROW]
        at = ROWS * ROW + RELAY * BUCKETS
        self._arguments = (
            control,
            self._flows,
            self._pool,
            self._owners,
            self._evicted,
            row,
            words[at : at + BUCKETS],
            np.zeros(EVENT_WORDS * EVENTS, dtype=np.int32),
            np.zeros(READ_BYTES, dtype=np.uint8),
            np.zeros(7, dtype=np.int64),
            np.zeros(2, dtype=np.int64),
            np.zeros(8, dtype=np.int64),
            np.zeros(2, dtype=np.int64),
            np.zeros(4, dtype=np.int32),
        )
        self.failure: BaseException | None = None
        """Why it does not run any more."""
        control[PARK] = 1
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def start(self) -> None:
        """Compile or load it; it stands still then. Raises what compiling raises."""
        self._thread.start()
        while not self._is_parked():
            time.sleep(0.001)  # compiling takes seconds
        if self.failure is not None:
            raise self.failure

    def park(self) -> bool:
        """Have it stand still between two turns; False where it does not any more run. Again is harmless."""
        if self._control[PARK] == 0:
            self._control[PARK] = 1
            os.eventfd_write(self._wake, 1)
        deadline = time.monotonic() + PARKING_S
        while not self._is_parked():
            if time.monotonic() > deadline:
                raise RuntimeError("the relay does not stand still")
            time.sleep(STEP_S)
        return self.failure is None

    def go_on(self) -> None:
        """Let it pass bytes on again."""
        if self._control[PARK] != 0 and self.failure is None:
            # What came meanwhile waited for a toxic, not for the relay.
            self._flows[: self._most + 1, SINCE] = WallLabel.read().wall_ns
            self._control[PARKED] = 0
            self._control[PARK] = 0
            os.eventfd_write(self._resume, 1)

    def may_own(self, one: int, other: int) -> bool:
        """Whether there is room in the table for both."""
        return self.failure is None and max(one, other) < MOST_DESCRIPTORS

    def own(self, one: socket.socket, other: socket.socket) -> None:
        """Pass the bytes of both on to each other; begins when both know of each other."""
        since = WallLabel.read().wall_ns
        for end in (one, other):
            with contextlib.suppress(OSError):  # without it nothing is known of its lateness
                end.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self._flows[end.fileno(), PASSED] = 0
            self._flows[end.fileno(), BUFFER] = -1
            self._flows[end.fileno(), SINCE] = since
        self._most = max(self._most, one.fileno(), other.fileno())
        self._flows[other.fileno(), PEER] = one.fileno()
        self._flows[one.fileno(), PEER] = other.fileno()

    def disown(self, *descriptors: int) -> None:
        """While it stands still, or has let go of them."""
        for fd in descriptors:
            if fd < MOST_DESCRIPTORS:
                self._flows[fd, PEER] = -1

    def passed_bytes(self, fd: int) -> int:
        """Of a descriptor, since it is owned."""
        return int(self._flows[fd, PASSED])

    def take_passed(self, fd: int) -> int:
        """The same, of one that is not owned any more; it counts from 0 then."""
        passed = int(self._flows[fd, PASSED])
        self._flows[fd, PASSED] = 0
        return passed

    def take_unsent(self, fd: int) -> bytes:
        """What was read from a descriptor and not sent on; while it stands still, or has let go of it."""
        number = int(self._flows[fd, BUFFER]) if fd < MOST_DESCRIPTORS else -1
        if number < 0:
            return b""
        at, length = int(self._flows[fd, AT]), int(self._flows[fd, LENGTH])
        unsent = self._pool[number, at : at + length].tobytes()
        self._flows[fd, BUFFER] = -1
        self._owners[number] = -1
        return unsent

    def unsent_bytes(self, fd: int) -> int:
        """How many bytes `take_unsent` would give about now."""
        if fd >= MOST_DESCRIPTORS or self._flows[fd, BUFFER] < 0:
            return 0
        return max(int(self._flows[fd, LENGTH]), 0)

    def blocked(self) -> list[int]:
        """The descriptors whose bytes wait in a buffer."""
        return [int(fd) for fd in self._owners if fd >= 0]

    def let_go(self, report: Callable[[int, int], None]) -> None:
        """Report each descriptor and reason that it has let go of since the last call."""
        while self._seen < int(self._control[EVICTED]):
            fd, reason = self._evicted[self._seen % MOST_DESCRIPTORS]
            self._seen += 1
            report(int(fd), int(reason))

    def close(self) -> None:
        """End the thread."""
        self.park()
        self._control[STOP] = 1
        os.eventfd_write(self._resume, 1)
        self._thread.join(PARKING_S)

    def _is_parked(self) -> bool:
        return bool(self._control[PARKED] != 0)

    def _run(self) -> None:
        ask_for_turns_of(TURN_NS)
        self._gauges.is_here(RELAY, threading.get_native_id())
        try:
            if PLAIN:
                with np.errstate(over="ignore"):
                    relay.relay(*self._arguments)
            else:
                relay.relay(*self._arguments)
        except BaseException as failure:  # noqa: BLE001 - the Python loop goes on in its place, and says so
            self.failure = failure
        self._control[PARKED] = 1
        os.eventfd_write(int(self._control[TOLD]), 1)
