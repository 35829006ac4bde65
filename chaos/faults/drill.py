"""A restore drill: data are backed up, destroyed, and restored from the backup, by recipes or by commands of
the user's own.

Right before data are destroyed they are copied once more, for safety. That copy is put back where the restore
did not succeed (after what the drill left was looked at), where the run ends before it, and by any process
after a harness that was killed. It goes when the restore has succeeded: what was written after the backup is
lost then, and that is what the drill is to show. What commands of the user's own destroy and restore is not
copied; it comes back by the command that restores.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from bench.scenario.actions import backup_before
from bench.stack.supervisor.processes import ProcessIdentity
from chaos.commands import run_for
from chaos.faults.action import check_commands, command_to_undo, proof_of
from chaos.faults.fault import Fault, stamped
from chaos.faults.recipes import RecipeError, recipe_for
from chaos.faults.safety_copy import about_to_be_destroyed, copy_for_safety, put_back
from chaos.schedule import Proof, Timestamps
from chaos.undo import RestoreCopy, Undo

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.scenario.actions import ActionEntry
    from chaos.faults.fault import FaultContext
    from chaos.faults.recipes import Recipe
    from chaos.schedule import FaultPlan


class _Step(Fault):
    """What backup and destroy have in common."""

    def __init__(self, plan: FaultPlan, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._end = threading.Event()
        self._failure: str | None = None

    @property
    def action(self) -> ActionEntry:
        """As the scenario has it."""
        assert self.plan.action is not None
        return self.plan.action

    def _recipe(self, action: ActionEntry) -> Recipe:
        found = recipe_for(self.target.kind)
        why = f"one of the kind {self.target.kind}" if found is None else found.why_not(self.target)
        if found is None or why is not None:
            advice = "give the command that does it: run: [program, argument]"
            raise self.refuse(
                f"a target that can be used without a command for {action.label}", str(why), advice
            )
        return found

    def _require(self, action: ActionEntry) -> None:
        """Its command may be run, or there is a recipe. Raises TargetError."""
        if action.run is None:
            self._recipe(action)
        else:
            check_commands(self, action)

    def give_up(self) -> None:
        """The run ends: what is still at work is ended."""
        self._end.set()

    def _do(
        self,
        action: ActionEntry,
        recipe: Callable[[Recipe, float], None],
        end: threading.Event | None = None,
    ) -> str | None:
        """By its command or its recipe; why it failed, or None. end: when to give a command up."""
        within_s = action.within_ns / 1e9
        if action.run is not None:
            return run_for(self.target, action.run, within_s, end)
        try:
            recipe(self._recipe(action), within_s)
        except RecipeError as reason:
            return str(reason)
        return None

    def _by(self, action: ActionEntry) -> str:
        if action.run is None:
            return "by the built-in recipe"
        return f"by {Path(action.run[0]).name}"


def backup_file(plan: FaultPlan | None, context: FaultContext, action: ActionEntry) -> Path:
    """Where a backup is: the file that the scenario names, else one that goes with the run."""
    if action.file is not None:
        return Path(action.file).absolute()
    assert context.private is not None
    target = action.aimed_at if plan is None else plan.target
    return context.private / f"{target}-{action.at_ns}.backup"


class Backup(_Step):
    """The data of a target are copied while the load goes on."""

    def check(self) -> None:
        """There is a command or a recipe."""
        self._require(self.action)

    def inject(self) -> Timestamps:
        """To its end."""
        asked = monotonic_ns()
        file = backup_file(self.plan, self.context, self.action) if self.action.run is None else Path()
        self._failure = self._do(
            self.action,
            lambda recipe, within_s: recipe.back_up(self.target, file, within_s, self._end),
            self._end,
        )
        if self._failure is None:
            self.context.backed_up.add(file)
        return stamped(asked)

    def took_effect(self) -> Proof:
        """It succeeded, and so did its proof; a file of ours is not empty."""
        if self._failure is not None:
            return Proof(False, f"the backup failed: {self._failure}")
        if self.action.run is not None:
            return proof_of(self.target, self.action, self._end)
        size = backup_file(self.plan, self.context, self.action).stat().st_size
        return Proof(size > 0, f"a backup of {size:,} bytes".replace(",", " "))

    def healed(self, deadline_s: float) -> Proof:  # noqa: ARG002 - the form of every fault
        """There is nothing to heal."""
        return Proof(True, "it is to stay")

    @property
    def how(self) -> str:
        """What was done."""
        return f"backed up {self._by(self.action)}"


class Destroy(_Step):
    """The data of a target are gone until they are restored from the backup."""

    def __init__(self, plan: FaultPlan, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._copy: Path | None = None
        """The folder of the safety copy."""
        self._is_destroyed = False
        self._loss: Proof | None = None
        self._was_restored = False
        self._why_not_restored: str | None = None
        self._restored_ns: int | None = None

    @property
    def restore(self) -> ActionEntry:
        """How it is to come back."""
        assert self.plan.restore is not None
        return self.plan.restore

    @property
    def _is_all_the_users(self) -> bool:
        """Destroyed and restored by commands: then nothing of ours knows how to copy it."""
        return self.action.run is not None and self.restore.run is not None

    def check(self) -> None:
        """There are commands or recipes for both ways."""
        for action in (self.action, self.restore):
            self._require(action)

    def undo(self) -> Undo:
        """The safety copy, or the command that restores."""
        if self._is_all_the_users:
            assert self.restore.run is not None
            return command_to_undo(self, self.restore.run, self.restore.within_ns)
        assert self.context.private is not None
        self._copy = self.context.private / f"copy-{self.plan.number}"
        pid = self.context.pid(self.plan.target) if self.target.managed else None
        identity = ProcessIdentity.of(pid) if pid is not None else None
        return RestoreCopy((identity,) if identity is not None else (), self._copy)

    def inject(self) -> Timestamps:
        """Copy it for safety, then destroy it. Raises TargetError while nothing is destroyed yet."""
        source = self._source()
        if source is not None and not self._is_complete(source):
            advice = "see the backup before it; nothing is destroyed that could not be restored"
            raise self.refuse("a complete backup to restore from", "none", advice)
        if self._copy is not None:
            try:
                copy_for_safety(self.target, self._recipe(self.action), self._copy)
            except RecipeError as reason:
                advice = "nothing is destroyed that could not be put back"
                raise self.refuse(
                    "a copy of the data before they are destroyed", str(reason), advice
                ) from None
            about_to_be_destroyed(self._copy)
        asked = monotonic_ns()
        self._is_destroyed = True
        self._failure = self._do(self.action, self._wipe, self._end)
        return stamped(asked, asked)

    def _wipe(self, recipe: Recipe, _within_s: float) -> None:
        wiped = recipe.wipe(self.target)
        self._loss = Proof(wiped.after < wiped.before, wiped.text)

    def _source(self) -> Path | None:
        """The file to restore from; None where a command knows."""
        if self.restore.run is not None:
            return None
        if self.restore.file is not None:
            return backup_file(None, self.context, self.restore)
        backup = backup_before(self.action, self.context.actions)
        assert backup is not None
        return backup_file(None, self.context, backup)

    def _is_complete(self, source: Path) -> bool:
        """One of this run was made to its end; any other is there."""
        ours = [one for one in self.context.actions if one.backup == self.plan.target and one.run is None]
        if source in [backup_file(None, self.context, one) for one in ours]:
            return source in self.context.backed_up
        return source.exists()

    def took_effect(self) -> Proof:
        """There is less than before, or its command and its proof succeeded."""
        if self._failure is not None:
            return Proof(False, f"destroying failed: {self._failure}")
        return self._loss or proof_of(self.target, self.action, self._end)

    def heal(self) -> Timestamps | None:
        """Restore it; a run that ends before that time gets back what was there."""
        if not self._is_destroyed:
            self._forget_copy()
            return None
        asked = monotonic_ns()
        if self._end.is_set() and self._copy is not None:
            self._why_not_restored = put_back(self._copy)
        else:
            self._why_not_restored = self._do(self.restore, self._load)
        self._restored_ns = monotonic_ns()
        self._was_restored = self._why_not_restored is None
        if self._was_restored:
            self._forget_copy()
        return Timestamps(asked, self._restored_ns)

    def _load(self, recipe: Recipe, within_s: float) -> None:
        source = self._source()
        assert source is not None
        recipe.load(self.target, source, within_s)

    def healed(self, deadline_s: float) -> Proof:  # noqa: ARG002 - it is known at once
        """The restore succeeded. What it brought is looked at under `integrity`."""
        if not self._is_destroyed:
            return Proof(True, "nothing was destroyed")
        if self._was_restored:
            return Proof(True, f"restored {self._by(self.restore)}")
        return Proof(False, f"the restore failed: {self._why_not_restored}", is_final=True)

    def healed_ns(self) -> int | None:
        """When the restore had ended."""
        return self._restored_ns

    def rescue(self) -> bool:
        """Put the safety copy back; whether that succeeded."""
        return self._copy is not None and self._is_destroyed and put_back(self._copy) is None

    @property
    def healed_by(self) -> str:
        """Who restores it."""
        return f"the restore, {self._by(self.restore)}"

    @property
    def how(self) -> str:
        """What was done."""
        return f"destroyed {self._by(self.action)}"

    def _forget_copy(self) -> None:
        if self._copy is not None:
            shutil.rmtree(self._copy, ignore_errors=True)
