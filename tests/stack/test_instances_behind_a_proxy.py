"""Several instances of a service behind a reverse proxy of this machine: one target of a scenario."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core.errors import ScenarioError, TargetError
from bench.scenario.load import load_scenario
from bench.stack.assembled import AssembledStack
from bench.stack.docker.services import containers_with_needs
from bench.stack.probes.http import http_get
from bench.stack.services.servers import SYSTEM_PROGRAMS
from bench.stack.stack_file import StackFile, load_stack_file
from bench.stack.supervisor.processes import ProcessIdentity
from bench.stack.target import Target
from chaos.schedule import planned_faults
from tests.helpers.waiting import eventually

Read = Callable[[str], StackFile]
STACK = """\
stack: proxied
targets:
  cache: {{kind: redis, embedded: {{}}}}
  db: {{kind: postgres, embedded: {{}}}}
  web: {{kind: http, embedded: {place}, behind: [cache, db]}}
"""
SCENARIO = """\
scenario: hit
purpose: one of several is hit
workloads:
  - name: load
    target: web
    driver: http
    operations: {{get: {{request: {{path: /items/1}}}}}}
    arrivals: constant
    rate: 50/s
phases: [{{name: steady, for: 20s}}]
faults:
  - {fault}
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def of_place(place: str) -> StackFile:
        file = tmp_path / "stack.yaml"
        file.write_text(STACK.format(place=place))
        return load_stack_file(file)

    return of_place


@pytest.mark.parametrize("program", ["haproxy", pytest.param("nginx", marks=pytest.mark.long)])
def test_the_load_goes_through_the_proxy_to_every_instance_and_past_one_that_is_gone(
    read: Read, tmp_path: Path, program: str
) -> None:
    if shutil.which(program, path=SYSTEM_PROGRAMS) is None:
        pytest.skip(f"{program} is not installed")
    file = read(f"{{instances: 2, proxy: {program}}}")
    with AssembledStack(file, {"web"}, tmp_path) as stack:
        described = {one.name: one for one in stack.describe()}
        assert list(described) == ["cache", "db", "web#1", "web#2", "web"]
        assert described["web"].behind == ["cache", "db", "web#1", "web#2"]
        assert described["web#2"].behind == ["cache", "db"]
        assert described["web"].server == f"{program} before 2"
        assert {row.name: row.state for row in stack.health()} == dict.fromkeys(described, "up")
        # Which one answered shows in its own count of requests.
        front = stack.targets()["web"]
        counts = [requests_of(stack, f"web#{number}") for number in (1, 2)]
        for item in range(1, 11):
            assert http_get(front, f"/items/{item}", 5.0).status == 200
        assert all(requests_of(stack, f"web#{n + 1}") > counts[n] for n in (0, 1))
        service = stack.service("web#1")
        assert service is not None
        service.hold()
        eventually(lambda: http_get(front, "/items/1", 5.0).status == 200, "the other instance to answer")
        service.release()
        pids = [one.pid for one in stack.describe()]
    assert not any(identity.is_alive() for pid in pids if pid and (identity := ProcessIdentity.of(pid)))


def requests_of(stack: AssembledStack, name: str) -> float:
    text = http_get(stack.targets()[name], "/metrics", 5.0).body.decode()
    lines = [line for line in text.splitlines() if "/items/" in line and not line.startswith("#")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if "_count" in line or "_total" in line)


def test_a_missing_program_is_told_with_what_to_install(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.stack.services.servers.SYSTEM_PROGRAMS", str(tmp_path))
    stack = AssembledStack(read("{proxy: haproxy}"), {"web"}, tmp_path)
    with pytest.raises(TargetError, match="none on this machine; apt-get install haproxy"):
        stack.start()
    stack.stop()


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("{instances: 2}", "expected a proxy that spreads the load over the instances, found none"),
        ("{instances: 7, proxy: nginx}", "a whole number 1..6"),
        ("{instances: 2, proxy: traefik}", "one of haproxy, nginx"),
    ],
)
def test_what_a_place_with_instances_cannot_say(read: Read, place: str, expected: str) -> None:
    with pytest.raises(ScenarioError, match=expected):
        read(place)


