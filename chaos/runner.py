"""The runner: makes each fault at its time or trigger, proves its effect, heals it and proves that too.

A trigger (`when:`) is a moment at which a fault hurts most: a rewrite of Redis, a checkpoint of
Postgres.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.core.clock import monotonic_ns
from bench.core.errors import HoldfastError
from bench.core.threads import Work
from chaos.faults.fault import Fault
from chaos.journal import Journal
from chaos.processes import HEALED_POLL_S, wait_until
from chaos.schedule import Proof, Timestamps

if TYPE_CHECKING:
    from bench.stack.target import Target
    from chaos.faults.fault import FaultContext
    from chaos.schedule import FaultPlan


HOOK_S = 10.0
WHEN_ADVICE = "remove `when`, or give the user the right to it"
POLL_S = 0.001


def await_hook(plan: FaultPlan, context: FaultContext, stop: threading.Event) -> bool:
    """Bring the moment about at the plan's target and return when it is there; False when it did not come.

    Small data is written quickly, so the moment may pass unseen: it is brought about until it is seen,
    for HOOK_S or until `stop`. Raises TargetError.
    """
    bring_about = {"redis_rewrite": _redis_rewrite, "postgres_checkpoint": _postgres_checkpoint}
    return bring_about[str(plan.when)](context.targets[plan.target], stop)


def _redis_rewrite(target: Target, stop: threading.Event) -> bool:
    from bench.stack.probes.connection import ProbeError
    from bench.stack.probes.redis import ErrorReply, RespClient

    try:
        with RespClient.logged_in(target, HOOK_S) as server:

            def is_under_way() -> bool:
                facts = str(server.ask("INFO", "persistence"))
                if "aof_rewrite_in_progress:1" in facts:
                    return True
                if "aof_rewrite_scheduled:1" not in facts:
                    server.ask("BGREWRITEAOF")
                return False

            return wait_until(lambda: stop.is_set() or is_under_way(), HOOK_S, POLL_S) and not stop.is_set()
    except (ProbeError, ErrorReply) as fact:
        raise target.error("a Redis that rewrites its append-only file", str(fact), WHEN_ADVICE) from None


def _postgres_checkpoint(target: Target, stop: threading.Event) -> bool:
    import psycopg

    from bench.stack.probes.postgres import conninfo

    how = conninfo(target)
    deadline = time.monotonic() + HOOK_S
    try:
        with psycopg.connect(how, autocommit=True) as watching:
            while time.monotonic() < deadline and not stop.is_set():
                if _checkpoint_is_seen(how, watching, deadline, stop):
                    return True
    except psycopg.Error as error:
        found = str(error).strip().partition("\n")[0]
        raise target.error("a Postgres that makes a checkpoint", found, WHEN_ADVICE) from None
    return False


def _checkpoint_is_seen(conninfo: str, watching: Any, deadline: float, stop: threading.Event) -> bool:
    """Ask for one checkpoint and look until it is under way; False when it was over before."""
    import psycopg

    over = threading.Event()
    asking = psycopg.connect(conninfo, autocommit=True)

    def ask() -> None:
        try:
            with asking:
                asking.execute("CHECKPOINT")
        except psycopg.Error:
            pass  # the fault came in the middle of it: that is the purpose
        finally:
            over.set()

    pid = asking.info.backend_pid
    threading.Thread(target=ask, name="checkpoint", daemon=True).start()
    # Who asked waits for its end once it has begun.
    text = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'CheckpointDone'"
    while not over.is_set() and not stop.is_set() and time.monotonic() < deadline:
        if watching.execute(text, (pid,)).fetchone():
            return True
        time.sleep(POLL_S)
    return False


SLEEP_SHORT_NS = 300_000
"""A sleep ends late by about as much; the remainder of a wait is spent spinning."""

AIM_NS = 20_000_000
"""So long before its time a fault is aimed and noted: a slow disk must not make it late."""

HEAL_S = 10.0
"""How long something that we heal may take to answer again, after the run as well."""

SETTLE_NS = 1_000_000_000
"""How long after the end of the run a target may still come back by itself."""

LOOK_S = 0.25
"""A look for healing is repeated, so that the end of the run can cut the waiting short."""


@dataclass(frozen=True)
class FaultEvent:
    """What happened to a fault; ns on CLOCK_MONOTONIC."""

    at_ns: int
    kind: str
    plan: FaultPlan
    text: str | None

    def fields(self) -> Mapping[str, int | str]:
        """What stands in events.jsonl beside time and kind."""
        what: Mapping[str, int | str] = {
            "fault": self.plan.number,
            "what": self.plan.kind,
            "target": self.plan.target,
            **({} if self.plan.client is None else {"from": self.plan.client}),
        }
        return what if self.text is None else {**what, "text": self.text}


@dataclass
class FaultExecution:
    """One fault of the run, and what became of it."""

    fault: Fault
    missed: str | None = None
    """Why it could not be made; None when it could."""
    broke: Timestamps | None = None
    healing: Timestamps | None = None
    effect: Proof | None = None
    lasted: Proof | None = None
    """Whether one that stays held until its time was over; None where nothing speaks against it."""
    healed: Proof | None = None
    healed_ns: int | None = None
    entry: str | None = None
    """Its number in the journal, while it is open."""
    is_over: bool = False
    """Nothing of ours is left to be healed."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def effective_ns(self) -> int | None:
        """When it took effect, ns on CLOCK_MONOTONIC; None when it was not made."""
        return None if self.broke is None else self.broke.effect_ns

    @property
    def is_in_force(self) -> bool:
        """Whether it was made and is not known to be healed."""
        return self.broke is not None and self.healed is None


