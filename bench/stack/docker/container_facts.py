"""A container as the engine and the kernel report it: for the stack's description, and for faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.core.clock import NS_PER_S
from bench.stack.docker.client import ALLOW, CHAOS

CGROUPS = Path("/sys/fs/cgroup")
DEFAULT_INTERVAL_NS, DEFAULT_RETRIES = 30_000_000_000, 3
"""Of a health check that says nothing else."""
ANYWHERE = ("", "0.0.0.0")  # noqa: S104 - what the engine says of a port that is published on all addresses


@dataclass(frozen=True)
class Container:
    """What `inspect` says of a container, as far as it is used here."""

    id: str
    image: str
    """As it was named."""
    image_id: str
    pid: int | None
    """Of its first process; None while it is down."""
    labels: Mapping[str, str]
    environment: Mapping[str, str] = field(repr=False)
    """It may hold passwords."""
    restart_policy: str
    health_check: str
    """What the engine's health check said last: healthy, unhealthy, starting, or none without a check.

    Not to be taken for a detection: of a container that is paused or dead it says unhealthy immediately,
    without any check. The event is what counts.
    """
    health_check_ns: int | None
    """How long a service must be down for its health check to fail; None where it has no check.

    So many failed checks in a row make it unhealthy, and the pause between two of them is the interval.
    """
    open_ports: tuple[int, ...]
    """Its TCP ports that are published anywhere."""
    published: Mapping[int, tuple[str, int]]
    """Its TCP port -> (host, port) of this machine, of those that are published on IPv4."""
    address: str
    """In its first network, where this machine reaches it too; empty while it is in none."""
    started_ns: int | None
    """Wall time of its last start."""
    memory_limit_bytes: int
    """0: none."""
    cpu_limit: float
    """In CPUs; 0: none."""
    log_driver: str
    log_limit: str
    """The size at which json-file begins another log; empty: never."""
    fixed_ports: frozenset[int]
    """Those published on a port that stays the same over a restart: one that the engine chose does not."""

    @property
    def is_opted_in(self) -> bool:
        """Whether faults may hit it."""
        return self.labels.get(CHAOS) == ALLOW

    @classmethod
    def read(cls, inspected: Any) -> Container:
        """What the engine answered."""
        config = inspected.get("Config") or {}
        host = inspected.get("HostConfig") or {}
        state = inspected.get("State") or {}
        network = inspected.get("NetworkSettings") or {}
        log = host.get("LogConfig") or {}
        ports, networks = _tcp(network.get("Ports")), network.get("Networks") or {}
        return cls(
            id=str(inspected.get("Id", "")),
            image=str(config.get("Image") or ""),
            image_id=str(inspected.get("Image", "")),
            pid=state.get("Pid") or None,
            labels=config.get("Labels") or {},
            environment=dict(entry.partition("=")[::2] for entry in config.get("Env") or ()),
            restart_policy=str((host.get("RestartPolicy") or {}).get("Name") or "no"),
            health_check=str((state.get("Health") or {}).get("Status") or "none"),
            health_check_ns=_health_check_ns(config.get("Healthcheck") or {}),
            open_ports=tuple(ports),
            published={
                port: place for port, bindings in ports.items() if (place := _published(bindings)) is not None
            },
            address=next(
                (str(one.get("IPAddress")) for one in (networks.values()) if one.get("IPAddress")), ""
            ),
            started_ns=wall_ns_of(str(state.get("StartedAt") or "")),
            memory_limit_bytes=int(host.get("Memory") or 0),
            cpu_limit=_cpu_limit(host),
            log_driver=str(log.get("Type") or ""),
            log_limit=str((log.get("Config") or {}).get("max-size") or ""),
            fixed_ports=frozenset(
                port
                for port, bindings in _tcp(host.get("PortBindings")).items()
                if any(str(binding.get("HostPort") or "0") != "0" for binding in bindings)
            ),
        )


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
    groups = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines if line)}
    for controllers, path in groups.items():
        if "memory" in controllers.split(","):
            return path.lstrip("/") or None
    return groups.get("", "").lstrip("/") or None


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


def wall_ns_of(text: str) -> int | None:
    """A time as the engine writes it, 2026-02-02T01:02:03.123456789Z; None for that of a container that never
    ran.
    """
    try:
        found = datetime.fromisoformat(text[:19] + "+00:00")
    except ValueError:
        return None
    return int(found.timestamp()) * NS_PER_S if found.year > 1 else None


def _cpu_limit(host: Any) -> float:
    if nano := int(host.get("NanoCpus") or 0):
        return nano / 1e9
    quota, period = int(host.get("CpuQuota") or 0), int(host.get("CpuPeriod") or 0) or 100_000
    return max(quota, 0) / period


def _health_check_ns(check: Any) -> int | None:
    if (check.get("Test") or ["NONE"])[0] == "NONE":
        return None
    interval_ns = int(check.get("Interval") or 0) or DEFAULT_INTERVAL_NS
    retries = int(check.get("Retries") or 0) or DEFAULT_RETRIES
    return (retries - 1) * interval_ns


def _tcp(ports: Any) -> dict[int, list[Mapping[str, str]]]:
    """Port -> its bindings, of the TCP ports that have any."""
    return {
        int(port.partition("/")[0]): bindings
        for port, bindings in (ports or {}).items()
        if bindings and port.endswith("/tcp")
    }


def _published(bindings: list[Mapping[str, str]]) -> tuple[str, int] | None:
    for binding in bindings:
        host = str(binding.get("HostIp") or "")
        if ":" not in host and binding.get("HostPort"):
            # Everywhere includes loopback, and that is where the load may go.
            return ("127.0.0.1" if host in ANYWHERE else host), int(binding["HostPort"])
    return None
