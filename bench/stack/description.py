"""What a stack reports of a target: who answered, which process or container it is, where its log is.

It becomes a part of run.json (`stack.targets`) and of the state file of a background stack: `to_json` writes
both, `from_json` reads what any version wrote. No secret is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

_LEFT_OUT = ("credentials", "data_directory", "settings", "behind", "tls", "listener_pid")
"""Not written where a stack knows nothing of them; all else is written as null."""
_KEYS = {"id": "container"}


@dataclass(frozen=True)
class ContainerDescription:
    """The container that a target runs in."""

    id: str
    image: str
    image_id: str
    cgroup: str | None
    """Below the root of control groups; None where it cannot be seen."""
    restart_policy: str
    faults_allowed: bool
    is_port_fixed: bool
    """Whether its published port stays the same over a restart."""
    health_check: str
    """What the engine's health check said last."""
    health_check_ns: int | None
    """How long the service must be down for its health check to fail; None where it has no check."""


@dataclass(frozen=True)
class TargetDescription:
    """One target of a stack, as it is now."""

    name: str
    kind: str
    address: str
    server: str
    version: str
    started_by: str
    state: str
    """up or down."""
    credentials: str | None = None
    """Where they are from."""
    program: str | None = None
    pid: int | None = None
    """Of its first process; None while it is down, and where it is not ours to see."""
    listener_pid: int | None = None
    """Of a target that others run here at a socket file: the process that listens there."""
    supervisor_pid: int | None = None
    log: str | None = None
    data_directory: str | None = None
    settings: Mapping[str, str] | None = None
    """Of the server, where they are not its defaults."""
    tls: str | None = None
    """How far the certificate of a target over TLS is checked."""
    behind: list[str] | None = None
    """The targets that it does its work with, as a stack file says."""
    container: ContainerDescription | None = None

    def to_json(self) -> dict[str, Any]:
        """For a file: the container's facts stand beside the target's."""
        entry = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "container"}
        for name in _LEFT_OUT:
            if entry[name] is None:
                del entry[name]
        if self.container is not None:
            entry |= {_KEYS.get(name, name): value for name, value in vars(self.container).items()}
        return entry

    @classmethod
    def from_json(cls, entry: Any) -> TargetDescription:
        """What `to_json` made. Raises KeyError or TypeError for anything else."""
        known = {field.name: entry[field.name] for field in fields(cls) if field.name in entry}
        if "container" in entry:
            names = (field.name for field in fields(ContainerDescription))
            known["container"] = ContainerDescription(*(entry.get(_KEYS.get(name, name)) for name in names))
        return cls(**known)
