"""Waiting for what an engine does, and looking for what it still has."""

import time
from collections.abc import Callable
from typing import Any

from bench.stack.docker.client import RUN
from bench.stack.docker.stack import DockerStack
from bench.stack.probes.health import probe
from bench.stack.target import State

DEADLINE_S = 40.0  # far above what anything here takes: only a hang ever meets it
SHORT_S = 0.3


def health_now(stack: DockerStack) -> State:
    """How the stack's Redis is."""
    return probe(stack.targets()["redis"], SHORT_S).state


def until_up(stack: DockerStack) -> None:
    """Wait until the stack's Redis answers."""
    eventually(lambda: health_now(stack) == "up", "Redis answers")


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Wait until the condition holds and return its value."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"never happened: {what}")


def traces_of(engine: Any, run: str) -> list[str]:
    """Whatever carries the run's label."""
    filters = {"label": f"{RUN}={run}"}
    found = [one["Id"] for one in engine.containers(all=True, filters=filters)]
    found += [one["Id"] for one in engine.networks(filters=filters)]
    return found + [one["Name"] for one in engine.volumes(filters=filters)["Volumes"] or []]
