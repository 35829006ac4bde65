"""Clients that read and write a few registers beside the load, and remember all that they saw.

The load's engines keep no replies, so whoever wants to know what was read asks by himself: few requests
in regular use of few registers, every written value unique, from before the first fault until all is
healed.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.core.clock import NS_PER_S, monotonic_ns
from chaos.integrity.read_back import PAUSE_S, Patience, Unreadable
from chaos.integrity.zones import NEVER, History

if TYPE_CHECKING:
    from chaos.integrity.register_stores import RegisterConnection, RegisterStore

INITIAL = 0
"""The value of a register that nothing was written to; written ones begin at 1."""
OPERATION_S = 1.0
"""After this an operation's outcome is unknown."""


@dataclass(frozen=True)
class Operation:
    """One call; ns on CLOCK_MONOTONIC, return_ns is NEVER where its outcome is not known."""

    register: int
    invoke_ns: int
    return_ns: int
    value: int
    is_write: bool


class RegisterWatch:
    """Clients in a thread of their own."""

    def __init__(self, store: RegisterStore, count: int, clients: int, every_ns: int, seed: int) -> None:
        self.operations: list[Operation] = []
        self.failure: BaseException | None = None
        self._store = store
        self._count, self._clients, self._every_s = count, clients, every_ns / NS_PER_S
        self._seed = seed
        self._values = itertools.count(INITIAL + 1)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="registers", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for calls under way, which have a deadline. Again is harmless."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def read_finally(self, patience: Patience | None = None) -> None:
        """Read every register once more, after all is healed. Raises Unreadable."""
        asyncio.run(self._read_all((patience or Patience()).left_s()))

    def history_of(self, register: int) -> History:
        """What was seen of one register."""
        own = [one for one in self.operations if one.register == register]
        return History(
            np.array([one.invoke_ns for one in own], np.int64),
            np.array([one.return_ns for one in own], np.int64),
            np.array([one.value for one in own], np.int64),
            np.array([one.is_write for one in own], bool),
        )

    # --- in the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as failure:  # noqa: BLE001 - told with the result
            self.failure = failure

    async def _work(self) -> None:
        await asyncio.gather(*(self._use(number) for number in range(self._clients)))

    async def _use(self, number: int) -> None:
        drawn = random.Random(self._seed * 1000 + number)  # noqa: S311 - not a secret
        connection: RegisterConnection | None = None
        while not self._end.is_set():
            await asyncio.sleep(drawn.uniform(0.5, 1.5) * self._every_s)
            register, is_write = drawn.randrange(self._count), drawn.random() < 0.5
            if connection is None:
                connection = await self._connected()
            if connection is not None and not await self._call(connection, register, is_write):
                connection.abort()
                connection = None  # whatever it still did is another's from now on
        if connection is not None:
            connection.abort()

    async def _connected(self) -> RegisterConnection | None:
        try:
            return await self._store.connect()
        except Exception:  # noqa: BLE001 - nothing was asked of a target that does not let us in
            return None

    async def _call(self, connection: RegisterConnection, register: int, is_write: bool) -> bool:
        """Make one call and remember it; False when its outcome is not known."""
        value = next(self._values) if is_write else INITIAL
        invoke_ns = monotonic_ns()
        return_ns = NEVER
        try:
            async with asyncio.timeout(OPERATION_S):
                if is_write:
                    await connection.write(register, value)
                else:
                    value = INITIAL if (read := await connection.read(register)) is None else read
            return_ns = monotonic_ns()
        except Exception:  # noqa: BLE001 - a server's no may hide a yes that came before it
            return False
        finally:
            self.operations.append(Operation(register, invoke_ns, return_ns, value, is_write))
        return True

    async def _read_all(self, wait_s: float) -> None:
        give_up_ns = monotonic_ns() + int(wait_s * NS_PER_S)
        unread = list(range(self._count))
        while unread:
            connection = await self._connected()
            if connection is not None:
                while unread and await self._call(connection, unread[0], is_write=False):
                    unread.pop(0)
                connection.abort()
            if unread:
                if monotonic_ns() > give_up_ns:
                    raise Unreadable(f"no answer for {wait_s:.3g} s")
                await asyncio.sleep(PAUSE_S)
