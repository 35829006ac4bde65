"""The start form read as an order: by workload, by target, and never with anything but a told problem."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import ScenarioError
from bench.registry import url_variables
from bench.swarm.messages import TO_AGENT
from bench.swarm.web.form import Choice, FilledForm, choices_in, offered, read_form

SCENARIOS = Path(__file__).parent.parent.parent / "scenarios"
OFFERED = choices_in(SCENARIOS)
OUT = Path("results")


def filled(name: str, **fields: str) -> FilledForm:
    return read_form({"scenario": name, **fields}, OFFERED, OUT)


def problems(name: str, **fields: str) -> list[str]:
    with pytest.raises(ScenarioError) as told:
        filled(name, **fields)
    return str(told.value).splitlines()


def test_every_scenario_is_offered_with_its_purpose() -> None:
    files = {file for file in SCENARIOS.rglob("*.yaml") if "\nscenario: " in file.read_text()}
    assert {choice.path for choice in OFFERED} == files
    assert all(choice.label.startswith(f"{choice.name}: ") for choice in OFFERED)


def test_empty_fields_leave_every_scenario_as_it_is() -> None:
    for choice in OFFERED:
        form = filled(choice.label, rate="", duration="", lanes="", target="", stack="automatic", seed="")
        assert form.request.overrides == ()
        assert form.request.scenario == choice.path


def test_a_value_alone_is_for_the_only_workload() -> None:
    form = filled("redis_latency", rate="2000/s", lanes="10", duration="5s", quick="true", seed="7")
    assert form.request.overrides == (
        "workloads.cache.rate=2000/s",
        "workloads.cache.lanes=10",
        "phases.1.for=5s",
    )
    assert form.request.quick
    assert form.request.seed == 7


def test_several_workloads_must_be_named() -> None:
    several = next(choice for choice in OFFERED if choice.name == "everything")
    (told,) = problems(several.label, rate="100/s")
    assert told.startswith("rate: field: expected the workload that it is for (of ")
    names = told.partition("(of ")[2].partition(")")[0].split(", ")
    form = filled(several.label, lanes=f"{names[0]}=3, {names[1]} = 4")
    assert form.request.overrides == (f"workloads.{names[0]}.lanes=3", f"workloads.{names[1]}.lanes=4")


def test_targets_become_the_environment_of_the_agent_and_are_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in url_variables().values():
        monkeypatch.delenv(variable, raising=False)
    form = filled("redis_latency", target="redis://:secret@127.0.0.1:6379, http://127.0.0.1:8000")
    assert form.variables == {
        "REDIS_URL": "redis://:secret@127.0.0.1:6379",
        "API_URL": "http://127.0.0.1:8000",
    }
    assert form.request.stack == "external"
    assert "secret" not in repr(form)
    assert b"secret" not in TO_AGENT.write(form.request)


def test_every_address_of_a_service_in_the_environment_goes_to_the_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number, variable in enumerate(url_variables().values()):
        monkeypatch.setenv(variable, f"redis://127.0.0.1:{number + 1}")
    form = filled("redis_latency")
    assert set(form.variables) >= set(url_variables().values())


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"target": "ftp://:secret@host"}, "target"),
        ({"target": "redis://"}, "target"),
        ({"target": "redis://:secret@[::1"}, "target"),
        ({"target": "redis://a redis://:secret@b"}, "target"),
        ({"target": "redis://:secret@a", "stack": "docker"}, "stack"),
        ({"stack": "cloud"}, "stack"),
        ({"seed": "-1"}, "seed"),
        ({"seed": "9" * 30}, "seed"),
        ({"rate": "cache=1/s, other=2/s"}, "rate"),
        ({"lanes": "0"}, "lanes"),
        ({"duration": "-3s"}, "duration"),
        ({"scenario": "none"}, "scenario"),
    ],
)
def test_a_wrong_field_is_named_and_no_password_is_repeated(fields: dict[str, str], place: str) -> None:
    with pytest.raises(ScenarioError) as told:
        read_form({"scenario": "redis_latency"} | fields, OFFERED, OUT)
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"{place}: ")
    assert "secret" not in line


def test_a_file_with_problems_is_offered_and_told_about_when_chosen(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("scenario: broken\n", encoding="utf-8")
    (choice,) = choices_in(tmp_path)
    assert choice == Choice(path, "broken", choice.label)
    assert "problems in the file" in choice.label
    with pytest.raises(ScenarioError, match=r"broken\.yaml:1"):
        read_form({"scenario": "broken"}, (choice,), OUT)


@given(
    st.dictionaries(
        st.sampled_from(["rate", "lanes", "duration", "target", "stack", "seed", "quick"]),
        st.text(max_size=40) | st.sampled_from(["cache=", "=1", "cache=1/s,", "cache=a=b", "{a: [", "&x *x"]),
    )
)
def test_whatever_is_typed_gives_an_order_or_told_problems(fields: dict[str, str]) -> None:
    try:
        filled("redis_latency", **fields)
    except ScenarioError as told:
        found = str(told)
    else:
        found = "an order"
    assert found


def test_a_stack_file_that_the_command_line_names_is_offered_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, folder = tmp_path / "shop.yaml", tmp_path / "scenarios"
    stack.write_text("stack: shop\ntargets: {cache: {kind: redis, url: 'redis://127.0.0.1:1'}}\n")
    folder.mkdir()
    (folder / "own.yaml").write_text(
        "scenario: own\npurpose: own names\nworkloads:\n  - {name: w, target: cache, driver: redis,"
        " rate: 1/s, arrivals: constant, operations: {p: {command: [PING]}}}\nphases: [{name: s, for: 1s}]\n"
    )
    fields = {"scenario": "own", "stack": str(stack)}
    with pytest.raises(ScenarioError, match="stack: field: expected one of automatic, embedded"):
        read_form(fields, choices_in(folder, str(stack)), OUT)
    monkeypatch.setattr("sys.argv", ["locust", "--stack", str(stack), "--scenarios", str(folder)])
    assert [choice.label for choice in offered()] == ["own: own names"]
    assert read_form(fields, offered(), OUT).request.stack == str(stack)
    with pytest.raises(ScenarioError, match="expected the target"):
        read_form({**fields, "stack": "embedded"}, offered(), OUT)
