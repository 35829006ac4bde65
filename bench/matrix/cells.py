"""Which cells a matrix has, and what the run of each asks, as values of --set. Pure.

A cell is an edge (the way from a client to a target) and a condition on it. Its run is the scenario's own
load, for a while without the fault, then with it, then without it again; the scenario's own faults, actions
and rules are left out, because they are about something else.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.core.clock import NS_PER_S
from bench.core.errors import UsageError
from bench.core.units import quoted
from bench.registry import Topology, contacts_a_target, path_name
from bench.scenario.model import Scenario

WARM_UP_NS = 2 * NS_PER_S
BEFORE_NS = 3 * NS_PER_S
"""Measured before the fault: what is usual."""
LEAST_AFTER_NS = 6 * NS_PER_S
"""Measured after it at least: a pool, a breaker and a restart need some time to be back."""
LOAD = "load"
"""The client of the first edge, as tables name it."""

CONDITIONS: Mapping[str, str] = {
    "slow": "latency",
    "black hole": "black_hole",
    "refuse": "refuse",
    "reset": "reset",
    "kill": "kill",
    "exhausted": "exhaust_connections",
}
"""Each condition and the kind of fault that makes it, in the order of the table."""
ON_THE_TARGET = ("kill", "exhausted")
"""What hits the target itself, and so everybody who uses it."""


@dataclass(frozen=True)
class Edge:
    """The way from a client to a target."""

    client: str | None
    """A target that stands before it; None: the load."""
    target: str

    def __str__(self) -> str:
        """As in "api → redis"."""
        return path_name(self.client or LOAD, self.target)

    @property
    def entry(self) -> str:
        """The target that the load sends to."""
        return self.client or self.target


@dataclass(frozen=True)
class Cell:
    """One edge under one condition."""

    edge: Edge
    condition: str


def edges_of(scenario: Scenario, topology: Topology) -> list[Edge]:
    """The way to each target of the load, and from there to each that it stands on."""
    edges: list[Edge] = []
    for workload in scenario.workloads:
        if contacts_a_target(workload.driver):
            edges.append(Edge(None, workload.target))
            outline = topology.get(workload.target)
            edges += [Edge(workload.target, one) for one in (outline.behind if outline else ())]
    return list(dict.fromkeys(edges))


def cells_of(edges: Sequence[Edge], conditions: Sequence[str]) -> list[Cell]:
    """All of them, edge by edge."""
    return [Cell(edge, condition) for edge in edges for condition in conditions]


def chosen(named: Sequence[str]) -> list[str]:
    """The conditions of these names, all where none is named. Raises UsageError for an unknown one."""
    wanted = [name.replace("_", " ") for name in named]
    for name in wanted:
        if name not in CONDITIONS:
            raise UsageError(
                f"--only: expected one of {', '.join(CONDITIONS)}, found {quoted(name)}; name one of those"
            )
    return [one for one in CONDITIONS if not wanted or one in wanted]


def expect_planned_arrivals(scenario: Scenario) -> None:
    """Raises UsageError for a closed loop: it asks the less, the worse it is answered."""
    for workload in scenario.workloads:
        if workload.rate_per_s is None:
            raise UsageError(
                f"matrix: expected planned arrivals, found that workload {workload.name} is a closed loop, "
                "which asks less of a target that answers late; give it a rate with "
                f"--set workloads.{workload.name}.arrivals=poisson --set workloads.{workload.name}.rate=100/s"
            )


@dataclass(frozen=True)
class CellPlan:
    """The runs of a matrix, all of one shape."""

    scenario: Scenario
    fault_ns: int

    @property
    def delay_ns(self) -> int:
        """Of each answer under the condition "slow": what the most patient workload can just bear half of."""
        return max(one.deadline_ns for one in self.scenario.workloads) // 2

    @property
    def duration_ns(self) -> int:
        """Of one run."""
        return WARM_UP_NS + BEFORE_NS + self.fault_ns + self.after_ns

    @property
    def after_ns(self) -> int:
        """For how long it goes on when the fault is over."""
        return max(LEAST_AFTER_NS, 2 * self.fault_ns)

    def overrides(self, cell: Cell) -> tuple[str, ...]:
        """The values of --set that make a cell's run of the scenario."""
        measured_ns = BEFORE_NS + self.fault_ns + self.after_ns
        phases = [
            {"name": "warmup", "for": _text(WARM_UP_NS), "measured": False},
            {"name": "matrix", "for": _text(measured_ns)},
        ]
        changed: dict[str, object] = {"phases": phases, "faults": [self._fault(cell)], "sla": []}
        changed |= {key: [] for key in ("actions", "stop_when", "integrity") if getattr(self.scenario, key)}
        return tuple(f"{key}={json.dumps(value)}" for key, value in changed.items())

    def _fault(self, cell: Cell) -> dict[str, str]:
        kind = CONDITIONS[cell.condition]
        fault = {kind: cell.edge.target, "at": _text(WARM_UP_NS + BEFORE_NS), "for": _text(self.fault_ns)}
        if cell.edge.client is not None and cell.condition not in ON_THE_TARGET:
            fault["from"] = cell.edge.client
        if cell.condition == "slow":
            fault |= {"delay": _text(self.delay_ns), "direction": "down"}
        return fault


def _text(ns: int) -> str:
    return f"{ns}ns"
