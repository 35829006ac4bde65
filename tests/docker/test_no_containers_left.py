"""No container, network or volume is left, however the harness ends; and nobody else's is touched."""

import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from bench.stack.docker.cleanup import sweep
from tests.docker.container_waits import traces_of
from tests.helpers.waiting import eventually

Start = Callable[[str], "subprocess.Popen[str]"]
WAIT = "sys.stdin.readline()"


def introduced(process: "subprocess.Popen[str]") -> tuple[str, int]:
    assert process.stdout is not None
    run, reaper = process.stdout.readline().split()
    return run, int(reaper)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_harness_that_ends_leaves_nothing(harness: Start, images: Any) -> None:
    process = harness("pass")
    run, reaper = introduced(process)
    assert process.wait() == 0
    assert traces_of(images, run) == []
    assert not is_running(reaper)


def test_a_ctrl_c_leaves_nothing(harness: Start, images: Any) -> None:
    process = harness(WAIT)
    run, _ = introduced(process)
    os.killpg(process.pid, signal.SIGINT)
    process.wait()
    assert traces_of(images, run) == []


def test_a_harness_that_is_killed_leaves_nothing_even_with_a_paused_container(
    harness: Start, images: Any
) -> None:
    process = harness(
        "stack._engine.pause(stack.describe()[0].container.id)\nprint('x', flush=True)\n" + WAIT
    )
    run, reaper = introduced(process)
    assert process.stdout is not None
    process.stdout.readline()
    assert len(traces_of(images, run)) == 3  # a container, its network, its volume
    process.kill()
    eventually(lambda: traces_of(images, run) == [], "all of the run's things gone")
    eventually(lambda: not is_running(reaper), "the reaper has ended")


def test_a_harness_that_is_killed_in_the_middle_of_its_start_leaves_nothing(
    harness: Start, images: Any
) -> None:
    process = harness(
        "other = DockerStack({'redis'}, Path('logs'))\nprint(other._run, 0, flush=True)\n"
        "import threading\nthreading.Timer(0.7, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()\n"
        "other.start()\nsignal.pause()"
    )
    first, _ = introduced(process)
    second, _ = introduced(process)
    process.wait()
    eventually(lambda: traces_of(images, first) == [], "the first stack gone")
    eventually(lambda: traces_of(images, second) == [], "what there was of the second gone")


def test_harness_and_reaper_killed_at_once_are_swept_by_the_next_start(
    harness: Start, images: Any, temporary_container: Callable[..., str]
) -> None:
    stranger = temporary_container()
    process = harness(WAIT)
    run, reaper = introduced(process)
    os.kill(reaper, signal.SIGKILL)
    process.kill()
    process.wait()
    assert len(traces_of(images, run)) == 3
    again = harness("pass")  # its start sweeps
    introduced(again)
    assert again.wait() == 0
    assert traces_of(images, run) == []
    assert images.inspect_container(stranger)["State"]["Running"]


def test_a_sweep_leaves_the_living_alone(harness: Start, images: Any) -> None:
    process = harness(WAIT)
    run, _ = introduced(process)
    assert sweep(images) == []
    assert len(traces_of(images, run)) == 3
