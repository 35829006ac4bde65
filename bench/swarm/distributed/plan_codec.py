"""The plan of a distributed run: cut into segments, and sent to workers that have neither the scenario's file
nor its environment.

It contains what came from the environment, passwords too: they are passed on, never kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from pydantic import JsonValue

from bench.core.errors import UsageError
from bench.plan.compile import plan_digest, program_of, workload_seed
from bench.plan.plan import PhasePlan, Plan, Segment, WorkloadPlan, pacing_table
from bench.scenario.fields import PARSED
from bench.scenario.workloads import Workload


def segments_of(plan: Plan, workers: Sequence[str]) -> list[dict[str, Segment]]:
    """For each workload of the plan: worker -> its segment, in the order of the segments.

    A workload is cut into as many segments as there are workers, but each engine thread of each segment
    has at least one lane. One that cannot be cut (see `is_indivisible`) runs on one worker. What does not
    need every worker begins with the one after the last that was given something.
    """
    segments: list[dict[str, Segment]] = []
    turn = 0
    for entry in plan.workloads:
        workload = entry.workload
        most = 1 if is_indivisible(workload) else max(workload.lanes // workload.threads, 1)
        count = min(len(workers), most)
        chosen = [workers[(turn + number) % len(workers)] for number in range(count)]
        segments.append({name: Segment(number, count) for number, name in enumerate(chosen)})
        turn += count
    return segments


def is_indivisible(workload: Workload) -> bool:
    """Whether a workload cannot be cut: its subscribers know all publishers, its pool is that of one
    application, its users share one process.
    """
    return workload.received_operation is not None or workload.engine != "wire"


@dataclass(frozen=True)
class WorkloadMessage:
    """A workload as its scenario gives it, and the folder of its locustfile on the coordinator's machine."""

    given: dict[str, JsonValue]
    folder: str | None = None

    @classmethod
    def of(cls, workload: Workload) -> Self:
        """With the text of every file that it names."""
        named = workload.locustfile
        given = workload.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return cls(given, named.folder if named else None)

    def workload(self) -> Workload:
        """The same workload, checked like the scenario's."""
        workload = Workload.model_validate(self.given, context=PARSED)
        if workload.locustfile is None:
            return workload
        named = workload.locustfile.model_copy(update={"folder": self.folder})
        return workload.model_copy(update={"locustfile": named})


@dataclass(frozen=True)
class PlanMessage:
    """All that the same plan is compiled from on another machine."""

    name: str
    seed: int
    digest: str
    operation_log: bool
    phases: tuple[PhasePlan, ...]
    workloads: tuple[WorkloadMessage, ...]
    run_label: int = 0

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """The whole plan, whatever its segment."""
        workloads = tuple(WorkloadMessage.of(entry.workload) for entry in plan.workloads)
        return cls(
            plan.name, plan.seed, plan.digest, plan.operation_log, plan.phases, workloads, plan.run_label
        )

    @property
    def locustfiles(self) -> list[str]:
        """The Python that it would have a worker run."""
        named = [message.workload().locustfile for message in self.workloads]
        return [locustfile.path for locustfile in named if locustfile is not None]

    def plan(self, scratch: Path) -> Plan:
        """The plan, segment 0 of 1. A locustfile that is not on this machine is put into `scratch`.

        Raises UsageError where it would not send the same: this machine has another version of Holdfast.
        """
        workloads = tuple(self._workload_plan(number) for number in range(len(self.workloads)))
        plan = Plan(self.name, self.seed, self.phases, workloads, "", self.operation_log)
        digest = plan_digest(plan)
        if digest != self.digest:
            raise UsageError(
                f"expected the plan {self.digest[:12]}, found that this machine would run {digest[:12]}; "
                "install the same version of Holdfast on every host"
            )
        at_hand = tuple(_with_locustfile(workload, scratch) for workload in workloads)
        return replace(plan, digest=digest, workloads=at_hand, run_label=self.run_label)

    def _workload_plan(self, number: int) -> WorkloadPlan:
        workload, seed = self.workloads[number].workload(), workload_seed(self.seed, number)
        program = program_of(workload, seed)
        return WorkloadPlan(workload, seed, program, pacing_table(self.phases, workload.rate_per_s or 0.0))


def _with_locustfile(plan: WorkloadPlan, scratch: Path) -> WorkloadPlan:
    """The locustfile where it is, if it is here and the same; else as it was sent, without its neighbours."""
    named = plan.workload.locustfile
    if named is None or named.text is None:
        return plan
    if named.file.is_file() and named.file.read_text("utf-8") == named.text:
        return plan
    name = Path(named.path).name
    (scratch / name).write_text(named.text, "utf-8")
    here = named.model_copy(update={"path": name, "folder": str(scratch)})
    return replace(plan, workload=plan.workload.model_copy(update={"locustfile": here}))
