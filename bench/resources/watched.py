"""One target as the sampler watches it: its processes or its control group, and what it says itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from bench.core.clock import monotonic_ns
from bench.resources.cgroup import read_cgroup
from bench.resources.processes import ProcessTree
from bench.resources.run_queue import RunQueue
from bench.resources.services import Poller, PostgresActivity, RedisInfo, Service
from bench.stack.description import TargetDescription
from bench.stack.target import Target

PSS_SHARE, PSS_SHARE_AT_REST = 0.005, 0.02
"""At most this share of one core goes into reading PSS: a large process has it read less often. In a rest,
where it matters most and disturbs least, it may be more."""

ASK_APART_NS = FILES_APART_NS = 200_000_000
"""Not at every sample of a short run, except in rests: questions to services; open files and bytes."""

SERVICES: dict[str, Callable[[Target], Service]] = {"redis": RedisInfo, "postgres": PostgresActivity}


class WatchedProcess:
    """A process and its descendants; the pid may change from sample to sample."""

    def __init__(self, *, with_descendants: bool = True, others: Callable[[], list[int]] = list) -> None:
        """`others`: where descendants do not count, the processes that do."""
        self._with_descendants = with_descendants
        self._others = others
        self._tree: ProcessTree | None = None
        self._run_queue = RunQueue()
        self._pss_at_ns = 0
        self._files_at_ns = 0
        self._pss_cost_ns = 0

    def read(self, pid: int | None, *, is_rest: bool) -> dict[str, Any]:
        """The columns of a process; none when it is not there. PSS as often as it is cheap enough."""
        if not pid:
            self._tree = None
            return {}
        if self._tree is None or self._tree.pid != pid:
            self._tree = ProcessTree(pid, with_descendants=self._with_descendants, others=self._others)
        with_files = is_rest or monotonic_ns() - self._files_at_ns >= FILES_APART_NS
        if with_files:
            self._files_at_ns = monotonic_ns()
        use = self._tree.read(with_files=with_files)
        if use is None:
            self._tree = None
            return {}
        row = {
            "pid": use.pid,
            "processes": use.processes,
            "cores": os.cpu_count() or 1,
            "cpu_s": round(use.cpu_s, 3),
            "rss_bytes": use.rss_bytes,
            "fds": use.fds,
            "threads": use.threads,
            "read_bytes": use.read_bytes,
            "write_bytes": use.write_bytes,
        }
        waited = self._run_queue.read(self._tree.pids)
        if waited is not None:
            row["run_queue_s"] = round(waited.waited_s, 6)
            row["run_queue_worst_s"] = round(waited.worst_s, 6)
        share = PSS_SHARE_AT_REST if is_rest else PSS_SHARE
        if monotonic_ns() - self._pss_at_ns >= self._pss_cost_ns / share:
            self._pss_at_ns, before_ns = monotonic_ns(), time.thread_time_ns()
            row["pss_bytes"] = self._tree.read_pss()
            self._pss_cost_ns = time.thread_time_ns() - before_ns
        return row


class WatchedTarget:
    """A target of the stack under the source name `name`."""

    def __init__(self, name: str, target: Target | None) -> None:
        self.name = name
        self._process = WatchedProcess()
        service = SERVICES.get(target.kind) if target is not None else None
        self.asker = Poller(name, service(target)) if service is not None and target is not None else None
        self._asked_ns: int | None = None

    def ask(self, *, is_rest: bool) -> None:
        """Ask what it says itself, if there is something to ask; sooner than ASK_APART_NS in a rest only."""
        now_ns = monotonic_ns()
        if self.asker is not None and (
            is_rest or self._asked_ns is None or now_ns - self._asked_ns >= ASK_APART_NS
        ):
            self._asked_ns = now_ns
            self.asker.begin()

    def answer(self, within_s: float) -> dict[str, Any]:
        """What it says itself, if it was asked and says so soon enough."""
        if self.asker is None or self._asked_ns is None:
            return {}
        return self.asker.answer(within_s)

    def read(self, described: TargetDescription | None, *, is_rest: bool) -> dict[str, Any]:
        """The columns of its processes, with those of its control group where it has one."""
        row = self._process.read(described.pid if described else None, is_rest=is_rest)
        container = described.container if described else None
        if container is not None and container.cgroup:
            use = read_cgroup(container.cgroup)
            if use is not None:
                cores = os.cpu_count() or 1
                row |= {
                    "processes": use.processes,
                    "cores": min(use.cores, cores) if use.cores else cores,
                    "cpu_s": use.cpu_s,
                    "working_set_bytes": use.working_set_bytes,
                    "read_bytes": use.read_bytes,
                    "write_bytes": use.write_bytes,
                }
        return row

    def close(self) -> None:
        """End its thread, if it has one."""
        if self.asker is not None:
            self.asker.close()
