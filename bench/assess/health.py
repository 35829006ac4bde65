"""The targets and how they are: asked now, or as the runs that speak have seen them, with the date."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.assess.evidence import Evidence, EvidenceSet
from bench.assess.matrix import RequirementResult
from bench.assess.requirements import Requirement
from bench.assess.status import RequirementStatus, age, date
from bench.core import units
from bench.core.units import counted
from bench.results.run_record import TargetRecord
from bench.scenario.fault_kinds import PASSIVE_KINDS, REMEDIES
from bench.stack.probes.health import ServiceHealth

STATUSES = {"up": RequirementStatus.PASS, "degraded": RequirementStatus.WARN, "down": RequirementStatus.FAIL}


@dataclass(frozen=True)
class TargetHealth:
    """One target. Of what was asked now `evidence` is None; of what a run has seen the latency is."""

    name: str
    kind: str
    address: str
    version: str | None
    state: str
    """up, degraded or down."""
    uptime_s: float | None
    latency_ns: int | None
    detail: str
    evidence: Evidence | None = None

    @property
    def status(self) -> RequirementStatus:
        """What its state means; that of an old run shows nothing."""
        if self.evidence is not None and self.evidence.is_stale:
            return RequirementStatus.NOT_SHOWN
        return STATUSES.get(self.state, RequirementStatus.INCONCLUSIVE)

    @property
    def seen(self) -> str:
        """ "asked now", or when a run has seen it so."""
        if self.evidence is None:
            return "asked now"
        began = self.evidence.started_ns
        ago = age(self.evidence.age_ns) + " ago" * (self.evidence.age_ns >= 0)
        return f"{date(began)}, {ago}, by {self.evidence.scenario}"


def live(rows: Sequence[ServiceHealth]) -> list[TargetHealth]:
    """Targets that were asked now."""
    return [
        TargetHealth(
            row.name,
            row.kind,
            row.address,
            row.version,
            row.state,
            row.uptime_s,
            None if row.state == "down" else row.latency_ns,
            row.detail,
        )
        for row in rows
    ]


def from_runs(body: EvidenceSet) -> list[TargetHealth]:
    """Each target of the runs that speak, as the newest that loads it has seen it; else the newest of all."""
    found: dict[str, tuple[bool, TargetHealth]] = {}
    for evidence in sorted(body.by_scenario.values(), key=lambda one: -one.started_ns):
        loaded = {workload.target for workload in evidence.run.workloads}
        for entry in evidence.run.record.stack.targets:
            name = entry.name
            is_loaded = name in loaded and not evidence.run.record.faults
            if name not in found or (is_loaded and not found[name][0]):
                found[name] = (is_loaded, _seen(entry, evidence, is_loaded))
    return sorted((one for _, one in found.values()), key=lambda one: one.name)


def _seen(entry: TargetRecord, evidence: Evidence, is_loaded: bool) -> TargetHealth:
    record = evidence.run.record
    lasted_s = float(record.duration_ns) / units.NS["s"]
    hits = [
        one
        for one in record.faults
        if one.hit == entry.name and one.took_effect and one.kind not in (*PASSIVE_KINDS, *REMEDIES)
    ]
    back = all(one.healed for one in hits)
    ways = ", ".join(dict.fromkeys(one.where for one in hits if one.client is not None))
    if is_loaded:
        detail = f"was there for its load, {lasted_s:.0f} s"
    elif not hits:
        detail = "answered when the run began"
    elif back:
        on_its_way = f", on the way {ways}" if ways else ""
        detail = f"came back after {counted(len(hits), 'fault')} of the run{on_its_way}"
    else:
        detail = "was not proven to be back when the run ended"
    return TargetHealth(
        entry.name,
        entry.kind or "unknown",
        entry.address or "unknown",
        entry.version or None,
        "up" if back else "down",
        lasted_s if is_loaded else None,
        None,
        detail,
        evidence,
    )


def health_met(requirement: Requirement, targets: Sequence[TargetHealth]) -> RequirementResult:
    """Whether so many targets of a kind are up; what was asked now counts before what a run has seen."""
    kind = [target for target in targets if target.kind == requirement.kind]
    asked = [target for target in kind if target.evidence is None]
    wanted = _each_once(asked)
    if len(wanted) < requirement.number:
        wanted = _each_once(kind)
    wanted = sorted(wanted, key=lambda target: target.status)
    if len(wanted) < requirement.number:
        seen = (
            f"{counted(len(wanted), 'target')} of this kind was seen" if wanted else "no such target was seen"
        )
        return RequirementResult(requirement, RequirementStatus.NOT_SHOWN, seen, _how_to_look(requirement))
    decisive = wanted[-1]  # the one that stands worst: a second one cannot stand in for it
    because = f"{decisive.name} is {decisive.state}, {decisive.seen}: {decisive.detail}".rstrip(": ")
    todo = None if decisive.status.is_shown else "bench stack status shows each target"
    return RequirementResult(requirement, decisive.status, because, todo)


def _each_once(targets: Sequence[TargetHealth]) -> list[TargetHealth]:
    """Every server once, by name and by address, as it was asked now, else at its worst.

    Of two that are wanted, one that was asked now and seen by a run too is still only one.
    """
    found: list[TargetHealth] = []
    for target in sorted(targets, key=lambda one: (one.evidence is not None, -one.status)):
        if all(target.name != one.name and target.address != one.address for one in found):
            found.append(target)
    return found


def _how_to_look(requirement: Requirement) -> str:
    examples = {
        "proxy": "edge=proxy://127.0.0.1:80/ping",
        "elasticsearch": "search=elasticsearch://127.0.0.1:9200",
        "neo4j": "graph=neo4j://127.0.0.1:7687",
    }
    if example := examples.get(requirement.kind or ""):
        return f"name it: bench assess --service {example}"
    return "bench stack up, then bench assess --health; or run a scenario that needs it"
