"""Actions: what a run does at a given time, as an operator or a deployment would.

    {name: reload, run: [nginx, -s, reload], at: 10s}      a command of the user's own; no shell sees it
    {backup: orders, at: 5s}                               a restore drill, with recipes of ours
    {destroy: orders, at: 10s}                             or with commands of the user's own (run)
    {restore: orders, at: 12s}

What they cost is known as that of faults is: arrivals that failed, and how long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from bench.core.units import Mismatch, format_duration_ns, quoted
from bench.scenario.fault_kinds import DESTROY, RESTORE
from bench.scenario.faults import Start
from bench.scenario.fields import Duration, GrowingModel, Name, Text
from bench.scenario.problems import Violation

if TYPE_CHECKING:
    from bench.registry import Topology

NS_PER_S = 1_000_000_000
Command = Annotated[tuple[Text, ...], Field(min_length=1, max_length=100)]
Drill = Literal["backup", "destroy", "restore"]
DRILL: tuple[Drill, ...] = ("backup", "destroy", "restore")
RECIPES = ("postgres", "redis")
"""Kinds of targets that can be backed up, destroyed and restored without a command of the user's own."""


class ActionEntry(GrowingModel):
    """One entry under `actions`."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["name", "run"]},
                {"required": ["backup"]},
                {"required": ["destroy"]},
                {"required": ["restore"]},
            ],
        }
    )
    added: ClassVar[tuple[str, ...]] = ("backup", "destroy", "restore", "file")

    name: Name | None = Field(None, description="Of a drill's steps the key if not said: backup.")
    backup: Name | None = Field(None, description="The target whose data are backed up.")
    destroy: Name | None = Field(
        None, description="The target whose data are destroyed; a backup comes before, a restore after it."
    )
    restore: Name | None = Field(None, description="The target whose data are restored from its backup.")
    file: Text | None = Field(
        None, description="Where a backup is kept, or what is restored; else a file that goes with the run."
    )
    run: Command | None = Field(
        None, description="The program and its arguments: [nginx, -s, reload]. No shell."
    )
    at_ns: Start = Field(alias="at", description="From the start of the run.")
    target: Name | None = Field(
        None, description="The target that it is done to, where workloads talk to several."
    )
    for_ns: Duration | None = Field(
        None, alias="for", description="How long until it is undone; to the end of the run if not said."
    )
    undo: Command | None = Field(
        None, description="What takes it back, also after a harness that was killed."
    )
    proof: Command | None = Field(
        None, description="Asked until it ends with status 0: only then the action took effect."
    )
    within_ns: Duration = Field(
        30 * NS_PER_S,
        alias="within",
        description="How long each command may take.",
        json_schema_extra={"default": "30s"},
    )

    @property
    def step(self) -> Drill | None:
        """Which step of a restore drill it is; None for any other action."""
        return next((step for step in DRILL if getattr(self, step) is not None), None)

    @property
    def label(self) -> str:
        """What reports call it."""
        return self.name or self.step or ""

    @property
    def aimed_at(self) -> str | None:
        """The target that the scenario says it is done to."""
        aimed_at: str | None = self.target if self.step is None else getattr(self, self.step)
        return aimed_at

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        steps = [step for step in DRILL if getattr(self, step) is not None]
        if len(steps) > 1:
            raise Mismatch(
                f"one of {', '.join(DRILL)} in an action", " and ".join(steps), "make an entry for each"
            )
        if not steps:
            for key in ("name", "run"):
                if getattr(self, key) is None:
                    raise Mismatch(f"the key {key}, or one of {', '.join(DRILL)}", "neither", f"add {key}")
            if self.file is not None:
                raise Mismatch("file only with backup or restore", "file", "remove it")
            return self
        for key, given in (("target", self.target), ("for", self.for_ns), ("undo", self.undo)):
            if given is not None:
                raise Mismatch(f"no {key} with {steps[0]}", key, "remove it")
        if self.proof is not None and (self.run is None or steps[0] == RESTORE):
            raise Mismatch("proof only with run of a backup or a destroy", "proof", "remove it")
        if self.file is not None and (steps[0] == DESTROY or self.run is not None):
            raise Mismatch(
                "file only with a backup or restore by the built-in recipe", "file", "remove it, or run"
            )
        return self


def check_actions(
    actions: Sequence[ActionEntry], targets: Sequence[str], total_ns: int, topology: Topology | None
) -> Iterator[Violation]:
    """Actions that come too late, have one name, or are done to nothing that the load would notice."""
    seen: set[str] = set()
    for index, action in enumerate(actions):
        if action.label in seen and (action.step is None or action.name is not None):
            yield Violation((index, "name"), "an action's name once", quoted(action.label), "rename one")
        seen.add(action.label)
        if action.for_ns is not None and action.undo is None:
            yield Violation((index, "for"), "for only with undo", "for alone", "add undo, or remove for")
        known = targets if topology is None else tuple(topology)
        if action.aimed_at is not None and action.aimed_at not in known:
            expected = f"one of the targets {', '.join(known)}"
            key = action.step or "target"
            yield Violation((index, key), expected, quoted(action.aimed_at), "name one of those")
        elif action.aimed_at is None and len(set(targets)) > 1:
            expected = f"the target that it is done to, one of {', '.join(dict.fromkeys(targets))}"
            yield Violation((index,), expected, "none", "add target")
        elif action.step is not None:
            yield from _drill(index, actions, topology)
        if (ends_ns := action.at_ns + (action.for_ns or 0)) >= total_ns:
            expected = f"every action to be over before the run ends at {format_duration_ns(total_ns)}"
            advice = "make the run longer, or the action earlier"
            yield Violation((index,), expected, f"one at {format_duration_ns(ends_ns)}", advice)


def _drill(index: int, actions: Sequence[ActionEntry], topology: Topology | None) -> Iterator[Violation]:
    """What one step of a drill lacks: a recipe, or the step before or after it."""
    action = actions[index]
    target = str(action.aimed_at)
    kind = topology[target].kind if topology is not None and target in topology else None
    if action.run is None and kind is not None and kind not in RECIPES:
        expected = f"a command of your own for the {action.step} of a target of the kind {kind}"
        yield Violation((index,), expected, "none", "add run: [program, argument]")
    if action.step == DESTROY:
        backup, restore = backup_before(action, actions), restore_after(action, actions)
        if backup is None and (restore is None or restore.file is None):
            advice = f"add {{backup: {target}, at: ...}} with an earlier time"
            yield Violation((index,), f"a backup of {target} before it is destroyed", "none", advice)
        if restore is None:
            advice = f"add {{restore: {target}, at: ...}} with a later time"
            yield Violation((index,), f"a restore of {target} after it is destroyed", "none", advice)
        elif restore.run is None and restore.file is None and backup is not None and backup.run is not None:
            advice = "add file: what the backup's command writes, or run: the command that restores it"
            yield Violation((actions.index(restore),), "what is to be restored", "no file and no run", advice)
    if action.step == RESTORE and all(restore_after(one, actions) is not action for one in actions):
        advice = f"add {{destroy: {target}, at: ...}}: what is restored over living data proves nothing"
        yield Violation((index,), f"a destroy of {target} before it is restored", "none", advice)


def backup_before(destroy: ActionEntry, actions: Sequence[ActionEntry]) -> ActionEntry | None:
    """The newest backup of its target before it is destroyed."""
    found = [one for one in actions if one.backup == destroy.destroy and one.at_ns < destroy.at_ns]
    return max(found, key=lambda one: one.at_ns) if destroy.destroy is not None and found else None


def restore_after(destroy: ActionEntry, actions: Sequence[ActionEntry]) -> ActionEntry | None:
    """The first restore of its target after it is destroyed, with no other destroy before that."""
    if destroy.destroy is None:
        return None
    later = [
        one for one in actions if destroy.destroy in (one.restore, one.destroy) and one.at_ns > destroy.at_ns
    ]
    first = min(later, key=lambda one: one.at_ns, default=None)
    return first if first is not None and first.restore is not None else None
