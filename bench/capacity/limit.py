"""What the probes of a search say together: what limits the rate, what is full first, where the knee is."""

from collections.abc import Sequence

from bench.capacity.readings import LANES, POOL
from bench.capacity.record import CapacityRecord, ProbeRecord
from bench.capacity.search import Ending, Reading

FULL = 0.9
"""From such a share in use on a resource is full: what comes at random waits for it."""
SLOWER = 1.5
"""Times the service time at the lowest rate: beyond it lanes are full because the target is slow."""
FEWEST_FOR_A_KNEE = 3
GENERATOR = "generator"


def with_limit(record: CapacityRecord, ending: Ending, unmet: list[str]) -> CapacityRecord:
    """The record of a search that has ended, with what limits the rate."""
    return record.model_copy(
        update={
            "ending": ending.value,
            "limited_by": _limited_by(record, ending),
            "saturated": _saturated(record, ending),
            "knee_per_s": knee_per_s(record.probes),
            "unmet": unmet if record.rate_per_s is not None else [],
        }
    )


def by_rate(probes: Sequence[ProbeRecord]) -> list[ProbeRecord]:
    """The probes from the lowest rate to the highest."""
    return sorted(probes, key=lambda probe: probe.rate_per_s)


def knee_per_s(probes: Sequence[ProbeRecord]) -> float | None:
    """The rate with the most throughput for its P95 (Kleinrock's power, ICC 1979): beyond it a little more
    throughput costs much more time. None of too few rates.
    """
    known = [
        (probe.done_per_s / probe.p95_ns, probe.rate_per_s)
        for probe in by_rate(probes)
        if probe.p95_ns and probe.found in (Reading.HELD, Reading.BROKE)
    ]
    if len({rate for _, rate in known}) < FEWEST_FOR_A_KNEE:
        return None
    return max(known)[1]


def _limited_by(record: CapacityRecord, ending: Ending) -> str | None:
    first = record.first_failing_per_s
    if first is None:
        if record.rate_per_s is None and ending is not Ending.GENERATOR:
            broke = next((probe for probe in by_rate(record.probes) if probe.found is Reading.BROKE), None)
            return broke.limited_by if broke is not None else None
        return None if ending is Ending.UNDECIDED else ending.value
    at_first = [one for one in record.probes if one.rate_per_s == first and one.found is Reading.BROKE]
    return at_first[0].limited_by


def _saturated(record: CapacityRecord, ending: Ending) -> str | None:
    """What is full at the lowest rate at which something is, up to the first rate that does not hold."""
    end, probes = record.first_failing_per_s, by_rate(record.probes)
    if end is None and ending is not Ending.GENERATOR:
        return None
    # What was full at the lowest rate already is not full because of the rate: others use the machine.
    before = {name for name, share in probes[0].in_use.items() if share >= FULL} if len(probes) > 1 else set()
    for probe in probes:
        if end is not None and probe.rate_per_s > end:
            break
        full = {name: share for name, share in probe.in_use.items() if share >= FULL and name not in before}
        if _is_slower(probe, probes[0]):
            full = {name: share for name, share in full.items() if not name.endswith((LANES, POOL))}
        if full:
            # A target before what it shares with others: the machine is full because something on it is.
            return max(full, key=lambda name: (name not in ("machine.cpu", GENERATOR), full[name]))
    return GENERATOR if ending is Ending.GENERATOR and end is None else None


def _is_slower(probe: ProbeRecord, lowest: ProbeRecord) -> bool:
    if probe.service_p50_ns is None or lowest.service_p50_ns is None:
        return False
    return probe.service_p50_ns > SLOWER * lowest.service_p50_ns
