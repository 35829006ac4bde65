"""One target as the sampler watches it: its processes or its control group, and what it says itself."""

import os
import time
from collections.abc import Callable

from bench.core.clock import monotonic_ns
from bench.registry import load, reader_of
from bench.resources.cgroup import read_cgroup
from bench.resources.processes import ProcessTree
from bench.resources.run_queue import RunQueue
from bench.resources.services.poller import Poller
from bench.results.layout import ResourceRow
from bench.stack.description import TargetDescription
from bench.stack.target import Target

PSS_SHARE, PSS_SHARE_AT_REST = 0.005, 0.02
"""At most this share of one core goes into reading PSS: a large process has it read less often. In a rest,
where it matters most and disturbs least, it may be more."""

ASK_APART_NS = FILES_APART_NS = 200_000_000
"""Not at every sample of a short run, except in rests: questions to services; open files and bytes."""


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

    def read(self, row: ResourceRow, pid: int | None, *, is_rest: bool) -> None:
        """Set the columns of a process that is there. PSS as often as it is cheap enough."""
        if not pid:
            self._tree = None
            return
        if self._tree is None or self._tree.pid != pid:
            self._tree = ProcessTree(pid, with_descendants=self._with_descendants, others=self._others)
        with_files = is_rest or monotonic_ns() - self._files_at_ns >= FILES_APART_NS
        if with_files:
            self._files_at_ns = monotonic_ns()
        use = self._tree.read(with_files=with_files)
        if use is None:
            self._tree = None
            return
        row.pid, row.processes, row.cores = use.pid, use.processes, os.cpu_count() or 1
        row.cpu_s, row.rss_bytes = round(use.cpu_s, 3), use.rss_bytes
        row.fds, row.threads = use.fds, use.threads
        row.read_bytes, row.write_bytes = use.read_bytes, use.write_bytes
        waited = self._run_queue.read(self._tree.pids)
        if waited is not None:
            row.run_queue_s, row.run_queue_worst_s = round(waited.waited_s, 6), round(waited.worst_s, 6)
        share = PSS_SHARE_AT_REST if is_rest else PSS_SHARE
        if monotonic_ns() - self._pss_at_ns >= self._pss_cost_ns / share:
            self._pss_at_ns, before_ns = monotonic_ns(), time.thread_time_ns()
            row.pss_bytes = self._tree.read_pss()
            self._pss_cost_ns = time.thread_time_ns() - before_ns


class WatchedTarget:
    """A target of the stack under the source name `name`."""

    def __init__(self, name: str, target: Target | None, server: str = "") -> None:
        """`server`: what its stack found there."""
        self.name = name
        self._process = WatchedProcess()
        service = reader_of(target.kind, server) if target is not None else None
        self.poller = (
            Poller(name, load(service)(target)) if service is not None and target is not None else None
        )
        self._asked_ns: int | None = None

    def ask(self, *, is_rest: bool) -> None:
        """Ask what it says itself, if there is something to ask; sooner than ASK_APART_NS in a rest only."""
        now_ns = monotonic_ns()
        if self.poller is not None and (
            is_rest or self._asked_ns is None or now_ns - self._asked_ns >= ASK_APART_NS
        ):
            self._asked_ns = now_ns
            self.poller.begin()

    def answer(self, within_s: float) -> dict[str, float]:
        """What it says itself, if it was asked and says so soon enough."""
        if self.poller is None or self._asked_ns is None:
            return {}
        return self.poller.answer(within_s)

    def read(self, row: ResourceRow, described: TargetDescription | None, *, is_rest: bool) -> None:
        """Set the columns of its processes, with those of its control group where it has one."""
        pid = (described.pid or described.listener_pid) if described else None
        self._process.read(row, pid, is_rest=is_rest)
        container = described.container if described else None
        use = read_cgroup(container.cgroup) if container is not None and container.cgroup else None
        if use is not None:
            cores = os.cpu_count() or 1
            row.processes, row.cores = use.processes, min(use.cores, cores) if use.cores else cores
            row.cpu_s, row.working_set_bytes = use.cpu_s, use.working_set_bytes
            row.read_bytes, row.write_bytes = use.read_bytes, use.write_bytes

    def close(self) -> None:
        """End its thread, if it has one."""
        if self.poller is not None:
            self.poller.close()
