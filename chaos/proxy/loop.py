"""The event loop (epoll, and a timer with nanoseconds), and what the proxy counts of itself.

`epoll.poll` takes its timeout in whole milliseconds, too coarse for a latency; a timerfd wakes the
loop at the nanosecond. Python has it from 3.13 on only, so it is called in libc.

The gauges are memory that the harness reads at any time and without asking. Two writers have a row and
a histogram each: the compiled relay, and this loop, which does all else. Lateness is the time from
when bytes were there (by the kernel's stamp), or were due under a toxic, to when they were sent on:
what a toxic does on purpose is no part of it.
"""

from __future__ import annotations

import ctypes
import heapq
import mmap
import os
import select
import time
from collections.abc import Callable

TURNS, READS, SLEPT_NS, MOST_READY, THREAD = range(5)
"""Turns of the loop; reads passed on, or pieces and ends; time in which there was nothing to do; the most
descriptors that were ready at once; the kernel's number of the thread (0: not there)."""
ROW = 8
RELAY, LOOP = range(2)
ROWS = 2

_HALF_BITS, _FINE_BITS = 10, 11
HIGHEST_NS = 3_600_000_000_000
BUCKETS = 33 * 1024
"""As bench.core.histogram has them: that one needs numpy, which the Python loop does without."""
WORDS = ROWS * (ROW + BUCKETS)
SIZE_BYTES = 8 * WORDS


def bucket_of(value_ns: int) -> int:
    """The bucket of a time within 0..HIGHEST_NS: bench.core.histogram's, for one value at a time."""
    power = max(value_ns.bit_length() - _FINE_BITS, 0)
    return (power << _HALF_BITS) + (value_ns >> power)


class Gauges:
    """The Python loop's side, and the memory as a whole."""

    def __init__(self, descriptor: int) -> None:
        """descriptor: of a file of SIZE_BYTES."""
        self._map = mmap.mmap(descriptor, SIZE_BYTES)
        self.words = memoryview(self._map).cast("q")
        self._base = LOOP * ROW
        self._lateness = ROWS * ROW + LOOP * BUCKETS

    def turned(self, slept_ns: int, ready: int) -> None:
        """A turn of the loop has ended."""
        words, base = self.words, self._base
        words[base + TURNS] += 1
        words[base + SLEPT_NS] += slept_ns
        words[base + MOST_READY] = max(words[base + MOST_READY], ready)

    def late(self, by_ns: int) -> None:
        """Something was passed on so long after it was there, or was due."""
        self.words[self._base + READS] += 1
        self.words[self._lateness + bucket_of(min(max(by_ns, 0), HIGHEST_NS))] += 1

    def is_here(self, row: int, thread: int) -> None:
        """The thread that writes a row."""
        self.words[row * ROW + THREAD] = thread


EVENTS_PER_TURN = 256
SLEEP_NS = 5_000
"""A wait that was longer had nothing to report when it began."""
_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_TFD_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_NS_PER_S = 1_000_000_000

_libc = ctypes.CDLL(None, use_errno=True)
_MONOTONIC = time.CLOCK_MONOTONIC
_clock = time.clock_gettime_ns


def now_ns() -> int:
    """The one clock of the product: CLOCK_MONOTONIC."""
    return _clock(_MONOTONIC)


def _nothing() -> None:
    """What a dropped timer calls."""


class Timer:
    """One time at which something is called; setting it again replaces the time."""

    __slots__ = ("_loop", "call", "due_ns")

    def __init__(self, loop: Loop, call: Callable[[], None]) -> None:
        self._loop = loop
        self.call = call
        self.due_ns: int | None = None

    def set(self, due_ns: int) -> None:
        """Call at this time of CLOCK_MONOTONIC, once."""
        if self.due_ns != due_ns:
            self.due_ns = due_ns
            self._loop.schedule(self, due_ns)

    def cancel(self) -> None:
        """Do not call."""
        self.due_ns = None

    def drop(self) -> None:
        """Never call again, and refer to nothing: the loop may know this timer for long."""
        self.due_ns = None
        self.call = _nothing


