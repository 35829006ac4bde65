"""Helper processes: what they say and hear, and that they end with the harness's order, or with its end."""

import signal
import subprocess
import sys

from bench.core.child_process import HelperProcess, for_python
from bench.stack.supervisor.processes import ProcessIdentity

ECHO = """
import sys
print("ready", flush=True)
for line in sys.stdin:
    print(line, end="", flush=True)
sys.exit(3)
"""
HARNESS = f"""
import time
from bench.core.child_process import for_python
from bench.core.child_process import HelperProcess
helper = HelperProcess(["-c", {ECHO!r}], for_python())
helper.first_line()
print(helper.pid, flush=True)
time.sleep(600)
"""


def test_it_says_that_it_is_ready_and_hears_what_is_written() -> None:
    helper = HelperProcess(["-c", ECHO], for_python())
    assert helper.first_line() == b"ready\n"
    helper.write_line(b"again")
    assert helper.first_line() == b"again\n"
    assert [helper.end(10.0), helper.end(10.0)] == [3, 3]


def test_one_that_has_ended_is_written_to_and_ended_without_an_error() -> None:
    helper = HelperProcess(["-c", "pass"], for_python())
    assert helper.first_line() == b""
    helper.process.wait()
    helper.write_line(b"is anybody there?")
    assert helper.end(10.0) == 0


def test_one_that_is_stopped_is_killed() -> None:
    helper = HelperProcess(["-c", ECHO], for_python())
    helper.first_line()
    helper.process.send_signal(signal.SIGSTOP)
    assert helper.end(0.1) == -signal.SIGKILL


def test_it_ends_with_a_harness_that_is_killed() -> None:
    started = subprocess.Popen([sys.executable, "-c", HARNESS], stdout=subprocess.PIPE, env=for_python())
    assert started.stdout is not None
    helper = ProcessIdentity.of(int(started.stdout.readline()))
    assert helper is not None
    started.kill()
    started.wait()
    started.stdout.close()
    assert helper.wait(10.0)
