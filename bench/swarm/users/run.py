"""One workload's users from the first to the last, in the process that the Locust engine starts.

Every 10 ms the main greenlet enters what was recorded, sets the number of users to the plan's, and
sees by its own lateness how busy the process is.
"""

import gc
import inspect
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import gevent
import gevent.socket
import numpy as np
from gevent.queue import Queue
from locust import FastHttpUser, HttpUser
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from locust.runners import WorkerNode
from numpy.typing import NDArray

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.engine.board import SharedBoard
from bench.engine.client.timing import TICK_NS
from bench.engine.locust.messages import (
    FROM_USERS,
    TO_USERS,
    BeginUsers,
    FromUsers,
    StopUsers,
    ToUsers,
    UsersEnded,
    UsersReady,
    UsersRefused,
    UsersTask,
)
from bench.engine.wire import layout
from bench.plan.plan import users_at
from bench.resources.generator import ThreadUse
from bench.swarm.users.load import (
    Refused,
    chosen,
    environment_for,
    import_users,
    other_hosts,
    parsed_options,
    quit_as_locust,
)
from bench.swarm.users.request_recorder import RequestRecorder, shown
from bench.swarm.users.requests import Requests

FOREVER_S = 1e6


class UserPool:
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
        """The most users that were missing at the same time."""

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
        """End every user immediately."""
        self._runner.user_greenlets.kill(block=False)

    def has_gone(self) -> bool:
        """Whether `stop` is done."""
        return self._stopping is not None and bool(self._stopping.ready())


LINGER_NS = NS_PER_S
"""After the end, once nothing of the run is under way, users have so long for what is no part of it."""
LAST_S = 2.0
"""For `on_stop` of users that had to be killed."""
TASK_ERRORS = 20
MOST_UNMATCHED = 5


class Channel:
    """Messages to and from the harness."""

    def __init__(self, fd: int) -> None:
        self._socket = gevent.socket.socket(fileno=fd)
        self.asked: Queue[ToUsers] = Queue()
        gevent.spawn(self._listen)

    def send(self, message: FromUsers) -> None:
        """Send one message."""
        self._socket.sendall(FROM_USERS.write(message))

    def _listen(self) -> None:
        for line in self._socket.makefile("rb"):
            self.asked.put(TO_USERS.read(line))


def run(task: UsersTask, fd: int) -> None:
    """Import, say so, wait for the start, run, report what there is beside the Board."""
    channel = Channel(fd)
    try:
        classes, shapes = import_users(task.path, task.secrets)
        picked = chosen(classes, task.user_classes)
        hosts = other_hosts(picked, task.host)
        options = parsed_options(task.arguments)
        environment = environment_for(picked, task.path, task.host, task.lanes, task.secrets, options)
    except Refused as refused:
        channel.send(UsersRefused(refused.key, refused.expected, refused.found, refused.advice))
        return
    recorder = RequestRecorder(SharedBoard.open(task.board_fd, task.rows), _log(task.log), task)
    users = Users(task, environment, recorder, channel)
    inspect.stack()  # Locust calls it when it stops, and the first time takes long
    gc.collect()
    gc.freeze()
    channel.send(UsersReady(tuple(user_class.__name__ for user_class in picked)))
    users.run()
    exit_code, exit_by = quit_as_locust(environment, LAST_S)
    channel.send(users.ended(shapes, hosts, exit_code, exit_by))