def test_containers_have_an_nginx_before_them_and_no_haproxy(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    text = "targets:\n  redis: {kind: redis, docker: {}}\n  postgres: {kind: postgres, docker: {}}\n"
    text += "  api: {kind: http, docker: {instances: 2, proxy: %s}, behind: [redis, postgres]}\n"
    file.write_text("stack: s\n" + text % "nginx")
    assert load_stack_file(file).targets["api"].instances("api") == ("api#1", "api#2")
    started = containers_with_needs({"api"}, {"api": ("api#1", "api#2")})
    assert [one.name for one in started] == ["redis", "postgres", "api#1", "api#2", "api"]
    assert [one.spec.name for one in started[2:]] == ["api", "api", "edge"]
    assert len({one.host_number for one in started}) == len(started)
    seen = {
        each: Target(each, "http", f"10.0.0.{number}", 8000) for number, each in enumerate(("api#1", "api#2"))
    }
    configuration = started[-1].files(seen)["/etc/nginx/nginx.conf"].decode()
    assert "server 10.0.0.0:8000 max_fails=1" in configuration
    assert "server 10.0.0.1:8000 max_fails=1" in configuration
    file.write_text("stack: s\n" + text % "haproxy")
    with pytest.raises(ScenarioError, match="expected nginx before containers, found haproxy"):
        load_stack_file(file)


def test_only_an_http_service_has_a_proxy(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text("stack: s\ntargets: {cache: {kind: redis, embedded: {proxy: haproxy}}}\n")
    with pytest.raises(ScenarioError, match="a proxy only before an http"):
        load_stack_file(file)


def load(read: Read, tmp_path: Path, fault: str, place: str = "{instances: 3, proxy: nginx}"):
    scenario = tmp_path / "hit.yaml"
    scenario.write_text(SCENARIO.format(fault=fault))
    topology = read(place).topology
    return load_scenario(scenario, environment={}, topology=topology), topology


def test_a_fault_on_a_process_hits_an_instance_the_first_or_one_by_the_seed(
    read: Read, tmp_path: Path
) -> None:
    fault = "{kill: {target: web, which: random}, at: 2s, every: 2s, repeat: 8}"
    loaded, topology = load(read, tmp_path, fault)
    hit = [one.target for one in planned_faults(loaded.scenario.faults, 1, topology)]
    assert 1 < len(set(hit)) <= 3
    assert set(hit) <= {"web#1", "web#2", "web#3"}
    assert hit == [one.target for one in planned_faults(loaded.scenario.faults, 1, topology)]
    assert hit != [one.target for one in planned_faults(loaded.scenario.faults, 2, topology)]
    loaded, topology = load(read, tmp_path, fault.replace("random", "in_turn").replace("8", "4"))
    in_turn = [one.target for one in planned_faults(loaded.scenario.faults, 1, topology)]
    assert in_turn == ["web#1", "web#2", "web#3", "web#1"]
    loaded, topology = load(read, tmp_path, "{pause: web, at: 2s, for: 1s}")
    assert [one.hit for one in planned_faults(loaded.scenario.faults, 1, topology)] == ["web#1"]
    loaded, topology = load(read, tmp_path, "{latency: web, at: 2s, for: 1s, delay: 1ms}")
    assert [one.hit for one in planned_faults(loaded.scenario.faults, 1, topology)] == ["web"]


@pytest.mark.parametrize(
    ("fault", "place", "expected"),
    [
        ("{kill: {target: web, which: last}, at: 2s}", "{proxy: nginx}", "one of first, random"),
        ("{kill: {target: web, which: first}, at: 2s}", "{}", "a target with several instances for which"),
        ("{latency: {target: web, which: first}, at: 2s, for: 1s, delay: 1s}", "{proxy: nginx}", "no which"),
    ],
)
def test_an_instance_that_cannot_be_hit_is_reported(
    read: Read, tmp_path: Path, fault: str, place: str, expected: str
) -> None:
    with pytest.raises(ScenarioError, match=expected):
        load(read, tmp_path, fault, place)
