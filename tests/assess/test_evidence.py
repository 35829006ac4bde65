"""Which run speaks for a scenario, and how what is missing, old or changed is told."""

import shutil
from pathlib import Path

import pytest

from bench.assess.assessment import Assessment
from bench.assess.recommendation import Recommendation
from bench.assess.requirements import Proof, Requirement
from bench.assess.status import RequirementStatus
from bench.core.units import NS
from bench.scenario.load import load_scenario
from bench.scenario.rules.metrics import check_rule, metrics_of
from tests.assess.assess_runs import DAY_NS, HOUR_NS, LATENCY, SHIPPED, assessed, write_run, write_scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"
SLOW = {"p95_ms": 50}


def speaking(found: Assessment) -> str:
    return found.body.by_scenario["redis_latency"].run.name


def marks(found: Assessment) -> list[str]:
    return [mark.word for mark in found.body.by_scenario["redis_latency"].marks]


@pytest.mark.parametrize("requirement", SHIPPED.requirements, ids=lambda one: one.key)
def test_every_proof_is_a_rule_that_its_scenario_can_produce(requirement: Requirement) -> None:
    for proof in requirement.proofs or ():
        check_rule(proof.parsed, metrics_of(load_scenario(SCENARIOS / f"{proof.scenario}.yaml").scenario))


def test_capacities_have_a_scenario_that_shows_them() -> None:
    assert all((SCENARIOS / f"{one.scenario}.yaml").exists() for one in SHIPPED.capacities)


def test_a_requirement_is_shown_by_a_run_and_by_nothing_else(tmp_path: Path) -> None:
    results = tmp_path / "results"
    folder = write_run(results)
    found = assessed(results)
    assert found.recommendation is Recommendation.READY
    assert (found.score.shown, found.score.total, found.reasons) == (1, 1, ())
    shutil.rmtree(folder)
    found = assessed(results)
    assert found.recommendation is Recommendation.CANNOT_TELL
    assert found.mets[0].status is RequirementStatus.NOT_SHOWN
    assert found.mets[0].because == "there is no run of redis_latency"
    assert found.to_run[0].startswith("bench run ")
    assert found.to_run[0].endswith("redis_latency.yaml")


def test_a_standard_run_speaks_rather_than_a_newer_quick_one(tmp_path: Path) -> None:
    standard = write_run(tmp_path / "r", age_ns=20 * HOUR_NS)
    quick = write_run(tmp_path / "r", age_ns=HOUR_NS, quick=True)
    found = assessed(tmp_path / "r")
    assert speaking(found) == standard.name
    assert f"{quick.name} is newer, but quick" in found.body.remarks


def test_a_newer_quick_run_that_fails_is_not_hidden_by_an_older_standard_one(tmp_path: Path) -> None:
    write_run(tmp_path / "r", age_ns=20 * HOUR_NS)
    quick = write_run(tmp_path / "r", age_ns=HOUR_NS, quick=True, **SLOW)
    found = assessed(tmp_path / "r")
    assert speaking(found) == quick.name
    assert found.recommendation is Recommendation.NOT_READY


def test_a_fixed_system_is_shown_by_its_newer_run(tmp_path: Path) -> None:
    write_run(tmp_path / "r", age_ns=20 * HOUR_NS, **SLOW)
    write_run(tmp_path / "r", age_ns=HOUR_NS)
    assert assessed(tmp_path / "r").recommendation is Recommendation.READY


def test_quick_evidence_counts_and_gives_warnings_at_most(tmp_path: Path) -> None:
    write_run(tmp_path / "r", quick=True)
    found = assessed(tmp_path / "r")
    assert found.recommendation is Recommendation.WARNINGS
    assert marks(found) == ["quick"]
    assert found.mets[0].status is RequirementStatus.PASS


def test_a_run_with_overrides_speaks_only_where_nothing_else_does(tmp_path: Path) -> None:
    changed = write_run(tmp_path / "r", overrides=("workloads.cache.rate=10/s",), name_id="aaaaaa")
    found = assessed(tmp_path / "r")
    assert speaking(found) == changed.name
    assert marks(found) == ["changed by --set"]
    assert found.recommendation is Recommendation.WARNINGS
    standard = write_run(tmp_path / "r", age_ns=30 * HOUR_NS)
    found = assessed(tmp_path / "r")
    assert speaking(found) == standard.name
    assert found.recommendation is Recommendation.READY
    assert (
        found.body.remarks[0] == f"{changed.name} is newer, but was made with --set workloads.cache.rate=10/s"
    )


def test_an_interrupted_run_speaks_for_nothing_and_is_told(tmp_path: Path) -> None:
    cut = write_run(tmp_path / "r", interrupted=True, name_id="bbbbbb")
    found = assessed(tmp_path / "r")
    assert found.mets[0].because == f"the only run of redis_latency was interrupted: {cut.name}"
    whole = write_run(tmp_path / "r", age_ns=2 * HOUR_NS)
    found = assessed(tmp_path / "r")
    assert speaking(found) == whole.name
    assert found.body.remarks == (f"{cut.name} is newer, but was interrupted",)


