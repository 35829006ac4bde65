"""The quick form of a scenario: shorter phases, each fault once. Good to see that it works."""

from bench.scenario.fields import SHORTEST_CYCLE_NS
from bench.scenario.model import Phase, Scenario

MEASURED_NS = 3 * 10**9
OTHER_NS = 10**9
FIRST_FAULT_NS = 3 * 10**9
"""After the warm-up and enough time to know how the target does without a fault."""
LONGEST_FAULT_NS = 2 * 10**9
AFTER_FAULTS_NS = 4 * 10**9
"""To see it come back and be as before."""


def shortened(scenario: Scenario) -> Scenario:
    """Measured phases of at most 3 s, others of at most 1 s, loads unchanged.

    Cycles become shorter, and fewer where they would be too short. A fault comes once, sooner, and stays
    for 2 s at most; the run then lasts as long as it takes to see it and what follows.
    """
    phases = tuple(_short(phase) for phase in scenario.phases)
    if not scenario.faults:
        return scenario.model_copy(update={"phases": phases})
    earliest = min(fault.at_ns or 0 for fault in scenario.faults)
    sooner = max(earliest - FIRST_FAULT_NS, 0)
    faults = tuple(
        fault.model_copy(
            update={
                "at_ns": (fault.at_ns or 0) - sooner,
                "for_ns": fault.for_ns and min(fault.for_ns, LONGEST_FAULT_NS),
                "repeat": 1,
                "every_ns": None,
                "jitter_ns": None,
            }
        )
        for fault in scenario.faults
    )
    end = max((fault.at_ns or 0) + (fault.for_ns or 0) for fault in faults) + AFTER_FAULTS_NS
    last = max(number for number, phase in enumerate(phases) if phase.measured)
    others = sum(phase.duration_ns for number, phase in enumerate(phases) if number != last)
    whole = phases[last].model_copy(update={"duration_ns": max(end - others, phases[last].duration_ns)})
    stretched = (*phases[:last], whole, *phases[last + 1 :])
    return scenario.model_copy(update={"phases": stretched, "faults": faults})


def _short(phase: Phase) -> Phase:
    length = min(phase.duration_ns, MEASURED_NS if phase.measured else OTHER_NS)
    cycles = phase.cycles and min(phase.cycles, length // SHORTEST_CYCLE_NS)
    return phase.model_copy(update={"duration_ns": length, "cycles": cycles})
