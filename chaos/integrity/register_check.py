"""The check of registers: what a few clients read and wrote beside the load must have one order."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.errors import TargetError
from chaos.integrity import zones
from chaos.integrity.check import Check, Evidence
from chaos.integrity.read_back import NotYet, Unreadable, patiently
from chaos.integrity.register_stores import registers_in
from chaos.integrity.register_watch import INITIAL, RegisterWatch
from chaos.integrity.zones import NEVER, History

if TYPE_CHECKING:
    from chaos.integrity.register_stores import RegisterStore

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
            raise TargetError(
                self.store, self.target.address, "registers to be made", str(reason), "check the rights there"
            ) from None
        self._store = store
        # The clients see what the load sees, faults on the way to the target too.
        seen = registers_in(self.site.seen[self.store], self.workload, token, wanted.count)
        self._watch = RegisterWatch(seen, wanted.count, wanted.clients, wanted.every_ns, self.site.plan.seed)

    def begin(self, start_ns: int) -> None:  # noqa: ARG002 - its history has the clock's own times
        """Set the clients to work."""
        assert self._watch is not None
        self._watch.start()

    def finish(self, evidence: Evidence) -> dict[str, Any]:
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
        examples = [
            {"register": register, **_from_zero(example, evidence.record["started"]["monotonic_ns"])}
            for register, one in enumerate(judged)
            for example in one.examples
        ]
        return {
            "acknowledged": acknowledged,
            "attempted": len(writes),
            "found": sum(not one.is_write and one.return_ns != NEVER for one in watch.operations),
            "lost": None if unread is not None else sum(has_fallen_back(history) for history in histories),
            "unexpected": violations,
            "unknown_survived": sum(one.return_ns == NEVER and one.value in read for one in writes),
            "examples": examples[:MOST_EXAMPLES],
        }

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


def _from_zero(example: dict[str, Any], zero_ns: int) -> dict[str, Any]:
    return {
        name: value - zero_ns if name.endswith("_ns") and value not in (NEVER, zones.BEFORE_ALL) else value
        for name, value in example.items()
    }
