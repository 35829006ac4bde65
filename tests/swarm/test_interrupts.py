"""Ctrl-C in a process of Locust."""

import subprocess
import sys

PROGRAM = """
import os, signal
import gevent
from bench.swarm.web.locust_hooks import _interrupt_locust

gevent.signal_handler(signal.SIGINT, _interrupt_locust)
seen = []

def reader():
    os.kill(os.getpid(), signal.SIGINT)  # while this greenlet runs, as it may be while it reads a message
    for _ in range(100):
        gevent.sleep(0)
    seen.append("the last message")

reading = gevent.spawn(reader)
try:
    gevent.event.Event().wait()
except KeyboardInterrupt:
    reading.join()
    print("interrupted after", *seen)
"""


def test_ctrl_c_reaches_the_main_greenlet_and_ends_none_that_reads() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import gevent.monkey; gevent.monkey.patch_all(); import gevent.event\n" + PROGRAM,
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "interrupted after the last message\n", done.stderr
