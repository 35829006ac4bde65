"""A compose project as the stack: found by its labels, followed, and left as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import TargetError
from bench.registry import instances_of
from bench.run.progress import Silent
from bench.run.session import Session
from bench.scenario.faults import FaultEntry
from bench.scenario.load import load_scenario
from bench.stack.assembled import AssembledStack
from bench.stack.docker.compose import ComposeStack
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.stack_file import load_stack_file
from chaos.faults import fault_for
from chaos.faults.fault import FaultContext
from chaos.schedule import FaultPlan, planned_faults
from tests.helpers.waiting import eventually

PROJECT = "test-holdfast"
KILL = {"kind": "kill", "target": "redis", "which": "random", "at": "1s"}


@pytest.fixture(autouse=True)
def named_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_COMPOSE_PROJECT", PROJECT)


@pytest.fixture
def service(temporary_container: Callable[..., str]) -> Callable[..., str]:
    """Start a container as compose would, with a Redis in it."""

    def start(name: str, *, is_published: bool = True, **more: Any) -> str:
        labels = {"com.docker.compose.project": PROJECT, "com.docker.compose.service": name}
        labels |= more.pop("labels", {})
        bindings = {6379: ("127.0.0.1", free_loopback_port())} if is_published else {}
        return temporary_container(labels=labels, ports=[6379], port_bindings=bindings, **more)

    return start


def test_a_service_of_the_targets_name_is_attached_to_and_left_running(
    service: Callable[..., str], images: Any, tmp_path: Path
) -> None:
    container = service("redis", labels={"bench.chaos": "allow"}, restart="always")
    eventually(lambda: images.logs(container).count(b"Ready to accept"), "Redis is up")
    with ComposeStack({"redis"}, tmp_path) as stack:
        entry = stack.describe()[0]
        assert entry.container.id == container
        assert entry.started_by == f"not by us: compose project {PROJECT}"
        assert (entry.state, entry.container.restart_policy) == ("up", "always")
        assert entry.container.faults_allowed is entry.container.is_port_fixed is True
        assert stack.targets()["redis"].managed
        assert stack.health()[0].state == "up"
        images.restart(container, timeout=5)
        eventually(lambda: [e.kind for e in stack.events()][-1:] == ["restarted"], "the restart was seen")
        eventually(lambda: "Ready to accept" in Path(entry.log).read_text(), "its log is followed")
    assert images.inspect_container(container)["State"]["Running"]


def test_a_service_of_another_name_is_known_by_its_image_and_not_hit_unless_opted_in(
    service: Callable[..., str], images: Any, tmp_path: Path
) -> None:
    container = service("cache")
    eventually(lambda: images.logs(container).count(b"Ready to accept"), "Redis is up")
    with ComposeStack({"redis"}, tmp_path) as stack:
        assert stack.describe()[0].container.faults_allowed is False
        assert stack.targets()["redis"].managed is False


def test_two_services_that_could_be_meant_are_told_apart_by_name(
    service: Callable[..., str], images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service("sessions")
    wanted = service("cache")
    with pytest.raises(
        TargetError, match=r"found cache, sessions; .*HOLDFAST_COMPOSE_SERVICES=redis=SERVICE"
    ):
        ComposeStack({"redis"}, tmp_path).start()
    monkeypatch.setenv("HOLDFAST_COMPOSE_SERVICES", "redis=cache")
    eventually(lambda: images.logs(wanted).count(b"Ready to accept"), "Redis is up")
    with ComposeStack({"redis"}, tmp_path) as stack:
        assert stack.describe()[0].container.id == wanted


def test_a_port_that_is_not_published_is_told_with_the_line_to_write(
    service: Callable[..., str], tmp_path: Path
) -> None:
    service("redis", is_published=False)
    with pytest.raises(TargetError, match=r'published: none; .*ports: \["127\.0\.0\.1:6379:6379"\]'):
        ComposeStack({"redis"}, tmp_path).start()


SCALED = """\
stack: scaled
targets:
  front: {kind: redis, compose: {service: front}, behind: [workers]}
  workers: {kind: redis, compose: {service: workers}}
"""
LOAD = """\
scenario: scaled
purpose: the load goes to what stands before a scaled service
workloads:
  - {name: load, target: workers, driver: redis, arrivals: closed, operations: {p: {command: [PING]}}}
