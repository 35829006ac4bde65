"""What detectors observed, and which of it belongs to which fault: detected, missed, false alarm. Pure.

Clients and the stack are detectors too: their observations are read from the operation log and the
stack's events. Not every fault that a detector did not report was missed by it. One that was in alarm
already had nothing more to report, and one that did not look while the target was unreachable could
not see anything.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.outcome import Outcome
from bench.core.units import format_duration_ns
from bench.scenario.fault_kinds import ACTIONS
from bench.stack.supervisor.supervised import StackEvent


@dataclass(frozen=True)
class Observation:
    """A detector's change of mind about a target; ns on CLOCK_MONOTONIC."""

    detector: str
    target: str
    at_ns: int
    is_down: bool
    detail: str


NOTHING, OBSERVE = "nothing", "observe"
DETECTED, MISSED = "detected", "missed"
IN_ALARM = "in_alarm"
"""It was in alarm when the fault began: whether it would have noticed is unknown."""
NO_LOOK = "no_look"
"""The target was back before the detector had looked as often as it needs to."""


@dataclass(frozen=True)
class Window:
    """One fault as detectors could see it; ns on CLOCK_MONOTONIC."""

    fault: int
    kind: str
    targets: tuple[str, ...]
    """The target, and those that stand on it."""
    from_ns: int
    """When it was asked for: a detector may know of it before we have seen its effect ourselves."""
    healed_ns: int | None
    """None: it never was."""
    calm_ns: int
    """When nothing of it is to be seen any more; what comes later is a false alarm."""
    outage: tuple[int, int] | None = None
    """From the first failure that a client saw to the first success; None where none saw anything."""
    failed: int = 0
    """Arrivals that failed."""


WhyBlind = Callable[[Window], str | None]
"""Why a detector that did not report a fault could not have seen it; None where it could."""


def too_few_looks(looks_ns: Sequence[tuple[int, int]], needed: int) -> WhyBlind:
    """Of a detector that looks for itself: begin and end of each look, and how many in a row it needs.

    A look that was answered when the target was back did not see the outage.
    """

    def why(window: Window) -> str | None:
        if window.outage is None:
            return None
        start_ns, end_ns = window.outage
        first = bisect_left(looks_ns, (start_ns, 0))
        last = bisect_left(looks_ns, (end_ns, 0))
        found = sum(end <= end_ns for _, end in looks_ns[first:last])
        if found >= needed:
            return None
        length = format_duration_ns(end_ns - start_ns)
        return f"it looked {found} times in the {length} without answers, and needs {needed}"

    return why


def too_few_failures(needed: int) -> WhyBlind:
    """Of the clients themselves: so many operations must fail in a row."""

    def why(window: Window) -> str | None:
        if window.failed >= needed:
            return None
        return f"{window.failed} operations failed, and it needs {needed} in a row"

    return why


def shorter_than(needed_ns: int) -> WhyBlind:
    """Of one whose looks are not to be seen: what is over sooner cannot have failed all that it needs."""

    def why(window: Window) -> str | None:
        if window.outage is None or window.outage[1] - window.outage[0] >= needed_ns:
            return None
        length = format_duration_ns(window.outage[1] - window.outage[0])
        return f"the {length} without answers are less than the {format_duration_ns(needed_ns)} that it needs"

    return why


@dataclass(frozen=True)
class Detection:
    """Whether a detector noticed a fault; ns on CLOCK_MONOTONIC."""

    fault: int
    detector: str
    state: str
    detail: str
    at_ns: int | None = None
    """None where it did not report the fault."""
    alarm_since_ns: int | None = None
    """Of one that was in alarm already."""


def matched(
    windows: Sequence[Window],
    detectors: Mapping[str, Iterable[Observation]],
    blind: Mapping[str, WhyBlind] | None = None,
) -> tuple[list[Detection], list[Observation]]:
    """Detections, one for each fault and detector, and false alarms.

    A run that breaks nothing must detect nothing: what is seen after a fault of kind `nothing` is a
    false alarm, unless another fault explains it. So is what is seen while we only observe and no
    client is failed. `blind` has what detectors cannot see.
    """
    detections: list[Detection] = []
    false_alarms: list[Observation] = []
    real = [window for window in windows if window.kind != NOTHING and not _saw_nothing(window)]
    for name, observations in detectors.items():
        seen = sorted(observations, key=lambda observation: observation.at_ns)
        alarms = [observation for observation in seen if observation.is_down]
        claimed: set[int] = set()
        for window in real:
            ends_ns = _end(window, real)
            mine = [
                number
                for number, alarm in enumerate(alarms)
                if alarm.target in window.targets and window.from_ns <= alarm.at_ns < ends_ns
            ]
            claimed.update(mine)
            detection = _detection(name, window, [alarms[number] for number in mine], seen)
            if detection.state == MISSED and blind and (why := blind.get(name, _sees_all)(window)):
                detection = replace(detection, state=NO_LOOK, detail=why)
            detections.append(detection)
        false_alarms += [alarm for number, alarm in enumerate(alarms) if number not in claimed]
    return detections, sorted(false_alarms, key=lambda alarm: alarm.at_ns)


