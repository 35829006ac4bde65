"""How requirements stand, and what follows: one FAIL decides, whatever the score."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.assess.recommendation import EXIT_CODES, Recommendation
from bench.assess.requirements import Proof, Requirement
from bench.assess.status import RequirementStatus
from bench.capacity.record import CapacityRecord, save
from bench.core.clock import NS_PER_S
from bench.core.errors import ExitCode
from bench.report.assess.forms import render_markdown
from bench.stack.probes.health import ServiceHealth
from bench.stack.target import State
from tests.assess.assess_runs import DAY_NS, HOUR_NS, LATENCY, NOW_NS, assessed, write_run
from tests.helpers.fault_run import FaultRun, detection, fault, integrity, recovery
from tests.helpers.synthetic_run import MS, S


def proven_by(*rules: str, scenario: str = "redis_latency", **more: Any) -> Requirement:
    proofs = tuple(Proof(scenario=scenario, rule=rule, **more) for rule in rules)
    return Requirement(key="key", area="Area", demand="demand", proofs=proofs)


def write_fault_run(out: Path, **parts: Any) -> Path:
    """Five kills of Redis, in a run of now; `parts` are sections of the record."""
    made = FaultRun()
    sections = {
        "faults": made.faults,
        "recoveries": made.recoveries,
        "detections": [detection(n, "probe", 2.1 + n) for n in range(5)],
        "false_alarms": [],
        **parts,
    }
    samples = {"cache/get/response/ok": [(MS, 5000)], "cache/get/response/refused": [(S, 1500)]}
    return write_run(out, "redis_kill", sla=("recovery.stable < 10s",), run={"samples": samples}, **sections)


def test_a_value_past_its_warning_level_is_shown_with_a_warning(tmp_path: Path) -> None:
    write_run(tmp_path / "r", p95_ms=9)
    found = assessed(tmp_path / "r")
    assert found.mets[0].status is RequirementStatus.WARN
    assert found.recommendation is Recommendation.WARNINGS
    assert found.score.shown == 1


def test_a_softened_scenario_ticks_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "r", p95_ms=50, sla=("cache.response.p95 < 100ms",))
    found = assessed(tmp_path / "r")
    assert found.body.by_scenario["redis_latency"].verdict.status.name == "PASS"
    assert found.mets[0].status is RequirementStatus.FAIL
    assert found.recommendation is Recommendation.NOT_READY


def test_a_broken_rule_beyond_the_requirements_is_not_hidden_by_a_full_score(tmp_path: Path) -> None:
    write_run(tmp_path / "r", sla=("cache.throughput > 5000/s",))
    found = assessed(tmp_path / "r")
    assert found.score.shown == found.score.total == 1
    assert found.recommendation is Recommendation.NOT_READY
    assert found.reasons[0].text.startswith("redis_latency, cache.throughput > 5000/s: throughput is 50/s")
    assert found.further[0].status is RequirementStatus.FAIL


def test_a_flaw_of_the_whole_run_that_breaks_what_must_hold_is_not_ready(tmp_path: Path) -> None:
    lost = {"code": "data_set_sums", "severity": "fail", "message": "money has vanished"}
    write_run(tmp_path / "r", anomalies=[lost])
    found = assessed(tmp_path / "r")
    assert found.mets[0].status is RequirementStatus.PASS
    assert found.recommendation is Recommendation.NOT_READY
    assert "money has vanished" in found.reasons[0].text


@pytest.mark.parametrize("p95_ms", [1, 50])
def test_an_invalid_run_says_nothing_either_way(tmp_path: Path, p95_ms: int) -> None:
    write_run(tmp_path / "r", p95_ms=p95_ms, generator={"saturated": True})
    found = assessed(tmp_path / "r")
    assert found.mets[0].status is RequirementStatus.INVALID
    assert found.recommendation is Recommendation.CANNOT_TELL


def test_too_few_samples_tell_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "r", run={"samples": {"cache/get/response/ok": [(MS, 50)]}})
    assert assessed(tmp_path / "r").mets[0].status is RequirementStatus.INCONCLUSIVE


def test_all_proofs_must_hold_and_the_tightest_is_shown(tmp_path: Path) -> None:
    write_run(tmp_path / "r", p95_ms=5)
    found = assessed(tmp_path / "r", proven_by("cache.response.p50 < 50ms", "cache.response.p95 < 10ms"))
    assert found.mets[0].status is RequirementStatus.PASS
    assert found.mets[0].tightest is found.mets[0].rows[1]
    found = assessed(tmp_path / "r", proven_by("cache.response.p50 < 50ms", "cache.response.p95 < 2ms"))
    assert found.mets[0].status is RequirementStatus.FAIL
    proofs = (*(LATENCY.proofs or ()), Proof(scenario="never_run", rule="errors < 1%"))
    both = Requirement(key="key", area="Area", demand="demand", proofs=proofs)
    assert assessed(tmp_path / "r", both).mets[0].status is RequirementStatus.NOT_SHOWN


def test_what_is_only_to_be_recorded_needs_enough_samples_and_no_limit(tmp_path: Path) -> None:
    write_run(tmp_path / "r")
    found = assessed(tmp_path / "r", proven_by("cache.response.p95"))
    assert found.mets[0].status is RequirementStatus.PASS
    assert found.mets[0].rows[0].headroom is None
    assert (
        assessed(tmp_path / "r", proven_by("cache.response.p99.9")).mets[0].status
        is RequirementStatus.INCONCLUSIVE
    )


def test_a_requirement_of_cycles_is_not_shown_by_a_run_with_fewer(tmp_path: Path) -> None:
    phase = {"name": "cycles", "measured": True, "start_ns": S, "end_ns": 11 * S, "cycles": 15, "rest": 0.3}
    write_run(tmp_path / "r", phases=[phase])
    found = assessed(tmp_path / "r", proven_by("cache.errors < 5%", cycles=50))
    assert found.mets[0].status is RequirementStatus.NOT_SHOWN
    assert "15 cycles of load in its measured time, 50 are asked for" in found.mets[0].because
    assert (
        assessed(tmp_path / "r", proven_by("cache.errors < 5%", cycles=15)).mets[0].status
        is RequirementStatus.PASS
    )


def test_a_breaker_that_had_no_time_to_stay_open_is_no_proof_that_it_closes(tmp_path: Path) -> None:
    write_fault_run(tmp_path / "r", breaker_open_ns=2 * S)
    too_short = proven_by("breaker_open_time < 20s", scenario="redis_kill")
    found = assessed(tmp_path / "r", too_short)
    assert found.mets[0].status is RequirementStatus.NOT_SHOWN
    assert "the run ended 9.00 s after the fault" in found.mets[0].because
    enough = proven_by("breaker_open_time < 5s", scenario="redis_kill")
    assert assessed(tmp_path / "r", enough).mets[0].status is RequirementStatus.PASS


def test_quick_and_standard_evidence_stand_beside_each_other(tmp_path: Path) -> None:
    write_run(tmp_path / "r", quick=True, age_ns=2 * HOUR_NS)
    write_fault_run(tmp_path / "r")
    found = assessed(tmp_path / "r", LATENCY, proven_by("recovery.stable < 10s", scenario="redis_kill"))
    assert [one.form for one in found.body.by_scenario.values()] == ["quick", "standard"]


def test_resilience_has_number_median_and_longest_of_each_fault_and_target(tmp_path: Path) -> None:
    write_fault_run(tmp_path / "r", integrity=[integrity(0, target="redis")])
    found = assessed(tmp_path / "r")
    (kill,) = found.resilience
    assert (kill.kind, kill.target, kill.effective, kill.made) == ("kill", "redis", 5, 5)
    stable = kill.recovery["stable"]
    assert stable is not None
    assert (stable.count, stable.shown) == (5, "310 ms, at most 500 ms")
    assert kill.detection["probe"] is not None
    assert kill.availability is not None
    assert 0.9999 < kill.availability < 1
    (data,) = found.integrity
    assert data.said == "0 of 5 000 lost, at most 0.06 % (3/n, 95 %), 0 unexpected"
    assert [(one.count, one.detectors) for one in found.alarms] == [(0, 1)]


def test_two_kinds_of_faults_in_one_run_are_two_rows(tmp_path: Path) -> None:
    faults = [fault(0, 2), fault(1, 5, "pause", "postgres")]
    recoveries = [recovery(0, 2, 0.3), recovery(1, 5, None)]
    write_fault_run(tmp_path / "r", faults=faults, recoveries=recoveries, detections=[])
    pause, kill = sorted(assessed(tmp_path / "r").resilience, key=lambda one: one.target)
    assert (kill.target, pause.target) == ("redis", "postgres")
    assert pause.recovery["stable"] is not None
    assert pause.recovery["stable"].shown == "never"
    assert pause.availability is None


def test_lost_data_is_not_ready_with_its_numbers(tmp_path: Path) -> None:
    write_fault_run(tmp_path / "r", integrity=[integrity(3, target="redis")])
    found = assessed(tmp_path / "r", proven_by("lost_writes == 0", scenario="redis_kill"))
    assert found.recommendation is Recommendation.NOT_READY
    assert found.integrity[0].said == "3 of 5 000 lost, 0 unexpected"


CAPACITY = Requirement(key="capacity", area="Capacity", demand="Redis", capacity="redis")


def rate_run(out: Path, rate: int, arrivals: str = "poisson", **more: Any) -> None:
    """A run that was offered `rate` a second for 10 s, all answered in half a millisecond."""
    workload = {"arrivals": arrivals, "rate_per_s": None if arrivals == "closed" else float(rate), **more}
    samples = {"cache/get/response/ok": [(MS // 2, 10 * rate)]}
    write_run(out, "redis_throughput", run={"workload": workload, "samples": samples})


@pytest.mark.parametrize(
    ("rate", "arrivals", "more", "status"),
    [
        (2000, "poisson", {}, RequirementStatus.PASS),
        (1200, "poisson", {}, RequirementStatus.NOT_SHOWN),
        (9000, "closed", {"idle_ratio": 0.3}, RequirementStatus.PASS),
        (1200, "closed", {"idle_ratio": 0.3}, RequirementStatus.FAIL),
        (1200, "closed", {"idle_ratio": 0.01}, RequirementStatus.NOT_SHOWN),
    ],
)
def test_headroom_is_failed_only_where_the_limit_of_the_target_was_reached(
    tmp_path: Path, rate: int, arrivals: str, more: dict[str, float], status: RequirementStatus
) -> None:
    rate_run(tmp_path / "r", rate, arrivals, **more)
    found = assessed(tmp_path / "r", CAPACITY)
    assert found.mets[0].status is status
    room = found.rooms[0]
    assert room.best is not None
    assert room.best.rate_per_s == pytest.approx(rate)
    assert room.flag == ("past 80 % of the validated rate" if rate == 1200 else None)


def searched(
    out: Path, rate: float, first_failing: float | None, limited_by: str, age_ns: int = HOUR_NS, **more: Any
) -> None:
    """A search for the capacity of redis_throughput that has ended."""
    started = datetime.fromtimestamp((NOW_NS - age_ns) / NS_PER_S, UTC)
    record = CapacityRecord.read(
        {
            "scenario": "redis_throughput",
            "rate_per_s": rate,
            "interval": [rate, first_failing],
            "first_failing_per_s": first_failing,
            "limited_by": limited_by,
            "state": "ended",
            "started_utc": started.isoformat(),
            "own_per_s": {"cache": 1200.0},
            "drivers": {"cache": "redis"},
            "question": {"path": "scenarios/redis_throughput.yaml", "digest": "d" * 64},
            **more,
        }
    )
    save(record, out / "capacity" / "20260209t230000z-redis_throughput-0a1b2c.capacity.json")


RULE = "cache.response.p95 < 10ms"


@pytest.mark.parametrize(
    ("rate", "first_failing", "limited_by", "status"),
    [
        (2500, 2600, RULE, RequirementStatus.PASS),
        (1400, 1460, RULE, RequirementStatus.FAIL),
        (1500, None, "generator", RequirementStatus.NOT_SHOWN),
        (1500, None, "max_rate", RequirementStatus.NOT_SHOWN),
    ],
)
def test_a_search_for_the_capacity_counts_before_runs_and_fails_only_by_a_limit_of_the_target(
    tmp_path: Path, rate: float, first_failing: float | None, limited_by: str, status: RequirementStatus
) -> None:
    rate_run(tmp_path / "r", 1900, "closed", idle_ratio=0.01)
    searched(tmp_path / "r", rate, first_failing, limited_by)
    found = assessed(tmp_path / "r", CAPACITY)
    best = found.rooms[0].best
    assert best is not None
    assert (best.rate_per_s, best.form) == (rate, "searched")
    assert found.mets[0].status is status
    assert found.rooms[0].flag == ("past 70 % of the validated rate" if rate == 1400 else None)
    assert "redis\\_throughput (searched)" in render_markdown(found, tmp_path)


def test_a_search_that_is_too_old_or_damaged_shows_nothing(tmp_path: Path) -> None:
    searched(tmp_path / "r", 2500, 2600, RULE, age_ns=30 * DAY_NS)
    found = assessed(tmp_path / "r", CAPACITY)
    assert found.rooms[0].best is None
    (tmp_path / "r" / "capacity" / "x.capacity.json").write_text('{"format": 1, "scenario": 3}')
    found = assessed(tmp_path / "r", CAPACITY)
    assert "scenario: expected a text, found a whole number" in found.found.damaged[0].reason


def test_a_rate_at_which_rules_broke_validates_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "r", p95_ms=50)
    found = assessed(tmp_path / "r", CAPACITY)
    assert found.rooms[0].best is None
    assert found.mets[0].status is RequirementStatus.NOT_SHOWN


@pytest.mark.parametrize("arrivals", ["poisson", "closed"])
def test_a_rate_that_was_offered_and_not_served_validates_nothing_whatever_the_rules_ask(
    tmp_path: Path, arrivals: str
) -> None:
    workload = {"arrivals": arrivals, "rate_per_s": None if arrivals == "closed" else 2000.0}
    samples = {"cache/get/response/error": [(MS // 2, 20_000)]}
    run = {"workload": workload, "samples": samples}
    write_run(tmp_path / "r", "redis_throughput", sla=("cache.response.p95 < 1h",), run=run)
    found = assessed(tmp_path / "r", CAPACITY)
    assert found.rooms[0].best is None
    assert found.mets[0].status is RequirementStatus.NOT_SHOWN


def health(state: State, kind: str = "redis", name: str = "cache") -> ServiceHealth:
    return ServiceHealth(name, kind, "127.0.0.1:1", state, "as it says", "1", 90.0, 1000)


UP = Requirement(key="up", area="Health", demand="Redis is up", kind="redis")
SEARCH = Requirement(
    key="search", area="Health", demand="search is up", kind="elasticsearch", where_used=True
)


def test_what_a_run_has_seen_is_dated_and_what_is_asked_now_counts_first(tmp_path: Path) -> None:
    write_run(tmp_path / "r", age_ns=3 * HOUR_NS)
    found = assessed(tmp_path / "r", UP)
    assert found.mets[0].status is RequirementStatus.PASS
    assert "2026-02-09 21:00 UTC, 3 h ago, by redis_latency" in found.mets[0].because
    found = assessed(tmp_path / "r", UP, health_rows=[health("down")])
    assert found.mets[0].status is RequirementStatus.FAIL
    assert found.recommendation is Recommendation.NOT_READY
    found = assessed(tmp_path / "r", UP, health_rows=[health("degraded")])
    assert found.recommendation is Recommendation.WARNINGS


def test_a_second_target_does_not_stand_in_for_the_first(tmp_path: Path) -> None:
    found = assessed(tmp_path / "r", UP, health_rows=[health("up"), health("down", name="other")])
    assert found.mets[0].status is RequirementStatus.FAIL


def test_one_server_is_not_two_because_it_was_asked_and_a_run_has_seen_it(tmp_path: Path) -> None:
    two = Requirement(key="two", area="Health", demand="two Postgres are up", kind="postgres", number=2)
    seen = {"name": "postgres", "kind": "postgres", "address": "127.0.0.1:5432"}
    write_run(tmp_path / "r", stack={"kind": "embedded", "targets": [seen]})
    for name, address in (("postgres", "127.0.0.1:1"), ("orders", "127.0.0.1:5432")):
        asked = replace(health("up", "postgres", name), address=address)
        found = assessed(tmp_path / "r", two, health_rows=[asked])
        assert found.mets[0].status is RequirementStatus.NOT_SHOWN
    twice = [health("up", "postgres", name) for name in ("prod", "dev")]
    assert assessed(tmp_path / "r2", two, health_rows=twice).mets[0].status is RequirementStatus.NOT_SHOWN
    twice[1] = replace(twice[1], address="127.0.0.1:2")
    assert assessed(tmp_path / "r3", two, health_rows=twice).mets[0].status is RequirementStatus.PASS


def test_a_part_that_a_system_need_not_have_only_warns_until_it_is_looked_at(tmp_path: Path) -> None:
    write_run(tmp_path / "r")
    found = assessed(tmp_path / "r", LATENCY, SEARCH)
    assert found.recommendation is Recommendation.WARNINGS
    assert (found.score.shown, found.score.total) == (1, 1)
    found = assessed(tmp_path / "r", LATENCY, SEARCH, health_rows=[health("down", "elasticsearch")])
    assert found.recommendation is Recommendation.NOT_READY


def test_exit_codes_are_those_of_the_contract() -> None:
    assert {one.value: code for one, code in EXIT_CODES.items()} == {
        "READY": ExitCode.OK,
        "READY WITH WARNINGS": ExitCode.OK,
        "NOT READY": ExitCode.SLA_FAILED,
        "CANNOT TELL": ExitCode.UNKNOWN,
    }
