"""What a run's record says of a container, out of what the engine and the kernel say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.resources.cgroup import ROOT as CGROUPS
from bench.stack.docker.client import ALLOW, CHAOS

DEFAULT_INTERVAL_NS, DEFAULT_RETRIES = 30_000_000_000, 3
"""Of a health check that says nothing else."""


def cgroup_of(pid: int | None) -> str | None:
    """The control group of a process below the root of its controllers; None where it cannot be seen.

    Of version 1 that of the memory controller: the engine gives a container the same one in all.
    """
    if not pid:
        return None
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(errors="replace").split("\n")
    except OSError:
        return None
    found = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines if line)}
    for controllers, path in found.items():
        if "memory" in controllers.split(","):
            return path.lstrip("/") or None
    return found.get("", "").lstrip("/") or None


def is_frozen(pid: int | None) -> bool | None:
    """Whether the kernel has the process's control group frozen; None where that cannot be seen."""
    group = cgroup_of(pid)
    if group is None:
        return None
    for path, word in (
        (CGROUPS / "freezer" / group / "freezer.state", "FROZEN"),
        (CGROUPS / group / "cgroup.events", "frozen 1"),
    ):
        try:
            return word in path.read_text()
        except OSError:
            continue
    return None


def policy_of(inspected: dict[str, Any]) -> str:
    """The restart policy in words."""
    return str(((inspected.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name") or "no")


def health_of(inspected: dict[str, Any]) -> str:
    """What the engine's health check said last: healthy, unhealthy, starting, or none without a check.

    Not to be taken for a detection: of a container that is paused or dead it says unhealthy at once,
    without any check. The event is what counts.
    """
    return str(((inspected.get("State") or {}).get("Health") or {}).get("Status") or "none")


def health_check_ns(inspected: dict[str, Any]) -> int | None:
    """How long a service must be away for its health check to say so; None where it has no check.

    So many failed checks in a row make it unhealthy, and the pause between two of them is the interval.
    """
    check = (inspected.get("Config") or {}).get("Healthcheck") or {}
    test = check.get("Test") or ["NONE"]
    if test[0] == "NONE":
        return None
    interval_ns = int(check.get("Interval") or 0) or DEFAULT_INTERVAL_NS
    retries = int(check.get("Retries") or 0) or DEFAULT_RETRIES
    return (retries - 1) * interval_ns


def is_opted_in(inspected: dict[str, Any]) -> bool:
    """Whether faults may hit this container."""
    return (((inspected.get("Config") or {}).get("Labels")) or {}).get(CHAOS) == ALLOW


def published_port(inspected: dict[str, Any], port: int) -> tuple[str, int] | None:
    """(host, port) of this machine where a port of the container is published; None where it is not."""
    ports = ((inspected.get("NetworkSettings") or {}).get("Ports")) or {}
    for binding in ports.get(f"{port}/tcp") or ():
        host = str(binding.get("HostIp") or "")
        if ":" not in host and binding.get("HostPort"):
            # Everywhere includes loopback, and that is where the load may go.
            return ("127.0.0.1" if host in ("", "0.0.0.0") else host), int(binding["HostPort"])  # noqa: S104
    return None


def is_port_fixed(inspected: dict[str, Any], port: int) -> bool:
    """Whether the published port stays the same over a restart: one that the engine chose does not."""
    bindings = ((inspected.get("HostConfig") or {}).get("PortBindings") or {}).get(f"{port}/tcp") or ()
    return any(str(binding.get("HostPort") or "0") != "0" for binding in bindings)
