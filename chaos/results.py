"""What a run with faults found, put together from what each saw, and written into the run's record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.registry import dependents_of, path_name
from bench.results.fault_records import DetectionRecord, FalseAlarmRecord, FaultRecord, RoleRecord
from bench.results.run_record import RunRecord
from bench.scenario.fault_kinds import REMEDIES
from chaos.detectors.detection import (
    CLIENT_ERRORS,
    IN_A_ROW,
    WhyBlind,
    Window,
    client_observations,
    matched,
    stack_observations,
    too_few_failures,
)
from chaos.detectors.polling import BREAKER, open_time_ns
from chaos.recovery.promotion import promotions
from chaos.recovery.recovery import Reconnection, recoveries
from chaos.recovery.replication import replication

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.plan.plan import Plan
    from bench.registry import Topology
    from bench.results.fault_records import RecoveryRecord
    from bench.stack.supervisor.supervised import StackEvent
    from chaos.detectors.detection import Detection, Observation
    from chaos.detectors.roles import RoleChange
    from chaos.recovery.replication import PrimaryPosition
    from chaos.runner import FaultExecution
    from chaos.schedule import FaultPlan

ENDS = ("died", "ended", "stopped")
CALM_NS = 5_000_000_000
"""How long after a target was healed a detector may still come to know of the fault."""


@dataclass(frozen=True)
class FaultResults:
    """Everything that was seen; times in ns on CLOCK_MONOTONIC."""

    acts: Sequence[FaultExecution]
    observations: Sequence[Observation]
    stack_events: Sequence[StackEvent]
    roles: Mapping[str, Sequence[RoleChange]]
    """Of the servers of targets that have several."""
    positions: Mapping[str, Sequence[PrimaryPosition]]
    """What the servers of a Postgres said of their standbys while they were the primary, by target."""
    detectors: Sequence[str]
    """Those that were at work beside the clients themselves."""
    blind: Mapping[str, WhyBlind]
    """What each of them cannot have seen."""
    plan: Plan
    start_ns: int
    end_ns: int

    def sections(self, record: RunRecord, folder: Path) -> RunRecord:
        """What is to be added to the record: faults, recoveries, detections, false alarms.

        The folder holds operations.npy and events.jsonl.
        """
        operations = np.load(folder / "operations.npy", mmap_mode="r")
        faults = [self._fault(act) for act in self.acts]
        recovered = recoveries(operations, record, faults, _reconnections(folder))
        detections, alarms = self._detections(operations, recovered, record.topology)
        roles = self._roles()
        found = RunRecord(
            faults=faults,
            roles=roles,
            promotions=promotions(roles, faults, record.duration_ns),
            replication=[
                one
                for target, positions in self.positions.items()
                for one in replication(target, positions, self.start_ns)
            ],
            recoveries=recovered,
            detections=[self._detection(detection) for detection in detections],
            false_alarms=[
                FalseAlarmRecord(
                    detector=alarm.detector,
                    target=alarm.target,
                    at_ns=alarm.at_ns - self.start_ns,
                    detail=alarm.detail,
                )
                for alarm in alarms
            ],
        )
        if BREAKER not in self.detectors:
            return found
        breakers = [each for each in self.observations if each.detector == BREAKER]
        return found.model_copy(update={"breaker_open_ns": open_time_ns(breakers, self.end_ns)})

    def _roles(self) -> list[RoleRecord]:
        """Every change, in the order of time; what was so before run zero is said as of then."""
        found = [
            RoleRecord(
                target=target,
                process=change.process,
                role=change.role,
                timeline=change.timeline,
                at_ns=max(0, change.at_ns - self.start_ns),
            )
            for target, changes in self.roles.items()
            for change in changes
        ]
        return sorted(found, key=lambda one: one.at_ns)

    def _fault(self, act: FaultExecution) -> FaultRecord:
        plan, broke = act.fault.plan, act.broke
        effect, healed = act.effect, act.healed
        if broke is None:
            proof = act.missed or "the run ended before it was made"
        else:
            proof = "; ".join(each.text for each in (effect, act.lasted, healed) if each is not None)
        # A target that was to come back by itself and did not has failed; what we were to heal and is
        # not healed makes the run worthless.
        is_healed = healed.holds if healed is not None else None
        if is_healed is False and act.healing is None:
            is_healed = None
        return FaultRecord(
            number=plan.number,
            kind=plan.kind,
            target=plan.target,
            client=plan.client,
            role=plan.role,
            process=act.fault.process if plan.role and broke is not None else None,
            repeat=plan.repeat,
            settings=dict(plan.settings),
            how=act.fault.how if broke is not None else "not made",
            mended_by=act.fault.healed_by,
            planned_ns=plan.at_ns,
            for_ns=plan.for_ns,
            asked_ns=self._zero(broke.asked_ns if broke else None),
            effective_ns=self._zero(self._effective(act)),
            returned_ns=self._zero(broke.returned_ns if broke else None),
            heal_asked_ns=self._zero(act.healing.asked_ns if act.healing else None),
            healed_ns=self._zero(act.healed_ns),
            proof=proof,
            took_effect=bool(effect and effect.holds and (act.lasted is None or act.lasted.holds)),
            healed=is_healed,
            uncertainty_ns=broke.returned_ns - broke.asked_ns if broke else None,
        )

    def _effective(self, act: FaultExecution) -> int | None:
        """When it took effect: by the harness's own timestamp, or by the supervisor's where that is earlier.

        Both see what the kernel did, each as soon as it gets a processor.
        """
        own, broke = act.effective_ns, act.broke
        if own is None or broke is None:
            return None
        if act.fault.plan.client is not None:
            return own  # a way, which no supervisor sees
        seen = [
            event.at_ns
            for event in self.stack_events
            if event.service == act.fault.process
            and event.kind in ENDS
            and broke.asked_ns <= event.at_ns < own
        ]
        return min([own, *seen])

    def _detections(
        self, operations: NDArray[Any], recovered: Sequence[RecoveryRecord], topology: Topology
    ) -> tuple[list[Detection], list[Observation]]:
        windows = []
        for act in self.acts:
            if act.broke is not None and act.fault.plan.kind not in REMEDIES:
                plan, healed_ns = act.fault.plan, act.healed_ns
                mine = [recovery for recovery in recovered if recovery.fault == plan.number]
                windows.append(
                    Window(
                        fault=plan.number,
                        kind=plan.kind,
                        targets=_noticed_by(plan, act.fault.process, topology),
                        from_ns=act.broke.asked_ns,
                        healed_ns=healed_ns,
                        calm_ns=(healed_ns or self.end_ns) + CALM_NS,
                        outage=self._outage(mine),
                        failed=sum(recovery.failed for recovery in mine),
                    )
                )
        blind = {CLIENT_ERRORS: too_few_failures(IN_A_ROW), **self.blind}
        return matched(windows, self._by_detector(operations, topology), blind)

    def _outage(self, recovered: Sequence[RecoveryRecord]) -> tuple[int, int] | None:
        """From the first failure that a client saw of a fault to when the last of them was answered again."""
        edges = [
            (each.first_failure_ns, each.until_ns if each.first_success_ns is None else each.first_success_ns)
            for each in recovered
            if each.first_failure_ns is not None
        ]
        if not edges:
            return None
        begins, ends = zip(*edges, strict=True)
        return min(begins) + self.start_ns, max(ends) + self.start_ns

    def _by_detector(self, operations: NDArray[Any], topology: Topology) -> dict[str, list[Observation]]:
        hit = {name for act in self.acts for name in (act.fault.plan.hit, act.fault.process)}
        hit.update(dependents_of(hit, topology))
        clients: list[Observation] = []
        for number, workload in enumerate(self.plan.workloads):
            if workload.workload.target in hit:
                own = operations[operations["workload"] == number]
                clients += client_observations(own, workload.workload.target, self.start_ns)
        # All that were at work, so that one that saw nothing has missed.
        by_detector: dict[str, list[Observation]] = {
            CLIENT_ERRORS: clients,
            **{name: [] for name in self.detectors},
        }
        of_stack = [
            observation
            for observation in stack_observations(self.stack_events)
            if observation.target in hit and observation.at_ns >= self.start_ns
        ]
        for observation in [*self.observations, *of_stack]:
            by_detector.setdefault(observation.detector, []).append(observation)
        for observations in by_detector.values():
            observations.sort(key=lambda observation: observation.at_ns)
        return by_detector

    def _detection(self, detection: Detection) -> DetectionRecord:
        return DetectionRecord(
            fault=detection.fault,
            detector=detection.detector,
            state=detection.state,
            at_ns=self._zero(detection.at_ns),
            detail=detection.detail,
            alarm_since_ns=self._zero(detection.alarm_since_ns),
        )

    def _zero(self, at_ns: int | None) -> int | None:
        return None if at_ns is None else at_ns - self.start_ns


def _noticed_by(plan: FaultPlan, process: str, topology: Topology) -> tuple[str, ...]:
    """What an alarm may name that is about this fault: a target, or the path that a breaker stands in."""
    dependents = dependents_of((plan.hit,), topology)
    if plan.client is not None:
        return (plan.client, plan.where, *dependents)
    return (
        *dict.fromkeys((plan.target, process)),
        *dependents,
        *(path_name(name, plan.target) for name in dependents),
    )


def _reconnections(folder: Path) -> list[Reconnection]:
    """Of the lanes, from events.jsonl."""
    # Not `splitlines`: a text may hold characters that it takes for the end of a line.
    lines = (folder / "events.jsonl").read_bytes().split(b"\n")
    events = [json.loads(line) for line in lines if line]
    return [
        Reconnection(event["workload"], int(event["at_ns"]), int(event["away_ns"]))
        for event in events
        if event["kind"] == "reconnected" and event.get("away_ns") is not None
    ]
