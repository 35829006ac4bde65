"""Good scenarios: what the model holds, and what the environment, --set and --quick do to it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bench.scenario.load import discover
from bench.scenario.model import Scenario
from bench.scenario.source import Place


def test_a_good_file_is_read_into_base_units(load, good) -> None:
    loaded = load(good)
    workload = loaded.scenario.workloads[0]
    assert (workload.rate_per_s, workload.deadline_ns, workload.lanes) == (1200.0, 10**9, 50)
    assert [phase.duration_ns for phase in loaded.scenario.phases] == [3 * 10**9, 30 * 10**9]
    assert loaded.rules[0].limit == 10e6
    assert loaded.source_text == good
    assert loaded.scenario.measured_ns == 30 * 10**9


def test_marks_tell_where_a_value_stands(load, good) -> None:
    loaded = load(good)
    assert loaded.marks["phases", 1, "for"] == Place(str(loaded.path), 18, 25)


def test_a_load_is_constant_or_a_ramp(load, good) -> None:
    text = good.replace("for: 3s", "for: 3s, load: 50%").replace(
        "for: 30s", "for: 30s, load: {from: 0%, to: 150%}"
    )
    first, second = load(text).scenario.phases
    assert (first.load_from, first.load_to) == (0.5, 0.5)
    assert (second.load_from, second.load_to) == (0.0, 1.5)


def test_words_of_a_command_reach_the_server_as_they_are_written(load, good) -> None:
    text = good.replace('[GET, "{key}"]', '[SET, "{key}", 007, 1.50, null, true, on, "{\\"a\\": 1}"]')
    words = load(text).scenario.workloads[0].operations["get"].all_commands[0]
    assert words == ("SET", "{key}", "007", "1.50", "null", "true", "on", '{"a": 1}')


def test_yaml_habits_that_surprise_are_off(load, good) -> None:
    """In YAML 1.1 `on` is true and 1:30 is ninety."""
    text = good.replace("scenario: example", "scenario: on").replace("purpose: shows", "purpose: 1:30 shows")
    assert load(text).scenario.scenario == "on"


def test_a_variable_is_replaced_and_a_default_stands_in_for_one_that_is_unset_or_empty(load, good) -> None:
    text = good.replace("lanes: 50", "lanes: ${LANES:-7}").replace("rate: 1200/s", 'rate: "${RATE}/s"')
    assert load(text, environment={"RATE": "300"}).scenario.workloads[0].rate_per_s == 300
    assert load(text, environment={"RATE": "300", "LANES": ""}).scenario.workloads[0].lanes == 7
    assert load(text, environment={"RATE": "300", "LANES": "9"}).scenario.workloads[0].lanes == 9


def test_a_variable_in_braces_may_be_quoted_and_still_be_a_number(load, good) -> None:
    text = good.replace("{count: 1000}", '{count: "${COUNT}"}')
    assert load(text, environment={"COUNT": "44"}).scenario.workloads[0].keys.count == 44


def test_the_value_of_a_variable_is_not_interpreted_again(load, good) -> None:
    text = good.replace("purpose: shows", "purpose: ${TEXT} shows $${HOME}")
    purpose = load(text, environment={"TEXT": "${OTHER}: [x]"}).scenario.purpose
    assert purpose.startswith("${OTHER}: [x] shows ${HOME}")


def test_the_source_text_keeps_references_and_not_their_values(load, good) -> None:
    text = good.replace("purpose: shows", "purpose: ${TEXT} shows")
    assert "hush" not in load(text, environment={"TEXT": "hush"}).source_text


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("workloads.cache.rate=2000/s", lambda s: s.workloads[0].rate_per_s == 2000),
        ("workloads.0.lanes=5", lambda s: s.workloads[0].lanes == 5),
        ("phases.steady.for=5s", lambda s: s.phases[1].duration_ns == 5 * 10**9),
        ("seed=9", lambda s: s.seed == 9),
        ("sla.0=cache.errors <= 2%", lambda s: s.sla == ("cache.errors <= 2%",)),
        ("sla.+=cache.errors <= 2%", lambda s: s.sla[1] == "cache.errors <= 2%"),
        ("phases.+={name: late, for: 4s}", lambda s: s.phases[2].name == "late"),
        ("workloads.cache.keys.exponent=1.2", None),
        (
            "workloads.cache.operations.get.command=[GET, 5]",
            lambda s: s.workloads[0].operations["get"].command == ("GET", "5"),
        ),
        ("purpose=a=b", lambda s: s.purpose == "a=b"),
    ],
)
def test_an_override_replaces_adds_or_appends(load, good, override, read) -> None:
    overrides = [override] if read else ["workloads.cache.keys.distribution=zipf", override]
    loaded = load(good, overrides)
    assert loaded.overrides == tuple(overrides)
    if read is None:
        assert loaded.scenario.workloads[0].keys.exponent == 1.2
    else:
        assert read(loaded.scenario)


def test_overrides_are_applied_in_order(load, good) -> None:
    assert load(good, ["seed=1", "seed=2"]).scenario.seed == 2


def test_quick_shortens_phases_and_keeps_loads(load, good) -> None:
    loaded = load(good.replace("for: 30s", "for: 30s, load: {from: 10%, to: 150%}"), quick=True)
    warmup, steady = loaded.scenario.phases
    assert loaded.quick
    assert (warmup.duration_ns, steady.duration_ns) == (10**9, 3 * 10**9)
    assert (steady.load_from, steady.load_to) == (0.1, 1.5)


def test_quick_brings_actions_forward_and_lasts_until_they_are_over(load, good) -> None:
    drill = "[{backup: redis, at: 10s}, {destroy: redis, at: 15s}, {restore: redis, at: 16s}]"
    scenario = load(f"{good}\nactions: {drill}\n", quick=True).scenario
    backup, destroy, restore = (action.at_ns for action in scenario.actions)
    assert backup == 3 * 10**9
    assert (destroy - backup, restore - backup) == (5 * 10**9, 6 * 10**9)
    assert scenario.total_ns > restore


def test_quick_leaves_shorter_phases_alone(load, good) -> None:
    assert load(good.replace("30s", "200ms"), quick=True).scenario.phases[1].duration_ns == 200_000_000


def test_an_alias_stands_for_its_anchor(load, good) -> None:
    text = good.replace('{weight: 80, command: [GET, "{key}"]}', "&read {weight: 80, command: [GET, a]}")
    text = text.replace("    arrivals", "      again: *read\n    arrivals")
    assert load(text).scenario.workloads[0].operations["again"].command == ("GET", "a")


def test_a_merge_key_takes_in_a_mapping_and_what_stands_beside_it_wins(load, good) -> None:
    text = "x-read: &read {weight: 80, command: [GET, a]}\n" + good
    text = text.replace("    arrivals", "      again: {weight: 3, <<: *read}\n    arrivals")
    again = load(text).scenario.workloads[0].operations["again"]
    assert (again.weight, again.command) == (3, ("GET", "a"))


def test_of_several_merged_mappings_the_first_wins(load, good) -> None:
    text = "x-one: &one {weight: 1}\nx-two: &two {weight: 2, command: [GET, b]}\n" + good.replace(
        "    arrivals", "      again: {<<: [*one, *two]}\n    arrivals"
    )
    again = load(text).scenario.workloads[0].operations["again"]
    assert (again.weight, again.command) == (1, ("GET", "b"))


def test_a_mapping_that_was_merged_into_is_merged_with_what_it_took_in(load, good) -> None:
    text = "x-base: &base {command: [GET, a]}\nx-more: &more {<<: *base, weight: 5}\n" + good.replace(
        "    arrivals", "      again: {<<: *more}\n    arrivals"
    )
    again = load(text).scenario.workloads[0].operations["again"]
    assert (again.weight, again.command) == (5, ("GET", "a"))


def test_a_problem_in_a_merged_value_is_placed_where_it_is_written(problems, good) -> None:
    text = "x-read: &read {weight: many, command: [GET, a]}\n" + good
    text = text.replace("    arrivals", "      again: {<<: *read}\n    arrivals")
    (problem,) = problems(text)
    assert (problem.line, problem.column) == (1, 24)
    assert problem.where == "workloads[0].operations.again.weight"


def test_blocks_of_extensions_are_left_alone_also_where_they_name_no_variable_that_is_set(load, good) -> None:
    assert load("x-notes: {any: [thing, '${UNSET}']}\n" + good).scenario.scenario == "example"


def test_an_extension_is_known_at_the_top_only(problems, good) -> None:
    (problem,) = problems(good.replace("    arrivals", "    x-note: 1\n    arrivals"))
    assert "x-note" in problem.found


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(load, good) -> None:
    assert load(b"\xef\xbb\xbf" + good.replace("\n", "\r\n").encode()).scenario.scenario == "example"


def test_a_scenario_made_in_python_is_held_to_the_same_rules(load, good) -> None:
    phases = [{"name": "steady", "for": "1s", "measured": False}]
    workload = {"name": "n", "target": "x", "driver": "noop", "arrivals": "closed"}
    with pytest.raises(ValidationError, match="at least one measured phase"):
        Scenario.model_validate({"scenario": "a", "purpose": "b", "workloads": [workload], "phases": phases})


def test_a_scenario_is_frozen(load, good) -> None:
    with pytest.raises(ValidationError):
        load(good).scenario.seed = 4


def test_scenario_files_are_found_in_directories_in_stable_order(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "sub/c.yaml", ".hidden/d.yaml", ".e.yaml", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = discover([tmp_path, tmp_path / "a.yml"])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a.yml", "b.yaml", "sub/c.yaml"]
