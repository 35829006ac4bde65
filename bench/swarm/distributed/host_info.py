"""Where a process is: on which host, under which kernel, with which clock and which loopback."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOL = 1
"""Of the messages between coordinator and engine host."""


@dataclass(frozen=True)
class HostInfo:
    """What two processes must share to share a clock or a loopback."""

    host: str
    pid: int
    boot: str
    time_namespace: str
    network_namespace: str
    protocol: int = PROTOCOL

    @classmethod
    def of_this_process(cls) -> Self:
        """Ours."""
        boot = Path("/proc/sys/kernel/random/boot_id")
        return cls(
            host=platform.node(),
            pid=os.getpid(),
            boot=boot.read_text("ascii").strip() if boot.exists() else "",
            time_namespace=_namespace("time"),
            network_namespace=_namespace("net"),
        )

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """What another process says of itself."""
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})

    def shares_clock_with(self, other: HostInfo) -> bool:
        """Whether both read the same CLOCK_MONOTONIC: one kernel, and one time namespace of it."""
        return self.boot != "" and (self.boot, self.time_namespace) == (other.boot, other.time_namespace)

    def shares_loopback_with(self, other: HostInfo) -> bool:
        """Whether 127.0.0.1 is the same for both."""
        return self.boot != "" and (self.boot, self.network_namespace) == (
            other.boot,
            other.network_namespace,
        )


def _namespace(kind: str) -> str:
    try:
        return str(Path(f"/proc/self/ns/{kind}").readlink())
    except OSError:
        return ""  # a kernel without it has one for all
