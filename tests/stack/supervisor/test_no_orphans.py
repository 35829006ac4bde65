"""Nothing is left running or lying about, however the harness or the supervisor ends."""

import os
import signal
from collections.abc import Callable

from tests.helpers.processes import Harness, is_running
from tests.helpers.waiting import eventually

WAIT = "sys.stdin.readline()"
StartHarness = Callable[[str], Harness]


def test_a_harness_that_ends_leaves_nothing_but_its_logs(harness: StartHarness) -> None:
    started = harness("pass")
    assert started.process.wait() == 0
    assert started.has_left_nothing()
    assert "Ready to accept connections" in (started.folder / "logs" / "redis.log").read_text()


def test_a_harness_that_is_killed_leaves_nothing(harness: StartHarness) -> None:
    started = harness(WAIT)
    assert is_running(started.server_pid)
    started.process.kill()
    eventually(started.has_left_nothing, "server, supervisor and data gone after the harness was killed")
    assert '"finished"' in (started.folder / "logs" / "redis-events.jsonl").read_text()


def test_a_fork_that_outlives_the_harness_does_not_keep_the_server(harness: StartHarness) -> None:
    started = harness("fork = os.fork()\nif fork == 0:\n    signal.pause()\nsay(fork)\n" + WAIT)
    fork = int(started.read_line())
    os.kill(started.process.pid, signal.SIGKILL)
    eventually(started.has_left_nothing, "server, supervisor and data gone while the fork lives")
    assert is_running(fork)


def test_a_fork_that_leaves_the_stack_does_not_stop_it(harness: StartHarness) -> None:
    started = harness(
        "fork = os.fork()\nif fork == 0:\n    stack.stop()\n    os._exit(0)\n"
        "os.waitpid(fork, 0)\nsay(stack.describe()[0].state)"
    )
    assert started.read_line() == "up"
    assert started.process.wait() == 0
    assert started.has_left_nothing()


def test_a_supervisor_that_is_killed_takes_the_server_with_it(harness: StartHarness) -> None:
    started = harness(WAIT + "\nsay(stack.describe()[0].state)")
    os.kill(started.supervisor_pid, signal.SIGKILL)
    eventually(lambda: not is_running(started.server_pid), "server gone with its supervisor")
    assert started.process.stdin is not None
    started.process.stdin.write("\n")
    started.process.stdin.flush()
    assert started.read_line() == "down"
    assert started.process.wait() == 0
    assert started.has_left_nothing()


def test_harness_and_supervisor_killed_at_once_leave_no_process_and_the_next_start_sweeps(
    harness: StartHarness,
) -> None:
    started = harness(WAIT)
    os.kill(started.supervisor_pid, signal.SIGKILL)
    started.process.kill()
    eventually(lambda: not is_running(started.server_pid), "server gone")
    started.process.wait()
    (started.folder / "tmp").rename(started.folder / "tmp-before")
    leftover = next((started.folder / "tmp-before").iterdir())
    again = harness(
        f"sys.stdin.readline()\nimport bench.stack.services.files as d, tempfile\n"
        f"tempfile.tempdir = {str(leftover.parent)!r}\nd.sweep_data_directories()\nsay('swept')"
    )
    assert again.process.stdin is not None
    again.process.stdin.write("\n")
    again.process.stdin.flush()
    assert again.read_line() == "swept"
    assert not leftover.exists()


def test_a_terminals_ctrl_c_reaches_the_harness_and_not_the_server(harness: StartHarness) -> None:
    started = harness(
        "from bench.stack.probes.redis import probe_redis\n"
        "try:\n"
        "    say('waiting')\n"
        "    signal.pause()\n"
        "except KeyboardInterrupt:\n"
        "    say(probe_redis(stack.targets()['redis']).process_id)\n"
        "    raise"
    )
    assert started.read_line() == "waiting"
    os.killpg(started.process.pid, signal.SIGINT)
    assert started.read_line() == str(started.server_pid)
    started.process.wait()
    assert started.has_left_nothing()


def test_a_supervisor_that_is_asked_to_end_ends_the_server_and_removes_data(
    harness: StartHarness,
) -> None:
    started = harness(WAIT)
    os.kill(started.supervisor_pid, signal.SIGTERM)
    eventually(lambda: not any((started.folder / "tmp").iterdir()), "data removed")
    assert not is_running(started.server_pid)
