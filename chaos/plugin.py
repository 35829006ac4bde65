"""The plugin for faults: faults and detectors beside the load, and what they found after it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from bench.core.errors import HealError, UsageError
from bench.registry import SENTINEL, instances_of, path_name, roles_of
from bench.results.generator_records import CalibrationRecord
from bench.results.run_record import Anomaly, ProxyRecord, RunRecord
from bench.scenario.fault_kinds import ACTION, BACKUP, PASSIVE_KINDS
from bench.stack.background.state import state_folder
from chaos import schedule
from chaos.detectors.alerts import AlertWatch
from chaos.detectors.detection import CONTAINER_HEALTH, ENGINE_EVENT, WhyBlind, shorter_than, too_few_looks
from chaos.detectors.polling import Breaker, Detector, PollingDetector, Probe
from chaos.detectors.replication import ReplicationWatch
from chaos.detectors.roles import ClusterBus, RoleWatch, SentinelEvents, role_watch
from chaos.faults import fault_for
from chaos.faults.fault import FaultContext
from chaos.integrity.checks import Integrity
from chaos.journal import Journal, heal_orphans, read_journal
from chaos.proxy.paths import PathProxies
from chaos.proxy.watch import ProxyWatch
from chaos.results import FaultResults
from chaos.runner import FaultRunner
from chaos.undo import RemoveFolder
from chaos.watchdog import Watchdog

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.results.writer import RunWriter
    from bench.scenario.model import Scenario
    from bench.stack.stack import Stack
    from bench.stack.target import Target
    from chaos.proxy.client import FaultProxy
    from chaos.schedule import FaultPlan


class Chaos:
    """The plugin of a run with faults. See bench.run.plugins.RunPlugin for the order of calls."""

    def __init__(self, paths: PathProxies | None = None) -> None:
        """paths: the proxies between the services of the stack, where the scenario has faults on them."""
        self._paths = paths
        self._detectors: list[PollingDetector] = []
        self._alerts: list[AlertWatch] = []
        self._systems: list[Detector] = []
        self._roles: dict[str, list[RoleWatch]] = {}
        """Target -> the watches of its servers."""
        self._replication: dict[str, list[ReplicationWatch]] = {}
        """The same of a Postgres, about its standbys."""
        self._proxies: list[FaultProxy] = []
        self._proxy_watches: list[ProxyWatch] = []
        self._floors: dict[str, CalibrationRecord] = {}
        self._cleanup = contextlib.ExitStack()
        """Closes what `prepare` has opened, the last first."""

    def prepare(
        self, scenario: Scenario, plan: Plan, stack: Stack, targets: Mapping[str, Target]
    ) -> dict[str, Target]:
        """Check every fault, heal what an earlier run has left, put proxies in front of their targets."""
        planned = schedule.planned(scenario, plan.seed, stack.topology())
        self._plan, self._stack = plan, stack
        self._context = context = FaultContext(stack, dict(targets), actions=scenario.actions)
        journal: Journal | None = None
        for name in dict.fromkeys(
            fault.hit for fault in planned if fault.kind not in (*PASSIVE_KINDS, ACTION, BACKUP)
        ):
            context.require_opt_in(name)
        between = self._between(planned, plan.seed)
        context.proxies.update(between)
        faults = [fault_for(fault, context) for fault in planned]
        for fault in faults:
            fault.check()
        if planned:
            journal = Journal()
            self._cleanup.callback(_require_healed, journal.path)
            after_it = self._cleanup.enter_context(contextlib.ExitStack())  # is closed after the journal
            self._cleanup.callback(journal.close)
            heal_orphans(journal=journal)
            after_it.callback(Watchdog(journal.path, journal.lock).close)
            if any(fault.action is not None for fault in planned):
                context.private = self._private_folder(journal)
        seen = dict(targets)
        through = [fault for fault in planned if fault.through_proxy]
        for name in dict.fromkeys(fault.target for fault in through if fault.client is None):
            seen[name] = self._behind_proxy(name, targets[name], plan.seed)
        for proxy in (*self._proxies, *between.values()):
            proxy.await_relay()  # all load at the same time, and none while it is measured
            self._proxy_watches.append(ProxyWatch(proxy, plan))
        self._runner = FaultRunner(faults, journal, plan.duration_ns)
        self._hit = list(dict.fromkeys(fault.hit for fault in planned))
        probing = scenario.detection
        for name in self._hit:
            self._detectors.append(Probe(seen[name], probing.probe_every_ns, probing.failures))
        # Only of an API that the scenario itself puts load on: a breaker opens by calls that fail, and
        # the stack may have an API because another scenario of the command needs one.
        topology = stack.topology()
        for name in dict.fromkeys(workload.target for workload in scenario.workloads):
            outline = topology.get(name)
            if outline is None or outline.kind != "http" or name not in targets:
                continue
            if {name, *outline.behind}.intersection(self._hit):
                paths = {topology[each].kind: path_name(name, each) for each in outline.behind}
                for each in instances_of(name, targets) or (name,):  # each process has its own
                    self._detectors.append(Breaker(targets[each], paths))
        if scenario.prometheus is not None:
            self._alerts = [
                AlertWatch(name, one.alert, one.about or next(iter(self._hit), ""), scenario.prometheus.url)
                for name, one in scenario.prometheus.alerts.items()
            ]
        for name in self._hit:
            self._watch_roles(targets[name], targets)
        for detector in self._listeners:
            self._cleanup.callback(detector.stop)
        self._integrity = Integrity(scenario, plan, targets, seen)
        self._cleanup.callback(self._integrity.close)
        self._integrity.prepare()
        self._cleanup.callback(self._runner.rescue)
        self._cleanup.callback(self._runner.end)
        return seen

    def _private_folder(self, journal: Journal) -> Path:
        """One that goes with the run, also when this harness is killed. Raises UsageError."""
        folder = state_folder() / "actions" / journal.path.stem
        try:
            noted = journal.intend("files of actions", RemoveFolder(folder))
        except OSError as error:
            advice = "make room there: what is not noted is not done"
            raise UsageError(f"{journal.path}: the journal cannot be written ({error}); {advice}") from None
        self._cleanup.callback(_remove_private, journal, noted, folder)
        return folder

    def _watch_roles(self, target: Target, targets: Mapping[str, Target]) -> None:
        """Look at the servers of a target, and listen to its Sentinels, where it has any."""
        members = roles_of(target.name, self._stack.topology())
        servers = [name for name, role in members.items() if role != SENTINEL]
        if servers:
            self._roles[target.name] = [role_watch(targets[name]) for name in servers]
        if servers and target.kind == "postgres":
            watches = [ReplicationWatch(targets[name], target.name) for name in servers]
            self._replication[target.name] = watches
        if target.nodes and servers:
            self._systems += [ClusterBus(targets[name], target.name) for name in servers]
        if target.sentinels is not None:
            self._systems += [
                SentinelEvents(number, address, target)
                for number, address in enumerate(target.sentinels.addresses, start=1)
            ]

    @property
    def _listeners(self) -> list[Detector]:
        """Everything that looks on in a thread of its own."""
        return [*self._noticing, *(watch for each in self._roles.values() for watch in each)]

    @property
    def _noticing(self) -> list[Detector]:
        """Those that can notice a fault."""
        return [
            *self._detectors,
            *self._alerts,
            *self._systems,
            *(watch for each in self._replication.values() for watch in each),
        ]

    def _between(self, planned: Iterable[FaultPlan], seed: int) -> dict[str, FaultProxy]:
        """The proxies of the paths between services, by the name of the path. Raises TargetError."""
        between: dict[str, FaultProxy] = {}
        for fault in planned:
            if fault.client is not None and fault.where not in between:
                paths = self._paths or PathProxies(())
                between[fault.where] = proxy = paths.between(fault.client, fault.target)
                proxy.seed = seed
        return between

    def _behind_proxy(self, name: str, target: Target, seed: int) -> Target:
        from chaos.proxy.client import FaultProxy

        found = (
            "one that Sentinels move"
            if target.sentinels
            else "a cluster"
            if target.nodes
            else "one of several hosts"
            if target.hosts
            else ""
        )
        if found or target.socket_file is not None:
            raise target.error(
                "a target at one address and port for a fault on the way to it",
                found,
                "name one of its servers by url with host and port, as a target of its own",
            )
        proxy = FaultProxy(target.host, target.port, name=name, seed=seed)
        self._proxies.append(proxy)
        self._cleanup.callback(proxy.close)
        self._context.proxies[name] = proxy
        host, port = proxy.start()
        return target.through(host, port)

    def calibrate(self) -> None:
        """What the harness adds to a known delay on the way through each proxy."""
        for proxy in self._proxies:
            self._floors[proxy.name] = _floor_through(proxy, self._plan)

    def rehearse(self) -> None:
        """Try what reads the data that is there by now."""
        self._integrity.rehearse()

    def begin(self, start_ns: int, writer: RunWriter) -> None:
        """Detectors first, so that the first fault finds them at work."""
        self._writer = writer
        self._start_ns = start_ns
        for detector in self._listeners:
            detector.start()
        self._integrity.begin(start_ns)
        self._runner.begin(start_ns)

    def look(self, now_ns: int) -> str | None:
        """Write what happened since the last call; name the faults in force."""
        for failure in (self._runner.failure, *(detector.failure for detector in self._listeners)):
            if failure is not None:
                raise failure
        for watch in self._proxy_watches:
            watch.look(now_ns)
        while self._runner.events:
            event = self._runner.events.popleft()
            self._writer.event(event.at_ns - self._start_ns, event.kind, **event.fields())
        in_force = [f"{act.fault.plan.kind} {act.fault.plan.aim}" for act in self._runner.in_force]
        return ", ".join(in_force) or None

    def end_early(self) -> None:
        """Make no more faults, and heal those that hold."""
        self._runner.end_soon()

    def finish(self, record: RunRecord, folder: Path) -> RunRecord:
        """Heal, look at everything that was seen, and put it into the record."""
        proxies, anomalies = self._proxy_records(record)
        self._runner.end()
        for detector in self._listeners:
            detector.stop()
        self.look(record.duration_ns)
        results = FaultResults(
            acts=self._runner.acts,
            observations=[each for detector in self._noticing for each in detector.observations],
            roles={
                name: [one for each in watches for one in each.changes]
                for name, watches in self._roles.items()
            },
            positions={
                name: [one for each in watches for one in each.positions]
                for name, watches in self._replication.items()
            },
            detectors=self._detector_names(),
            blind=self._blind(),
            stack_events=self._stack.events(),
            plan=self._plan,
            start_ns=self._start_ns,
            end_ns=monotonic_ns(),
        )
        sections = results.sections(record, folder)
        self._write_events(sections)
        record = record.model_copy(
            update={name: getattr(sections, name) for name in sections.model_fields_set}
        )
        checks, holes = self._integrity.finish(record, folder)
        self._runner.rescue()
        update: dict[str, object] = {"anomalies": [*record.anomalies, *anomalies, *holes]}
        if proxies:
            update["proxies"] = proxies
        if checks:
            update["integrity"] = checks
        return record.model_copy(update=update)

    def _proxy_records(self, record: RunRecord) -> tuple[list[ProxyRecord], list[Anomaly]]:
        """What the proxies were like under the load, before they are used for healing."""
        end_ns = record.duration_ns
        open_loops = [workload for workload in self._plan.workloads if not workload.is_closed]
        records: list[ProxyRecord] = []
        anomalies: list[Anomaly] = []
        for watch in self._proxy_watches:
            proxy = watch.proxy
            floor = self._floors.get(proxy.name) if proxy.client is None else None
            records.append(watch.entry(end_ns, floor))
            through = record.passed_by(records[-1])
            loads = (workload.name for workload in open_loops if workload.workload.target in through)
            anomalies += watch.anomalies(records[-1], loads)
        return records, anomalies

    def _write_events(self, found: RunRecord) -> None:
        """What only the end of the run shows, into the events too."""
        for detection in found.detections:
            if detection.at_ns is not None:
                self._writer.event(
                    detection.at_ns, "detected", fault=detection.fault, detector=detection.detector
                )
        for alarm in found.false_alarms:
            self._writer.event(alarm.at_ns, "false_alarm", detector=alarm.detector, text=alarm.detail)
        for recovery in found.recoveries:
            if recovery.stable_ns is not None:
                self._writer.event(
                    recovery.stable_ns, "recovered", fault=recovery.fault, workload=recovery.workload
                )

    def _detector_names(self) -> list[str]:
        """Those that are at work beside the clients themselves."""
        names = [detector.detector for detector in self._noticing]
        if self._stack.reports_events:
            names.append(ENGINE_EVENT)
        if any(self._context.health_check_ns(name) is not None for name in self._hit):
            names.append(CONTAINER_HEALTH)
        return list(dict.fromkeys(names))

    def _blind(self) -> dict[str, WhyBlind]:
        """What each of them cannot see, as far as it is known how they look."""
        blind: dict[str, WhyBlind] = {}
        for detector in self._detectors:
            # Several of one name look at one target each, all at the same times.
            blind[detector.detector] = too_few_looks(detector.looks_ns, detector.needed)
        blind |= {alert.detector: alert.blind() for alert in self._alerts}
        needed = [self._context.health_check_ns(name) for name in self._hit]
        if known := [needed_ns for needed_ns in needed if needed_ns is not None]:
            blind[CONTAINER_HEALTH] = shorter_than(min(known))
        return blind

    def close(self) -> None:
        """End everything in any case; what could not be healed stays in the journal for `bench heal`.

        Raises HealError where something stays.
        """
        self._cleanup.close()


def _floor_through(proxy: FaultProxy, plan: Plan) -> CalibrationRecord:
    """What the harness adds to a known delay on the way through a proxy, as the self-measurement has it."""
    from bench.run.calibration.measure import self_measurement

    loads = [workload.workload for workload in plan.workloads if workload.workload.target == proxy.name]
    rates = [load.rate_per_s for load in loads if load.rate_per_s]
    try:
        measured = self_measurement(
            max(rates, default=None),
            max((load.lanes for load in loads), default=1),
            through=proxy.lead_to,
        )
    finally:
        proxy.lead_back()
    return CalibrationRecord.model_validate(measured)


def _remove_private(journal: Journal, noted: str, folder: Path) -> None:
    """All but what may have to be put back."""
    if RemoveFolder(folder).heal() is None:
        journal.done(noted)


def _require_healed(journal: Path) -> None:
    """FaultRunner and watchdog have done what they could; what is still noted is not healed."""
    left = [entry.what for entry in read_journal(journal).entries.values()]
    if left:
        raise HealError(f"not healed: {', '.join(left)}; run `bench heal`, which reports what is in the way")
