"""Acts on real containers, and the engine's traps: kill is not crash, and a pause only looks unhealthy."""

from collections.abc import Callable
from typing import Any

import pytest

from bench.core.errors import TargetError
from bench.stack.docker.client import engine_host
from bench.stack.docker.stack import DockerStack
from bench.stack.probes.health import probe
from chaos import containers
from chaos.container_view import victim, view
from chaos.containers import ContainerAct
from chaos.undo import ConnectContainer, StartContainer, UnpauseContainer
from tests.docker.container_waits import SHORT_S, health_now, until_up
from tests.helpers.waiting import eventually


@pytest.fixture
def container(redis_stack: DockerStack) -> str:
    found = str(redis_stack.describe()[0].container.id)
    for undo in (StartContainer, UnpauseContainer):
        assert undo(found, engine_host()).heal() is None
    until_up(redis_stack)
    return found


def in_order(act: ContainerAct) -> bool:
    """The three times, as far as they must be in order; the engine's clock is read a moment later."""
    effective = act.times.effective_ns
    return (
        effective is not None
        and act.times.asked_ns <= act.times.returned_ns
        and act.times.asked_ns < effective
    )


def kinds_since(stack: DockerStack, act: ContainerAct) -> list[str]:
    return [event.kind for event in stack.events() if event.at_ns >= act.times.asked_ns]


def test_docker_kill_is_a_stop_by_hand_and_nobody_restarts(
    redis_stack: DockerStack, container: str, images: Any
) -> None:
    before = redis_stack.describe()[0].pid
    act = containers.kill(container)
    assert act.proof.holds
    assert in_order(act)
    assert act.pid_before == before
    assert "exited with exit code 137" in act.proof.text
    eventually(
        lambda: "disconnected" in kinds_since(redis_stack, act), "the engine has done with the dead one"
    )
    # The restart policy would have asked for a start by now: it comes 0.1 s after a death.
    state = images.inspect_container(container)["State"]
    assert (state["Status"], state["Restarting"]) == ("exited", False)
    started = containers.start(container)
    assert started.proof.holds
    assert in_order(started)
    assert view(container).pid not in (None, before)
    until_up(redis_stack)


def test_a_crash_from_the_host_is_restarted_by_the_engine(redis_stack: DockerStack, container: str) -> None:
    assert view(container).why_no_crash is None
    assert view(container).restart_policy == "always"
    act = containers.crash(container)
    assert act.proof.holds
    assert in_order(act)
    died_ns = eventually(
        lambda: [event.at_ns for event in redis_stack.events() if event.kind == "died"], "the engine saw it"
    )[-1]
    assert act.times.effective_ns is not None
    assert act.times.effective_ns <= died_ns
    eventually(lambda: "restarted" in kinds_since(redis_stack, act), "the engine has restarted it")
    assert "signalled" not in kinds_since(redis_stack, act)  # not the engine's doing
    until_up(redis_stack)
    assert redis_stack.describe()[0].pid != act.pid_before


def test_a_paused_container_takes_connections_answers_nothing_and_looks_unhealthy_without_an_event(
    redis_stack: DockerStack, container: str, images: Any
) -> None:
    act = containers.pause(container)
    assert act.proof.holds
    assert in_order(act)
    assert "frozen" in act.proof.text
    assert images.inspect_container(container)["State"]["Health"]["Status"] == "unhealthy"
    assert probe(redis_stack.targets()["redis"], SHORT_S).state == "down"
    assert "health" not in kinds_since(redis_stack, act)
    ended = containers.unpause(container)
    assert ended.proof.holds
    assert in_order(ended)
    until_up(redis_stack)
    assert redis_stack.describe()[0].pid == act.pid_before
    said = [event.text for event in redis_stack.events() if event.kind == "health"]
    assert "unhealthy" not in said


def test_a_stop_lasts_until_the_start(redis_stack: DockerStack, container: str) -> None:
    act = containers.stop(container)
    assert act.proof.holds
    assert "exit code 0" in act.proof.text
    assert health_now(redis_stack) == "down"
    assert StartContainer(container, engine_host()).heal() is None
    until_up(redis_stack)


def test_a_restart_gives_another_process(redis_stack: DockerStack, container: str) -> None:
    act = containers.restart(container)
    assert act.proof.holds
    assert in_order(act)
    assert view(container).pid not in (None, act.pid_before)
    until_up(redis_stack)


def test_a_disconnected_container_comes_back_with_its_address_and_names(
    redis_stack: DockerStack, container: str, images: Any
) -> None:
    def network() -> dict[str, Any]:
        return next(iter(images.inspect_container(container)["NetworkSettings"]["Networks"].values()), {})

    before = network()
    act, known = containers.disconnect(container)
    assert act.proof.holds
    assert in_order(act)
    assert network() == {}
    assert health_now(redis_stack) == "down"
    assert ConnectContainer(container, engine_host(), endpoints=known).heal() is None
    assert network()["IPAddress"] == before["IPAddress"]
    assert network()["Aliases"] == before["Aliases"]
    until_up(redis_stack)
    assert redis_stack.describe()[0].pid == act.pid_before


def test_every_undoing_is_harmless_twice_and_where_nothing_is_wrong(
    redis_stack: DockerStack, container: str
) -> None:
    known = view(container).endpoints
    for _ in range(2):
        assert UnpauseContainer(container, engine_host()).heal() is None
        assert StartContainer(container, engine_host()).heal() is None
        assert ConnectContainer(container, engine_host(), endpoints=known).heal() is None
    assert health_now(redis_stack) == "up"


def test_undoing_on_a_container_that_is_gone_is_nothing_to_do(images: Any) -> None:
    assert UnpauseContainer("0" * 64, engine_host()).heal() is None
    assert StartContainer("0" * 64, engine_host()).heal() is None


def test_a_container_that_is_not_opted_in_is_never_hit(
    temporary_container: Callable[..., str], images: Any
) -> None:
    stranger = temporary_container()
    for act in (
        containers.kill,
        containers.crash,
        containers.stop,
        containers.restart,
        containers.pause,
        containers.disconnect,
        victim,
    ):
        with pytest.raises(TargetError, match=r"expected a container with the label bench\.chaos=allow"):
            act(stranger)
    state = images.inspect_container(stranger)["State"]
    assert (state["Running"], state["Paused"]) == (True, False)


def test_a_container_that_is_down_cannot_be_hit(temporary_container: Callable[..., str], images: Any) -> None:
    stopped = temporary_container(labels={"bench.chaos": "allow"})
    images.kill(stopped)
    for act in (containers.kill, containers.crash, containers.pause):
        with pytest.raises(TargetError, match="expected a container that runs, found one that is exited"):
            act(stopped)
    assert view(stopped).why_no_crash == "a container that is exited"
    assert view(stopped).restart_policy == "no"