class Loop:
    """In one thread: the handler of every ready descriptor, with epoll's mask, and every due timer.

    Connections' descriptors may stand in an epoll of their own (`traffic`), which another thread can wait
    on instead: changing hands is then one call, however many they are.
    """

    def __init__(self, gauges: Gauges | None = None) -> None:
        self._epoll = select.epoll()
        self.traffic = select.epoll()
        self._places: dict[int, select.epoll] = {}
        self._has_traffic = False
        self._gauges = gauges
        self._woke_ns = self._since_ns = now_ns()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._gone: set[int] = set()
        self._after_turn: list[Callable[[], None]] = []
        self._heap: list[tuple[int, int, Timer]] = []
        self._sequence = 0
        self._armed_ns: int | None = None
        self._ended = False
        self._timerfd = _libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK_CLOEXEC)
        if self._timerfd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self.register(self._timerfd, select.EPOLLIN, self._on_time)
        self.take_traffic()

    def register(
        self, fd: int, mask: int, handler: Callable[[int], None], *, is_traffic: bool = False
    ) -> None:
        """Begin to watch a descriptor, level-triggered; errors and hang-ups are reported with any mask."""
        place = self.traffic if is_traffic else self._epoll
        self._handlers[fd] = handler
        self._places[fd] = place
        place.register(fd, mask)

    def modify(self, fd: int, mask: int) -> None:
        """Watch for something else."""
        self._places[fd].modify(fd, mask)

    def move(self, fd: int, mask: int, *, to_traffic: bool, is_there: bool = True) -> None:
        """Watch it in the other epoll. is_there: it has not been taken out of its own already."""
        if is_there:
            self._places[fd].unregister(fd)
        self._gone.add(fd)  # what has been reported of it may be another's to see by now
        place = self._places[fd] = self.traffic if to_traffic else self._epoll
        place.register(fd, mask)

    def take_traffic(self) -> None:
        """From now on `traffic` is this loop's to wait on. Again is harmless."""
        if not self._has_traffic:
            self._has_traffic = True
            self.register(self.traffic.fileno(), select.EPOLLIN, self._on_traffic)

    def leave_traffic(self) -> None:
        """From now on it is another's. Again is harmless."""
        if self._has_traffic:
            self._has_traffic = False
            self.unregister(self.traffic.fileno())

    def unregister(self, fd: int) -> None:
        """Stop watching; before the descriptor is closed.

        Its number may be given to a new one within this turn, so what epoll has already reported
        for it is not delivered. A level-triggered event comes again if it was the new one's.
        """
        self._places.pop(fd).unregister(fd)
        del self._handlers[fd]
        self._gone.add(fd)

    def run(self) -> None:
        """Until `end` is called."""
        poll, handlers, gone = self._epoll.poll, self._handlers, self._gone
        while not self._ended:
            asked_ns = now_ns()
            ready = poll(-1, EVENTS_PER_TURN)
            self._woke(asked_ns, len(ready))
            for fd, mask in ready:
                if fd not in gone:
                    handlers[fd](mask)
            if gone:
                gone.clear()
            while self._after_turn:
                self._after_turn.pop()()  # no variable may go on referring to it

    def after_turn(self, call: Callable[[], None]) -> None:
        """Call once no handler is under way; it may ask for no more."""
        self._after_turn.append(call)

    def end(self) -> None:
        """Leave `run` after this turn."""
        self._ended = True

    def close(self) -> None:
        """Give its own descriptors back, not those that it watches."""
        self._epoll.close()
        self.traffic.close()
        os.close(self._timerfd)

    def schedule(self, timer: Timer, due_ns: int) -> None:
        """For `Timer.set`."""
        self._sequence += 1
        heapq.heappush(self._heap, (due_ns, self._sequence, timer))
        if self._armed_ns is None or due_ns < self._armed_ns:
            self._arm(due_ns)

    def _woke(self, asked_ns: int, ready: int) -> None:
        """What is ready now was not ready before: it came since, or while the last turn was under way."""
        woke_ns = now_ns()
        self._since_ns = woke_ns if woke_ns - asked_ns > SLEEP_NS else self._woke_ns
        self._woke_ns = woke_ns
        if self._gauges is not None:
            self._gauges.turned(woke_ns - asked_ns, ready)

    def _on_traffic(self, _mask: int) -> None:
        handlers, gone, gauges = self._handlers, self._gone, self._gauges
        ready = self.traffic.poll(0, EVENTS_PER_TURN)
        for fd, mask in ready:
            if fd not in gone and fd in handlers:
                handlers[fd](mask)
                if gauges is not None:
                    gauges.late(now_ns() - self._since_ns)

    def _on_time(self, _mask: int) -> None:
        try:
            os.read(self._timerfd, 8)
        except BlockingIOError:
            return  # set to a later time since epoll reported it
        self._armed_ns = None
        # Only what was due at the start: a timer that sets itself to now must not keep the others waiting.
        limit_ns = now_ns()
        due = []
        while self._heap and self._heap[0][0] <= limit_ns:
            due.append(heapq.heappop(self._heap))
        for due_ns, _, timer in due:
            if timer.due_ns == due_ns:
                timer.due_ns = None
                timer.call()
                if self._gauges is not None:
                    self._gauges.late(now_ns() - due_ns)
        while self._heap and self._heap[0][2].due_ns != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._heap:
            self._arm(self._heap[0][0])

    def _arm(self, due_ns: int) -> None:
        self._armed_ns = due_ns
        # struct itimerspec: the interval (none), then the time; a time of 0 would disarm it.
        at_ns = max(1, due_ns)
        setting = (ctypes.c_long * 4)(0, 0, at_ns // _NS_PER_S, at_ns % _NS_PER_S)
        _libc.timerfd_settime(self._timerfd, _TFD_TIMER_ABSTIME, setting, None)
