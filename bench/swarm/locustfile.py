"""Runs scenarios from Locust: `locust -f bench/swarm/locustfile.py`, or `bench ui`, which starts the same.

--master, --worker, --processes, --headless and --autostart work as with any locustfile; what to run is
chosen in the form or with --scenario, --rate, --duration, --lanes, --target, --stack, --seed and --quick.
"""

import gevent
from locust import LoadTestShape, User, events, task

from bench.swarm.web.locust_hooks import LocustHooks


class Scenario(User):
    """Represents the run in Locust's statistics. The load is generated elsewhere."""

    @task
    def idle(self) -> None:
        """Nothing, for a while."""
        gevent.sleep(1.0)


class UntilTheRunEnds(LoadTestShape):
    """A test lasts as long as its run."""

    hooks: LocustHooks

    def tick(self) -> tuple[int, float] | None:
        """How many users, and how fast they come; None when the run is over."""
        return self.hooks.tick()


LocustHooks().listen(events)
