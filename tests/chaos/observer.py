"""Watches a Redis from outside: `observer.py HOST PORT`, standard library only.

Every 200 µs, or as soon as the look before has ended, it connects, sends PING and waits for +PONG. It
knows nothing of the harness and shares nothing with it but CLOCK_MONOTONIC. When its stdin ends it prints
every outage as one JSON object a line: the end of the last good look before it, begin and end of the first
bad one, and begin and end of the first good one after it (all ns).
"""

import json
import select
import socket
import sys
import time

EVERY_NS = 200_000
PATIENCE_S = 0.05


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def answers(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, PATIENCE_S) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def main() -> None:
    address = (sys.argv[1], int(sys.argv[2]))
    outages: list[dict[str, int | None]] = []
    last_good_ns = due_ns = now_ns()
    is_down = False
    looks = select.poll()
    looks.register(0, select.POLLIN)
    while not looks.poll(0):
        begin_ns = now_ns()
        good = answers(address)
        end_ns = now_ns()
        if is_down and good:
            outages[-1] |= {"good_ns": end_ns, "good_begin_ns": begin_ns}
        elif not is_down and not good:
            outages.append(
                {"last_good_ns": last_good_ns, "bad_ns": end_ns, "bad_begin_ns": begin_ns, "good_ns": None}
            )
        is_down = not good
        if good:
            last_good_ns = end_ns
        due_ns = max(due_ns + EVERY_NS, end_ns)
        while now_ns() < due_ns:
            time.sleep(max((due_ns - now_ns() - 60_000) / 1e9, 0))
    for outage in outages:
        sys.stdout.write(json.dumps(outage) + "\n")


if __name__ == "__main__":
    main()