phases: [{name: steady, for: 8s}]
faults: [{kill: {target: workers, which: random}, at: 2s}]
"""


def test_a_scaled_service_is_one_target_with_an_instance_for_each_container(
    service: Callable[..., str], images: Any, tmp_path: Path
) -> None:
    front = service("front")
    made = [
        service(
            "workers",
            is_published=False,
            labels={"bench.chaos": "allow", "com.docker.compose.container-number": str(number)},
        )
        for number in (2, 1)
    ]
    for each in (front, *made):
        eventually(lambda each=each: images.logs(each).count(b"Ready to accept"), "Redis is up")
    (tmp_path / "scaled.yaml").write_text(SCALED)
    (tmp_path / "load.yaml").write_text(LOAD)
    file = load_stack_file(tmp_path / "scaled.yaml")
    with AssembledStack(file, {"front"}, tmp_path) as stack:
        described = {one.name: one for one in stack.describe()}
        assert [described[f"workers#{n}"].container.id for n in (1, 2)] == made[::-1]
        assert described["front"].behind == ["workers", "workers#1", "workers#2"]
        assert {row.name: row.state for row in stack.health()} == dict.fromkeys(described, "up")
        assert instances_of("workers", stack.topology()) == ("workers#1", "workers#2")
        fault = fault_for(FaultPlan(0, "kill", "workers#2", 0, None), FaultContext(stack, stack.targets()))
        fault.check()
        session = Session(stack, tmp_path / "results", Silent())
        loaded = load_scenario(tmp_path / "load.yaml", environment={}, topology=file.topology)
        with pytest.raises(TargetError, match="found a service of 2 containers; put the load on what stands"):
            session.run(loaded)


def test_without_a_stack_file_a_scaled_service_has_its_instances_too(
    service: Callable[..., str], images: Any, tmp_path: Path
) -> None:
    for number in ("1", "2"):
        labels = {"bench.chaos": "allow", "com.docker.compose.container-number": number}
        made = service("redis", is_published=False, labels=labels)
        eventually(lambda made=made: images.logs(made).count(b"Ready to accept"), "Redis is up")
    with ComposeStack({"redis"}, tmp_path) as stack:
        topology = stack.topology()
        assert instances_of("redis", topology) == ("redis#1", "redis#2")
        assert set(topology["api"].behind) >= {"redis", "redis#1", "redis#2"}
        (fault,) = planned_faults([FaultEntry.model_validate(KILL)], 1, topology)
        fault_for(fault, FaultContext(stack, stack.targets())).check()
        assert fault.hit in ("redis#1", "redis#2")


def test_a_project_that_does_not_run_is_told(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_COMPOSE_PROJECT", "there-is-none")
    with pytest.raises(TargetError, match="expected the compose project there-is-none, running"):
        ComposeStack({"redis"}, tmp_path).start()


def test_the_log_in_comes_from_the_url_of_the_environment(
    service: Callable[..., str], images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = service("redis")
    eventually(lambda: images.logs(container).count(b"Ready to accept"), "Redis is up")
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:1/3")
    with ComposeStack({"redis"}, tmp_path) as stack:
        target = stack.targets()["redis"]
        assert (target.host, target.db) == ("127.0.0.1", 3)
        assert stack.describe()[0].credentials == "REDIS_URL"


def test_a_container_that_compose_replaced_is_followed_by_project_service_and_number(
    service: Callable[..., str], images: Any, tmp_path: Path
) -> None:
    """As `docker compose up --force-recreate` does it: the new one has another id and the same labels."""
    labels = {"bench.chaos": "allow", "com.docker.compose.container-number": "1"}
    first = service("redis", labels=labels)
    eventually(lambda: images.logs(first).count(b"Ready to accept"), "Redis is up")
    with ComposeStack({"redis"}, tmp_path) as stack:
        assert stack.describe()[0].container.id == first
        images.kill(first)
        service("redis", labels={"com.docker.compose.container-number": "2"})  # another one, scaled up
        second = service("redis", labels=labels)
        eventually(lambda: stack.describe()[0].container.id == second, "the new container is followed")
        eventually(lambda: [e.kind for e in stack.events()][-1:] == ["restarted"], "its start was seen")
        assert stack.describe()[0].pid == images.inspect_container(second)["State"]["Pid"]
        eventually(lambda: "Ready to accept" in Path(stack.describe()[0].log).read_text(), "its log")
        assert stack.health()[0].state == "up"


@pytest.mark.parametrize("kind", ["kill", "stop", "restart", "disconnect"])
def test_a_fault_after_which_the_engine_publishes_another_port_is_refused_before_the_load(
    temporary_container: Callable[..., str], images: Any, tmp_path: Path, kind: str
) -> None:
    labels = {
        "com.docker.compose.project": PROJECT,
        "com.docker.compose.service": "redis",
        "bench.chaos": "allow",
    }
    container = temporary_container(labels=labels, ports=[6379], port_bindings={6379: ("127.0.0.1",)})
    eventually(lambda: images.logs(container).count(b"Ready to accept"), "Redis is up")
    with ComposeStack({"redis"}, tmp_path) as stack:
        around = FaultContext(stack, stack.targets())
        for_ns = None if kind in ("kill", "restart") else 10**9
        with pytest.raises(TargetError, match="one that the engine chooses anew at every start"):
            fault_for(FaultPlan(0, kind, "redis", 0, for_ns), around).check()
        fault_for(FaultPlan(0, "pause", "redis", 0, 10**9), around).check()
