"""Watches a Redis from outside: `observer.py HOST PORT`, standard library only.

Every millisecond it sends PING on one connection and waits for +PONG, as a client of the service would;
where that is not answered it connects anew. It knows nothing of the harness and shares nothing with it but
CLOCK_MONOTONIC. When its stdin ends it prints every outage as one JSON object a line: the end of the last
good look before it, begin and end of the first bad one, and begin and end of the first good one after it
(all ns).
"""

import json
import select
import socket
import sys
import time

EVERY_NS = 1_000_000
DOWN_EVERY_NS = 300_000
PATIENCE_S = 0.05
"""For an answer: what a frozen server owes is paid when it thaws, on the connection that waits for it."""
DIAL_PATIENCE_S = 0.02
"""For a connection: what a cut path has swallowed is sent again by the kernel only after a second. Not less:
while the address of a new container is not resolved yet, the kernel keeps what is sent to it, and hundreds of
dials that nobody waits for any more would keep the machine busy at the very moment that is looked for."""


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Client:
    """One connection, made anew when it is lost."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._connection: socket.socket | None = None

    def answers(self) -> bool:
        try:
            if self._connection is None:
                # Not create_connection: to look a numeric address up costs more than to connect.
                self._connection = socket.socket()
                self._connection.settimeout(DIAL_PATIENCE_S)
                self._connection.connect(self._address)
                self._connection.settimeout(PATIENCE_S)
            self._connection.sendall(b"PING\r\n")
            if self._connection.recv(64).startswith(b"+PONG"):
                return True
        except OSError:
            pass
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        return False


def main() -> None:
    client = Client((sys.argv[1], int(sys.argv[2])))
    outages: list[dict[str, int | None]] = []
    last_good_ns = due_ns = now_ns()
    is_down = False
    looks = select.poll()
    looks.register(0, select.POLLIN)
    while not looks.poll(0):
        begin_ns = now_ns()
        good = client.answers()
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
        due_ns = max(due_ns + (EVERY_NS if good else DOWN_EVERY_NS), end_ns)
        # A look has its own stamps, so it need not be punctual: to wait without the processor leaves that to
        # the server and the harness.
        time.sleep(max(due_ns - now_ns(), 0) / 1e9)
    for outage in outages:
        sys.stdout.write(json.dumps(outage) + "\n")


if __name__ == "__main__":
    main()
