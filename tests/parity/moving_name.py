"""One run in which the name of the target moves to another address, as JSON on stdout.

Run where /etc/hosts is a file of our own. Arguments: that file, the driver, the engine.
"""

import json
import sys
from pathlib import Path
from typing import Any

from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from bench.stack.target import Target
from tests.helpers.client_runs import client, plan_of, run
from tests.parity import raw_servers
from tests.parity.raw_servers import Answer, RawServer

NAME = "moving.test"
BEFORE, AFTER = "127.0.0.2", "127.0.0.3"
TARGETS = {"redis": "redis", "http": "api"}
SERVERS = {
    "redis": raw_servers.redis({"fine": Answer(b"+OK\r\n")}),
    "http": raw_servers.http({"fine": Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}),
}
OPERATIONS = {
    "redis": {"get": {"command": ["GET", "case:fine"]}},
    "http": {"get": {"request": {"path": "/fine"}}},
}


def main(hosts: Path, driver: str, engine: str) -> dict[str, Any]:
    """The arrivals by outcome, and how many connections the second place got."""
    hosts.write_text(f"{BEFORE} {NAME}\n")
    first = RawServer(SERVERS[driver], address=BEFORE)
    second = RawServer(SERVERS[driver], address=AFTER, port=first.port)
    target = Target(TARGETS[driver], driver, NAME, first.port)
    plan = plan_of(
        driver=driver,
        target=TARGETS[driver],
        engine=engine,
        pool=4,
        lanes=4,
        keys=None,
        operations=OPERATIONS[driver],
        phases={"before": "1s", "after": "1s"},
    )
    made = client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target)

    def move() -> None:
        hosts.write_text(f"{AFTER} {NAME}\n")
        first.close()

    try:
        ran = run(made, (0.5, move))
    finally:
        second.close()
    before, after = ran.result.tallies
    return {
        "before": int(before[Outcome.OK]),
        "after": int(after[Outcome.OK]),
        "planned": int(ran.result.taken[1]),
        "accepted": second.accepted,
        "said": [text for code, _, text, *_ in ran.result.anomalies if code == "addresses"],
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *sys.argv[2:])))  # noqa: T201 - its output is its result
