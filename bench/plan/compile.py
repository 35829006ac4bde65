"""Scenario to Plan: pure and seeded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from bench.core.errors import Problem, ScenarioError
from bench.engine.wire.layout import CELL_SIZE, STEP_FIRST, T_HEAD_ONLY, T_NAME, T_NEEDLE_START
from bench.plan.plan import PhasePlan, Plan, Segment, WorkloadPlan, pacing_table
from bench.registry import DRIVERS, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.plan.program import Program
    from bench.scenario.model import Scenario
    from bench.scenario.workloads import Workload

DIGESTED_ARRIVALS = 10_000
"""The digest covers every parameter of the plan and, so that a change of the generators shows, as many
of its first arrivals as this."""

PLAN_VERSION = 2
MOST_ROWS = 1_000


def compile_plan(scenario: Scenario, seed: int | None = None, segment: Segment | None = None) -> Plan:
    """The plan of a scenario; `seed` overrides the scenario's own."""
    seed = scenario.seed if seed is None else seed
    ends = accumulate(phase.duration_ns for phase in scenario.phases)
    phases = tuple(
        PhasePlan(p.name, p.measured, end - p.duration_ns, end, p.load_from, p.load_to, p.cycles, p.rest)
        for p, end in zip(scenario.phases, ends, strict=True)
    )
    workloads = tuple(
        _workload_plan(workload, phases, workload_seed(seed, number))
        for number, workload in enumerate(scenario.workloads)
    )
    plan = Plan(
        name=scenario.scenario,
        seed=seed,
        phases=phases,
        workloads=workloads,
        digest="",
        operation_log=scenario.keeps_operations,
        segment=segment or Segment(),
    )
    return replace(plan, digest=plan_digest(plan))


def workload_seed(seed: int, number: int) -> int:
    """Seed of workload `number`: the workloads of one scenario draw independently."""
    text = f"{seed}/{number}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8]) >> 1


def program_of(workload: Workload, seed: int) -> Program:
    """The requests of a workload as templates; what only the target knows is left open."""
    program: Program = load(DRIVERS[workload.driver].module).program(workload, seed)
    return program


def _workload_plan(workload: Workload, phases: tuple[PhasePlan, ...], seed: int) -> WorkloadPlan:
    program = program_of(workload, seed)
    rows = len(phases) * len(program.names)
    if rows > MOST_ROWS:
        expected = f"at most {MOST_ROWS} pairs of a phase and an operation, each with its histograms"
        found = f"{len(phases)} phases x {len(program.names)} operations"
        advice = "use fewer phases or operations, or split the scenario"
        raise ScenarioError([Problem("plan", 0, 0, f"workload {workload.name}", expected, found, advice)])
    plan = WorkloadPlan(workload, seed, program, pacing_table(phases, workload.rate_per_s or 0.0))
    _expect_rows(plan)
    return plan


def _expect_rows(plan: WorkloadPlan) -> None:
    """Raise ScenarioError for a feed of unique rows that has fewer than there are arrivals."""
    from bench.plan.walk import first_arrivals

    for name, feed in plan.workload.feeds.items():
        if feed.order == "unique" and len(first_arrivals(plan, plan.seed, feed.rows + 1)) > feed.rows:
            where = f"workload {plan.workload.name}: feeds.{name}"
            expected = "a row for each planned arrival, because its order is unique"
            advice = "add rows, plan fewer arrivals, or use the order shuffled"
            raise ScenarioError([Problem("plan", 0, 0, where, expected, f"{feed.rows} rows", advice)])


def _answers_of(program: Program) -> list[NDArray[np.int64] | NDArray[np.uint8]]:
    """What operations do and expect, where nothing is wanted of answers as it was before that could be."""
    wants, parts, texts, _, _ = program.wants
    steps, firsts = program.steps, program.operations[:, STEP_FIRST]
    if len(wants) or (steps[:, T_NAME] >= 0).any():
        return [program.operations, steps, program.expected, wants, parts, texts]
    whole = np.column_stack([program.operations, steps[firsts, T_NEEDLE_START : T_HEAD_ONLY + 1]])
    return [whole, np.ascontiguousarray(steps[:, :T_NEEDLE_START]), program.expected[firsts]]


def plan_digest(plan: Plan) -> str:
    """SHA-256 over everything that decides what is sent and when; the segment is not part of it."""
    from bench.plan.walk import first_arrivals

    digest = hashlib.sha256(f"plan {PLAN_VERSION} seed {plan.seed}".encode())
    for phase in plan.phases:
        known = [phase.name, phase.measured, phase.start_ns, phase.end_ns, phase.cycles, phase.rest]
        digest.update(json.dumps(known).encode())
    for workload in plan.workloads:
        digest.update(workload.workload.model_dump_json().encode())
        program = workload.program
        for table in (
            program.template,
            *_answers_of(program),
            program.needles,
            program.fields,
            program.variables,
            program.shares,
            program.cells,
            program.cell_bytes[: program.cells[:, CELL_SIZE].sum()],
        ):
            digest.update(table.tobytes())
        digest.update(workload.pacing.tobytes())
        arrivals = first_arrivals(workload, workload.seed, DIGESTED_ARRIVALS)
        for column in (arrivals.planned_ns, arrivals.phase, arrivals.operation, arrivals.key):
            digest.update(column.tobytes())
    return digest.hexdigest()
