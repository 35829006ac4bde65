"""What a run with faults found, put together from what each saw, and written into the run's record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.registry import dependents_of
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
from chaos.recovery.recovery import recoveries

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.plan.plan import Plan
    from bench.stack.supervisor.supervised import StackEvent
    from chaos.detectors.detection import Observation
    from chaos.runner import FaultExecution

ENDS = ("died", "ended", "stopped")
CALM_NS = 5_000_000_000
"""How long after a target was mended a detector may still come to know of the fault."""


@dataclass(frozen=True)
class FaultResults:
    """Everything that was seen; times in ns on CLOCK_MONOTONIC."""

    acts: Sequence[FaultExecution]
    observations: Sequence[Observation]
    stack_events: Sequence[StackEvent]
    detectors: Sequence[str]
    """Those that were at work beside the clients themselves."""
    blind: Mapping[str, WhyBlind]
    """What each of them cannot have seen."""
    plan: Plan
    start_ns: int
    end_ns: int

    def add_to(self, record: dict[str, Any], folder: Path) -> None:
        """Add faults, detections, false alarms and recoveries; the folder holds operations.npy."""
        operations = np.load(folder / "operations.npy", mmap_mode="r")
        record["faults"] = [self._fault(act) for act in self.acts]
        record["recoveries"] = recoveries(operations, record, record["faults"], _events(folder))
        detections, alarms = self._detections(operations, record["recoveries"])
        record["detections"] = [self._from_zero(one) for one in detections]
        record["false_alarms"] = [self._from_zero(one) for one in alarms]
        if BREAKER in self.detectors:
            breakers = [one for one in self.observations if one.detector == BREAKER]
            record["breaker_open_ns"] = open_time_ns(breakers, self.end_ns)

    def _fault(self, act: FaultExecution) -> dict[str, Any]:
        plan, broke = act.fault.plan, act.broke
        effect, healed = act.effect, act.healed
        if broke is None:
            proof = act.missed or "the run ended before it was made"
        else:
            proof = "; ".join(one.text for one in (effect, act.lasted, healed) if one is not None)
        # A target that was to come back by itself and did not has failed; what we were to mend and is
        # not mended makes the run worthless.
        mended = healed.holds if healed is not None else None
        if mended is False and act.mended is None:
            mended = None
        return {
            "number": plan.number,
            "kind": plan.kind,
            "target": plan.target,
            "repeat": plan.repeat,
            "settings": plan.settings,
            "how": act.fault.how if broke is not None else "not made",
            "mended_by": act.fault.mended_by,
            "planned_ns": plan.at_ns,
            "for_ns": plan.for_ns,
            "asked_ns": self._zero(broke.asked_ns if broke else None),
            "effective_ns": self._zero(self._effective(act)),
            "returned_ns": self._zero(broke.returned_ns if broke else None),
            "heal_asked_ns": self._zero(act.mended.asked_ns if act.mended else None),
            "healed_ns": self._zero(act.healed_ns),
            "proof": proof,
            "took_effect": bool(effect and effect.holds and (act.lasted is None or act.lasted.holds)),
            "healed": mended,
            "uncertainty_ns": broke.returned_ns - broke.asked_ns if broke else None,
        }

    def _effective(self, act: FaultExecution) -> int | None:
        """When it took effect: by the harness's own stamp, or by the supervisor's where that is earlier.

        Both see what the kernel did, each as soon as it gets a processor.
        """
        own, broke = act.effective_ns, act.broke
        if own is None or broke is None:
            return None
        seen = [
            event.at_ns
            for event in self.stack_events
            if event.service == act.fault.plan.target
            and event.kind in ENDS
            and broke.asked_ns <= event.at_ns < own
        ]
        return min([own, *seen])

    def _detections(
        self, operations: NDArray[Any], recovered: Sequence[Mapping[str, Any]]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        windows = []
        for act in self.acts:
            if act.broke is not None:
                plan, healed_ns = act.fault.plan, act.healed_ns
                calm_ns = (healed_ns or self.end_ns) + CALM_NS
                targets = (plan.target, *dependents_of((plan.target,)))
                mine = [one for one in recovered if one["fault"] == plan.number]
                windows.append(
                    Window(
                        plan.number,
                        plan.kind,
                        targets,
                        act.broke.asked_ns,
                        healed_ns,
                        calm_ns,
                        self._away(mine),
                        sum(one["failed"] for one in mine),
                    )
                )
        blind = {CLIENT_ERRORS: too_few_failures(IN_A_ROW), **self.blind}
        return matched(windows, self._by_detector(operations), blind)

    def _away(self, recovered: Sequence[Mapping[str, Any]]) -> tuple[int, int] | None:
        """From the first failure that a client saw of a fault to when the last of them was answered again."""
        hit = [one for one in recovered if one["first_failure_ns"] is not None]
        if not hit:
            return None
        ends = [
            one["until_ns"] if one["first_success_ns"] is None else one["first_success_ns"] for one in hit
        ]
        return min(one["first_failure_ns"] for one in hit) + self.start_ns, max(ends) + self.start_ns

    def _by_detector(self, operations: NDArray[Any]) -> dict[str, list[Observation]]:
        hit = {act.fault.plan.target for act in self.acts}
        hit.update(dependents_of(hit))
        clients: list[Observation] = []
        for number, workload in enumerate(self.plan.workloads):
            if workload.workload.target in hit:
                own = operations[operations["workload"] == number]
                clients += client_observations(own, workload.workload.target, self.start_ns)
        # All that were at work, so that one that saw nothing has missed.
        found: dict[str, list[Observation]] = {
            CLIENT_ERRORS: clients,
            **{name: [] for name in self.detectors},
        }
        of_stack = [
            one
            for one in stack_observations(self.stack_events)
            if one.target in hit and one.at_ns >= self.start_ns
        ]
        for one in [*self.observations, *of_stack]:
            found.setdefault(one.detector, []).append(one)
        for observations in found.values():
            observations.sort(key=lambda one: one.at_ns)
        return found

    def _zero(self, at_ns: int | None) -> int | None:
        return None if at_ns is None else at_ns - self.start_ns

    def _from_zero(self, entry: dict[str, Any]) -> dict[str, Any]:
        stamps = {name: self._zero(entry[name]) for name in ("at_ns", "alarm_since_ns") if name in entry}
        return entry | stamps


def _events(folder: Path) -> list[dict[str, Any]]:
    # Not `splitlines`: a text may hold characters that it takes for the end of a line.
    return [json.loads(line) for line in (folder / "events.jsonl").read_bytes().split(b"\n") if line]
