"""`python -m bench.swarm.users FD`: the process in which the users of one workload run.

FD is a socket to the Locust engine, from which the task comes as one line of JSON. Nothing else of this
process is the harness's: what a locustfile prints goes to stderr. It ends with the harness, whatever
becomes of that, and takes along what the locustfile has started.
"""

import _thread
import os
import select
import signal
import sys
from contextlib import suppress

from bench.core.machine_limits import raise_descriptor_limit

LONGEST_LINE = 2**24


def main() -> None:
    """Read the task and run it."""
    fd, harness_pid = int(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the harness's to obey
    os.dup2(2, 1)
    # Before gevent is imported: a real thread, which notices the end also while a user computes.
    _thread.start_new_thread(end_with, (fd, harness_pid))
    line = _line(fd)
    raise_descriptor_limit()
    import locust  # noqa: F401 - patches the standard library, so it comes before all else

    from bench.engine.locust.messages import TASK
    from bench.swarm.users.run import run

    run(TASK.read(line), fd)
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads and exit functions of a locustfile are not waited for.
    os._exit(0)


def end_with(fd: int, harness_pid: int) -> None:
    """Kill this process's group when the harness has ended, or closed its end of the socket."""
    watch = select.poll()
    watch.register(fd, select.POLLRDHUP)
    with suppress(OSError):  # older kernels; a fork of the harness may then keep the socket open
        watch.register(os.pidfd_open(harness_pid), select.POLLIN)
    if os.getppid() == harness_pid:
        watch.poll()
    os.killpg(0, signal.SIGKILL)


def _line(fd: int) -> bytes:
    """The first line; byte by byte, because what follows is for others to read."""
    line = b""
    while not line.endswith(b"\n") and len(line) < LONGEST_LINE:
        byte = os.read(fd, 1)
        if not byte:
            sys.exit(1)
        line += byte
    return line


if __name__ == "__main__":
    main()
