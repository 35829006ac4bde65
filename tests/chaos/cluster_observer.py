"""Watches a shard of a Redis Cluster: `cluster_observer.py KEY PORT...`, standard library only.

Every millisecond it writes a key of that shard at the server that took the last write; where that fails, at
each of the others. So it knows within a millisecond from when on no server took a write, and which one did
again. It knows nothing of the harness and shares nothing with it but CLOCK_MONOTONIC. When its stdin ends it
prints every outage as one JSON object a line: the end of the last good look before it, begin and end of the
first bad one, and begin and end of the first good one after it (all ns).
"""

import json
import select
import socket
import sys
import time

EVERY_NS = 1_000_000
REDIAL_NS = 50_000_000
PATIENCE_S = 0.1


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Client:
    """One at a server, made anew now and then when it is lost."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._write = f"SET {key} 1\r\n".encode()
        self._connection: socket.socket | None = None
        self._dialled_ns = 0

    def takes_a_write(self) -> bool:
        try:
            if self._connection is None:
                if now_ns() - self._dialled_ns < REDIAL_NS:
                    return False
                self._dialled_ns = now_ns()
                self._connection = socket.socket()
                self._connection.settimeout(PATIENCE_S)
                self._connection.connect(("127.0.0.1", self._port))
            self._connection.sendall(self._write)
            answer = self._connection.recv(256)
            if answer:
                return answer.startswith(b"+OK")
        except OSError:
            pass
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        return False


def main() -> None:
    clients = [Client(int(port), sys.argv[1]) for port in sys.argv[2:]]
    for client in clients:
        client.takes_a_write()  # connects
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    outages: list[dict[str, int | None]] = []
    last_good_ns = due_ns = now_ns()
    is_down = False
    looks = select.poll()
    looks.register(0, select.POLLIN)
    while not looks.poll(0):
        begin_ns = now_ns()
        good = clients[0].takes_a_write()
        first_end_ns = now_ns()
        for place, client in enumerate(clients[1:], start=1):
            if good:
                break
            begin_ns = now_ns() if is_down else begin_ns
            good = client.takes_a_write()
            if good:
                clients.insert(0, clients.pop(place))
        end_ns = now_ns()
        if is_down and good:
            outages[-1] |= {"good_ns": end_ns, "good_begin_ns": begin_ns}
        elif not is_down and not good:
            bad = {"bad_ns": first_end_ns, "bad_begin_ns": begin_ns, "good_ns": None}
            outages.append({"last_good_ns": last_good_ns, **bad})
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
