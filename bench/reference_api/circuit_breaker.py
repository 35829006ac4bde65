"""A circuit breaker around one component, and a limit to the time of every call.

The states and their changes are those of the `circuitbreaker` library. It was preferred to `purgatory`, which
has listeners and types, because it goes by the monotonic clock: with purgatory a wall clock that is set back
leaves a circuit open for as long as it was set back. What it does not have is done here: nobody but the watch
tries a component whose circuit is not closed, so that no request ever waits for a trial; and what comes in
late from before the opening changes nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from math import ceil
from typing import ParamSpec, TypeVar

from circuitbreaker import STATE_CLOSED, CircuitBreaker

from bench.reference_api.refusals import Away

P = ParamSpec("P")
T = TypeVar("T")


class Guard:
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

    def away(self, because: str) -> Away:
        """What a caller is told, with the time after which asking again makes sense."""
        return Away(self.component, because, max(1, ceil(self.until_trial_s())))

    async def call(
        self, end_s: float, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Await `function(...)` until `end_s` on the loop's clock.

        Raises Away at once while the circuit is not closed, and when the call fails or takes too long. What
        is no failure of the component comes out as it is.
        """
        if self._breaker.state != STATE_CLOSED:
            raise self.away(f"its circuit is open after: {self.because}")
        return await self._attempt(end_s, function, *args, **kwargs)

    async def trial(
        self, end_s: float, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `call`, past the open circuit: success closes it. Only the watch may."""
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
                raise self.away(in_words(error)) from error
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