class FaultRunner:
    """Works through the faults: one thread for each entry of the scenario, whose repeats never overlap.

    So a fault that takes its time (thousands of connections, a moment waited for) makes no other late.
    """

    def __init__(self, faults: Sequence[Fault], journal: Journal | None, duration_ns: int) -> None:
        """journal: None only without any fault. duration_ns: of the run's plan."""
        self.acts = [FaultExecution(fault) for fault in faults]
        self.events: deque[FaultEvent] = deque()
        """For the session to write."""
        self._unhealed: BaseException | None = None
        self._journal = journal
        self._duration_ns = duration_ns
        self._stop = threading.Event()
        self._start_ns = 0
        self._watch_until_ns = 0
        self._threads: list[Work[None]] = []
        self._witnesses: list[Work[None]] = []

    def begin(self, start_ns: int) -> None:
        """Run zero is at start_ns."""
        self._start_ns = start_ns
        self._watch_until_ns = start_ns + self._duration_ns + SETTLE_NS
        for entry in dict.fromkeys(act.fault.plan.entry for act in self.acts):
            acts = [act for act in self.acts if act.fault.plan.entry == entry]
            self._threads.append(self._thread(f"runner-{entry}", partial(self._play, acts)))

    @property
    def failure(self) -> BaseException | None:
        """What happened in a thread of ours that should not, for the session to report."""
        failures = (thread.failure for thread in [*self._threads, *self._witnesses])
        return next((one for one in (*failures, self._unhealed) if one is not None), None)

    @property
    def in_force(self) -> list[FaultExecution]:
        """Faults that hold now."""
        return [act for act in self.acts if act.is_in_force]

    def end_soon(self) -> None:
        """The same without waiting: the threads of the faults heal what they hold. Idempotent."""
        if not self._stop.is_set():
            self._watch_until_ns = min(self._watch_until_ns, monotonic_ns() + SETTLE_NS)
            self._stop.set()

    def end(self) -> None:
        """Make no further fault, heal what holds, wait for what is still to be seen. Idempotent.

        A run that ends before its time waits no longer than SETTLE_NS for what comes back by itself.
        """
        self.end_soon()
        for act in self.acts:
            act.fault.give_up()
        for thread in self._threads:
            thread.join()
        for act in self.acts:
            if act.fault.plan.for_ns is not None:
                self._heal_in_any_case(act)
        for witness in self._witnesses:
            witness.join()

    def rescue(self) -> None:
        """The data were looked at: heal by other means what could not be healed as planned. Idempotent."""
        for act in self.acts:
            is_left = act.entry is not None and act.healed is not None and not act.healed.holds
            if is_left and act.fault.rescue():
                self._close(act)

    # --- in the runner's threads -----------------------------------------------------------------

    def _play(self, acts: Sequence[FaultExecution]) -> None:
        for act in acts:
            plan = act.fault.plan
            if not self._sleep_until(self._start_ns + plan.at_ns - AIM_NS) or not self._aim(act):
                continue
            if not self._sleep_until(self._start_ns + plan.at_ns):
                self._close(act)
                continue
            self._break(act)
            if plan.for_ns is not None and act.broke is not None:
                self._sleep_until(self._start_ns + plan.ends_ns)
                self._heal(act)

    def _sleep_until(self, due_ns: int) -> bool:
        """False when asked to stop."""
        while (left := due_ns - monotonic_ns()) > SLEEP_SHORT_NS:
            if self._stop.wait((left - SLEEP_SHORT_NS) / 1e9):
                return False
        while monotonic_ns() < due_ns:
            pass
        return not self._stop.is_set()

    def _aim(self, act: FaultExecution) -> bool:
        """Find what is to be hit and note how it is healed; False, and said so, where that cannot be."""
        plan = act.fault.plan
        try:
            act.fault.aim()
            assert self._journal is not None
            how = act.fault.undo().later(0.0 if plan.when is None else HOOK_S)
            act.entry = self._journal.intend(f"{plan.kind} of {plan.where}", how)
        except HoldfastError as error:
            self._miss(act, str(error))
        except OSError as error:
            self._miss(act, f"what is not noted is not done, and the journal cannot be written: {error}")
        return act.missed is None

    def _break(self, act: FaultExecution) -> None:
        fault = act.fault
        try:
            if fault.plan.when is not None and not await_hook(fault.plan, fault.context, self._stop):
                if not self._stop.is_set():
                    self._miss(act, f"{fault.plan.when} was not under way in time")
                self._close(act)
                return
            act.broke = fault.inject()
        except (HoldfastError, OSError) as error:
            self._miss(act, str(error))
            # It may have been half made. Whatever that comes to, the entry stays open, for the watchdog.
            with contextlib.suppress(Exception):
                fault.heal()
            return
        self._report("fault_asked", act, act.broke.asked_ns)
        self._witness(lambda: self._see_effect(act))

    def _miss(self, act: FaultExecution, why: str) -> None:
        act.missed = why
        self._report("fault_missed", act, monotonic_ns(), text=why)

    def _heal(self, act: FaultExecution) -> None:
        with act.lock:
            if act.broke is None or act.is_over:
                return
            act.healing = act.fault.heal()
            act.lasted = act.fault.lasted()
            self._report("fault_undone", act, monotonic_ns())
            act.is_over = True
        self._witness(lambda: self._see_healing(act))

    def _heal_in_any_case(self, act: FaultExecution) -> None:
        """What cannot be healed does not stop the others; its entry stays open, for the watchdog."""
        try:
            self._heal(act)
        except Exception as failure:  # noqa: BLE001 - the session's to report, when all were tried
            self._unhealed = self._unhealed or failure

    def _close(self, act: FaultExecution) -> None:
        act.is_over = True
        if act.entry is not None and self._journal is not None:
            self._journal.done(act.entry)
            act.entry = None

    def _witness(self, see: Callable[[], None]) -> None:
        """Look for a proof beside the runner: the next fault must not wait for it."""
        self._witnesses.append(self._thread("witness", see))

    def _thread(self, name: str, work: Callable[[], None]) -> Work[None]:
        thread = Work(name, work)
        thread.start()
        return thread

    def _see_effect(self, act: FaultExecution) -> None:
        act.effect = act.fault.took_effect()
        at_ns = act.effective_ns or monotonic_ns()
        kind = "fault_effective" if act.effect.holds else "fault_without_effect"
        self._report(kind, act, at_ns, text=act.effect.text)
        if act.fault.plan.for_ns is None:
            act.fault.heal()
            self._close(act)  # nothing of ours is left to be healed
            self._see_healing(act)

    def _see_healing(self, act: FaultExecution) -> None:
        """Look until it is healed; what we heal has HEAL_S, what heals itself the rest of the run."""
        begin_ns = monotonic_ns()
        limit_ns = begin_ns + int(HEAL_S * 1e9)
        by_us = act.fault.plan.for_ns is not None
        time.sleep(HEALED_POLL_S)  # the first look, too, would be in the way of those that come back
        while not (found := act.fault.healed(LOOK_S)).holds:
            if found.is_final or monotonic_ns() >= (limit_ns if by_us else self._watch_until_ns):
                waited_s = (monotonic_ns() - begin_ns) / 1e9
                found = found if found.is_final else Proof(False, f"{found.text}, after {waited_s:.1f} s")
                break
        act.healed_ns = (act.fault.healed_ns() or monotonic_ns()) if found.holds else None
        act.healed = found
        if found.holds:
            self._report("fault_healed", act, act.healed_ns or monotonic_ns(), text=found.text)
            self._close(act)
        else:
            self._report("fault_not_healed", act, monotonic_ns(), text=found.text)

    def _report(self, kind: str, act: FaultExecution, at_ns: int, text: str | None = None) -> None:
        self.events.append(FaultEvent(at_ns, kind, act.fault.plan, text))
