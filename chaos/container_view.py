"""What is known of a container before and after a fault: may it be hit, does it run, which process is it."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from bench.core.errors import TargetError
from bench.stack.docker.client import connect_engine, said
from bench.stack.docker.container_facts import cgroup_of, is_opted_in, policy_of
from bench.stack.docker.labels import ALLOW, CHAOS
from bench.stack.supervisor.process_identity import ProcessIdentity
from chaos.endpoint import Endpoint, endpoints_of

if TYPE_CHECKING:
    from docker import APIClient

Inspected = dict[str, Any]


@cache
def engine() -> APIClient:
    """This process's client of the engine. Raises TargetError where there is none."""
    return connect_engine()


def inspect(container: str) -> Inspected:
    """What the engine knows of a container. Raises TargetError when it is not there."""
    from docker.errors import APIError

    try:
        found: Inspected = engine().inspect_container(container)
    except APIError as error:
        raise TargetError(
            container[:12], "the Docker engine", "a container", said(error), "start the stack again"
        ) from None
    return found


def victim(container: str, *, running: bool = False) -> Inspected:
    """A container that faults may hit. Raises TargetError for any other, or one that does not run."""
    inspected = inspect(container)
    if not is_opted_in(inspected):
        advice = f"give it the label {CHAOS}={ALLOW} if faults may hit it"
        raise refusal(inspected, f"a container with the label {CHAOS}={ALLOW}", "one without", advice)
    if running and process_number(inspected) is None:
        found = f"one that is {inspected['State']['Status']}"
        raise refusal(
            inspected, "a container that runs", found, "start it, or let more time pass between faults"
        )
    return inspected


def check(container: str) -> None:
    """That faults may hit this container, and that it runs. Raises TargetError."""
    victim(container, running=True)


def refusal(inspected: Inspected, expected: str, found: str, advice: str) -> TargetError:
    """That an act is not possible on this container."""
    name = str(inspected.get("Name") or inspected["Id"][:12]).lstrip("/")
    return TargetError(name, "the Docker engine", expected, found, advice)


def state(container: str) -> dict[str, Any]:
    """The engine's State: Status, Running, Paused, Pid, ExitCode ..."""
    found: dict[str, Any] = inspect(container)["State"]
    return found


def process_number(inspected: Inspected) -> int | None:
    """Its first process as the host numbers it; None while it is down."""
    return inspected["State"]["Pid"] or None


def pid_of(container: str) -> int | None:
    """The same, asked now."""
    return process_number(inspect(container))


def restart_policy(container: str) -> str:
    """The engine's name for what it does when the container dies: no, always, on-failure, unless-stopped."""
    return policy_of(inspect(container))


def seen_process(inspected: Inspected) -> ProcessIdentity | None:
    """The container's first process; None where it is not to be seen from here.

    The engine may run in another machine or name space, where the number is another process's.
    """
    pid = process_number(inspected)
    identity = None if pid is None else ProcessIdentity.of(pid)
    return identity if inspected["Id"] in (cgroup_of(pid) or "") else None


def host_process(inspected: Inspected) -> ProcessIdentity | str:
    """The container's first process, ready to be signalled; or why it is out of reach."""
    if process_number(inspected) is None:
        return f"a container that is {inspected['State']['Status']}"
    identity = seen_process(inspected)
    if identity is None:
        return "an engine whose processes are not to be seen from here"
    try:
        os.kill(identity.pid, 0)
    except PermissionError:
        return "a process that this user may not signal"
    except ProcessLookupError:
        return "a process that has just ended"
    return identity


def why_no_crash(container: str) -> str | None:
    """Why its process cannot be killed from here; None when it can. Nothing is done."""
    found = host_process(inspect(container))
    return found if isinstance(found, str) else None


def endpoints(container: str) -> tuple[Endpoint, ...]:
    """The networks that it is on, each with all that was asked for there."""
    return endpoints_of(inspect(container), str(getattr(engine(), "api_version", "")))


def why_no_disconnect(container: str) -> str | None:
    """Why it cannot be taken off its networks; None when it can. Nothing is done."""
    inspected = inspect(container)
    mode = str((inspected.get("HostConfig") or {}).get("NetworkMode") or "")
    if mode == "host":
        return "one on the host's own network"
    if mode.startswith("container:"):
        return "one on the network of another container"
    return None if mode != "none" and endpoints(container) else "one without"
