"""What must be said of a Locust workload beside its numbers, as anomalies of the run. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.core.histogram import percentile_ns
from bench.core.machine_limits import CODE as OWN_LIMIT
from bench.core.sanitize import redacted
from bench.core.units import format_duration_ns
from bench.engine.api import LEAST_CLIENT_IDLE_RATIO, counted_anomalies
from bench.engine.board import Board
from bench.engine.locust.messages import UsersEnded
from bench.engine.wire import layout
from bench.engine.wire.layout import LATENESS
from bench.plan.plan import WorkloadPlan
from bench.registry import OTHER

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
