"""What stands between a request and its components: errors, a deadline, a bulkhead, a circuit breaker.

The shares of the deadline make the order of falling back possible:

    0                                  75 %           95 %   100 %
    ├── Redis: at most 20 % a call      │              │      │
    ├── Postgres until here ────────────┤              │      │
    ├── Redis again: a stale copy, or the cache after a write ┤
    └── whatever hangs: the answer is made here ──────────────┘

A hung Redis leaves time for Postgres, and a hung Postgres leaves time for a stale copy from Redis.

The states of a circuit and their changes are those of the `circuitbreaker` library. It was preferred
to `purgatory`, which has listeners and types, because it goes by the monotonic clock: with purgatory a
wall clock that is set back leaves a circuit open for as long as it was set back. What it does not have
is done here: only the health monitor tries a component whose circuit is not closed, so that no request
ever waits for a trial; and what comes in late from before the opening changes nothing.
"""

import asyncio
import contextlib
import time
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable
from math import ceil
from typing import ParamSpec, TypeVar

from circuitbreaker import STATE_CLOSED, CircuitBreaker


class UnavailableError(Exception):
    """A component cannot be asked now: 503 with Retry-After, unless there is another way."""

    def __init__(self, component: str, because: str, retry_after_s: int = 1) -> None:
        self.component = component
        self.because = because
        self.retry_after_s = retry_after_s
        super().__init__(f"{component} is unavailable: {because}")


class BusyError(UnavailableError):
    """All of the pool's connections stayed in use. The component itself may be well: no breaker counts it."""


class OutcomeUnknownError(UnavailableError):
    """As UnavailableError, but while the commit was under way: it is unknown whether it took place."""


class RejectedError(Exception):
    """The request cannot be granted by anyone: a status from 400 to 499 and a sentence."""

    def __init__(self, status: int, because: str) -> None:
        self.status = status
        super().__init__(because)


CACHE_SHARE = 0.20
DATABASE_END = 0.75
LAST_END = 0.95


class Deadline:
    """Points on the event loop's clock, in seconds. Made when the request has come in."""

    __slots__ = ("_begin_s", "_total_s", "now_s")

    def __init__(self, total_s: float) -> None:
        self.now_s = get_running_loop().time
        self._begin_s = self.now_s()
        self._total_s = total_s

    @property
    def end_s(self) -> float:
        """The request has been answered by now."""
        return self._begin_s + self._total_s

    def cache_end_s(self) -> float:
        """A call to Redis that begins now is given up then."""
        last_s = self._begin_s + LAST_END * self._total_s
        return min(self.now_s() + CACHE_SHARE * self._total_s, last_s)

    def database_end_s(self) -> float:
        """All that Postgres is asked for is given up then."""
        return self._begin_s + DATABASE_END * self._total_s


class Bulkhead:
    """Stands before a client library's pool, so that waiting for a connection can be told from waiting for
    the server: the first is our own load, and only the second says anything about the server.
    """

    def __init__(self, component: str, size: int) -> None:
        self.component = component
        self.size = size
        self.in_use = 0
        self.waiting = 0
        self._free = asyncio.Semaphore(size)

    async def take(self, end_s: float) -> None:
        """Hold one slot until `give`. Raises BusyError when none is free by `end_s` on the loop's clock."""
        if self._free.locked():
            await self._wait(end_s)
        else:
            await self._free.acquire()  # at once: one is free
        self.in_use += 1

    def give(self) -> None:
        """Let go of a slot."""
        self.in_use -= 1
        self._free.release()

    async def _wait(self, end_s: float) -> None:
        self.waiting += 1
        try:
            async with asyncio.timeout_at(end_s):
                await self._free.acquire()
        except TimeoutError:
            raise BusyError(self.component, f"all {self.size} connections stayed in use") from None
        finally:
            self.waiting -= 1


P = ParamSpec("P")
T = TypeVar("T")


class ComponentBreaker:
    """Lets calls through to a component while it answers."""

    def __init__(
        self,
        component: str,
        *,
        failures: int,
        reset_s: float,
        is_failure: Callable[[BaseException], bool],
    ) -> None:
        self.component = component
        self.transitions: dict[str, int] = {"open": 0, "half_open": 0, "closed": 0}
        self.opened = asyncio.Event()
        """Set while the circuit is not closed."""
        self._is_failure = is_failure
        self._reset_s = reset_s
        self._breaker = CircuitBreaker(
            failure_threshold=failures, recovery_timeout=reset_s, expected_exception=Exception, name=component
        )
        self._opened_s = 0.0
        self._tried_s = 0.0
        self._past_open_s = 0.0
        self.because = ""
        """The latest failure, in words."""
        self._epoch = 0

    @property
    def state(self) -> str:
        """closed, open or half_open (it may be tried, or is being tried)."""
        return str(self._breaker.state)

    @property
    def open_s(self) -> float:
        """How long the circuit has not been closed, in all."""
        current_s = time.monotonic() - self._opened_s if self.opened.is_set() else 0.0
        return self._past_open_s + current_s

    def until_trial_s(self) -> float:
        """How long an open circuit stays open from now."""
        return max(self._tried_s + self._reset_s - time.monotonic(), 0.0)

    def unavailable(self, because: str) -> UnavailableError:
        """What a caller gets, with the time after which asking again makes sense."""
        return UnavailableError(self.component, because, max(1, ceil(self.until_trial_s())))

    async def call(
        self, end_s: float, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Await `function(...)` until `end_s` on the loop's clock.

        Raises UnavailableError immediately while the circuit is not closed, and when the call fails or takes
        too long. What is no failure of the component comes out as it is.
        """
        if self._breaker.state != STATE_CLOSED:
            raise self.unavailable(f"its circuit is open after: {self.because}")
        return await self._attempt(end_s, function, *args, **kwargs)

    async def trial(
        self, end_s: float, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `call`, past the open circuit: success closes it. Only the monitor may."""
        self.transitions["half_open"] += 1
        return await self._attempt(end_s, function, *args, **kwargs)

    async def _attempt(
        self, end_s: float, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        epoch = self._epoch
        try:
            async with asyncio.timeout_at(end_s):
                result = await function(*args, **kwargs)
        except Exception as error:
            if self._is_failure(error):
                self._failed(error, epoch)
                raise self.unavailable(in_words(error)) from error
            self._succeeded(epoch)
            raise
        self._succeeded(epoch)
        return result

    def _failed(self, error: Exception, epoch: int) -> None:
        if epoch != self._epoch:
            return  # it began before the circuit opened
        self.because = in_words(error)
        with contextlib.suppress(type(error)), self._breaker:
            raise error
        if self._breaker.state == STATE_CLOSED:
            return
        self._epoch += 1
        self._tried_s = time.monotonic()
        self.transitions["open"] += 1
        if not self.opened.is_set():
            self._opened_s = self._tried_s
            self.opened.set()

    def _succeeded(self, epoch: int) -> None:
        if not self._breaker.failure_count or epoch != self._epoch:
            return
        self._breaker.reset()
        if self.opened.is_set():
            self._past_open_s += time.monotonic() - self._opened_s
            self.opened.clear()
            self.transitions["closed"] += 1


def in_words(error: BaseException) -> str:
    """An error on one line. Client libraries name hosts in it, but no passwords."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return " ".join(str(error).split())[:200] or type(error).__name__
