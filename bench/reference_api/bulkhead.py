"""As many at once as a pool has connections; the rest wait in order, each until its own deadline."""

import asyncio

from bench.reference_api.refusals import Busy


class Slots:
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
        """Hold one slot until `give`. Raises Busy when none is free until `end_s` on the loop's clock."""
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
            raise Busy(self.component, f"all {self.size} connections stayed in use") from None
        finally:
            self.waiting -= 1
