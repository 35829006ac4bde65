"""The check of registers: what a few clients read and wrote beside the load must have one order.

The load's engines keep no replies, so the check asks for itself: few requests in regular use of few
registers, every written value unique, from before the first fault until all is healed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.threads import Work
from chaos.integrity import zones
from chaos.integrity.check import PAUSE_S, Check, Evidence, NotYet, Patience, Unreadable, patiently
from chaos.integrity.stores import registers_in
from chaos.integrity.zones import NEVER, History

if TYPE_CHECKING:
    from bench.results.fault_records import ExampleRecord, IntegrityRecord
    from chaos.integrity.stores import RegisterConnection, RegisterStore


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
    """Clients in a separate thread."""

    def __init__(self, store: RegisterStore, count: int, clients: int, every_ns: int, seed: int) -> None:
        self.operations: list[Operation] = []
        self._store = store
        self._count, self._clients, self._every_s = count, clients, every_ns / NS_PER_S
        self._seed = seed
        self._values = itertools.count(INITIAL + 1)
        self._end = threading.Event()
        self._thread = Work("registers", lambda: asyncio.run(self._work()))

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def failure(self) -> BaseException | None:
        """What ended the clients that should not have ended them."""
        return self._thread.failure

    def stop(self) -> None:
        """End; waits for calls under way, which have a deadline. Idempotent."""
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


MOST_EXAMPLES = 5


class Registers(Check):
    """Lost counts registers that fell back behind an acknowledged write, unexpected what has no order."""

    _watch: RegisterWatch | None = None
    _store: RegisterStore | None = None

    def prepare(self) -> None:
        """Make the registers, through a target that is up."""
        wanted, token = self.wanted, secrets.token_hex(6)
        store = registers_in(self.target, self.workload, token, wanted.count)
        try:
            patiently(store.make)
        except Unreadable as reason:
            raise self.target.error("registers to be made", str(reason), "check the rights there") from None
        self._store = store
        # The clients see what the load sees, faults on the way to the target too.
        seen = registers_in(self.site.seen[self.store], self.workload, token, wanted.count)
        self._watch = RegisterWatch(seen, wanted.count, wanted.clients, wanted.every_ns, self.site.plan.seed)

    def begin(self, start_ns: int) -> None:  # noqa: ARG002 - its history has the clock's own times
        """Set the clients to work."""
        assert self._watch is not None
        self._watch.start()

    def finish(self, evidence: Evidence) -> IntegrityRecord:
        """Read each register once more, and judge each history."""
        watch = self._watch
        assert watch is not None
        watch.stop()
        if watch.failure is not None:
            raise Unreadable(f"the clients of the registers failed: {watch.failure!r}")
        unread = None
        try:
            watch.read_finally(evidence.patience)
        except Unreadable as reason:
            unread = reason
        histories = [watch.history_of(register) for register in range(self.wanted.count)]
        judged = [zones.judge(history, INITIAL) for history in histories]
        violations = sum(one.count for one in judged)
        if unread is not None and not violations:
            raise unread
        writes = [one for one in watch.operations if one.is_write]
        acknowledged = sum(one.return_ns != NEVER for one in writes)
        read = {one.value for one in watch.operations if not one.is_write and one.return_ns != NEVER}
        zero_ns = evidence.record.started.monotonic_ns or 0
        examples = [
            _placed(example, register, zero_ns)
            for register, judgement in enumerate(judged)
            for example in judgement.examples
        ]
        return self.record(
            acknowledged=acknowledged,
            attempted=len(writes),
            found=sum(not call.is_write and call.return_ns != NEVER for call in watch.operations),
            lost=None if unread is not None else sum(has_fallen_back(history) for history in histories),
            unexpected=violations,
            unknown_survived=sum(call.return_ns == NEVER and call.value in read for call in writes),
            examples=examples[:MOST_EXAMPLES],
        )

    def close(self) -> None:
        """End the clients and take the registers away; a target that is gone keeps them."""
        if self._watch is not None:
            self._watch.stop()
        store, self._store = self._store, None
        if store is not None:
            with contextlib.suppress(NotYet, Unreadable):
                store.remove()


def has_fallen_back(history: History) -> bool:
    """Whether the last read found a value that a later acknowledged write had replaced by then."""
    reads = np.flatnonzero(~history.is_write & (history.return_ns != NEVER))
    if not len(reads):
        return False
    last = reads[np.argmax(history.invoke_ns[reads])]
    of_value = np.flatnonzero(history.is_write & (history.value == history.value[last]))
    written_ns = history.return_ns[of_value[0]] if len(of_value) else zones.BEFORE_ALL
    replaced = (
        history.is_write & (history.invoke_ns > written_ns) & (history.return_ns < history.invoke_ns[last])
    )
    return bool(replaced.any())


def _placed(example: ExampleRecord, register: int, zero_ns: int) -> ExampleRecord:
    """An example of a register, its times from run zero."""
    times = {"invoke_ns": example.invoke_ns, "return_ns": example.return_ns}
    known = {name: at_ns for name, at_ns in times.items() if at_ns not in (None, NEVER, zones.BEFORE_ALL)}
    from_zero = {name: at_ns - zero_ns for name, at_ns in known.items() if at_ns is not None}
    return example.model_copy(update={"register": register, **from_zero})
