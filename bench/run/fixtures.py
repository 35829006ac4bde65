"""What workloads find in their targets: data, and what their own steps do; put in place before the run, taken
away after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.errors import StatementRefused, TargetError
from bench.datasets import DataSet, SqlFile, check, claim_on, drop, load
from bench.engine.api import PlacedStep, steps_at
from bench.registry import DRIVERS
from bench.registry import load as load_module
from bench.results.load_records import DataSetRecord
from bench.results.run_record import Anomaly
from bench.scenario.templates import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.datasets.connection import Claim
    from bench.engine.api import StepDriver
    from bench.plan.plan import Plan
    from bench.scenario.operations import DataSetChoice
    from bench.stack.target import Target

NS_PER_MS = 1_000_000


class Steps:
    """`setup` of each workload, once before the load, and `teardown`, once after it, however it ended."""

    def __init__(self, plan: Plan, targets: Mapping[str, Target]) -> None:
        self._plan = plan
        self._targets = targets
        self._begun: list[int] = []
        self._abandon: Callable[[], None] = lambda: None

    def set_up(self, number: int, note: Callable[[str], None]) -> None:
        """Carry out the setup of workload `number`. Raises TargetError, StatementRefused."""
        workload = self._plan.workloads[number].workload
        if not workload.setup and not workload.teardown:
            return
        self._begun.append(number)
        if workload.setup:
            note(f"setting up {workload.target} for {workload.name}")
            self._perform(number, steps_at("setup", workload.setup))

    def tear_down(self) -> list[tuple[int, TargetError | StatementRefused]]:
        """Undo what was set up, the last first; what could not be, by its workload's number. Idempotent."""
        self._abandon()
        failed = list[tuple[int, TargetError | StatementRefused]]()
        while self._begun:
            number = self._begun.pop()
            for step in steps_at("teardown", self._plan.workloads[number].workload.teardown):
                try:
                    self._perform(number, [step])
                except (TargetError, StatementRefused) as error:
                    failed.append((number, error))
        return failed

    def _perform(self, number: int, steps: Sequence[PlacedStep]) -> None:
        workload, label = self._plan.workloads[number].workload, self._plan.run_label
        driver: StepDriver = load_module(DRIVERS[workload.driver].module)
        ready = [PlacedStep(step.path, filled(step.what, label)) for step in steps]
        try:
            driver.perform(self._targets[workload.target], workload, ready, label, self._keep)
        finally:
            self._abandon = lambda: None

    def _keep(self, abandon: Callable[[], None]) -> None:
        self._abandon = abandon


class DatasetFixtures:
    """The data sets of one plan, each loaded once however many workloads use it."""

    def __init__(self, plan: Plan, targets: Mapping[str, Target]) -> None:
        self._wanted: dict[tuple[str, DataSet], Target] = {}
        for workload in plan.workloads:
            choice, name = workload.workload.dataset, workload.workload.target
            if choice is not None and name in targets:
                self._wanted[name, _data_set(choice)] = targets[name]
        self._loaded: list[tuple[Target, DataSet]] = []
        self._claims: dict[tuple[Target, DataSet], Claim] = {}

    def load(self, note: Callable[[str], None]) -> list[DataSetRecord]:
        """Load every data set; what was loaded, for the run's record. Raises TargetError, SqlRefused."""
        record = []
        for (name, wanted), target in self._wanted.items():
            note(f"loading {_words(wanted)} into {name}")
            claim = claim_on(target, wanted)
            try:
                loaded = load(target, wanted, note, claim)
            except BaseException:
                if claim is not None:
                    claim.close()
                raise
            if claim is not None:
                self._claims[target, wanted] = claim
            # Only now: a load that an interruption leaves behind ends with the process and undoes itself,
            # and to drop its tables would be to wait for it.
            self._loaded.append((target, wanted))
            record.append(
                DataSetRecord(
                    target=name,
                    name=wanted.name,
                    scale=wanted.scale,
                    files=[file.path for file in wanted.files],
                    reused=loaded.reused,
                    rows=dict(loaded.rows),
                    took_ms=loaded.took_ns // NS_PER_MS,
                )
            )
        return record

    def check(self) -> list[Anomaly]:
        """What no longer holds in the data after the run, as anomalies.

        Money that is missing means that a transaction was half done: the target failed, whatever its
        latency.
        """
        found = []
        for target, wanted in self._loaded:
            try:
                broken = [("data_broken", "fail", sentence) for sentence in check(target, wanted)]
            except TargetError as error:
                broken = [("data_unchecked", "inconclusive", str(error))]
            for code, severity, sentence in broken:
                message = f"{_words(wanted)} in {target.name}: {sentence}"
                found.append(Anomaly(code=code, severity=severity, message=message))
        return found

    def drop(self) -> list[str]:
        """Drop what was loaded and is not to be kept; what could not be dropped, one sentence each."""
        left = []
        for target, wanted in self._loaded:
            if wanted.keep:
                continue
            if claim := self._claims.pop((target, wanted), None):
                claim.give_back()
            try:
                drop(target, wanted)
            except TargetError as error:
                left.append(f"{_words(wanted)} stays in {target.name}: {error}")
        for claim in self._claims.values():
            claim.close()
        self._loaded, self._claims = [], {}
        return left


def _data_set(choice: DataSetChoice) -> DataSet:
    files = tuple(SqlFile(source.path, source.text or "") for source in choice.sql)
    return DataSet(choice.name, choice.scale, choice.keep, files)


def _words(wanted: DataSet) -> str:
    if wanted.name is None:
        return ", ".join(file.path for file in wanted.files)
    return f"the data set {wanted.name}, scale {wanted.scale}"
