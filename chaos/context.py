"""What a fault can reach: the stack's services, and the proxies in front of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.core.errors import TargetError
from bench.stack.probes.health import probe

if TYPE_CHECKING:
    from bench.stack.stack import Stack
    from bench.stack.target import Target
    from chaos.proxy.client import FaultProxy

PROBE_S = 1.0
EMBEDDED = "embedded"
ALLOW_VARIABLE = "HOLDFAST_ALLOW_FAULTS"
"""Names of targets, separated by commas, that somebody else runs and that may be broken."""


@dataclass
class FaultContext:
    """One stack with its targets as they are, whatever the load sees of them."""

    stack: Stack
    targets: Mapping[str, Target]
    proxies: dict[str, FaultProxy] = field(default_factory=dict)

    def entry(self, name: str) -> dict[str, Any]:
        """What the stack says of a target now; empty where it says nothing."""
        return next((one for one in self.stack.describe() if one.get("name") == name), {})

    def pid(self, name: str) -> int | None:
        """The target's process, as far as it is ours to see; None while it is down."""
        pid = self.entry(name).get("pid")
        return int(pid) if pid else None

    def container(self, name: str) -> str | None:
        """The id of the container that the target runs in."""
        found = self.entry(name).get("container")
        return str(found) if found else None

    def health_check_ns(self, name: str) -> int | None:
        """How long its container's health check takes to fail; None where it has none."""
        found = self.entry(name).get("health_check_ns")
        return None if found is None else int(found)

    def answers(self, name: str) -> bool:
        """Whether the target answers its protocol now."""
        return probe(self.targets[name], PROBE_S).state != "down"

    def require_opt_in(self, name: str) -> None:
        """Raise TargetError for a target that is neither of our own making nor given to us to break."""
        is_ours = self.entry(name).get("faults_allowed", self.stack.kind == EMBEDDED)
        allowed = [one.strip() for one in os.environ.get(ALLOW_VARIABLE, "").split(",")]
        if is_ours or name in allowed:
            return
        raise self.refuse(
            name,
            "a target that may be broken",
            "one that the harness did not start and that is not opted in",
            f"use --stack embedded or docker, label its container bench.chaos=allow, or set "
            f"{ALLOW_VARIABLE}={name} for faults on the way to it",
        )

    def refuse(self, name: str, expected: str, found: str, advice: str) -> TargetError:
        """That a fault cannot be made on a target."""
        target = self.targets.get(name)
        return TargetError(name, target.address if target else "the stack", expected, found, advice)
