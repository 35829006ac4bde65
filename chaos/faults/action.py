"""Actions of a scenario: a command, its undoing and its proof, each a program without a shell."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from chaos.commands import environment_for, private_file, run_for, why_not_found
from chaos.faults.fault import Fault, stamped
from chaos.schedule import Proof, Timestamps
from chaos.undo import RunCommand, Undo

if TYPE_CHECKING:
    from bench.scenario.actions import ActionEntry
    from bench.stack.target import Target
    from chaos.faults.fault import FaultContext
    from chaos.schedule import FaultPlan

AGAIN_S = 0.05
"""Until a proof that does not hold yet is asked for again."""


def check_commands(fault: Fault, action: ActionEntry) -> None:
    """The stack file must allow actions, and the programs must be there. Raises TargetError."""
    if not fault.context.stack.actions_allowed:
        raise fault.refuse(
            f"a stack file that allows actions, for the action {action.label}",
            "none that does",
            "write allow: {actions: true} into it: a scenario's commands run with your rights",
        )
    for command in filter(None, (action.run, action.undo, action.proof)):
        if why := why_not_found(command[0]):
            raise fault.refuse(f"the program {command[0]} of the action {action.label}", why, "correct it")


def command_to_undo(fault: Fault, command: tuple[str, ...], within_ns: int) -> RunCommand:
    """For the journal. How to log in to the target stands in a file that this user alone can read."""
    assert fault.context.private is not None
    file = private_file(fault.context.private / f"environment-{fault.plan.number}.json")
    file.write_text(json.dumps(environment_for(fault.target)))
    return RunCommand(command, str(Path.cwd()), within_ns / 1e9, str(file))


def proof_of(target: Target, action: ActionEntry, end: threading.Event) -> Proof:
    """Of a command that ended with status 0: its proof does so too, now or within its time."""
    if action.proof is None:
        return Proof(True, f"{action.label} ended with status 0")
    until = time.monotonic() + action.within_ns / 1e9
    while (found := run_for(target, action.proof, action.within_ns / 1e9, end)) is not None:
        if time.monotonic() >= until or end.wait(AGAIN_S):
            break
    said = "holds" if found is None else f"does not: {found}"
    return Proof(found is None, f"the proof of {action.label} {said}")


class Action(Fault):
    """A command that is run, and perhaps taken back by another."""

    def __init__(self, plan: FaultPlan, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._end = threading.Event()
        self._failure: str | None = None
        self._failure_to_undo: str | None = None

    def check(self) -> None:
        """The stack file must allow actions, and the programs must be there."""
        check_commands(self, self.action)

    @property
    def action(self) -> ActionEntry:
        """As the scenario has it."""
        assert self.plan.action is not None
        return self.plan.action

    def undo(self) -> Undo:
        """The command that takes it back."""
        if self.action.undo is None:
            return super().undo()
        return command_to_undo(self, self.action.undo, self.action.within_ns)

    @property
    def _within_s(self) -> float:
        return self.action.within_ns / 1e9

    def inject(self) -> Timestamps:
        """Run it to its end. It acts at some time between."""
        asked = monotonic_ns()
        assert self.action.run is not None
        self._failure = run_for(self.target, self.action.run, self._within_s, self._end)
        return stamped(asked)

    def give_up(self) -> None:
        """The run ends: a command that is still at work is ended."""
        self._end.set()

    def took_effect(self) -> Proof:
        """It ended with status 0, and so did its proof."""
        if self._failure is not None:
            return Proof(False, f"{self.action.label}: {self._failure}")
        return proof_of(self.target, self.action, self._end)

    def heal(self) -> Timestamps | None:
        """Take it back, where there is something to."""
        if self.action.undo is None:
            return None
        asked = monotonic_ns()
        self._failure_to_undo = run_for(self.target, self.action.undo, self._within_s)
        return stamped(asked)

    def healed(self, deadline_s: float) -> Proof:  # noqa: ARG002 - the form of every fault
        """Its undoing ended with status 0, or there was nothing to undo."""
        if self.action.undo is None:
            return Proof(True, "it is to stay")
        if self._failure_to_undo is not None:
            return Proof(False, f"undoing {self.action.label}: {self._failure_to_undo}")
        return Proof(True, f"{self.action.label} was undone")

    @property
    def how(self) -> str:
        """The program; its arguments may hold secrets."""
        assert self.action.run is not None
        program, *rest = self.action.run
        return f"ran {Path(program).name} with {len(rest)} argument{'' if len(rest) == 1 else 's'}"
