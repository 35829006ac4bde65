"""Tails written as lists: 40 windows of a second, 1000 arrivals in each, a limit of 10 ms."""

from collections.abc import Iterable, Mapping

import numpy as np

from bench.explain.events import CauseKind, Event
from bench.explain.tail import TIMES, Limit, OperationTail, Tail, WorkloadTail

S = 1_000_000_000
MS = 1_000_000
WINDOWS = 40
ARRIVALS = 1000.0
QUIET = 2.0
"""Arrivals beyond the limit in a window in which nothing happens."""


def series(marks: Mapping[int, float] | None = None, usual: float = 0.0) -> np.ndarray:
    """A figure for each window: the usual one, but where it is marked."""
    found = np.full(WINDOWS, usual)
    for window, value in (marks or {}).items():
        found[window] = value
    return found


def tail(
    response: np.ndarray,
    *,
    net: np.ndarray | None = None,
    service: np.ndarray | None = None,
    longest_ms: Mapping[str, float] | None = None,
    slow: tuple[float, np.ndarray] | None = None,
    service_ms: tuple[float, float] = (1.0, 1.0),
) -> Tail:
    """One workload. `net` and `service` are arrivals beyond the limit, as many as in `response` where they
    are not given; `slow`: an operation with so many arrivals a window, and those of them beyond the limit;
    `service_ms`: the medians of the others and of that operation.
    """
    net = response if net is None else net
    service = net if service is None else service
    longest = dict.fromkeys(TIMES, 50.0) | dict(longest_ms or {})
    arrivals = series(usual=ARRIVALS)
    operations = [OperationTail("cache", "get", arrivals, response)]
    if slow is not None:
        count, beyond = slow
        own = series(usual=count)
        operations = [
            OperationTail("cache", "get", arrivals - own, response - beyond, service_ms[0] * MS),
            OperationTail("cache", "scan", own, beyond, service_ms[1] * MS),
        ]
    starts = np.arange(WINDOWS, dtype=np.int64) * S
    ends = starts + S
    workload = WorkloadTail(
        Limit("cache", 10 * MS, "cache.response.p99 < 10ms", 0.01),
        ends,
        arrivals,
        {"response": response, "net": net, "service": service, "service_net": service},
        {"response": response, "net": net, "service": service, "service_net": service},
        {kind: series(usual=longest[kind] * MS) for kind in TIMES},
        operations,
        has_net=True,
    )
    return Tail(starts, ends, [workload])


def event(kind: CauseKind, windows: Iterable[int], text: str = "", subject: str = "redis") -> Event:
    """Something that was on in these windows."""
    on = np.zeros(WINDOWS, dtype=bool)
    on[list(windows)] = True
    return Event(kind, subject, text, on, int(on.sum()), 30 * MS)
