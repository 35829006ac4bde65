"""The Locust engine: a workload whose users are those of a locustfile, and what must be said of its numbers.

Locust and the locustfile run in a separate process (bench.swarm.users), because Locust replaces the
standard library's sockets and threads. That process counts into a Board that this one reads.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from bench.core.answers import Answers
from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import StatementRefused
from bench.core.histogram import percentile_ns
from bench.core.machine_limits import CODE as OWN_LIMIT
from bench.core.messages import Event
from bench.core.sanitize import redacted
from bench.core.units import format_duration_ns
from bench.engine.api import LEAST_CLIENT_IDLE_RATIO, EngineResult, EngineStats, counted_anomalies
from bench.engine.board import AnswerReader, Board, BoardReader, Change, SharedBoard, lag_medians_ns, open_log
from bench.engine.locust.messages import (
    BeginUsers,
    StopUsers,
    UsersEnded,
    UsersReady,
    UsersRefused,
    UsersTask,
)
from bench.engine.locust.process import UsersProcess
from bench.engine.wire import layout
from bench.engine.wire.layout import LATENESS
from bench.plan.plan import Plan, WorkloadPlan, user_stretches
from bench.registry import OTHER
from bench.stack.target import Target

HELD_UP_NS = 100_000_000
"""A process that has time to spare and is still as late as this was held up by a call of its own."""

Note = tuple[str, ...]
"""(code, severity, message), and advice where there is some."""


def notes_of(
    plan: WorkloadPlan,
    board: Board,
    gauges: NDArray[np.int64],
    report: UsersEnded | None,
    *,
    idle_ratio: float,
    exit_code: int | None,
    last_lines: Sequence[str],
    secrets: Sequence[str] = (),
) -> list[Note]:
    """`report` is what the process of the users sent at its end, None where it sent nothing."""
    counts = {
        "saturated_histogram": int(gauges[layout.SATURATED]),
        "operation_log_full": int(gauges[layout.LOG_FULL]),
    }
    notes = [*_generator(board, idle_ratio), *_ended(report, exit_code, last_lines, secrets)]
    if report is not None:
        notes += [*_users(report), *_requests(report, plan, board)]
        notes += [(OWN_LIMIT, "invalid", what, advice) for what, advice in report.own_limits]
    named = [
        (code, severity, f"{plan.name}: {message}", *advice) for code, severity, message, *advice in notes
    ]
    return [*counted_anomalies(plan.name, counts), *named]


def _generator(board: Board, idle_ratio: float) -> list[Note]:
    late = board.counts[:, LATENESS].sum(axis=(0, 1))
    if idle_ratio >= LEAST_CLIENT_IDLE_RATIO:
        if not late.any() or (held_ns := percentile_ns(late, 95)) < HELD_UP_NS:
            return []
        message = (
            f"the process of the Locust users stood still, up to {format_duration_ns(held_ns)} for 95 %: "
            "does a task call what blocks all users at once? Its response times hold that waiting"
        )
        return [("users_held_up", "note", message)]
    by = f", up to {format_duration_ns(percentile_ns(late, 95))} for 95 %" if late.any() else ""
    busy = f"{(1 - idle_ratio) * 100:.0f} % of the time"
    message = f"the process of the Locust users was busy {busy}: its response times hold its own waiting{by}"
    return [("generator_busy", "note", message)]


def _ended(
    report: UsersEnded | None, exit_code: int | None, last_lines: Sequence[str], secrets: Sequence[str]
) -> list[Note]:
    if report is not None:
        return _reported_end(report, secrets)
    if exit_code is None:
        what = "did not end in time and was killed"
    elif exit_code < 0:
        what = f"was ended by signal {-exit_code}"
    else:
        what = f"ended with exit code {exit_code}"
    words = " | ".join(line.strip() for line in last_lines[-3:])
    words = redacted(words, secrets)
    last = f"; its last words: {words}" if words else ""
    return [("users_died", "invalid", f"the process of the Locust users {what} before it was done{last}")]


def _reported_end(report: UsersEnded, secrets: Sequence[str]) -> list[Note]:
    notes: list[Note] = []
    if report.stopped_by_others:
        notes.append(("users_stopped", "invalid", "the locustfile ended the test before the plan did"))
    if report.exit_code:
        by = redacted(report.exit_by, secrets)
        message = f"the locustfile ends Locust with exit code {report.exit_code}, by {by}"
        notes.append(("users_exit_code", "fail", message))
    return notes


def _users(report: UsersEnded) -> list[Note]:
    notes: list[Note] = []
    errors = "; ".join(f"{count} x {text}" for text, count in report.task_errors)
    if report.lost_users:
        because = f" ({errors})" if errors else ""
        missing = f"up to {report.lost_users} of the users ended by themselves{because}"
        notes.append(("users_lost", "inconclusive", f"{missing}: the load was less than planned"))
    elif errors:
        count = report.counters["user_errors"]
        notes.append(("task_errors", "note", f"{count} exceptions left tasks of the locustfile: {errors}"))
    if report.killed_blind:
        message = (
            f"{report.killed_blind} users had to be killed, and requests that only an event tells of may"
            " have been under way: they are not counted (events.request.measure shows them from their begin)"
        )
        notes.append(("requests_unseen", "inconclusive", message))
    if report.without_time:
        message = f"{report.without_time} request events without a response time are not counted"
        notes.append(("requests_without_time", "note", message))
    if report.hosts:
        hosts = ", ".join(f"{host} of {name}" for name, host in report.hosts.items())
        notes.append(
            ("hosts_unused", "note", f"{hosts} is not used: the target's address is the users' host")
        )
    if report.shapes:
        shapes = ", ".join(report.shapes)
        notes.append(("shape_unused", "note", f"{shapes} is not used: the phases say how many users run"))
    return notes


def _requests(report: UsersEnded, plan: WorkloadPlan, board: Board) -> list[Note]:
    notes: list[Note] = []
    names = plan.program.names
    by_operation = board.tallies.reshape(plan.phase_count, len(names), -1).sum(axis=(0, 2))
    if report.unmatched:
        listed = ", ".join(f"{name} ({count})" for name, count in report.unmatched)
        message = (
            f"{int(by_operation[-1])} requests are in {OTHER}, because no operation names them: {listed}"
        )
        notes.append(("unnamed_requests", "note", message))
    absent = [
        f"{name} ({plan.workload.operations[name].locust or name})"
        for name, count in zip(names, by_operation, strict=True)
        if name != OTHER and not count
    ]
    if absent:
        message = f"no request was ever named like {', '.join(absent)}"
        notes.append(("operations_unseen", "note", message))
    return notes


START_S = 60.0
"""Imports of a locustfile may do a lot; one that has not come to an end by then waits for something."""
DIAL_S = 5.0
ENDING_S = 6.0
"""Beyond the deadline of the last request: users are killed, `on_stop` has its time."""


class LocustEngine:
    """Runs one workload through Locust."""

    def __init__(
        self, plan: Plan, workload: WorkloadPlan, target: Target | None, log_folder: Path | None = None
    ) -> None:
        self.plan = workload
        self._plan = plan
        self._target = target
        self._shared = SharedBoard.create(workload.phase_count * len(workload.program.names))
        self._reader = BoardReader([self._shared.board])
        self._answers = AnswerReader([self._shared.board])
        self._log: tuple[Path, int] | None = None
        if plan.operation_log and log_folder is not None:
            path, records = open_log(plan, workload, 0, 1, log_folder)
            self._log = (path.resolve(), records.shape[0])
        self._users: UsersProcess | None = None
        self._last_ns = 0
        """On CLOCK_MONOTONIC: when it must have ended."""
        self._is_overdue = False
        self._is_closed = False

    def prepare(self) -> None:
        """See that the target listens, start the process, and have it import the locustfile."""
        assert self._target is not None
        self._dial(self._target)
        users = self._users = UsersProcess(self._task(self._target), (self._shared.fd,))
        users.start()
        answer = users.wait_for(UsersReady, UsersRefused, seconds=START_S)
        if isinstance(answer, UsersRefused):
            raise StatementRefused((answer.key,), None, answer.expected, answer.found, answer.advice)
        if answer is not None:
            return
        if users.failure is not None:
            raise users.failure
        self._refuse_silence(users)

    def begin(self, start_ns: int, run_label: int = 0) -> None:  # noqa: ARG002 - no request of ours carries it
        """Set run zero."""
        assert self._users is not None
        self._last_ns = start_ns + self._plan.duration_ns + self._grace_ns
        self._users.send(BeginUsers(start_ns))

    @property
    def _grace_ns(self) -> int:
        return self.plan.workload.deadline_ns + int(ENDING_S * NS_PER_S)

    def is_running(self) -> bool:
        """Whether users may still ask. One that does not end in time is killed."""
        users = self._users
        if users is None or not users.is_running or users.said(UsersEnded) is not None:
            return False
        if self._last_ns and monotonic_ns() > self._last_ns:
            self._is_overdue = True
            users.close()
            return False
        return True

    def changes(self) -> Iterator[Change]:
        """What the histograms gained since the last call."""
        return self._reader.changes()

    def live(self) -> EngineStats:
        """The state of a hundredth of a second ago."""
        gauges, ended = self._shared.gauges, self._shared.board.tallies.sum(axis=0)
        return EngineStats(
            taken=int(ended.sum()),
            outcomes=tuple(int(count) for count in ended),
            in_flight=int(gauges[layout.IN_FLIGHT]),
            connected=int(gauges[layout.CONNECTED]),
            idle_ns=int(gauges[layout.IDLE_NS]),
            elapsed_ns=int(gauges[layout.ELAPSED_NS]),
            lost_connections=0,
            reconnections=0,
            run_delay_ns=int(gauges[layout.RUN_DELAY_NS]),
            answers=Answers.total(self._answers.answers().values()),
        )

    def events(self) -> list[Event]:
        """None: users open and close connections as they like."""
        return []

    def stop(self, *, at_once: bool) -> None:
        """Let users finish what they are at, or end them."""
        if self._users is not None:
            self._users.send(StopUsers(at_once))
            self._last_ns = min(self._last_ns, monotonic_ns() + self._grace_ns)

    def finish(self) -> EngineResult:
        """After the process has ended, or sent all that there is to report."""
        users = self._users
        assert users is not None
        report = users.said(UsersEnded)
        if not users.wait(ENDING_S):
            users.close()
        board, gauges = self._shared.board, self._shared.gauges
        elapsed_ns = max(int(gauges[layout.ELAPSED_NS]), 1)
        idle_ratio = min(max(int(gauges[layout.IDLE_NS]) / elapsed_ns, 0.0), 1.0)
        return EngineResult(
            # What a killed process was at is nowhere; what it has counted, has ended.
            taken=board.tallies.sum(axis=1),
            tallies=board.tallies.copy(),
            run_delay_ns=int(gauges[layout.RUN_DELAY_NS]),
            idle_ratio=idle_ratio,
            # Users think between their requests, so the time of requests is not that of the lanes.
            busy_ns=None,
            phase_lag_p50_ns=lag_medians_ns([board], self.plan.phase_count),
            answers=self._answers.answers(),
            counters=report.counters if report else {},
            errors=report.errors if report else [],
            anomalies=notes_of(
                self.plan,
                board,
                gauges,
                report,
                idle_ratio=idle_ratio,
                exit_code=None if self._is_overdue else users.exit_code,
                last_lines=users.last_lines(),
                secrets=self._secrets,
            ),
        )

    def raw_logs(self) -> list[tuple[Path, int]]:
        """The operation log with its number of records; none where it is off."""
        if self._log is None:
            return []
        return [(self._log[0], int(self._shared.gauges[layout.LOG_LENGTH]))]

    def close(self) -> None:
        """End the process and release the memory."""
        if self._users is not None:
            self._users.close()
        if not self._is_closed:
            self._is_closed = True
            os.close(self._shared.fd)

    @property
    def _secrets(self) -> list[str]:
        password = self._target.password if self._target is not None else None
        return [password, quote(password, safe="")] if password else []

    def _dial(self, target: Target) -> None:
        try:
            socket.create_connection((target.host, target.port), DIAL_S).close()
        except OSError as error:
            found = str(error.strerror or error)
            advice = "check the address and that it runs"
            raise target.error("a server that listens", found, advice) from None

    def _task(self, target: Target) -> UsersTask:
        workload, program = self.plan.workload, self.plan.program
        assert workload.locustfile is not None
        operations = [name for name in program.names if name != OTHER]
        return UsersTask(
            path=str(workload.locustfile.file.resolve()),
            user_classes=workload.user_classes,
            arguments=workload.arguments,
            host=self._host(target),
            secrets=tuple(self._secrets),
            lanes=workload.lanes,
            operations=tuple((name, workload.operations[name].locust or name) for name in operations),
            deadline_ns=workload.deadline_ns,
            phase_ends_ns=tuple(phase.end_ns for phase in self._plan.phases),
            stretches=tuple(user_stretches(self._plan.phases, workload.lanes)),
            rows=self._shared.board.rows,
            board_fd=self._shared.fd,
            log=(str(self._log[0]), self._log[1]) if self._log else None,
        )

    def _host(self, target: Target) -> str:
        """The target's URL with its login, which Locust's clients send as basic authentication."""
        scheme, _, rest = target.url.partition("://")
        if target.username is None:
            return target.url
        login = f"{quote(target.username, safe='')}:{quote(target.password or '', safe='')}"
        return f"{scheme}://{login}@{rest}"

    def _refuse_silence(self, users: UsersProcess) -> None:
        """It said nothing: it hangs in an import, or has ended."""
        expected = "a locustfile that can be imported"
        if users.is_running:
            users.close()
            found, advice = f"no end of it within {START_S:.0f} s", "do no waiting while it is imported"
        else:
            lines = "".join(f"\n  {line}" for line in users.last_lines())
            found = f"the process that imported it ended with {ending(users.exit_code)}"
            advice = f"correct it{'; its last words:' if lines else ''}{lines}"
        raise StatementRefused(("locustfile",), None, expected, found, advice)


def ending(exit_code: int | None) -> str:
    """How a process ended, in words."""
    if exit_code is None:
        return "no exit code"
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
