"""One run at a name with two addresses, of which the first swallows what is sent to it, as JSON on stdout.

Run where /etc/hosts is a file of our own. Arguments: that file, the driver, the engine; the port, the
user and the password of a PostgreSQL.
"""

import contextlib
import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.engine.wire.engine import WireEngine
from bench.stack.target import Target
from tests.helpers.client_runs import client, plan_of, run
from tests.parity import postgres_cases, raw_servers
from tests.parity.raw_servers import Answer, RawServer

NAME = "shop.test"
SILENT, RIGHT = "127.0.0.2", "127.0.0.3"
CASES = {
    "redis": Answer(b"+OK\r\n"),
    "http": Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "postgres": Answer(postgres_cases.FINE),
}
OPERATIONS = {
    "redis": {"get": {"command": ["GET", "case:fine"]}},
    "http": {"get": {"request": {"path": "/fine"}}},
    "postgres": {"one": {"sql": "SELECT 'x'::text AS case_fine"}},
}


@contextlib.contextmanager
def swallowing(address: str, port: int) -> Iterator[None]:
    """A listener whose queue is full: the kernel drops what asks for one connection more."""
    with socket.create_server((address, port), backlog=0), contextlib.ExitStack() as waiting:
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((address, port))
        yield


def main(
    hosts: Path, driver: str, engine: str, port: str = "", user: str = "", password: str = ""
) -> dict[str, Any]:
    """The arrivals by outcome; in the middle of the run every connection is broken."""
    hosts.write_text(f"{RIGHT} {NAME}\n")
    cases = {"fine": CASES[driver]}
    if driver == "postgres":
        serve = raw_servers.postgres(cases, ("127.0.0.1", int(port)))
    else:
        serve = {"redis": raw_servers.redis, "http": raw_servers.http}[driver](cases)
    right = RawServer(serve, address=RIGHT)
    target = Target("api" if driver == "http" else driver, driver, NAME, right.port)
    if driver == "postgres":
        target = replace(target, username=user, password=password, database="postgres")
    plan = plan_of(
        driver=driver, target=target.name, engine=engine, pool=4, lanes=4, keys=None, rate="50/s",
        operations=OPERATIONS[driver], phases={"before": "1s", "after": "2s"}, deadline="1500ms",
    )  # fmt: skip
    made = client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target)

    def break_off() -> None:
        hosts.write_text(f"{SILENT} {NAME}\n{RIGHT} {NAME}\n")
        right.break_connections()

    with swallowing(SILENT, right.port):
        try:
            ran = run(made, (0.9, break_off))
        finally:
            right.close()
    return {
        "planned": int(ran.result.taken.sum()),
        "outcomes": {outcome.name: count for outcome, count in ran.outcomes().items()},
        "texts": [error.text for error in ran.result.errors],
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *sys.argv[2:])))  # noqa: T201 - its output is its result
