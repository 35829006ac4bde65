"""Waiting for what an engine does, and looking for what it still has."""

from typing import Any

from bench.stack.docker.client import RUN
from bench.stack.docker.stack import DockerStack
from bench.stack.probes.health import probe
from bench.stack.target import State
from tests.helpers.waiting import eventually

DEADLINE_S = 40.0  # far above what anything here takes: only a hang ever meets it
SHORT_S = 0.3


def health_now(stack: DockerStack) -> State:
    """How the stack's Redis is."""
    return probe(stack.targets()["redis"], SHORT_S).state


def until_up(stack: DockerStack) -> None:
    """Wait until the stack's Redis answers."""
    eventually(lambda: health_now(stack) == "up", "Redis answers")


def traces_of(engine: Any, run: str) -> list[str]:
    """Whatever carries the run's label."""
    filters = {"label": f"{RUN}={run}"}
    found = [one["Id"] for one in engine.containers(all=True, filters=filters)]
    found += [one["Id"] for one in engine.networks(filters=filters)]
    return found + [one["Name"] for one in engine.volumes(filters=filters)["Volumes"] or []]
