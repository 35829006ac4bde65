"""A file with mistakes: what is right of it stays usable, so that one pass finds every problem."""

from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import ValidationError

from bench.core.errors import ScenarioError
from bench.scenario.fields import Parts
from bench.scenario.load import load_scenario
from bench.scenario.model import Phase, Scenario
from bench.scenario.rules.grammar import RuleText, parse_rule
from bench.scenario.workloads import Workload

WORKLOAD = {"name": "n", "target": "x", "driver": "noop", "arrivals": "closed"}


def validated(workloads: list[object]) -> Parts:
    parts = Parts()
    phases = [{"name": "p", "for": "1s"}]
    scenario = {"scenario": "a", "purpose": "b", "workloads": workloads, "phases": phases}
    with suppress(ValidationError):
        Scenario.model_validate(scenario, context=parts)
    return parts


def test_of_a_part_with_a_wrong_field_the_others_are_kept_with_their_defaults() -> None:
    (workload,) = validated([WORKLOAD | {"lanes": "many", "threads": 3}]).of(Workload)
    assert workload.has("name", "driver", "threads", "pipeline")
    assert not workload.has("lanes")
    assert (workload.name, workload.threads, workload.pipeline) == ("n", 3, 1)
    assert workload.model_fields_set == {"name", "target", "driver", "arrivals", "threads", "engine"}


def test_what_is_no_mapping_is_a_part_without_fields() -> None:
    workloads = validated([WORKLOAD, "text", WORKLOAD]).of(Workload)
    assert [workload.has("name") for workload in workloads] == [True, False, True]
    assert not workloads[1].has("threads")


def test_a_missing_field_is_not_right_and_a_complete_part_has_all() -> None:
    parts = validated([{"name": "n"}])
    (workload,), (phase,) = parts.of(Workload), parts.of(Phase)
    assert not workload.has("driver")
    assert phase.has(*Phase.model_fields)


def test_every_part_is_met_once_and_the_whole_too() -> None:
    parts = validated([WORKLOAD, WORKLOAD])
    assert [len(parts.of(kind)) for kind in (Scenario, Workload, Phase)] == [1, 2, 1]


def test_contradictions_and_missing_files_are_reported_together(tmp_path: Path) -> None:
    file = tmp_path / "journey.yaml"
    file.write_text(
        "scenario: a\npurpose: b\nworkloads:\n- {name: n, target: api, driver: locust, arrivals: closed,"
        " threads: 2, lanes: 2, locustfile: gone.py}\nphases: [{name: p, for: 1s}]\n"
    )
    with pytest.raises(ScenarioError) as caught:
        load_scenario(file)
    places = sorted(problem.where for problem in caught.value.problems)
    assert places == ["workloads[0].locustfile", "workloads[0].threads"]


def test_a_rule_keeps_its_parts_as_they_were_written() -> None:
    rule = parse_rule("warn.response.p95 <  10ms   warn 8000us")
    assert rule.written == RuleText("warn.response.p95", "<", "10ms", "8000us")
    assert parse_rule("availability(window=30s) >= 99.9%").written == RuleText(
        "availability(window=30s)", ">=", "99.9%"
    )


def test_a_text_that_is_no_rule_is_shown_as_it_is() -> None:
    assert RuleText.of("something else") == RuleText("something else")
