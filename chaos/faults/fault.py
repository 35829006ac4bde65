"""The form of every fault, and what it can reach: the stack's services and the proxies before them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from bench.core.errors import TargetError
from bench.registry import SENTINEL, roles_of
from bench.stack.probes.health import probe
from bench.stack.roles import current_roles
from bench.stack.supervisor.processes import ProcessIdentity
from chaos.processes import STOPPED_STATES, state_of
from chaos.schedule import Proof, Timestamps, drawn
from chaos.undo import Nothing, Undo

if TYPE_CHECKING:
    from bench.scenario.actions import ActionEntry
    from bench.stack.stack import Stack
    from bench.stack.target import ContainerDescription, Target, TargetDescription
    from chaos.proxy.client import FaultProxy
    from chaos.schedule import FaultPlan


PROBE_S = 1.0
ALLOW_VARIABLE = "HOLDFAST_ALLOW_FAULTS"
"""Names of targets, separated by commas, that others run and that may be broken."""


@dataclass
class FaultContext:
    """One stack with its targets as they are, whatever the load sees of them."""

    stack: Stack
    targets: Mapping[str, Target]
    proxies: dict[str, FaultProxy] = field(default_factory=dict)
    actions: Sequence[ActionEntry] = ()
    """All of the scenario."""
    backed_up: set[Path] = field(default_factory=set)
    """Backups of this run that were made to their end."""
    private: Path | None = None
    """A folder that goes with the run and only this user can read: backups, and how to log in for an undo."""

    def description(self, name: str) -> TargetDescription | None:
        """What the stack reports of a target now."""
        return next((target for target in self.stack.describe() if target.name == name), None)

    def pid(self, name: str) -> int | None:
        """The target's process, as far as it is ours to see; None while it is down."""
        described = self.description(name)
        return described.pid if described is not None else None

    def container(self, name: str) -> ContainerDescription | None:
        """The container that the target runs in."""
        described = self.description(name)
        return described.container if described is not None else None

    def health_check_ns(self, name: str) -> int | None:
        """How long its container's health check takes to fail; None where it has none."""
        container = self.container(name)
        return container.health_check_ns if container is not None else None

    def process(self, plan: FaultPlan) -> str:
        """The process of its target that a fault hits now. Raises TargetError where none has that role."""
        if plan.role is None:
            return plan.target
        targets = dict(self.targets)
        if targets[plan.target].kind == "postgres":  # one that is paused would be waited for
            sleeping = self.servers(plan.target).keys() - self.awake(plan.target).keys()
            targets = {name: target for name, target in targets.items() if name not in sleeping}
        roles = current_roles(plan.target, targets, self.stack.topology())
        holders = [name for name, role in roles.items() if role == plan.role and self.pid(name) is not None]
        if not holders:
            found = ", ".join(f"{name} {role}" for name, role in roles.items()) or "nobody who says"
            raise self.refuse(plan.target, f"a living {plan.role}", found, "lengthen `every`")
        return drawn(holders, plan.draw)

    def servers(self, name: str) -> dict[str, Target]:
        """The servers of a target that has several; else none."""
        members = roles_of(name, self.stack.topology())
        return {each: self.targets[each] for each, role in members.items() if role != SENTINEL}

    def awake(self, name: str) -> dict[str, Target]:
        """Those of them whose process of ours runs and is not stopped by a signal."""
        pids = {each: self.pid(each) for each in self.servers(name)}
        found = {each: ProcessIdentity.of(pid) for each, pid in pids.items() if pid is not None}
        states = {each: state_of(one) for each, one in found.items() if one is not None}
        return {
            each: self.targets[each]
            for each, state in states.items()
            if state is not None and state not in STOPPED_STATES
        }

    def answers(self, name: str) -> bool:
        """Whether the target answers its protocol now."""
        return probe(self.targets[name], PROBE_S).state != "down"

    def require_opt_in(self, name: str) -> None:
        """Raise TargetError for a target that is neither of our own making nor given to us to break."""
        container = self.container(name)
        target = self.targets.get(name)
        is_ours = container.faults_allowed if container is not None else bool(target and target.managed)
        allowed = [entry.strip() for entry in os.environ.get(ALLOW_VARIABLE, "").split(",")]
        allowed += self.stack.faults_allowed
        if is_ours or name in allowed:
            return
        raise self.refuse(
            name,
            "a target that may be broken",
            "one that the harness did not start and that is not opted in",
            f"use --stack embedded or docker, label its container bench.chaos=allow, or set "
            f"{ALLOW_VARIABLE}={name} for faults on the way to it (in a stack file allow: "
            f"{{faults: [{name}]}})",
        )

    def refuse(self, name: str, expected: str, found: str, advice: str) -> TargetError:
        """That a fault cannot be made on a target."""
        target = self.targets.get(name)
        return TargetError(name, target.address if target else "the stack", expected, found, advice)


EFFECT_S = 3.0
"""How long to look for the proof of an effect."""


class Fault(ABC):
    """One fault at one time. Called in the order of the methods, `heal` and `healed` perhaps never."""

    def __init__(self, plan: FaultPlan, context: FaultContext) -> None:
        self.plan = plan
        self.context = context
        self.process = plan.target
        """The process of the target that is hit; known from `aim` on where it is chosen by its role."""

    @property
    def target(self) -> Target:
        """The target that it is done to."""
        return self.context.targets[self.plan.target]

    def refuse(self, expected: str, found: str, advice: str) -> TargetError:
        """That it cannot be done to its target."""
        return self.context.refuse(self.plan.target, expected, found, advice)

    def check(self) -> None:  # noqa: B027 - most faults need no more than their target
        """Before anything starts: whether this can be done here at all. Raises TargetError."""

    def aim(self) -> None:  # noqa: B027 - some hit nothing that could be gone
        """Right before the fault: find what it is about to hit. Raises TargetError when that is not there."""

    def undo(self) -> Undo:
        """How any process can heal it; asked after `aim` and noted before `inject`."""
        return Nothing()

    @abstractmethod
    def inject(self) -> Timestamps:
        """Break it."""

    @abstractmethod
    def took_effect(self) -> Proof:
        """Whether it broke, by independent evidence; may wait up to EFFECT_S."""

    def give_up(self) -> None:  # noqa: B027 - most are made in an instant
        """The run ends: what is still being made need not be."""

    def lasted(self) -> Proof | None:
        """After `heal`: that it was gone before its time, where that can be seen; else None."""
        return None

    def heal(self) -> Timestamps | None:
        """Heal it; None for what heals itself (a supervisor's restart).

        Called when its time is over, or after the effect of an instantaneous fault.
        """
        return None

    @abstractmethod
    def healed(self, deadline_s: float) -> Proof:
        """Whether it is healed; waits until it is, or for so long."""

    def rescue(self) -> bool:
        """Heal by other means what its own way did not, when all was looked at; whether it is healed."""
        return False

    @property
    def healed_by(self) -> str:
        """Who heals it."""
        return "us" if self.plan.for_ns is not None else "nobody: it was over at once"

    @property
    @abstractmethod
    def how(self) -> str:
        """What was done by what means, and who heals it; one sentence, true after `inject`."""

    def healed_ns(self) -> int | None:
        """When it was healed by evidence, ns on CLOCK_MONOTONIC; None: when `healed` said so."""
        return None


def stamped(asked_ns: int, effective_ns: int | None = None) -> Timestamps:
    """Stamps of an act that has just returned."""
    return Timestamps(asked_ns, monotonic_ns(), effective_ns)
