"""Taking away what a run has made in the engine: containers, then networks, then volumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from bench.stack.docker.labels import HARNESS, RUN, is_left_over

if TYPE_CHECKING:
    from docker import APIClient

AT_ONCE = 8
DEADLINE_S = 20.0
_GONE = (404, 409)
"""Not there any more, or just being removed by someone else: the next look tells."""


def remove_run(engine: APIClient, run: str, deadline_s: float = DEADLINE_S) -> list[str]:
    """Remove all that carries the run's label; return the names of what is still there. Again is harmless.

    Asked until nothing is found: the engine may finish a request of a harness that is gone already.
    """
    deadline = time.monotonic() + deadline_s
    while left := _look(engine, f"{RUN}={run}"):
        _remove(engine, left)
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return [name for _, name, _ in left]


def sweep(engine: APIClient) -> list[str]:
    """Remove what harnesses have left that are gone; return the runs."""
    runs = {
        labels[RUN]
        for _, _, labels in _look(engine, HARNESS)
        if RUN in labels and is_left_over(labels.get(HARNESS, ""))
    }
    for run in sorted(runs):
        remove_run(engine, run)
    return sorted(runs)


def left_overs(engine: APIClient) -> list[str]:
    """The names of what a sweep would remove."""
    return [name for _, name, labels in _look(engine, HARNESS) if is_left_over(labels.get(HARNESS, ""))]


Found = tuple[str, str, dict[str, str]]
"""(what: container, network or volume; its name or id; its labels)."""


def _look(engine: APIClient, label: str) -> list[Found]:
    filters = {"label": label}
    found: list[Found] = [
        ("container", one["Id"], one.get("Labels") or {})
        for one in engine.containers(all=True, filters=filters)
    ]
    found += [("network", one["Id"], one.get("Labels") or {}) for one in engine.networks(filters=filters)]
    volumes = engine.volumes(filters=filters).get("Volumes") or []
    found += [("volume", one["Name"], one.get("Labels") or {}) for one in volumes]
    return found


def _remove(engine: APIClient, found: Iterable[Found]) -> None:
    ways: dict[str, Callable[[str], Any]] = {
        "container": lambda name: engine.remove_container(name, v=True, force=True),
        "network": engine.remove_network,
        "volume": lambda name: engine.remove_volume(name, force=True),
    }
    entries = list(found)
    for what, way in ways.items():  # in this order: what is in use cannot be removed
        names = [name for kind, name, _ in entries if kind == what]
        if names:
            with ThreadPoolExecutor(min(len(names), AT_ONCE)) as threads:
                list(threads.map(lambda name, way=way: _quietly(way, name), names))


def _quietly(way: Callable[[str], Any], name: str) -> None:
    from docker.errors import APIError

    try:
        way(name)
    except APIError as error:
        # A network whose containers are just going is "in use" (403): asked again.
        if error.status_code not in (*_GONE, 403, 500):
            raise
