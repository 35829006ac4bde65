"""What the stack's own watchers said: the supervisor or container engine, and container health checks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chaos.detectors.observation import Observation

if TYPE_CHECKING:
    from bench.stack.supervisor.supervised import StackEvent

ENGINE_EVENT, CONTAINER_HEALTH = "engine_event", "container_health"
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
