"""Facts of targets as proof: each broken one turns its own line red, what nobody was asked is not shown."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.assess.assessment import Assessment, assess
from bench.assess.recommendation import Recommendation
from bench.assess.requirements import Requirements
from bench.assess.status import RequirementStatus
from bench.cli.main import run as bench
from bench.stack.docker.container_facts import Container
from bench.stack.probes.health import ServiceHealth
from bench.stack.standing import AskedTarget
from tests.assess.assess_runs import DAY_NS, NO_FILES, NOW_NS
from tests.helpers.tls_servers import redis_over_tls

HEALTH = ServiceHealth("cache", "redis", "127.0.0.1:1", "up", "as it says", "8", 4 * 86_400.0, 1000)
INSPECTED: dict[str, Any] = {
    "Id": "c" * 64,
    "Config": {"Image": "redis:8", "Healthcheck": {"Test": ["CMD", "redis-cli", "ping"]}},
    "HostConfig": {
        "RestartPolicy": {"Name": "unless-stopped"},
        "Memory": 512 * 2**20,
        "NanoCpus": 1_500_000_000,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
    },
    "State": {"StartedAt": "2026-02-06T00:00:00.123456789Z", "Health": {"Status": "healthy"}},
}
FACTS = ("up", "uptime", "restart_policy", "health_check", "memory_limit", "cpu_limit", "log_rotation")


def container(**changed: Any) -> Container:
    """As the engine reports it, with other parts of HostConfig or Config."""
    parts = {**INSPECTED, "HostConfig": {**INSPECTED["HostConfig"], **changed.pop("host", {})}, **changed}
    return Container.read(parts)


def assessed(folder: Path, *asked: AskedTarget, target: str = "cache") -> Assessment:
    requirements = [
        {
            "key": fact,
            "area": "Operations",
            "demand": fact,
            "facts": [{"target": target, "fact": fact} | ({"at_least": "3d"} if fact == "uptime" else {})],
        }
        for fact in FACTS
    ]
    wanted = Requirements.model_validate({"requirements": requirements})
    rows = [one.health for one in asked]
    return assess(folder, NO_FILES, NOW_NS, DAY_NS, wanted, rows, asked=asked)


def test_a_container_that_is_set_up_as_it_should_be_shows_all_of_them(tmp_path: Path) -> None:
    found = assessed(tmp_path, AskedTarget(HEALTH, container=container()))
    assert found.recommendation is Recommendation.READY
    said = {one.requirement.key: one.items[0].because for one in found.mets}
    assert said["restart_policy"] == "its restart policy is unless-stopped"
    assert said["memory_limit"] == "limited to 512 MiB"
    assert said["cpu_limit"] == "limited to 1.5 CPUs"
    assert said["log_rotation"] == "its log is rotated at 10m"
    assert said["uptime"] == "it is up for 4.00 d"


@pytest.mark.parametrize(
    ("fact", "health", "changed"),
    [
        ("uptime", {"uptime_s": 2 * 86_400.0}, {}),
        ("restart_policy", {}, {"host": {"RestartPolicy": {"Name": "no"}}}),
        ("health_check", {}, {"Config": {"Image": "redis:8"}}),
        ("health_check", {}, {"Config": {"Healthcheck": {"Test": ["NONE"]}}}),
        ("memory_limit", {}, {"host": {"Memory": 0}}),
        ("cpu_limit", {}, {"host": {"NanoCpus": 0, "CpuQuota": -1}}),
        ("log_rotation", {}, {"host": {"LogConfig": {"Type": "json-file", "Config": {}}}}),
    ],
)
def test_each_fact_that_does_not_hold_turns_its_own_line_red(
    tmp_path: Path, fact: str, health: dict[str, Any], changed: dict[str, Any]
) -> None:
    one = AskedTarget(replace(HEALTH, **health), container=container(**changed))
    found = assessed(tmp_path, one)
    assert [met.requirement.key for met in found.mets if met.status is RequirementStatus.FAIL] == [fact]
    assert found.recommendation is Recommendation.NOT_READY


def test_a_process_without_a_container_cannot_be_asked_for_the_engines_part(tmp_path: Path) -> None:
    found = assessed(tmp_path, AskedTarget(HEALTH))
    stood = {one.requirement.key: one.status for one in found.mets}
    assert [stood.pop(name) for name in ("up", "uptime")] == [RequirementStatus.PASS] * 2
    assert set(stood.values()) == {RequirementStatus.NOT_SHOWN}
    assert found.recommendation is Recommendation.CANNOT_TELL
    assert any("only of such a one that can be asked" in reason.text for reason in found.reasons)


def test_a_service_that_does_not_say_since_when_it_is_up_is_as_old_as_its_container(tmp_path: Path) -> None:
    silent = replace(HEALTH, kind="neo4j", uptime_s=None)
    found = assessed(tmp_path, AskedTarget(silent, container=container()))
    assert found.mets[1].items[0].because == "its container is up for 4.00 d"
    found = assessed(tmp_path, AskedTarget(silent))
    assert found.mets[1].status is RequirementStatus.NOT_SHOWN


def test_what_was_not_asked_is_not_shown_with_what_to_do(tmp_path: Path) -> None:
    found = assessed(tmp_path)
    assert "no target was asked now" in found.mets[0].because
    assert any("bench assess --health" in (reason.todo or "") for reason in found.reasons)
    found = assessed(tmp_path, AskedTarget(HEALTH, container=container()), target="cashe")
    assert 'is not among the targets that were asked now: cache; is "cache" meant?' in found.mets[0].because


def test_of_several_instances_each_must_hold(tmp_path: Path) -> None:
    second = replace(HEALTH, name="cache#2")
    broken = container(host={"Memory": 0})
    first = AskedTarget(HEALTH, container=container())
    found = assessed(tmp_path, first, AskedTarget(second, container=broken))
    red = {met.requirement.key: met.because for met in found.mets if met.status is RequirementStatus.FAIL}
    assert red == {"memory_limit": "cache#2: memory is limited: it has no limit"}


@pytest.mark.parametrize(
    ("log", "holds"),
    [
        ({"Type": "local"}, RequirementStatus.PASS),
        ({"Type": "none"}, RequirementStatus.PASS),
        ({"Type": "journald"}, RequirementStatus.NOT_SHOWN),
        (None, RequirementStatus.NOT_SHOWN),
    ],
)
def test_other_log_drivers_rotate_or_are_not_known_to(
    tmp_path: Path, log: dict[str, str] | None, holds: RequirementStatus
) -> None:
    found = assessed(tmp_path, AskedTarget(HEALTH, container=container(host={"LogConfig": log})))
    assert found.mets[-1].status is holds


def test_the_command_asks_the_targets_of_a_stack_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    Path("own.yaml").write_text(
        "requirements:\n  - {key: safe, area: Security, demand: wants a password, "
        "facts: [{target: cache, fact: password}]}\n"
        "  - {key: up, area: Health, demand: is up, facts: [{target: cache, fact: up}]}\n"
    )
    with redis_over_tls(tmp_path / "redis", tmp_path, (tmp_path, tmp_path), plain=True) as port:
        Path("stack.yaml").write_text(
            f"stack: own\ntargets:\n  cache: {{kind: redis, url: 'redis://127.0.0.1:{port}'}}\n"
        )
        arguments = ["assess", "results", "--requirements", "own.yaml", "--stack", "stack.yaml"]
        assert bench([*arguments, "--format", "json"]) == 1
    evidence = [one["evidence"][0] for one in json.loads(capsys.readouterr().out)["requirements"]]
    assert [(one["standing"], one["because"]) for one in evidence] == [
        ("FAIL", "lets in whoever names no password"),
        ("PASS", "it is up: standalone master"),
    ]
