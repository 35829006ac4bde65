"""Watches the servers of a Postgres from outside; their URLs stand as JSON in OBSERVED_URLS.

It keeps a session at every server, and every millisecond writes a row through the one that took the last row;
where that fails, through each of the others. So it knows within a millisecond from when on no server took a
write, and which one did again, without the time that it takes to log in. It knows nothing of the harness and
shares nothing with it but CLOCK_MONOTONIC. When its stdin ends it prints every outage as one JSON object a
line: the end of the last good look before it, begin and end of the first bad one, and begin and end of the
first good one after it (all ns).
"""

import json
import os
import select
import sys
import time

import psycopg

EVERY_NS = 1_000_000
REDIAL_NS = 50_000_000


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Session:
    """One at a server, made anew now and then when it is lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._dialled_ns = 0

    def takes_a_row(self) -> bool:
        try:
            if self._connection is None:
                if now_ns() - self._dialled_ns < REDIAL_NS:
                    return False
                self._dialled_ns = now_ns()
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=2)
                # What it writes need not last, and a disk's time is not the server's absence.
                self._connection.execute("SET synchronous_commit = off")
            self._connection.execute("INSERT INTO observed VALUES (1)")
        except psycopg.errors.ReadOnlySqlTransaction:
            return False  # a standby: it may be promoted at any time
        except psycopg.Error:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return False
        return True


def main() -> None:
    sessions = [Session(url) for url in json.loads(os.environ["OBSERVED_URLS"])]
    with psycopg.connect(json.loads(os.environ["OBSERVED_URLS"])[0], autocommit=True) as primary:
        primary.execute("CREATE TABLE IF NOT EXISTS observed (row int)")
    for session in sessions:
        session.takes_a_row()  # logs in
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    outages: list[dict[str, int | None]] = []
    last_good_ns = due_ns = now_ns()
    is_down = False
    looks = select.poll()
    looks.register(0, select.POLLIN)
    while not looks.poll(0):
        begin_ns = now_ns()
        good = sessions[0].takes_a_row()
        first_end_ns = now_ns()
        for place, session in enumerate(sessions[1:], start=1):
            if good:
                break
            begin_ns = now_ns() if is_down else begin_ns
            good = session.takes_a_row()
            if good:
                sessions.insert(0, sessions.pop(place))
        end_ns = now_ns()
        if is_down and good:
            outages[-1] |= {"good_ns": end_ns, "good_begin_ns": begin_ns}
        elif not is_down and not good:
            outages.append(
                {
                    "last_good_ns": last_good_ns,
                    "bad_ns": first_end_ns,
                    "bad_begin_ns": begin_ns,
                    "good_ns": None,
                }
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
