"""Time in which a thread was ready to run and had no processor."""

import os
import subprocess
import threading

from bench.core.clock import monotonic_ns
from bench.resources.generator import RunDelay


def test_a_thread_that_shares_its_processor_waits_for_it() -> None:
    told: list[int] = []

    def work() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # of this thread, and of what it starts
        delay = RunDelay()
        before = delay.ns()
        with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as other:
            end = monotonic_ns() + 300_000_000
            while monotonic_ns() < end:
                pass
            other.kill()
        told.append(delay.ns() - before)
        delay.close()
        told.append(delay.ns() - before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told[0] > 30_000_000, "about half of the time, and more where others share it too"
    assert told[1] == told[0], "what was last known stays"
