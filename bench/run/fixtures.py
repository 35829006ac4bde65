"""Data that workloads find: put in place before the run, checked and taken away after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.errors import TargetError
from bench.datasets import DataSet, SqlFile, check, claim_on, drop, load
from bench.results.run_record import Anomaly, DataSetRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.datasets.connection import Claim
    from bench.plan.plan import Plan
    from bench.scenario.operations import DataSetChoice
    from bench.stack.target import Target

NS_PER_MS = 1_000_000


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
