"""Levels, areas with weights, owners and ages: what counts how much, and what hides nothing."""

import json
from pathlib import Path

from bench.assess.assessment import Assessment, assess
from bench.assess.recommendation import Recommendation
from bench.assess.requirements import Requirements
from bench.assess.status import RequirementStatus
from bench.report.assess.forms import render_html, render_json, render_markdown, render_text
from tests.assess.assess_runs import DAY_NS, HOUR_NS, NOW_NS, assessed, write_run, write_scenario

RULE = {"scenario": "redis_latency", "rule": "cache.response.p95 < 10ms"}
BROKEN = {"scenario": "redis_latency", "rule": "cache.response.p95 < 2ms"}
NEVER_RUN = {"scenario": "redis_kill", "rule": "errors < 1%"}
THROUGHPUT = {"key": "redis", "subject": "Redis", "unit": "operations", "scenario": "redis_latency"}


def requirement(key: str, *proofs: dict[str, str], area: str = "Redis", **more: object) -> dict[str, object]:
    return {"key": key, "area": area, "demand": f"demand {key}", "proofs": list(proofs), **more}


def judged(folder: Path, *requirements: dict[str, object], **file: object) -> Assessment:
    """The requirements by the runs in `folder`, which is made."""
    folder.mkdir(exist_ok=True)
    wanted = Requirements.model_validate({"requirements": requirements, **file})
    files = write_scenario(folder.parent / f"{folder.name}-scenarios")
    return assess(folder, files, NOW_NS, 7 * DAY_NS, wanted)


def test_a_broken_should_is_a_warning_and_a_broken_must_is_not(tmp_path: Path) -> None:
    write_run(tmp_path / "r", p95_ms=5)
    found = judged(tmp_path / "r", requirement("a", RULE), requirement("b", BROKEN, level="should"))
    assert found.mets[1].status is RequirementStatus.FAIL
    assert found.mets[1].counts_as is RequirementStatus.WARN
    assert found.recommendation is Recommendation.WARNINGS
    assert found.score.counts[RequirementStatus.FAIL] == 0
    assert any("demand b (should)" in reason.text for reason in found.reasons)
    found = judged(tmp_path / "r", requirement("a", RULE), requirement("b", BROKEN))
    assert found.recommendation is Recommendation.NOT_READY


def test_a_should_that_is_broken_in_the_scenario_too_is_reported_once_as_a_warning(tmp_path: Path) -> None:
    write_run(tmp_path / "r", p95_ms=5, sla=("cache.response.p95 < 2ms",))
    found = judged(tmp_path / "r", requirement("b", BROKEN, level="should"))
    assert found.recommendation is Recommendation.WARNINGS
    assert [reason.status for reason in found.reasons].count(RequirementStatus.FAIL) == 0


def test_a_should_that_is_not_shown_is_a_warning_and_counts_as_not_shown(tmp_path: Path) -> None:
    write_run(tmp_path / "r")
    found = judged(tmp_path / "r", requirement("a", RULE), requirement("b", NEVER_RUN, level="should"))
    assert found.recommendation is Recommendation.WARNINGS
    assert (found.score.shown, found.score.total) == (1, 2)
    found = judged(tmp_path / "r", requirement("a", RULE), requirement("b", NEVER_RUN))
    assert found.recommendation is Recommendation.CANNOT_TELL


def test_an_area_stands_as_its_worst_must_whatever_the_weights_say(tmp_path: Path) -> None:
    write_run(tmp_path / "r", p95_ms=5)
    found = judged(
        tmp_path / "r",
        *(requirement(f"held-{number}", RULE, area="Speed") for number in range(9)),
        requirement("broken", BROKEN, area="Data"),
        requirement("hoped for", BROKEN, area="Speed", level="should"),
        areas={"Data": {"weight": 1}, "Speed": {"weight": 99}},
    )
    areas = found.areas()
    assert [one.name for one in areas] == ["Speed", "Data"]
    assert [one.status for one in areas] == [RequirementStatus.WARN, RequirementStatus.FAIL]
    assert found.weighted is not None
    assert found.weighted > 0.98
    assert found.recommendation is Recommendation.NOT_READY


def test_each_requirement_has_its_age_else_that_of_its_area_else_that_of_the_file(tmp_path: Path) -> None:
    write_run(tmp_path / "r", age_ns=3 * HOUR_NS)
    found = judged(
        tmp_path / "r",
        requirement("own", RULE, area="Slow", max_age="2h"),
        requirement("of the area", RULE, area="Quick"),
        requirement("of the file", RULE, area="Slow"),
        max_age="4h",
        areas={"Quick": {"max_age": "1h"}, "Slow": {}},
    )
    stood = {one.requirement.key: one.status for one in found.mets}
    assert stood == {
        "own": RequirementStatus.NOT_SHOWN,
        "of the area": RequirementStatus.NOT_SHOWN,
        "of the file": RequirementStatus.PASS,
    }
    assert "3 h old, where at most 2 h counts" in found.mets[0].because.replace(".00", "")


def test_an_age_of_weeks_counts_before_that_of_the_command(tmp_path: Path) -> None:
    write_run(tmp_path / "r", age_ns=20 * DAY_NS)
    found = judged(tmp_path / "r", requirement("patient", RULE, max_age="30d"))
    assert found.recommendation is Recommendation.READY
    found = judged(tmp_path / "r", requirement("a", RULE, max_age="30d"), requirement("b", RULE))
    assert [one.status.name for one in found.mets] == ["PASS", "NOT_SHOWN"]


def test_every_form_says_the_level_and_the_owner(tmp_path: Path) -> None:
    write_run(tmp_path / "r", p95_ms=5)
    found = judged(
        tmp_path / "r",
        requirement("a", RULE),
        requirement("b", BROKEN, level="should", owner="b@example.com"),
        areas={"Redis": {"owner": "data", "weight": 3}},
    )
    for text in (render_text(found), render_markdown(found, tmp_path), render_html(found, tmp_path)):
        assert "owner data" in text
        assert "should; owner b" in text
    document = json.loads(render_json(found))
    assert [(one["level"], one["owner"]) for one in document["requirements"]] == [
        ("must", "data"),
        ("should", "b@example.com"),
    ]
    assert document["areas"] == [
        {"area": "Redis", "standing": "WARN", "shown": 2, "total": 2, "weight": 3.0, "owner": "data"}
    ]


def test_a_file_without_the_new_keys_is_judged_as_before(tmp_path: Path) -> None:
    write_run(tmp_path / "r")
    found = assessed(tmp_path / "r")
    assert found.weighted is None
    assert found.recommendation is Recommendation.READY
