"""Which observations of a detector belong to which fault: detected, missed, false alarm. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.detectors.observation import Observation

NOTHING = "nothing"


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


def matched(
    windows: Sequence[Window], detectors: Mapping[str, Iterable[Observation]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Detections (one for each fault and detector; at_ns None where it missed) and false alarms.

    A run that breaks nothing must find nothing: what is seen after a fault of kind `nothing` is a
    false alarm, unless another fault explains it.
    """
    detections: list[dict[str, Any]] = []
    false_alarms: list[dict[str, Any]] = []
    real = [window for window in windows if window.kind != NOTHING]
    for name, observations in detectors.items():
        downs = sorted((one for one in observations if one.is_down), key=lambda one: one.at_ns)
        claimed: set[int] = set()
        for window in real:
            ends_ns = _end(window, real)
            mine = [
                number
                for number, one in enumerate(downs)
                if one.target in window.targets and window.from_ns <= one.at_ns < ends_ns
            ]
            claimed.update(mine)
            first = downs[mine[0]] if mine else None
            detections.append(
                {
                    "fault": window.fault,
                    "detector": name,
                    "at_ns": first.at_ns if first else None,
                    "detail": first.detail if first else "it did not notice",
                }
            )
        false_alarms += [
            {"detector": name, "target": one.target, "at_ns": one.at_ns, "detail": one.detail}
            for number, one in enumerate(downs)
            if number not in claimed
        ]
    return detections, sorted(false_alarms, key=lambda alarm: alarm["at_ns"])


def _end(window: Window, windows: Iterable[Window]) -> int:
    """The next fault that the same observation could mean, or calm.

    While two faults hold at once nobody can say which of them was seen: then it is both.
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
