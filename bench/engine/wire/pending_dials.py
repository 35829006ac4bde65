"""The dials of one lane that are under way: one that takes long is not given up, another starts beside it.

A dial that is lost on the way (a packet dropped, a server that was killed while we logged in) never ends
by itself, so a new one must start soon. But a target whose answers take a second logs no one in within
that second, and to start over then is never to come back. So both: the next dial starts after
ATTEMPT_S, the earlier ones go on for as long as the target may reasonably take, the first to be let
in is the lane's connection, and the others are closed.
"""

import asyncio
from collections.abc import Coroutine
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
    """Dials of one lane. `failures` are those of the dials that ended since they were last asked for."""

    def __init__(self) -> None:
        self._dials: list[asyncio.Task[Stream]] = []

    def start(self, dial: Coroutine[None, None, Stream]) -> None:
        """Begin one more."""
        if len(self._dials) >= MOST:
            _abandon(self._dials.pop(1))
        self._dials.append(asyncio.ensure_future(dial))

    async def first(
        self, timeout_s: float | None, besides: asyncio.Event | None = None
    ) -> tuple[Stream | None, list[BaseException]]:
        """The connection of the first dial that is let in, or None with how others failed.

        Returns as soon as one has ended or `besides` is set, and after `timeout_s` in any case.
        """
        signal = None if besides is None else asyncio.ensure_future(besides.wait())
        awaited: list[asyncio.Future[Any]] = [*self._dials, *([signal] if signal else [])]
        try:
            await asyncio.wait(awaited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if signal is not None:
                signal.cancel()
        ended = [dial for dial in self._dials if dial.done()]
        self._dials = [dial for dial in self._dials if not dial.done()]
        let_in = [dial for dial in ended if not dial.cancelled() and dial.exception() is None]
        failures = [error for dial in ended if not dial.cancelled() and (error := dial.exception())]
        for dial in let_in[1:]:
            _abandon(dial)
        return (let_in[0].result() if let_in else None), failures

    def close(self) -> None:
        """Give up what is still under way."""
        while self._dials:
            _abandon(self._dials.pop())


def _abandon(dial: asyncio.Task[Stream]) -> None:
    """Cancel a dial; one that was let in at this very moment is closed."""

    def close(ended: asyncio.Task[Stream]) -> None:
        if not ended.cancelled() and ended.exception() is None:
            ended.result().close()

    if dial.done():
        close(dial)
        return
    dial.cancel()
    dial.add_done_callback(close)
