"""Which observations of a detector belong to which fault: detected, missed, false alarm. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.detectors.observation import Observation


@dataclass(frozen=True)
class Window:
    """One fault as detectors could see it; ns on CLOCK_MONOTONIC."""

    fault: int
    kind: str
    targets: tuple[str, ...]
    """The target, and those that stand on it."""
    effective_ns: int
    ends_ns: int
    """The next fault's beginning, or the end of the run."""
    calm_ns: int
    """When nothing of it is to be seen any more; what comes later is a false alarm."""


def matched(
    windows: Sequence[Window], detectors: Mapping[str, Iterable[Observation]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Detections (one for each fault and detector; at_ns None where it missed) and false alarms."""
    detections: list[dict[str, Any]] = []
    false_alarms: list[dict[str, Any]] = []
    for name, observations in detectors.items():
        downs = [one for one in observations if one.is_down]
        claimed: set[int] = set()
        for window in windows:
            mine = [
                number
                for number, one in enumerate(downs)
                if one.target in window.targets
                and window.effective_ns <= one.at_ns < window.ends_ns
                and one.at_ns <= window.calm_ns
            ]
            # A run that breaks nothing must find nothing: whatever is seen then is a false alarm.
            if window.kind != "nothing":
                claimed.update(mine)
            first = downs[mine[0]] if mine else None
            if window.kind != "nothing":
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