class Users:
    """The run itself."""

    def __init__(
        self, task: UsersTask, environment: Any, recorder: RequestRecorder, channel: Channel
    ) -> None:
        self._recorder = recorder
        self._channel = channel
        self._deadline_ns = task.deadline_ns
        self._stretches = task.stretches
        self._secrets = task.secrets
        self._requests = Requests(recorder, self._deadline_ns)
        self._requests.watch(environment.events.request)
        self._users = UserPool(environment)
        # A request of any other client is known by its end only.
        self._sees_all = all(issubclass(kind, HttpUser | FastHttpUser) for kind in environment.user_classes)
        self._task_errors: Counter[str] = Counter()
        environment.events.user_error.add_listener(self._on_user_error)
        self._zero_ns = 0
        self._use = ThreadUse()
        self._delay_ns = 0
        self._stopped_by_others = False
        self._killed_blind = 0

    def run(self) -> None:
        """From the start message until no user is left."""
        asked = self._channel.asked.get()
        if not isinstance(asked, BeginUsers):
            return
        self._zero_ns = asked.start_ns
        self._recorder.begin(self._zero_ns)
        self._wait_until(self._zero_ns)
        self._use = ThreadUse()
        self._delay_ns = self._use.run_delay_ns()
        self._users.begin()
        end_ns = self._run_plan()
        self._run_out(end_ns)
        self._requests.give_up()
        self._gauge(monotonic_ns() - self._zero_ns)
        self._recorder.gauges[layout.IN_FLIGHT] = self._recorder.gauges[layout.CONNECTED] = 0
        self._recorder.flush()

    def _run_plan(self) -> int:
        """Until the plan's end, or an earlier one that was asked for; when that was, from run zero."""
        due_ns = self._zero_ns
        while True:
            now = due_ns - self._zero_ns
            if now >= self._recorder.end_ns or self._is_asked_to_stop():
                break
            if self._users.was_stopped_by_others:
                self._stopped_by_others = True
                break
            self._users.become(users_at(self._stretches, now))
            due_ns = self._strike(due_ns + TICK_NS)
        end_ns = min(self._recorder.end_ns, monotonic_ns() - self._zero_ns)
        self._recorder.end_ns = end_ns
        return end_ns

    def _run_out(self, end_ns: int) -> None:
        """Users finish what they are doing; what began in time has its deadline, and no user stays longer."""
        now = monotonic_ns() - self._zero_ns
        limit_ns = max(end_ns + self._deadline_ns, now)
        self._users.stop((limit_ns - now) / NS_PER_S)
        due_ns = monotonic_ns()
        is_killed = False
        while not self._users.has_gone():
            now = monotonic_ns() - self._zero_ns
            sees_all = self._sees_all and not self._requests.only_reported
            is_idle = sees_all and now >= end_ns + LINGER_NS and not self._requests.has_open()
            if not is_killed and (is_idle or now >= limit_ns or self._is_asked_to_hurry()):
                is_killed = True
                self._killed_blind = 0 if sees_all else self._users.running
                limit_ns = min(limit_ns, now)
                self._users.kill()
            if now >= limit_ns + LAST_S * NS_PER_S:
                return  # an on_stop that hangs
            due_ns = self._strike(due_ns + TICK_NS)

    def ended(self, shapes: Sequence[str], hosts: dict[str, str], exit_code: int, exit_by: str) -> UsersEnded:
        """What the Board cannot hold."""
        own_limits = self._recorder.own_limits
        return UsersEnded(
            shapes=tuple(shapes),
            hosts=hosts,
            exit_code=exit_code,
            exit_by=exit_by,
            errors=self._recorder.errors.entries(),
            unmatched=self._recorder.unmatched.most_common(MOST_UNMATCHED),
            task_errors=self._task_errors.most_common(3),
            stopped_by_others=self._stopped_by_others,
            killed_blind=self._killed_blind,
            without_time=self._requests.without_time,
            lost_users=self._users.most_lost,
            own_limits=own_limits.causes(),
            counters={
                "users_started": self._users.started,
                "user_errors": self._task_errors.total(),
                "after_the_end": self._recorder.after_the_end,
                **own_limits.counters(),
            },
        )

    def _strike(self, due_ns: int) -> int:
        """Sleep until `due_ns`, enter what was recorded; when the next stroke counts from."""
        self._wait_until(due_ns)
        now = monotonic_ns()
        zero_ns, delay_ns = self._zero_ns, self._use.run_delay_ns()
        self._recorder.lag.struck(due_ns - zero_ns, now - zero_ns, delay_ns - self._delay_ns)
        self._delay_ns = delay_ns
        self._requests.settle()
        self._gauge(now - self._zero_ns)
        self._recorder.flush()
        return max(due_ns, now - TICK_NS)

    def _wait_until(self, at_ns: int) -> None:
        gevent.sleep(max(at_ns - monotonic_ns(), 0) / NS_PER_S)

    def _gauge(self, now_ns: int) -> None:
        """How the process fares. Idle is wall time in which the thread of all users wanted no processor."""
        gauges = self._recorder.gauges
        gauges[layout.HEARTBEAT] = gauges[layout.ELAPSED_NS] = now_ns
        gauges[layout.IDLE_NS] = max(now_ns - self._use.busy_ns(), 0)
        gauges[layout.RUN_DELAY_NS] = self._use.run_delay_ns()
        gauges[layout.IN_FLIGHT] = self._requests.under_way
        gauges[layout.CONNECTED] = self._users.running

    def _is_asked_to_stop(self) -> bool:
        return not self._channel.asked.empty()

    def _is_asked_to_hurry(self) -> bool:
        while not self._channel.asked.empty():
            asked = self._channel.asked.get()
            if isinstance(asked, StopUsers) and asked.at_once:
                return True
        return False

    def _on_user_error(self, exception: BaseException, **_: Any) -> None:
        text = shown(f"{type(exception).__name__}: {exception}", self._secrets)
        if text not in self._task_errors and len(self._task_errors) >= TASK_ERRORS:
            text = "other exceptions"
        self._task_errors[text] += 1


def _log(place: tuple[str, int] | None) -> NDArray[np.int64] | None:
    """The operation log that the engine has opened: its path and how many records fit."""
    if place is None:
        return None
    path, records = place
    return np.memmap(os.fspath(path), dtype=np.int64, mode="r+", shape=(records, layout.LOG_WORDS))
