"""Chaos as a companion of a run: faults and detectors beside the load, and what they found after it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.clock import monotonic_ns
from bench.core.errors import HealError
from bench.registry import dependencies_of
from bench.scenario.fault_kinds import FAULT_KINDS, LOOKING_ON
from chaos.detectors.detection import CONTAINER_HEALTH, ENGINE_EVENT, WhyBlind, shorter_than, too_few_looks
from chaos.detectors.polling import Breaker, PollingDetector, Probe
from chaos.faults import fault_for
from chaos.faults.fault import FaultContext
from chaos.integrity.checks import Integrity
from chaos.journal import Journal, heal_orphans, read_journal
from chaos.proxy.watch import ProxyWatch
from chaos.results import FaultResults
from chaos.runner import FaultRunner
from chaos.schedule import planned_faults
from chaos.watchdog import Watchdog

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.results.writer import RunWriter
    from bench.scenario.model import Scenario
    from bench.stack.stack import Stack
    from bench.stack.target import Target
    from chaos.proxy.client import FaultProxy


class Chaos:
    """The plugin of a run with faults. See bench.run.plugins.RunPlugin for the order of calls."""

    def __init__(self) -> None:
        self._conductor: FaultRunner | None = None
        self._around: FaultContext | None = None
        self._journal: Journal | None = None
        self._reaper: Watchdog | None = None
        self._watchers: list[PollingDetector] = []
        self._proxies: list[FaultProxy] = []
        self._proxy_watches: list[ProxyWatch] = []
        self._floors: dict[str, dict[str, Any]] = {}
        self._integrity: Integrity | None = None
        self._writer: RunWriter | None = None
        self._seen: Mapping[str, Target] = {}

    def prepare(
        self, scenario: Scenario, plan: Plan, stack: Stack, targets: Mapping[str, Target]
    ) -> dict[str, Target]:
        """Check every fault, heal what an earlier run has left, put proxies in front of their targets."""
        planned = planned_faults(scenario.faults, plan.seed)
        self._plan, self._stack = plan, stack
        self._around = around = FaultContext(stack, dict(targets))
        for name in dict.fromkeys(one.target for one in planned if one.kind not in LOOKING_ON):
            around.require_opt_in(name)
        faults = [fault_for(one, around) for one in planned]
        for fault in faults:
            fault.check()
        if planned:
            self._journal = Journal()
            heal_orphans(journal=self._journal)
            self._reaper = Watchdog(self._journal.path, self._journal.lock)
        seen = dict(targets)
        for name in dict.fromkeys(one.target for one in planned if FAULT_KINDS[one.kind].through_proxy):
            seen[name] = self._behind_proxy(name, targets[name], plan.seed)
        for proxy in self._proxies:
            proxy.await_relay()  # all load at the same time, and none while it is measured
            self._proxy_watches.append(ProxyWatch(proxy, plan))
        self._seen = seen
        self._conductor = FaultRunner(faults, self._journal, plan.duration_ns)
        hit = dict.fromkeys(one.target for one in planned)
        for name in hit:
            self._watchers.append(
                Probe(seen[name], scenario.detection.probe_every_ns, scenario.detection.failures)
            )
        self._hit = list(hit)
        # Only of an API that the scenario itself puts load on: a breaker opens by calls that fail, and
        # the stack may have an API because another scenario of the command needs one.
        loaded = {one.target for one in scenario.workloads}
        if "api" in loaded and any(name in ("api", *dependencies_of("api")) for name in hit):
            self._watchers.append(Breaker(targets["api"]))
        self._integrity = Integrity(scenario, plan, targets, seen)
        self._integrity.prepare()
        return seen

    def _behind_proxy(self, name: str, target: Target, seed: int) -> Target:
        from chaos.proxy.client import FaultProxy

        proxy = FaultProxy(target.host, target.port, name=name, seed=seed)
        self._proxies.append(proxy)
        assert self._around is not None
        self._around.proxies[name] = proxy
        host, port = proxy.start()
        return replace(target, host=host, port=port)

    def calibrate(self) -> None:
        """What the harness adds to a known delay on the way through each proxy."""
        for proxy in self._proxies:
            self._floors[proxy.name] = _floor_through(proxy, self._plan)

    def begin(self, start_ns: int, writer: RunWriter) -> None:
        """Detectors first, so that the first fault finds them at work."""
        self._writer = writer
        self._start_ns = start_ns
        for watcher in self._watchers:
            watcher.start()
        assert self._integrity is not None
        self._integrity.begin(start_ns)
        assert self._conductor is not None
        self._conductor.begin(start_ns)

    def look(self, now_ns: int) -> str | None:
        """Write what happened since the last look; name the faults that hold."""
        assert self._conductor is not None
        assert self._writer is not None
        for failure in (self._conductor.failure, *(watcher.failure for watcher in self._watchers)):
            if failure is not None:
                raise failure
        for proxy in self._proxy_watches:
            proxy.look(now_ns)
        while self._conductor.events:
            at_ns, kind, fields = self._conductor.events.popleft()
            self._writer.event(at_ns - self._start_ns, kind, **fields)
        holding = [f"{act.fault.plan.kind} {act.fault.plan.target}" for act in self._conductor.in_force]
        return ", ".join(holding) or None

    def finish(self, record: dict[str, Any], folder: Path) -> None:
        """Mend, look at everything that was seen, and put it into the record."""
        assert self._conductor is not None
        assert self._around is not None
        self._watch_proxies_to_the_end(record)
        self._conductor.end()
        for watcher in self._watchers:
            watcher.stop()
        self.look(record["duration_ns"])
        findings = FaultResults(
            acts=self._conductor.acts,
            observations=[one for watcher in self._watchers for one in watcher.observations],
            detectors=self._detectors(),
            blind=self._blind(),
            stack_events=self._stack.events(),
            plan=self._plan,
            start_ns=self._start_ns,
            end_ns=monotonic_ns(),
        )
        findings.add_to(record, folder)
        self._tell(record)
        assert self._integrity is not None
        self._integrity.finish(record, folder)

    def _watch_proxies_to_the_end(self, record: dict[str, Any]) -> None:
        """Before they are used for healing: what they were like under the load."""
        open_workloads = [one for one in self._plan.workloads if not one.is_closed]
        entries = []
        for watch in self._proxy_watches:
            name = watch.proxy.name
            entries.append(watch.entry(record["duration_ns"], self._floors.get(name, {})))
            loads = (one.name for one in open_workloads if one.workload.target == name)
            record["anomalies"] += watch.anomalies(entries[-1], loads)
        if entries:
            record["proxies"] = entries

    def _tell(self, record: dict[str, Any]) -> None:
        """What only the end of the run shows, into the events too."""
        assert self._writer is not None
        for one in record["detections"]:
            if one["at_ns"] is not None:
                self._writer.event(one["at_ns"], "detected", fault=one["fault"], detector=one["detector"])
        for one in record["false_alarms"]:
            self._writer.event(one["at_ns"], "false_alarm", detector=one["detector"], text=one["detail"])
        for one in record["recoveries"]:
            if one["stable_ns"] is not None:
                self._writer.event(
                    one["stable_ns"], "recovered", fault=one["fault"], workload=one["workload"]
                )

    def _detectors(self) -> list[str]:
        """Those that are at work beside the clients themselves."""
        assert self._around is not None
        found = [watcher.detector for watcher in self._watchers]
        if self._stack.kind != "external":
            found.append(ENGINE_EVENT)
        if any(self._around.health_check_ns(name) is not None for name in self._hit):
            found.append(CONTAINER_HEALTH)
        return list(dict.fromkeys(found))

    def _blind(self) -> dict[str, WhyBlind]:
        """What each of them cannot see, as far as it is known how they look."""
        assert self._around is not None
        found: dict[str, WhyBlind] = {}
        for watcher in self._watchers:
            # Several of one name look at one target each, all at the same times.
            found[watcher.detector] = too_few_looks(watcher.looks_ns, watcher.needed)
        needed = [self._around.health_check_ns(name) for name in self._hit]
        if known := [one for one in needed if one is not None]:
            found[CONTAINER_HEALTH] = shorter_than(min(known))
        return found

    def close(self) -> None:
        """End everything in any case; what could not be mended stays in the journal for `bench heal`.

        Raises HealError where something stays.
        """
        with contextlib.ExitStack() as cleanup:
            if self._journal is not None:
                cleanup.callback(_require_healed, self._journal.path)
            if self._reaper is not None:
                cleanup.callback(self._reaper.close)
                self._reaper = None
            if self._journal is not None:
                cleanup.callback(self._journal.close)
                self._journal = None
            for proxy in self._proxies:
                cleanup.callback(proxy.close)
            self._proxies = []
            for watcher in self._watchers:
                cleanup.callback(watcher.stop)
            if self._integrity is not None:
                cleanup.callback(self._integrity.close)
            if self._conductor is not None:
                cleanup.callback(self._conductor.end)


def _floor_through(proxy: FaultProxy, plan: Plan) -> dict[str, Any]:
    """What the harness adds to a known delay on the way through a proxy, as the self-measurement has it."""
    from bench.run.calibration.measure import self_measurement

    loads = [one.workload for one in plan.workloads if one.workload.target == proxy.name]
    rates = [one.rate_per_s for one in loads if one.rate_per_s]
    try:
        return self_measurement(
            max(rates, default=None),
            max((one.lanes for one in loads), default=1),
            through=proxy.lead_to,
        )
    finally:
        proxy.lead_back()


def _require_healed(journal: Path) -> None:
    """FaultRunner and watchdog have done what they could; what is still noted is not healed."""
    left = [entry.what for entry in read_journal(journal).entries.values()]
    if left:
        raise HealError(f"not healed: {', '.join(left)}; run `bench heal`, which reports what is in the way")
