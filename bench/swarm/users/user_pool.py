"""The users that run: as many as the plan says at each moment, of the classes that Locust would choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent
from locust.dispatch import UsersDispatcher
from locust.runners import WorkerNode

if TYPE_CHECKING:
    from locust.env import Environment

FOREVER_S = 1e6


class Crowd:
    """Spawns and retires users of one environment.

    A user that is to go finishes its task first. One that has ended by itself is not replaced, as
    Locust has it, but remembered.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._events: Any = environment.events
        self._runner: Any = environment.runner
        self._dispatcher = UsersDispatcher([WorkerNode("local")], environment.user_classes)
        self._users: list[Any] = []
        self._wanted = 0
        self._is_whole = False
        self._stopping: gevent.Greenlet | None = None
        self.started = 0
        self.most_lost = 0
        """The most users that were missing at once."""

    def begin(self) -> None:
        """What Locust does when a test starts."""
        environment = self._environment
        self._runner.stats.clear_all()
        environment._filter_tasks_by_tags()
        self._events.test_start.fire(environment=environment)
        for user_class in environment.user_classes:
            user_class.host = environment.host
        # Only how long the last ones may take at the end is bounded.
        environment.stop_timeout = FOREVER_S

    def become(self, wanted: int) -> None:
        """Have as many users from now on; those that go first finish their task."""
        self.most_lost = max(self.most_lost, sum(user.greenlet.dead for user in self._users))
        if wanted == self._wanted:
            return
        self._wanted = self._runner.target_user_count = wanted
        self._dispatcher.new_dispatch(wanted, max(abs(wanted - len(self._users)), 1))
        for name, count in next(self._dispatcher)["local"].items():
            ours = [user for user in self._users if type(user).__name__ == name]
            if count > len(ours):
                self._users += self._runner.spawn_users({name: count - len(ours)})
                self.started += count - len(ours)
            for user in ours[count:]:
                self._users.remove(user)
                if not user.greenlet.dead:
                    gevent.spawn(user.stop)  # blocks until one that waits has gone
        if not self._is_whole:
            self._is_whole = True
            self._events.spawning_complete.fire(user_count=wanted)

    @property
    def running(self) -> int:
        """Users that are there, those that are about to go too."""
        return int(self._runner.user_count)

    @property
    def was_stopped_by_others(self) -> bool:
        """Whether the locustfile has ended the test."""
        return self._stopping is None and self._runner.state in ("cleanup", "stopping", "stopped")

    def stop(self, patience_s: float) -> None:
        """Let every user finish its task and go, and end those that have not within so long."""
        self.most_lost = max(self.most_lost, sum(user.greenlet.dead for user in self._users))
        self._environment.stop_timeout = max(patience_s, 0.001)
        self._stopping = gevent.spawn(self._runner.stop)

    def kill(self) -> None:
        """End every user at once."""
        self._runner.user_greenlets.kill(block=False)

    def has_gone(self) -> bool:
        """Whether `stop` is done."""
        return self._stopping is not None and bool(self._stopping.ready())
