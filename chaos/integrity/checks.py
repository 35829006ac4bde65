"""The checks of the data that a scenario can ask for, and all of one run as the plugin carries them along.

Acknowledged writes: the load's own log against what the target still has. Messages: what the engine
counted of published and delivered ones. Transfers: a total that no transfer changes, and a data set's
own sums. Registers have a separate module.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.clock import monotonic_ns
from bench.core.errors import TargetError
from bench.core.threads import Work
from bench.datasets import DataSet
from bench.datasets import check as check_dataset
from bench.registry import is_planned
from bench.results.fault_records import ExampleRecord, IntegrityRecord
from bench.results.run_record import Anomaly
from bench.scenario.fault_kinds import DESTROY
from bench.scenario.validators.faults import operation_of
from chaos.integrity import ledger
from chaos.integrity.check import Check, Evidence, NotYet, Patience, Site, Unreadable, patiently
from chaos.integrity.ledger import Reading, bound, judge_totals
from chaos.integrity.readers import read_postgres, read_redis, read_total, rehearse
from chaos.integrity.registers import Registers
from chaos.recovery.promotion import splits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bench.plan.plan import Plan
    from bench.results.run_record import RunRecord
    from bench.scenario.model import Scenario
    from bench.stack.target import Target


CAVEAT = (
    "what the operating system has taken survives the end of a process, so faults of this kind cannot tell"
    " one fsync policy from another"
)


class AcknowledgedWrites(Check):
    """Every arrival of one operation writes once; all are looked for."""

    @property
    def operation(self) -> str:
        """The operation that writes."""
        name = operation_of(self.wanted, self.workload.operations)
        assert name is not None
        return name

    def prepare(self) -> None:
        """Have the server read the query, where there is one."""
        if self.wanted.found is not None:
            rehearse(self, self.wanted.found, "found", is_early=True)

    def rehearse(self) -> None:
        """The same, now that what it reads must be there."""
        if self.wanted.found is not None:
            rehearse(self, self.wanted.found, "found", is_early=False)

    def finish(self, evidence: Evidence) -> IntegrityRecord:
        """Read back and compare."""
        if any(anomaly.code == "operation_log_full" for anomaly in evidence.record.anomalies):
            raise Unreadable("the operation log was full, so not every attempt is known")
        own = evidence.operations[evidence.operations["workload"] == self.number]
        if not len(own):
            raise Unreadable("nothing was written")
        last_arrival = int(own["arrival"].max())
        found = patiently(lambda: self._read_back(evidence, last_arrival), evidence.patience)
        attempts = self._attempts(own)
        judged = ledger.judge(attempts, found, self.blows(evidence), self._splits(evidence))
        update = {**vars(judged), "operation": self.operation, "caveat": CAVEAT}
        update["recovery_points"] = [
            ledger.recovery_point(attempts, found, fault.number, fault.effective_ns)
            for fault in evidence.record.faults
            if fault.kind == DESTROY and fault.target == self.store and fault.effective_ns is not None
        ]
        if judged.holes:
            update["text"] = (
                f"{judged.holes} of the lost were acknowledged before writes that survived the same fault:"
                " no end of the log that was not written in time, but a hole in it"
            )
        return self.record().model_copy(update=update)

    def _splits(self, evidence: Evidence) -> list[tuple[int, int]] | None:
        roles, target = evidence.record.roles, self.workload.target
        if all(one.target != target for one in roles):
            return None
        return splits(roles, target, evidence.record.duration_ns)

    def _attempts(self, own: NDArray[Any]) -> ledger.Attempts:
        names = self.site.plan.workloads[self.number].program.names
        wanted = own[own["operation"] == names.index(self.operation)]
        return ledger.Attempts(
            wanted["arrival"].astype("i8"),
            wanted["sent_ns"].astype("i8"),
            wanted["done_ns"].astype("i8"),
            wanted["outcome"].astype("i8"),
        )

    def _read_back(self, evidence: Evidence, last_arrival: int) -> ledger.Found:
        run_label = evidence.record.started.run_label
        assert run_label is not None, "the run has no label"
        if self.wanted.found is not None:
            return read_postgres(self.target, self.wanted.found, run_label)
        seed = self.site.plan.workloads[self.number].seed
        return read_redis(self.target, self.workload, self.operation, seed, run_label, last_arrival)


class Messages(Check):
    """Pub/sub keeps nothing to read back: each subscriber has counted what it missed."""

    def finish(self, evidence: Evidence) -> IntegrityRecord:
        """From the counters of the run."""
        workload = evidence.record.workloads[self.number]
        counters = workload.counters
        lost = counters.get("lost_messages")
        if lost is None:
            raise Unreadable("the run counted no messages")
        delivered = sum(
            count.outcomes["ok"]
            for count in workload.counts
            if not is_planned(workload.driver, count.operation)
        )
        record = self.record(
            acknowledged=delivered + lost,
            found=delivered,
            lost=lost,
            duplicates=counters.get("duplicate_messages"),
            bound=bound(lost, delivered + lost),
        )
        return record.model_copy(update={"reordered": counters.get("reordered_messages")})


EVERY_S = 0.5


class Transfers(Check):
    """Nothing is looked for one by one, so it knows no lost writes; a wrong total is unexpected."""

    _watch: TotalWatch | None = None

    def prepare(self) -> None:
        """Have the server read the query, where there is one."""
        if self.wanted.total is not None:
            rehearse(self, self.wanted.total, "total", is_early=True)
            self._watch = TotalWatch(self.target, self.wanted.total)

    def rehearse(self) -> None:
        """The same, now that what it reads must be there."""
        if self.wanted.total is not None:
            rehearse(self, self.wanted.total, "total", is_early=False)

    def begin(self, start_ns: int) -> None:
        """Ask for the first time, and again and again."""
        if self._watch is not None:
            self._watch.start(start_ns)

    def finish(self, evidence: Evidence) -> IntegrityRecord:
        """The readings of the total, and what the data set says of its sums."""
        found, unexpected, examples = 0, 0, list[ExampleRecord]()
        if self._watch is not None:
            judged = judge_totals(self._watch.finish(evidence.patience))
            found, unexpected, examples = judged.readings, judged.wrong, judged.examples
        dataset = self.workload.dataset
        if dataset is not None and dataset.name is not None:
            try:
                sentences = check_dataset(self.target, DataSet(dataset.name, dataset.scale, dataset.keep))
            except TargetError as error:
                raise Unreadable(str(error)) from None
            found += 1
            unexpected += len(sentences)
            examples += [ExampleRecord(what=sentence) for sentence in sentences]
        return self.record(found=found, unexpected=unexpected, examples=examples)

    def close(self) -> None:
        """Ask no more."""
        if self._watch is not None:
            self._watch.stop()


class TotalWatch:
    """Asks for a total every half second, on a new connection each time."""

    def __init__(self, target: Target, query: str) -> None:
        self._target, self._query = target, query
        self._readings: list[Reading] = []
        self._end = threading.Event()
        self._thread = Work("totals", self._ask)
        self._start_ns = 0

    def start(self, start_ns: int) -> None:
        """Run zero is at start_ns, on CLOCK_MONOTONIC."""
        self._start_ns = start_ns
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; a reading under way is left behind."""
        self._end.set()

    def finish(self, patience: Patience) -> list[Reading]:
        """All readings, with a last one after all is healed. Raises Unreadable."""
        self.stop()
        if self._thread.failure is not None:
            raise self._thread.failure
        readings = list(self._readings)
        return [*readings, patiently(self._reading, patience)]

    def _reading(self) -> Reading:
        total = read_total(self._target, self._query)
        return Reading(monotonic_ns() - self._start_ns, total)

    def _ask(self) -> None:
        while not self._end.is_set():
            with contextlib.suppress(NotYet):  # it is unreachable, and is asked when it is back
                self._readings.append(self._reading())
            self._end.wait(EVERY_S)


