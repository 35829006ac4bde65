"""The conductor: makes each fault at its time, sees that it took effect, mends it and sees that too."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.clock import monotonic_ns
from bench.errors import TargetError
from chaos.faults.fault import Fault
from chaos.hooks import await_hook
from chaos.journal import Journal
from chaos.stamps import Proof, Stamps

SLEEP_SHORT_NS = 300_000
"""A sleep ends late by about as much; the rest of a wait is spun away."""

HEAL_S = 10.0
"""How long something that we mend may take to answer again, after the run as well."""

SETTLE_NS = 1_000_000_000
"""How long after the planned end of the run a target may still come back by itself."""


@dataclass
class Act:
    """One fault of the run, and what became of it."""

    fault: Fault
    aimed: str | None = None
    """Why it could not be made; None when it could."""
    broke: Stamps | None = None
    mended: Stamps | None = None
    effect: Proof | None = None
    healed: Proof | None = None
    healed_ns: int | None = None
    entry: str | None = None
    """Its number in the journal."""
    is_over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def effective_ns(self) -> int | None:
        """When it took effect, ns on CLOCK_MONOTONIC; None when it was not made."""
        return None if self.broke is None else self.broke.effect_ns


class Conductor:
    """Works through the faults in a thread of its own."""

    def __init__(self, faults: Sequence[Fault], journal: Journal, duration_ns: int) -> None:
        self.acts = [Act(fault) for fault in faults]
        self.events: deque[tuple[int, str, dict[str, Any]]] = deque()
        """(ns on CLOCK_MONOTONIC, kind, fields), for the session to write."""
        self._journal = journal
        self._duration_ns = duration_ns
        self._stop = threading.Event()
        self._start_ns = 0
        self._thread = threading.Thread(target=self._run, name="conductor", daemon=True)
        self._witnesses: list[threading.Thread] = []
        self.failure: BaseException | None = None

    def begin(self, start_ns: int) -> None:
        """Run zero is at start_ns."""
        self._start_ns = start_ns
        self._thread.start()

    @property
    def in_force(self) -> list[Act]:
        """Faults that hold now."""
        return [act for act in self.acts if act.broke is not None and not act.is_over]

    def end(self) -> None:
        """Make no further fault, mend what holds, wait for what is still to be seen. Again is harmless."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for act in self.acts:
            if act.broke is not None and not act.is_over:
                self._mend(act)
        for witness in self._witnesses:
            witness.join()

    # --- in the conductor's thread ------------------------------------------------------------------

    def _run(self) -> None:
        try:
            for at_ns, act, work in self._timeline():
                if not self._sleep_until(self._start_ns + at_ns):
                    return
                work(act)
        except BaseException as failure:  # noqa: BLE001 - a thread's failure is the session's to tell
            self.failure = failure

    def _timeline(self) -> list[tuple[int, Act, Callable[[Act], None]]]:
        found: list[tuple[int, Act, Callable[[Act], None]]] = []
        for act in self.acts:
            plan = act.fault.plan
            found.append((plan.at_ns, act, self._break))
            if plan.for_ns is not None:
                found.append((plan.ends_ns, act, self._mend))
        return sorted(found, key=lambda item: item[0])

    def _sleep_until(self, due_ns: int) -> bool:
        """False when told to stop."""
        while (left := due_ns - monotonic_ns()) > SLEEP_SHORT_NS:
            if self._stop.wait((left - SLEEP_SHORT_NS) / 1e9):
                return False
        while monotonic_ns() < due_ns:
            pass
        return not self._stop.is_set()

    def _break(self, act: Act) -> None:
        fault = act.fault
        try:
            fault.aim()
        except TargetError as error:
            act.aimed = str(error)
            self._tell("fault_missed", act, monotonic_ns(), text=str(error))
            return
        act.entry = self._journal.intend(f"{fault.plan.kind} of {fault.plan.target}", fault.undo())
        if fault.plan.when is not None:
            await_hook(fault.plan.when, fault.around, self._stop)
        act.broke = fault.inject()
        self._tell("fault_asked", act, act.broke.asked_ns)
        if fault.plan.for_ns is None:
            self._close(act)  # nothing of ours is left to be undone
        self._witness(lambda: self._see_effect(act))

    def _mend(self, act: Act) -> None:
        with act.lock:
            if act.broke is None or act.is_over:
                return
            act.mended = act.fault.heal()
            self._tell("fault_undone", act, monotonic_ns())
            act.is_over = True
        self._witness(lambda: self._see_healing(act, HEAL_S))

    def _close(self, act: Act) -> None:
        act.is_over = True
        if act.entry is not None:
            self._journal.done(act.entry)
            act.entry = None

    def _witness(self, see: Callable[[], None]) -> None:
        """Look for a proof beside the conductor: the next fault must not wait for it."""

        def run() -> None:
            try:
                see()
            except BaseException as failure:  # noqa: BLE001 - told with the conductor's own
                self.failure = failure

        thread = threading.Thread(target=run, name="witness", daemon=True)
        self._witnesses.append(thread)
        thread.start()

    def _see_effect(self, act: Act) -> None:
        act.effect = act.fault.took_effect()
        at_ns = act.effective_ns or monotonic_ns()
        self._tell(
            "fault_effective" if act.effect.holds else "fault_without_effect",
            act,
            at_ns,
            text=act.effect.text,
        )
        if act.fault.plan.for_ns is None:
            left_ns = self._start_ns + self._duration_ns + SETTLE_NS - monotonic_ns()
            self._see_healing(act, max(left_ns, SETTLE_NS) / 1e9)

    def _see_healing(self, act: Act, deadline_s: float) -> None:
        act.healed = act.fault.healed(deadline_s)
        if act.healed.holds:
            act.healed_ns = act.fault.healed_ns() or monotonic_ns()
            self._tell("fault_healed", act, act.healed_ns, text=act.healed.text)
            self._close(act)
        else:
            self._tell("fault_not_healed", act, monotonic_ns(), text=act.healed.text)

    def _tell(self, kind: str, act: Act, at_ns: int, **fields: Any) -> None:
        plan = act.fault.plan
        self.events.append(
            (at_ns, kind, {"fault": plan.number, "what": plan.kind, "target": plan.target, **fields})
        )