def _sees_all(_window: Window) -> str | None:
    return None


def _saw_nothing(window: Window) -> bool:
    return window.kind in (OBSERVE, *ACTIONS) and window.outage is None


def _detection(
    detector: str, window: Window, alarms: Sequence[Observation], seen: Sequence[Observation]
) -> Detection:
    """What the detector reported of a fault: the first alarm for a target that it was not in alarm about.

    Of one that it was, it can report nothing: an alarm that follows its all-clear is about what comes then.
    A further alarm without one in between is news all the same.
    """
    before = {
        observation.target: observation
        for observation in seen
        if observation.target in window.targets and observation.at_ns < window.from_ns
    }
    old = {target: observation for target, observation in before.items() if observation.is_down}
    clear_ns = {
        target: min(
            (
                each.at_ns
                for each in seen
                if each.target == target and not each.is_down and each.at_ns > alarm.at_ns
            ),
            default=window.calm_ns,
        )
        for target, alarm in old.items()
    }
    first = next((alarm for alarm in alarms if alarm.at_ns <= clear_ns.get(alarm.target, alarm.at_ns)), None)
    if first is not None:
        return Detection(window.fault, detector, DETECTED, first.detail, first.at_ns)
    if old:
        since = min(old.values(), key=lambda alarm: alarm.at_ns)
        ago = format_duration_ns(window.from_ns - since.at_ns)
        detail = f"it was in alarm already, since {ago} before the fault: {since.detail}"
        return Detection(window.fault, detector, IN_ALARM, detail, alarm_since_ns=since.at_ns)
    return Detection(window.fault, detector, MISSED, "it did not notice")


def _end(window: Window, windows: Iterable[Window]) -> int:
    """The next fault that the same observation could mean, or calm.

    While two faults are in force which of them was seen is unknown: then it is both.
    """
    later = [
        other.from_ns
        for other in windows
        if window.healed_ns is not None
        and other.from_ns >= window.healed_ns
        and not set(other.targets).isdisjoint(window.targets)
        and other is not window
    ]
    return min([*later, window.calm_ns + 1])


CLIENT_ERRORS = "client_errors"
REPLICATION = "replication"
IN_A_ROW = 3


def client_observations(operations: NDArray[Any], target: str, zero_ns: int) -> list[Observation]:
    """Down when IN_A_ROW operations ended not OK with no OK between them, up with the next OK.

    operations: the log of the workloads of one target (bench.engine.wire.layout.LOG_RECORD); zero_ns is run
    zero on CLOCK_MONOTONIC. Ends count in the order in which they became known.
    """
    found: list[Observation] = []
    order = np.argsort(operations["done_ns"], kind="stable")
    failed = operations["outcome"][order] != int(Outcome.OK)
    done = operations["done_ns"][order]
    row, is_down = 0, False
    # Runs of equal ends: a loop over changes, not over operations.
    edges = np.flatnonzero(np.diff(failed.astype(np.int8))) + 1
    bounds = [0, *edges.tolist(), failed.size] if failed.size else []
    for start, end in pairwise(bounds):
        row = end - start
        if failed[start] and row >= IN_A_ROW and not is_down:
            is_down = True
            at_ns = int(done[start + IN_A_ROW - 1]) + zero_ns
            found.append(
                Observation(CLIENT_ERRORS, target, at_ns, True, f"{IN_A_ROW} operations in a row failed")
            )
        elif not failed[start] and is_down:
            is_down = False
            found.append(
                Observation(
                    CLIENT_ERRORS, target, int(done[start]) + zero_ns, False, "an operation is OK again"
                )
            )
    return found


ENGINE_EVENT, CONTAINER_HEALTH, SENTINEL_EVENT = "engine_event", "container_health", "sentinel"
CLUSTER_BUS = "cluster"
_DOWN = {"died", "ended", "stopped", "failed", "gave_up", "paused", "oom", "disconnected"}
_UP = {"restarted", "started", "continued", "unpaused", "connected"}


def stack_observations(events: Iterable[StackEvent]) -> list[Observation]:
    """The events as observations of two detectors."""
    found = []
    for event in events:
        if event.service is None:
            continue
        detail = event.text or f"{event.kind} (process {event.pid})"
        if event.kind == "health":
            is_down = event.text != "healthy"
            found.append(Observation(CONTAINER_HEALTH, event.service, event.at_ns, is_down, detail))
        elif event.kind in _DOWN | _UP:
            found.append(Observation(ENGINE_EVENT, event.service, event.at_ns, event.kind in _DOWN, detail))
    return found
