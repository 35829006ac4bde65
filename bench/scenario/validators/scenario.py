"""What must fit together across the parts of a scenario: names, phases, rates, faults and checks of data."""

import math
from collections.abc import Iterator, Sequence

from bench.core.units import format_duration_ns, quoted
from bench.registry import DRIVERS, Topology, contacts_a_target
from bench.scenario.actions import check_actions
from bench.scenario.fields import MAX_RATE_PER_S, MAX_TOTAL_NS, MOST_LANES, SHORTEST_CYCLE_NS
from bench.scenario.model import Phase, Scenario
from bench.scenario.problems import Violation
from bench.scenario.prometheus import check_prometheus
from bench.scenario.stop_conditions import check_stops
from bench.scenario.validators.faults import check_faults, check_integrity
from bench.scenario.workloads import Workload


def check_scenario(
    scenario: Scenario,
    workloads: Sequence[Workload],
    phases: Sequence[Phase],
    topology: Topology | None = None,
) -> Iterator[Violation]:
    """Contradictions between the parts of a scenario; its workloads and phases as far as they are right.

    Without a topology (a scenario that was checked where it was loaded) what faults aim at is not checked.
    """
    yield from _under("workloads", _names(workloads, "workload"))
    yield from _under("phases", _names(phases, "phase"))
    yield from _under("phases", _phases(phases, workloads))
    yield from _rates(phases, workloads)
    contacted = [w for w in workloads if w.has("driver", "target") and contacts_a_target(w.driver)]
    targets = [workload.target for workload in contacted]
    if scenario.has("actions"):
        yield from _under("actions", check_actions(scenario.actions, targets, _total_ns(phases), topology))
    if scenario.has("faults"):
        yield from _under("faults", check_faults(scenario.faults, targets, _total_ns(phases), topology))
    if scenario.has("prometheus", "faults") and scenario.prometheus is not None:
        hit = [fault.client or fault.target for fault in scenario.faults]
        yield from _under("prometheus", check_prometheus(scenario.prometheus, hit, topology))
    if scenario.has("stop_when"):
        yield from _under("stop_when", check_stops(scenario.stop_when, _total_ns(phases), topology))
    if scenario.has("integrity"):
        yield from _under("integrity", check_integrity(scenario.integrity, workloads))


def _under(key: str, violations: Iterator[Violation]) -> Iterator[Violation]:
    return (violation.under(key) for violation in violations)


def _names(parts: Sequence[Workload | Phase], word: str) -> Iterator[Violation]:
    """Two parts of one name could not be told apart in a rule."""
    first: dict[str, int] = {}
    for index, part in enumerate(parts):
        if not part.has("name"):
            continue
        if part.name in first:
            involved = ((first[part.name], "name"),)
            expected, shown = f"a {word} name used once", f"{quoted(part.name)} again"
            yield Violation((index, "name"), expected, shown, f"rename this {word}", involved)
        first.setdefault(part.name, index)


def _phases(phases: Sequence[Phase], workloads: Sequence[Workload]) -> Iterator[Violation]:
    if phases and all(phase.has("measured") and not phase.measured for phase in phases):
        yield Violation((), "at least one measured phase", "none", "remove measured: false from one phase")
    if (total := _total_ns(phases)) > MAX_TOTAL_NS:
        durations = tuple((index, "for") for index in range(len(phases)))
        expected, shown = f"at most {format_duration_ns(MAX_TOTAL_NS)} in all", format_duration_ns(total)
        yield Violation((), expected, shown, "shorten the phases", durations)
    closed = [w.arrivals == "closed" and not _runs_users(w) for w in workloads if w.has("arrivals")]
    for index, phase in enumerate(phases):
        violations = (*_load(phase, bool(closed) and all(closed)), *_cycles(phase), *_users(phase, workloads))
        yield from (violation.under(index) for violation in violations)


def _total_ns(phases: Sequence[Phase]) -> int:
    """Length of all phases together, as far as it is known."""
    return sum(phase.duration_ns for phase in phases if phase.has("duration_ns"))


def _runs_users(workload: Workload) -> bool:
    """Whether the load of a phase says how many users the workload has, rather than at what rate it asks."""
    return workload.has("driver") and DRIVERS[workload.driver].asks_by_itself


def _load(phase: Phase, all_closed: bool) -> Iterator[Violation]:
    if not phase.has("load"):
        return
    if all_closed and "load" in phase.model_fields_set:
        advice = "remove load, or give a workload a rate"
        yield Violation(("load",), "no load where all arrivals are closed", "a load", advice)
    elif max(phase.load_from, phase.load_to) == 0:
        yield Violation(("load",), "a load above 0%", "0%", "write a load above 0%")


def _cycles(phase: Phase) -> Iterator[Violation]:
    if not phase.has("cycles", "rest"):
        return
    if phase.cycles is None:
        if phase.rest is not None:
            yield Violation(("rest",), "rest only with cycles", "rest", "add cycles: 50, or remove rest")
    elif phase.rest is None:
        advice = "add rest: 30%, or remove cycles"
        yield Violation((), "a rest with cycles, the share of each without load", "none", advice)
    elif phase.has("duration_ns") and phase.duration_ns < phase.cycles * SHORTEST_CYCLE_NS:
        expected = f"cycles of at least {format_duration_ns(SHORTEST_CYCLE_NS)}"
        shown = f"{phase.cycles} in {format_duration_ns(phase.duration_ns)}"
        yield Violation(("cycles",), expected, shown, "use fewer cycles or a longer phase", (("for",),))


def _users(phase: Phase, workloads: Sequence[Workload]) -> Iterator[Violation]:
    """Loads that ask for more users than a workload may have."""
    for workload in workloads:
        if _runs_users(workload) and phase.has("load") and workload.has("lanes"):
            users = math.ceil(max(phase.load_from, phase.load_to) * workload.lanes)
            if users > MOST_LANES:
                expected = f"at most {MOST_LANES} users after applying the load to the lanes"
                yield Violation(("load",), expected, f"{users}", "lower the load or the lanes")


def _rates(phases: Sequence[Phase], workloads: Sequence[Workload]) -> Iterator[Violation]:
    """Rates that only a phase's load makes impossible."""
    for number, phase in enumerate(phases):
        for index, workload in enumerate(workloads):
            if not phase.has("load") or not workload.has("rate_per_s") or workload.rate_per_s is None:
                continue
            peak = max(phase.load_from, phase.load_to) * workload.rate_per_s
            if peak > MAX_RATE_PER_S:
                expected = f"at most {MAX_RATE_PER_S}/s after applying the load"
                path, involved = ("phases", number, "load"), (("workloads", index, "rate"),)
                yield Violation(path, expected, f"{peak:.0f}/s", "lower the load or the rate", involved)
