"""Run by Locust in a process of its own: users that GET through redis-py and count in Locust's statistics.

The task comes as JSON in HOLDFAST_PEERS_TASK: host, port, prefix, key_count, seed, seconds, report (the
file to write). It imports nothing of this project, as a user's own file would not.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import gevent
import redis
from locust import User, events, task

TASK: dict[str, Any] = json.loads(os.environ["HOLDFAST_PEERS_TASK"])
WIDTH = len(str(TASK["key_count"] - 1))
DRAW = random.Random(TASK["seed"])


class GetUser(User):  # type: ignore[misc, unused-ignore]  # typed only where locust is installed
    """Asks again as soon as it was answered, and tells Locust of every request."""

    def on_start(self) -> None:
        """Connect; a connection of its own for each user."""
        self.client = redis.Redis(host=TASK["host"], port=TASK["port"])
        self.client.ping()

    @task  # type: ignore[misc, untyped-decorator, unused-ignore]  # as above
    def get(self) -> None:
        """One GET."""
        name = f"{TASK['prefix']}{DRAW.randrange(TASK['key_count']):0{WIDTH}d}"
        error: Exception | None = None
        length = 0
        start = time.perf_counter()
        try:
            value = self.client.get(name)
            length = len(value)  # type: ignore[arg-type]  # None raises, and is a failure
        except Exception as found:  # noqa: BLE001 - Locust counts failures, whatever they are
            error = found
        self.environment.events.request.fire(
            request_type="GET",
            name="get",
            response_time=(time.perf_counter() - start) * 1000,
            response_length=length,
            exception=error,
            context={},
        )


@events.init.add_listener  # type: ignore[misc, untyped-decorator, unused-ignore]  # as above
def on_init(environment: Any, **_: Any) -> None:
    """Count from the moment when all users run, for the time of the turn; then end the test."""

    def count(**_: Any) -> None:
        environment.stats.reset_all()
        gevent.spawn(measure, environment, time.perf_counter(), time.process_time())

    environment.events.spawning_complete.add_listener(count)


def measure(environment: Any, start: float, used: float) -> None:
    """Wait, write down what Locust's statistics say, quit."""
    gevent.sleep(TASK["seconds"])
    total = environment.stats.total
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - used
    report = {
        "requests": total.num_requests if total.num_failures == 0 else 0,
        "seconds": seconds,
        "mean_ns": total.avg_response_time * 1e6,
        "p50_ns": total.get_response_time_percentile(0.5) * 1e6,
        "p99_ns": total.get_response_time_percentile(0.99) * 1e6,
        "cpu_s": cpu_s,
    }
    Path(TASK["report"]).write_text(json.dumps(report), encoding="utf-8")
    environment.runner.quit()
