"""The check of acknowledged writes: the load's own log against what the target still has."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.scenario.validators.integrity import operation_of
from chaos.integrity import ledger
from chaos.integrity.check import Check, Evidence
from chaos.integrity.postgres_read_back import read_postgres
from chaos.integrity.query import rehearse
from chaos.integrity.read_back import Unreadable, patiently
from chaos.integrity.redis_read_back import read_redis

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
            rehearse(self, self.wanted.found, "found")

    def finish(self, evidence: Evidence) -> dict[str, Any]:
        """Read back and compare."""
        full = [one for one in evidence.record["anomalies"] if one["code"] == "operation_log_full"]
        if full:
            raise Unreadable("the operation log was full, so not every attempt is known")
        own = evidence.operations[evidence.operations["workload"] == self.number]
        if not len(own):
            raise Unreadable("nothing was written")
        last_arrival = int(own["arrival"].max())
        found = patiently(lambda: self._read_back(evidence, last_arrival), evidence.patience)
        judged = ledger.judge(self._attempts(own), found, self.blows(evidence))
        told = {"operation": self.operation, **asdict(judged), "caveat": CAVEAT}
        if judged.holes:
            told["text"] = (
                f"{judged.holes} of the lost were acknowledged before writes that survived the same fault:"
                " no end of the log that was not written in time, but a hole in it"
            )
        return told

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
        run_label = evidence.record["started"]["run_label"]
        if self.wanted.found is not None:
            return read_postgres(self.target, self.wanted.found, run_label)
        seed = self.site.plan.workloads[self.number].seed
        return read_redis(self.target, self.workload, self.operation, seed, run_label, last_arrival)
