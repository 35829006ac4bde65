"""The dials of one lane that are under way: one that takes long is not given up, another starts beside it.

A dial that is lost on the way (a packet dropped, a server that was killed while we logged in) never ends
by itself, so a new one must start soon. But a target whose answers take a second logs no one in within
that second, and to start over then is never to come back. So both: the next dial starts after
ATTEMPT_S, the earlier ones go on for as long as the target may reasonably take, the first to be let
in is the lane's connection, and the others are closed.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from bench.engine.wire.dialler import Stream

ATTEMPT_S = 1.0
"""How long a dial has before another starts beside it, and the least that it has in all."""
TIMES_THE_START = 3
"""A log-in may take so many times as long as the slowest one before the run."""
ANSWERS = 4
"""Logging in takes about so many answers, and each may take the deadline of an operation."""
MOST = 4
"""Dials of one lane at a time. The oldest stays, the second oldest makes room."""


def patience_s(slowest_at_start_s: float, deadline_s: float) -> float:
    """How long one dial may take, logging in included."""
    return max(ATTEMPT_S, TIMES_THE_START * slowest_at_start_s, ANSWERS * deadline_s)


class PendingDials:
    """Dials of one lane. `hand_over` is called with the connection of the first that is let in, at once: to
    go round the event loop first would let the log-ins of all other lanes before it.
    """

    def __init__(self, hand_over: Callable[[Stream], None]) -> None:
        self._dials: list[asyncio.Task[None]] = []
        self._hand_over = hand_over
        self._is_over = False
        """Whether a connection was handed over or none is wanted any more; later ones are closed."""

    def is_over(self) -> bool:
        """Whether a connection was handed over."""
        return self._is_over

    def start(self, dial: Callable[[], Coroutine[None, None, Stream]]) -> None:
        """Begin one more."""
        if len(self._dials) >= MOST:
            self._dials.pop(1).cancel()
        self._dials.append(asyncio.ensure_future(self._follow(dial)))

    async def first(
        self, timeout_s: float | None, besides: asyncio.Event | None = None
    ) -> list[BaseException]:
        """Wait until a dial has ended or `besides` is set, at most `timeout_s`; how the ended ones failed."""
        signal = None if besides is None else asyncio.ensure_future(besides.wait())
        awaited: list[asyncio.Future[Any]] = [*self._dials, *([signal] if signal else [])]
        try:
            await asyncio.wait(awaited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if signal is not None:
                signal.cancel()
        ended = [dial for dial in self._dials if dial.done()]
        self._dials = [dial for dial in self._dials if not dial.done()]
        return [error for dial in ended if not dial.cancelled() and (error := dial.exception())]

    def close(self) -> None:
        """Give up what is still under way."""
        self._is_over = True
        while self._dials:
            self._dials.pop().cancel()

    async def _follow(self, dial: Callable[[], Coroutine[None, None, Stream]]) -> None:
        stream = await dial()
        if self._is_over:
            stream.close()
            return
        self._is_over = True
        self._hand_over(stream)
