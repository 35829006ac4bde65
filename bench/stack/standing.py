"""Targets that run already, asked now: how each is, and how its container is set up, where it has one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core.errors import TargetError
from bench.stack.docker.container_facts import Container
from bench.stack.probes.health import ServiceHealth, health_of
from bench.stack.probes.refusals import Answer, refuses_without_password, refuses_without_tls
from bench.stack.target import Target, TargetDescription

if TYPE_CHECKING:
    from bench.stack.stack import Stack

RESTARTS = ("always", "unless-stopped", "on-failure")
NO_CONTAINER = "it runs in no container of compose or docker: only of such a one that can be asked"
FACTS = (
    *("up", "uptime", "restart_policy", "health_check", "memory_limit", "cpu_limit", "log_rotation"),
    *("password", "tls"),
)
"""What can be asked of a target."""


NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class AskedTarget:
    """A target as it was found."""

    health: ServiceHealth
    target: Target | None = None
    """None: it was not found, and only its state is known."""
    container: Container | None = None


def asked(targets: Iterable[Target], containers: Mapping[str, str] = NONE) -> list[AskedTarget]:
    """The targets asked now; `containers`: the ids of theirs, by target."""
    found = list(targets)
    inspected = _inspected(containers)
    rows = zip(found, health_of(found), strict=True)
    return [AskedTarget(row, target, inspected.get(target.name)) for target, row in rows]


def asked_of(stack: "Stack") -> list[AskedTarget]:
    """Those of a stack that was found."""
    return asked(stack.targets().values(), container_ids(stack.describe()))


def container_ids(described: Iterable[TargetDescription]) -> dict[str, str]:
    """The ids of the targets' containers."""
    return {one.name: one.container.id for one in described if one.container is not None}


def _inspected(containers: Mapping[str, str]) -> dict[str, Container]:
    if not containers:
        return {}
    from docker.errors import APIError

    from bench.stack.docker.client import connect_engine

    found: dict[str, Container] = {}
    try:
        engine = connect_engine()
    except TargetError:
        return {}
    try:
        for name, identity in containers.items():
            try:
                found[name] = Container.read(engine.inspect_container(identity))
            except (APIError, OSError):
                continue  # gone since
    finally:
        engine.close()
    return found


def fact_of(one: AskedTarget, fact: str, now_ns: int, at_least_s: float = 0.0, path: str = "/") -> Answer:
    """Whether something of FACTS holds of a target; over HTTP a password is asked for at `path`."""
    if fact == "up":
        return Answer(one.health.state == "up", f"it is {one.health.state}: {one.health.detail}".rstrip(": "))
    if fact == "uptime":
        return _uptime(one, now_ns, at_least_s)
    if fact in ("password", "tls"):
        if one.target is None:
            return Answer(None, f"it was not found: {one.health.detail}")
        ask = refuses_without_password if fact == "password" else refuses_without_tls
        return ask(one.target, path)
    if one.container is None:
        return Answer(None, NO_CONTAINER)
    return _of_container(one.container, fact)


def _uptime(one: AskedTarget, now_ns: int, at_least_s: float) -> Answer:
    uptime_s, whose = one.health.uptime_s, "it"
    if one.health.state == "down":
        return Answer(False, "it is down")
    if uptime_s is None and one.container is not None and one.container.started_ns is not None:
        uptime_s, whose = (now_ns - one.container.started_ns) / 1e9, "its container"
    if uptime_s is None:
        return Answer(None, f"a target of kind {one.health.kind} does not say since when it is up")
    return Answer(uptime_s >= at_least_s, f"{whose} is up for {uptime_s / 86_400:.2f} d")


def _of_container(container: Container, fact: str) -> Answer:
    match fact:
        case "restart_policy":
            policy = container.restart_policy
            return Answer(policy in RESTARTS, f"its restart policy is {policy}")
        case "health_check":
            has_one = container.health_check_ns is not None
            said = f"its health check says {container.health_check}" if has_one else "it has no health check"
            return Answer(has_one, said)
        case "memory_limit":
            limit = container.memory_limit_bytes
            return Answer(bool(limit), f"limited to {limit / 2**20:.0f} MiB" if limit else "it has no limit")
        case "cpu_limit":
            cpus = container.cpu_limit
            return Answer(bool(cpus), f"limited to {cpus:g} CPUs" if cpus else "it has no limit")
        case _:
            return _rotation(container)


def _rotation(container: Container) -> Answer:
    driver, size = container.log_driver, container.log_limit
    if driver == "local":
        return Answer(True, "its log driver local rotates")
    if driver == "none":
        return Answer(True, "it keeps no log")
    if driver == "json-file":
        return Answer(bool(size), f"its log is rotated at {size}" if size else "its log grows without limit")
    return Answer(None, f"its log goes to {driver or 'an unknown driver'}: who rotates it is not known")