CHECKS: dict[str, type[Check]] = {
    "acknowledged_writes": AcknowledgedWrites,
    "registers": Registers,
    "transfers": Transfers,
    "messages": Messages,
}


class Integrity:
    """The checks of one run. `prepare`, `rehearse`, `begin`, `finish`, and `close` in any case."""

    def __init__(
        self, scenario: Scenario, plan: Plan, own: Mapping[str, Target], seen: Mapping[str, Target]
    ) -> None:
        """`own`: the targets as they are; `seen`: as the load sees them."""
        site = Site(plan, own, seen)
        self._checks = [CHECKS[wanted.check](wanted, site) for wanted in scenario.integrity]

    def prepare(self) -> None:
        """Before anything connects. Raises ScenarioError, TargetError."""
        for check in self._checks:
            check.prepare()

    def rehearse(self) -> None:
        """Data sets are loaded, and `setup` is carried out. Raises ScenarioError, TargetError."""
        for check in self._checks:
            check.rehearse()

    def begin(self, start_ns: int) -> None:
        """Run zero is set, on CLOCK_MONOTONIC."""
        for check in self._checks:
            check.begin(start_ns)

    def finish(self, record: RunRecord, folder: Path) -> tuple[list[IntegrityRecord], list[Anomaly]]:
        """All is healed and the record has its faults: what was found, and what of it fails the run.

        A check that could not be made says why, and counts nothing: never a silent 0.
        """
        if not self._checks:
            return [], []
        import numpy as np

        operations = np.load(folder / "operations.npy", mmap_mode="r")
        evidence = Evidence(record, operations)
        records = [_finished(check, evidence) for check in self._checks]
        anomalies = [
            Anomaly(code="integrity_hole", severity="fail", message=f"{found.workload}: {found.text}")
            for found in records
            if found.text
        ]
        return records, anomalies

    def close(self) -> None:
        """Give back what the checks hold. Idempotent."""
        with contextlib.ExitStack() as cleanup:
            for check in self._checks:
                cleanup.callback(check.close)


def _finished(check: Check, evidence: Evidence) -> IntegrityRecord:
    try:
        return check.finish(evidence)
    except (Unreadable, NotYet) as reason:
        return check.record(inconclusive=f"not checked: {reason}")
    except Exception as failure:  # noqa: BLE001 - a check that crashes knows nothing; the run must be kept
        return check.record(inconclusive=f"the check itself failed: {type(failure).__name__}: {failure}")
