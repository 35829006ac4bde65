"""A fault as it is planned, and what is known of one act of it: its timestamps and the proof of its
effect.

A scenario's faults become single planned ones here, pure and seeded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bench.registry import PRIMARY, contacts_a_target, instances_of, path_name, roles_of
from bench.scenario.actions import restore_after
from bench.scenario.fault_kinds import ACTION, FAULT_KINDS, PASSIVE_KINDS, REMEDIES, RESTORE

if TYPE_CHECKING:
    from bench.registry import Topology
    from bench.scenario.actions import ActionEntry
    from bench.scenario.faults import FaultEntry
    from bench.scenario.model import Scenario


@dataclass(frozen=True)
class Timestamps:
    """Times of one act, ns on CLOCK_MONOTONIC."""

    asked_ns: int
    returned_ns: int
    effective_ns: int | None = None
    """By the kernel's, the supervisor's or the engine's own event; None where there is none, and then
    it lies between the other two."""

    @property
    def effect_ns(self) -> int:
        """When it took effect, as well as it is known."""
        return self.returned_ns if self.effective_ns is None else self.effective_ns


@dataclass(frozen=True)
class Proof:
    """Whether something is so, by evidence, in one sentence."""

    holds: bool
    text: str
    is_final: bool = False
    """To look again would find the same."""


_SHARE_BITS = 53


@dataclass(frozen=True)
class FaultPlan:
    """One fault at one time; ns from run zero."""

    number: int
    """Its place among all faults of the run, in the order of time."""
    kind: str
    target: str
    at_ns: int
    for_ns: int | None
    """How long it stays; None for an instantaneous one."""
    settings: Mapping[str, int | float | str] = field(default_factory=dict)
    when: str | None = None
    entry: int = 0
    """Which entry of the scenario it is a repeat of."""
    repeat: int = 0
    client: str | None = None
    """The service on whose way to the target it acts; None: on the way of the load, or on the target."""
    role: str | None = None
    """What the process of the target that is hit is at that time; None where the target is one process, or
    the instance is chosen already."""
    action: ActionEntry | None = None
    """The action that it is, of one of the kinds ACTIONS."""
    restore: ActionEntry | None = None
    """How what this destroys comes back, of kind DESTROY."""
    draw: float = 0.0
    """0..1: which one of several with that role is hit; 0 is the first."""

    @property
    def where(self) -> str:
        """The target, or the path: "api → redis"."""
        return path_name(self.client, self.target)

    @property
    def through_proxy(self) -> bool:
        """Whether it is made on the network path."""
        return self.action is None and FAULT_KINDS[self.kind].through_proxy

    @property
    def aim(self) -> str:
        """What is hit, in words: the target, the path, or the role: "sessions primary"."""
        if self.action is not None and self.kind == ACTION:
            return self.action.label
        return f"{self.where} {self.role}" if self.role else self.where

    @property
    def hit(self) -> str:
        """The target that is harmed first: of a path the service that goes it."""
        return self.client or self.target

    @property
    def ends_ns(self) -> int:
        """When it is to be undone."""
        return self.at_ns + (self.for_ns or 0)


def planned_actions(scenario: Scenario) -> list[FaultPlan]:
    """The actions of a scenario; what is to be undone without a time stays to the end of the run.

    What a drill destroys stays so until it is restored.
    """
    contacted = [one.target for one in scenario.workloads if contacts_a_target(one.driver)]
    found = []
    for index, action in enumerate(scenario.actions):
        if action.step == RESTORE:
            continue
        restore = restore_after(action, scenario.actions)
        ends_ns = restore.at_ns if restore is not None else scenario.total_ns if action.undo else None
        found.append(
            FaultPlan(
                number=0,
                kind=action.step or ACTION,
                target=action.aimed_at or contacted[0],
                at_ns=action.at_ns,
                for_ns=action.for_ns or (None if ends_ns is None else ends_ns - action.at_ns),
                settings={} if action.name is None else {"name": action.name},
                entry=len(scenario.faults) + index,
                action=action,
                restore=restore,
            )
        )
    return found


def planned(scenario: Scenario, seed: int, topology: Topology | None = None) -> list[FaultPlan]:
    """The faults and the actions of a scenario, numbered in the order of time."""
    both = [*planned_faults(scenario.faults, seed, topology), *planned_actions(scenario)]
    both.sort(key=lambda one: (one.at_ns, one.entry))
    return [replace(one, number=number) for number, one in enumerate(both)]


def planned_faults(
    entries: Sequence[FaultEntry], seed: int, topology: Topology | None = None
) -> list[FaultPlan]:
    """Every repeat of every entry, in the order of time. Equal seeds give equal times and instances.

    topology: of the stack, with the processes of those targets that have several.
    """
    known = topology or {}
    found: list[FaultPlan] = []
    for index, entry in enumerate(entries):
        assert entry.at_ns is not None
        for repeat in range(entry.repeat):
            at_ns = entry.at_ns + repeat * (entry.every_ns or 0)
            at_ns += round(_share(f"fault {seed}/{index}/{repeat}") * (entry.jitter_ns or 0))
            share = _share(f"instance {seed}/{index}/{repeat}") if entry.which == "random" else 0.0
            role = _role(entry, known)
            found.append(
                FaultPlan(
                    number=0,
                    kind=entry.kind,
                    target=entry.target if role else _hit(entry, known, share, repeat),
                    at_ns=at_ns,
                    for_ns=entry.for_ns,
                    settings=entry.settings,
                    when=entry.when,
                    entry=index,
                    repeat=repeat,
                    client=entry.client,
                    role=role,
                    draw=share,
                )
            )
    found.sort(key=lambda one: (one.at_ns, one.entry))
    return [replace(one, number=number) for number, one in enumerate(found)]


def _role(entry: FaultEntry, known: Topology) -> str | None:
    """The role that is hit, where who has it shows only at the time of the fault."""
    if not _hits_a_process(entry) or not roles_of(entry.target, known):
        return None
    return entry.role or PRIMARY


def _hits_a_process(entry: FaultEntry) -> bool:
    return not FAULT_KINDS[entry.kind].through_proxy and entry.kind not in (*PASSIVE_KINDS, *REMEDIES)


def _hit(entry: FaultEntry, known: Topology, share: float, repeat: int) -> str:
    """The target; of one with instances the one that a fault on a process hits."""
    instances = instances_of(entry.target, known) if _hits_a_process(entry) else ()
    if entry.which == "in_turn" and instances:
        return instances[repeat % len(instances)]
    return drawn(instances or (entry.target,), share)


def drawn(choices: Sequence[str], share: float) -> str:
    """One of several, by a number in 0..1 of which 0 means the first."""
    return choices[int(share * len(choices))]


def _share(draw: str) -> float:
    """A number in 0..1 for one draw; others do not move it."""
    digest = hashlib.sha256(draw.encode()).digest()
    return (int.from_bytes(digest[:8]) >> (64 - _SHARE_BITS)) / (1 << _SHARE_BITS)
