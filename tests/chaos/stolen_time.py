"""When the hypervisor had a processor: `stolen_time.py CPU`, standard library only.

It wakes every half millisecond on one processor, before everything else there (SCHED_FIFO): no process of
this machine can delay it, so where it wakes late the machine itself stood still. When its stdin ends it
prints each such stretch as "begin end" (CLOCK_MONOTONIC, ns). Needs the right to such a priority.
"""

import os
import select
import sys
import time

EVERY_S = 0.0005
LATE_NS = 1_000_000
"""Of a wake-up: what timers and interrupts add is a tenth of that."""


def main() -> None:
    os.sched_setaffinity(0, {int(sys.argv[1])})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    stolen: list[tuple[int, int]] = []
    looks = select.poll()
    looks.register(0, select.POLLIN)
    due_ns = time.monotonic_ns() + int(EVERY_S * 1e9)
    while not looks.poll(0):
        time.sleep(EVERY_S)
        now_ns = time.monotonic_ns()
        if now_ns - due_ns > LATE_NS:
            stolen.append((due_ns, now_ns))
        due_ns = time.monotonic_ns() + int(EVERY_S * 1e9)
    for begin_ns, end_ns in stolen:
        sys.stdout.write(f"{begin_ns} {end_ns}\n")


if __name__ == "__main__":
    main()
