"""The services as real containers."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import TargetError
from bench.resources.cgroup import read_cgroup
from bench.stack.docker.cleanup import left_overs
from bench.stack.docker.stack import DockerStack
from bench.stack.probes.http import http_get
from tests.docker.container_waits import until_up
from tests.helpers.waiting import eventually

SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def stack(edge_image: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with DockerStack({"edge"}, tmp_path_factory.mktemp("logs")) as started:
        yield started


def test_the_reverse_proxy_brings_all_that_it_needs(stack: DockerStack) -> None:
    assert list(stack.targets()) == ["redis", "postgres", "api", "edge"]
    assert all(row.state == "up" for row in stack.health())
    assert all(target.managed for target in stack.targets().values())


def test_the_proxy_leads_to_the_api_and_has_a_ping_of_its_own(stack: DockerStack) -> None:
    edge = stack.targets()["edge"]
    assert http_get(edge, "/ping", 5.0).body == b"pong\n"
    assert http_get(edge, "/items/1", 5.0).json()["id"] == 1


def test_every_container_is_described_for_the_record(stack: DockerStack) -> None:
    for entry in stack.describe():
        assert entry.state == "up"
        assert entry.container.restart_policy == "always"
        assert entry.container.faults_allowed is entry.container.is_port_fixed is True
        assert entry.container.health_check == "healthy"
        assert entry.container.image.startswith("holdfast/")
        assert entry.address.startswith("127.0.0.1:")
        assert Path(f"/proc/{entry.pid}").exists()
        use = read_cgroup(entry.container.cgroup)
        assert use is not None
        assert use.working_set_bytes


def test_no_password_is_in_what_is_described(stack: DockerStack) -> None:
    password = stack.targets()["postgres"].password
    assert password
    assert password not in json.dumps([entry.to_json() for entry in stack.describe()])
    assert password not in repr(stack.targets())


def test_the_engine_looks_every_second_and_restarts_what_dies(stack: DockerStack, images: Any) -> None:
    for entry in stack.describe():
        inspected = images.inspect_container(entry.container.id)
        check = inspected["Config"]["Healthcheck"]
        assert (check["Interval"], check["Timeout"], check["Retries"]) == (SECOND_NS, SECOND_NS, 3)
        assert inspected["HostConfig"]["RestartPolicy"]["Name"] == "always"
        assert inspected["Config"]["Labels"]["bench.chaos"] == "allow"


def test_ports_are_published_on_loopback_alone(stack: DockerStack, images: Any) -> None:
    for entry in stack.describe():
        bindings = images.inspect_container(entry.container.id)["HostConfig"]["PortBindings"].values()
        assert [binding["HostIp"] for ports in bindings for binding in ports] == ["127.0.0.1"]


def test_logs_are_copied_to_files(stack: DockerStack) -> None:
    words = {"redis": "Ready to accept", "postgres": "ready to accept", "api": "reference API on"}
    for entry in stack.describe():
        if entry.name in words:
            text = Path(entry.log)
            eventually(lambda text=text, entry=entry: words[entry.name] in text.read_text(), entry.name)


def test_the_engines_events_are_on_the_one_clock(stack: DockerStack) -> None:
    events = stack.events()
    assert [event.at_ns for event in events] == sorted(event.at_ns for event in events)
    assert {"started", "health", "connected"} <= {event.kind for event in events}
    assert {event.service for event in events} == {"redis", "postgres", "api", "edge"}


def test_what_a_living_run_has_made_is_no_left_over(stack: DockerStack, images: Any) -> None:
    assert left_overs(images) == []


def test_a_service_keeps_port_and_data_over_a_restart(redis_stack: DockerStack, images: Any) -> None:
    target = redis_stack.targets()["redis"]
    with socket.create_connection((target.host, target.port), 5) as connection:
        connection.sendall(b"SET kept yes\r\n")
        assert connection.recv(100) == b"+OK\r\n"
    before = redis_stack.describe()[0]
    images.restart(before.container.id, timeout=5)
    eventually(lambda: redis_stack.describe()[0].pid not in (None, before.pid), "another process")
    until_up(redis_stack)
    with socket.create_connection((target.host, target.port), 5) as connection:
        connection.sendall(b"GET kept\r\n")
        assert b"yes" in connection.recv(100)


def test_an_image_that_nobody_has_is_told_with_both_ways_out(
    images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_IMAGE_REDIS", "127.0.0.1:1/none:1")
    with pytest.raises(TargetError, match=r"HOLDFAST_IMAGE_REDIS.*python -m bench\.stack\.images build"):
        DockerStack({"redis"}, tmp_path).start()


def test_an_image_whose_program_ends_at_once_is_told_with_the_end_of_its_log(
    images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The API's image has no redis-server, and says so when it is asked to start one.
    monkeypatch.setenv("HOLDFAST_IMAGE_REDIS", "holdfast/api:here")
    stack = DockerStack({"redis"}, tmp_path)
    with pytest.raises(TargetError, match=r"target redis .*redis-server.*HOLDFAST_IMAGE_REDIS"):
        stack.start()
    assert stack.describe() == []
    assert left_overs(images) == []