@pytest.mark.parametrize(
    ("file", "text"), [("run.json", "{"), ("windows.hlog", "Tag=x\n"), ("run.json", None)]
)
def test_a_damaged_run_is_listed_and_an_older_one_speaks(tmp_path: Path, file: str, text: str | None) -> None:
    damaged = write_run(tmp_path / "r", name_id="cccccc")
    (damaged / file).write_text(text) if text else (damaged / file).unlink()
    older = write_run(tmp_path / "r", age_ns=2 * HOUR_NS)
    found = assessed(tmp_path / "r")
    assert speaking(found) == older.name
    assert [one.path for one in found.body.damaged] == [damaged]
    assert found.recommendation is Recommendation.WARNINGS
    shutil.rmtree(older)
    found = assessed(tmp_path / "r")
    assert found.mets[0].because == "the only run of redis_latency is damaged"


def test_a_run_that_is_not_finished_is_told(tmp_path: Path) -> None:
    (tmp_path / "r" / ".20260209t000000z-redis_latency-0a1b2c.partial").mkdir(parents=True)
    assert assessed(tmp_path / "r").found.unfinished == ("20260209t000000z-redis_latency-0a1b2c",)


def test_a_stale_run_ticks_nothing_but_its_failure_stands(tmp_path: Path) -> None:
    write_run(tmp_path / "r", age_ns=8 * DAY_NS)
    found = assessed(tmp_path / "r")
    assert found.mets[0].status is RequirementStatus.NOT_SHOWN
    assert found.mets[0].because == "redis_latency: 8 d old, where at most 7 d counts"
    write_run(tmp_path / "s", age_ns=8 * DAY_NS, **SLOW)
    assert assessed(tmp_path / "s").recommendation is Recommendation.NOT_READY


def test_a_fresh_quick_run_speaks_rather_than_a_stale_standard_one(tmp_path: Path) -> None:
    write_run(tmp_path / "r", age_ns=8 * DAY_NS)
    quick = write_run(tmp_path / "r", quick=True)
    assert speaking(assessed(tmp_path / "r")) == quick.name


def test_a_scenario_that_has_changed_since_is_marked_with_what_changed(tmp_path: Path) -> None:
    write_run(tmp_path / "r")
    found = assessed(tmp_path / "r", files=write_scenario(tmp_path / "s", rate=900))
    (mark,) = found.body.by_scenario["redis_latency"].marks
    assert mark.word == "scenario changed since"
    assert mark.text.endswith("redis_latency.yaml has changed since, in workloads")
    assert found.recommendation is Recommendation.WARNINGS


def test_a_new_comment_changes_no_scenario(tmp_path: Path) -> None:
    write_run(tmp_path / "r")
    found = assessed(tmp_path / "r", files=write_scenario(tmp_path / "s", comment="# said better\n"))
    assert marks(found) == ["rewritten since"]
    assert found.recommendation is Recommendation.READY


def test_another_seed_is_told_and_does_not_warn(tmp_path: Path) -> None:
    write_run(tmp_path / "r", seed=7)
    found = assessed(tmp_path / "r")
    assert marks(found) == ["seed 7"]
    assert found.recommendation is Recommendation.READY


def test_runs_of_different_machines_are_told(tmp_path: Path) -> None:
    write_run(tmp_path / "r")
    write_run(tmp_path / "r", "redis_other", environment={"key": {"cpu": "Other CPU", "cores": 8}})
    found = assessed(tmp_path / "r")
    assert any("2 different environments" in reason.text for reason in found.reasons)


def test_a_scenario_that_was_never_run_and_that_nothing_asks_for_warns(tmp_path: Path) -> None:
    write_run(tmp_path / "r")
    write_scenario(tmp_path / "s")
    files = write_scenario(tmp_path / "s", "of_ours")
    found = assessed(tmp_path / "r", files=files)
    assert found.recommendation is Recommendation.WARNINGS
    assert "of_ours" in found.reasons[0].text
    assert "of_ours.yaml" in found.to_run[0]


def test_many_scenarios_without_a_run_are_one_reason(tmp_path: Path) -> None:
    asked = [
        Requirement(
            key=f"r{n}",
            area="Area",
            demand=f"demand {n}",
            proofs=(Proof(scenario=f"scenario_{n}", rule="errors < 1%"),),
        )
        for n in range(5)
    ]
    found = assessed(tmp_path / "r", *asked)
    assert found.reasons[0].text == (
        "no run speaks for scenario_0, scenario_1, scenario_2, scenario_3 and scenario_4: "
        "5 requirements cannot be shown"
    )


def test_ages_are_measured_from_the_start_of_the_run(tmp_path: Path) -> None:
    write_run(tmp_path / "r", age_ns=3 * HOUR_NS)
    found = assessed(tmp_path / "r", LATENCY)
    assert found.body.by_scenario["redis_latency"].age_ns == 3 * NS["h"]
