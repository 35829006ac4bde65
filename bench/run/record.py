"""run.json: what is known before the run, and what is known after it. The machine's fingerprint is what
two runs must share to be compared.
"""

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path

import psutil

from bench.core.answers import Answers
from bench.core.outcome import OUTCOMES
from bench.engine.api import Engine, EngineResult
from bench.plan.plan import Plan, WorkloadPlan
from bench.results import layout
from bench.results.generator_records import CalibrationRecord, EnvironmentRecord, MachineFacts
from bench.results.load_records import (
    CountRecord,
    ErrorRecord,
    PhaseRecord,
    PoolRecord,
    TotalsRecord,
    WorkloadRecord,
)
from bench.results.run_record import (
    Anomaly,
    PlanRecord,
    RunRecord,
    ScenarioRecord,
    StackRecord,
    StoppedRecord,
    TargetRecord,
)
from bench.run.anomalies import notes_on_answers, saturation
from bench.scenario.load import LoadedScenario
from bench.stack.stack import Stack

LIBRARIES = ("holdfast", "numpy", "numba", "hdrhistogram", "redis", "hiredis", "uvloop")


def fingerprint() -> EnvironmentRecord:
    """The machine: what two runs must share to be compared, and further facts."""
    release = platform.release().split(".")
    return EnvironmentRecord(
        key={
            "cpu": _cpu_model(),
            "cores": len(os.sched_getaffinity(0)),
            "kernel": ".".join(release[:2]),
            "architecture": platform.machine(),
            "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            "cpu_limit": _first_line("/sys/fs/cgroup/cpu.max"),
        },
        facts=MachineFacts(
            load_average=[round(value, 2) for value in os.getloadavg()],
            memory_bytes=psutil.virtual_memory().total,
            clock_source=_first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            system=platform.platform(),
        ),
    )


def versions() -> dict[str, str]:
    """Python and the libraries that take part in measuring."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None


def _first_line(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()[0].strip()
    except (OSError, IndexError):
        return None


NO_ANSWERS = Answers()


def first_record(
    loaded: LoadedScenario, plan: Plan, stack: Stack, calibration: CalibrationRecord
) -> RunRecord:
    """What is known at the start (results/FORMAT.md); enough to read a run whose harness was killed."""
    known = versions()
    return RunRecord(
        format=layout.FORMAT,
        holdfast=known.pop("holdfast", "unknown"),
        scenario=ScenarioRecord(
            name=plan.name,
            purpose=loaded.scenario.purpose,
            text=loaded.source_text,
            digest=hashlib.sha256(loaded.source_text.encode()).hexdigest(),
            path=str(loaded.path),
        ),
        sla=[rule.text for rule in loaded.rules],
        plan=PlanRecord(
            digest=plan.digest,
            seed=plan.seed,
            quick=loaded.quick,
            overrides=list(loaded.overrides),
            segment=[plan.segment.number + 1, plan.segment.count],
        ),
        stack=StackRecord(
            kind=stack.kind,
            file=str(stack.file) if stack.file else None,
            targets=[TargetRecord.read(target.to_json()) for target in stack.describe()],
        ),
        versions=known,
        environment=fingerprint(),
        calibration=calibration,
        phases=[
            PhaseRecord(
                name=phase.name,
                measured=phase.measured,
                start_ns=phase.start_ns,
                end_ns=phase.end_ns,
                cycles=phase.cycles,
                rest=phase.rest,
            )
            for phase in plan.phases
        ],
        measured_ns=plan.measured_ns,
        # Without counts, which only an ended run has; the log of a killed one can be read by these.
        workloads=[
            _planned(workload).model_copy(update={"counts": [], "counters": {}, "errors": []})
            for workload in plan.workloads
        ],
    )


def final_record(
    record: RunRecord, plan: Plan, results: list[tuple[Engine, EngineResult]], end_ns: int
) -> RunRecord:
    """The whole record, after every engine has ended."""
    workloads = [_workload(plan, engine, result) for engine, result in results]
    anomalies = [
        Anomaly.read(dict(zip(("code", "severity", "message", "advice"), anomaly, strict=False)))
        for _, result in results
        for anomaly in result.anomalies
    ]
    generator, found = saturation(plan, results)
    pools = {
        engine.plan.name: PoolRecord.read(layout.as_read(result.pool))
        for engine, result in results
        if result.pool is not None
    }
    return record.model_copy(
        update={
            "duration_ns": end_ns,
            "workloads": workloads,
            "totals": _totals(workloads),
            "generator": generator,
            "pool": pools,
            "anomalies": anomalies + found + _unsampled(record) + notes_on_answers(plan, workloads),
        }
    )


def cut_short(record: RunRecord, stopped: StoppedRecord) -> RunRecord:
    """A run that a stop condition ended: its phases end where its load did, which is what was measured."""
    phases = [
        phase.model_copy(update={"end_ns": min(phase.end_ns, stopped.at_ns)})
        for phase in record.phases
        if phase.start_ns < stopped.at_ns
    ]
    measured_ns = sum(phase.end_ns - phase.start_ns for phase in phases if phase.measured)
    return record.model_copy(update={"phases": phases, "measured_ns": measured_ns, "stopped": stopped})


def _unsampled(record: RunRecord) -> list[Anomaly]:
    """A note when the samples of resources ended early; rules about them judge what there is."""
    failure = record.resources.failure
    message = f"the samples of resources ended early: {failure}"
    return [Anomaly(code="resources_unsampled", severity="note", message=message)] if failure else []


def _workload(plan: Plan, engine: Engine, result: EngineResult) -> WorkloadRecord:
    names = engine.plan.program.names
    counts = []
    for row, tally in enumerate(result.tallies):
        phase, operation = divmod(row, len(names))
        planned = int(result.taken[row])
        if not engine.plan.is_planned(names[operation]):
            planned = int(tally.sum())  # what was received and what was lost
        counts.append(
            CountRecord(
                operation=names[operation],
                phase=plan.phases[phase].name,
                measured=plan.phases[phase].measured,
                planned=planned,
                outcomes={outcome.label: int(tally[outcome]) for outcome in OUTCOMES},
                **result.answers.get(row, NO_ANSWERS).record(),
            )
        )
    return _planned(engine.plan).model_copy(
        update={
            "counts": counts,
            "counters": {name: int(count) for name, count in result.counters.items()},
            "errors": [ErrorRecord.read(layout.as_read(error.to_json())) for error in result.errors],
            "idle_ratio": round(float(result.idle_ratio), 4),
            "run_delay_ns": int(result.run_delay_ns),
        }
    )


def _planned(plan: WorkloadPlan) -> WorkloadRecord:
    """What is known of a workload before it runs."""
    workload = plan.workload
    return WorkloadRecord(
        name=workload.name,
        driver=workload.driver,
        engine=workload.engine,
        target=workload.target,
        lanes=workload.lanes,
        threads=workload.threads,
        pipeline=workload.pipeline,
        arrivals=workload.arrivals,
        rate_per_s=workload.rate_per_s,
        deadline_ns=workload.deadline_ns,
        subscribers=workload.subscribers,
        operations=list(plan.program.names),
    )


def _totals(workloads: list[WorkloadRecord]) -> TotalsRecord:
    planned, outcomes = 0, dict.fromkeys((outcome.label for outcome in OUTCOMES), 0)
    for workload in workloads:
        for count in workload.counts:
            if not workload.is_planned(count.operation):
                continue
            planned += count.planned
            for label, number in count.outcomes.items():
                outcomes[label] += number
    return TotalsRecord(planned=planned, outcomes=outcomes)
