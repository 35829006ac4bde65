"""What the engine says, made ours: stamps, exit codes, events, control groups, labels."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core.clock import WallLabel, monotonic_ns
from bench.stack.docker import client
from bench.stack.docker.container_facts import Container, cgroup_of
from bench.stack.docker.events import EngineEvents, exit_status, monotonic_of, wall_text


def test_a_stamp_of_the_wall_clock_lands_between_two_looks_at_the_one_clock() -> None:
    before, stamp, after = monotonic_ns(), WallLabel.read().wall_ns, monotonic_ns()
    assert before - 1_000_000 <= monotonic_of(stamp) <= after + 1_000_000


def test_the_wall_clock_is_told_to_the_engine_in_seconds_with_nine_digits() -> None:
    seconds, _, rest = wall_text().partition(".")
    assert seconds.isdigit()
    assert len(rest) == 9


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [
        (0, 0, "exit code 0"),
        (1, 1, "exit code 1"),
        (137, -9, "SIGKILL"),
        (143, -15, "SIGTERM"),
        (255, 255, "255"),
    ],
)
def test_an_exit_code_above_128_is_told_as_its_signal(code: int, status: int, word: str) -> None:
    found, text = exit_status(code)
    assert found == status
    assert word in text


def entry(action: str, *, kind: str = "container", **attributes: str) -> dict[str, Any]:
    return {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": "n1" if kind == "network" else "c1", "Attributes": attributes},
        "timeNano": WallLabel.read().wall_ns,
    }


class Stream(list[dict[str, Any]]):
    def events(self, **_: object) -> "Stream":
        return self

    def close(self) -> None:
        """As the engine's stream can be closed."""


def followed(entries: list[dict[str, Any]], pids: list[int]) -> EngineEvents:
    """What is made of these events. The thread ends with the last of them."""
    given = iter(pids)
    events = EngineEvents(Stream(entries), {"c1": "redis"}, lambda _: next(given))
    events.start()
    seen = 0
    while seen < len([one for one in entries if one["Actor"]["ID"] != "stranger"]):
        seen = events.wait_for_change(seen, 10)
    events.close()
    return events


def test_two_lives_of_a_container_are_started_died_and_restarted() -> None:
    events = followed([entry("start"), entry("die", exitCode="137"), entry("start")], [10, 20])
    assert [(e.kind, e.pid, e.status) for e in events.all()] == [
        ("started", 10, None),
        ("died", 10, -9),
        ("restarted", 20, None),
    ]
    assert events.pid("c1") == 20


def test_health_network_and_memory_events_keep_their_words() -> None:
    events = followed(
        [
            entry("health_status: unhealthy"),
            entry("oom"),
            entry("pause"),
            entry("unpause"),
            entry("kill", signal="9"),
            entry("disconnect", kind="network", container="c1", name="net"),
        ],
        [],
    )
    assert [(e.kind, e.text) for e in events.all()] == [
        ("health", "unhealthy"),
        ("oom", None),
        ("paused", None),
        ("unpaused", None),
        ("signalled", "signal 9, by the engine"),
        ("disconnected", "net"),
    ]


def test_a_strangers_events_are_nobodys_business() -> None:
    stranger = entry("die", exitCode="1")
    stranger["Actor"]["ID"] = "stranger"
    assert [e.kind for e in followed([stranger, entry("pause")], []).all()] == ["paused"]


def test_the_end_that_was_asked_for_is_no_death() -> None:
    events = EngineEvents(Stream([entry("die", exitCode="137")]), {"c1": "redis"}, lambda _: None)
    events.expect_end()
    events.start()
    events.wait_for_change(0, 10)
    events.close()
    assert [e.kind for e in events.all()] == ["ended"]


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Write what the kernel says of a process's control groups."""

    def write(text: str) -> int:
        (tmp_path / "7").mkdir()
        (tmp_path / "7" / "cgroup").write_text(text)
        real = Path
        monkeypatch.setattr(
            "bench.stack.docker.container_facts.Path",
            lambda path: real(str(path).replace("/proc", str(tmp_path))),
        )
        return 7

    return write


def test_the_control_group_of_version_1_is_that_of_its_memory(proc: Callable[[str], int]) -> None:
    text = "9:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n"
    assert cgroup_of(proc(text)) == "docker/abc"


def test_the_control_group_of_version_2_is_the_only_one(proc: Callable[[str], int]) -> None:
    assert cgroup_of(proc("0::/system.slice/docker-abc.scope\n")) == "system.slice/docker-abc.scope"


def test_no_process_has_no_control_group() -> None:
    assert cgroup_of(None) is None
    assert cgroup_of(2**22 + 1) is None


def published(host: str, port: str, asked: str) -> dict[str, Any]:
    return {
        "NetworkSettings": {"Ports": {"6379/tcp": [{"HostIp": host, "HostPort": port}], "80/tcp": None}},
        "HostConfig": {"PortBindings": {"6379/tcp": [{"HostIp": host, "HostPort": asked}]}},
    }


def test_a_port_that_is_published_everywhere_is_used_on_loopback() -> None:
    assert Container.read(published("0.0.0.0", "7000", "7000")).published.get(6379) == ("127.0.0.1", 7000)
    assert Container.read(published("127.0.0.1", "7000", "7000")).published.get(80) is None


def test_a_port_that_the_engine_chose_is_not_fixed() -> None:
    assert 6379 in Container.read(published("", "7000", "7000")).fixed_ports
    assert 6379 not in Container.read(published("", "49153", "")).fixed_ports
    assert 6379 not in Container.read(published("", "49153", "0")).fixed_ports


@pytest.mark.parametrize(
    ("value", "allowed"), [("allow", True), ("Allow", False), ("", False), ("true", False), (None, False)]
)
def test_only_the_exact_label_opts_in(value: str | None, allowed: bool) -> None:
    found = {} if value is None else {"bench.chaos": value}
    assert Container.read({"Config": {"Labels": found}}).is_opted_in is allowed


def test_a_container_without_a_health_check_says_none() -> None:
    assert Container.read({"State": {}}).health_check == "none"
    assert Container.read({"State": {"Health": {"Status": "healthy"}}}).health_check == "healthy"


def changed(**fields: object) -> str:
    return json.dumps({**json.loads(client.harness_text()), **fields})


def test_what_a_living_harness_has_made_is_no_left_over() -> None:
    assert not client.is_left_over(client.harness_text())


def test_what_a_dead_harness_has_made_is_left_over() -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    start = client.ProcessIdentity.of(child)
    assert start is not None
    text = changed(pid=child, start_ticks=start.start_ticks)
    assert not client.is_left_over(text)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert client.is_left_over(text)


def test_what_was_made_before_the_machine_was_started_anew_is_left_over() -> None:
    assert client.is_left_over(changed(boot_id="another"))


@pytest.mark.parametrize("field", [{"host": "elsewhere"}, {"pids": 1}])
def test_a_harness_that_cannot_be_seen_from_here_is_left_alone(field: dict[str, object]) -> None:
    assert not client.is_left_over(changed(start_ticks=1, **field))


@pytest.mark.parametrize("text", ["", "{}", "null", "[]", "not json", '{"pid": 1}'])
def test_a_label_of_somebody_elses_making_is_no_left_over(text: str) -> None:
    assert not client.is_left_over(text)
