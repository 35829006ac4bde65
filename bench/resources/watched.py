"""One target as the sampler watches it: its processes or control group, and what it says when it is asked."""

import os
import threading
import time
from collections.abc import Callable
from typing import Protocol

from bench.core.clock import monotonic_ns
from bench.registry import load, reader_of
from bench.resources.cgroup import read_cgroup
from bench.resources.generator import RunQueue
from bench.resources.processes import ProcessTree
from bench.resources.services.noticed import Noticed
from bench.results.generator_records import QuestionRecord
from bench.results.layout import ResourceRow
from bench.stack.target import Target, TargetDescription

GIVEN_UP_S = 2.0
"""A question older than this is broken off."""


class Service(Protocol):
    """Something that can be asked for figures."""

    def ask(self) -> dict[str, float]:
        """The figures now, by column; none where there is no answer."""

    def abort(self) -> None:
        """Break off a question that is under way; called from another thread."""


class Poller:
    """One question at a time: `begin` it, and take the `answer` if it comes soon enough."""

    def __init__(self, name: str, service: Service) -> None:
        self._service = service
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._ended.set()
        self._begun_s = 0.0
        self._answer: dict[str, float] = {}
        self._is_closed = False
        self.cpu_ns = 0
        """What asking has cost us so far."""
        self.asked = self.total_ns = self.longest_ns = 0
        """How often it was asked, and how long it took to answer: it cost the service at most that."""
        self._thread = threading.Thread(target=self._run, name=f"ask-{name}", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Ask, unless the question before has no answer yet; one without for long is broken off."""
        if not self._ended.is_set():
            if time.monotonic() - self._begun_s > GIVEN_UP_S:
                self._service.abort()
            return
        self._ended.clear()
        self._begun_s = time.monotonic()
        self._answer = {}
        self._begun.set()

    def answer(self, within_s: float) -> dict[str, float]:
        """What was answered to the last question, once; nothing when it takes longer than so many seconds."""
        if not self._ended.wait(max(within_s, 0.0)):
            return {}
        answer, self._answer = self._answer, {}
        return answer

    def record(self) -> QuestionRecord:
        """What asking has cost the service at most."""
        return QuestionRecord(
            asked=self.asked, mean_ns=self.total_ns // max(self.asked, 1), longest_ns=self.longest_ns
        )

    def noticed(self) -> list[Noticed]:
        """What it reported beside its figures since the last time, however late its answers were."""
        notices = getattr(self._service, "notices", None)
        return [] if notices is None else notices.take()

    def close(self, within_s: float = GIVEN_UP_S) -> None:
        """End the thread; a question that does not end is broken off."""
        self._is_closed = True
        self._begun.set()
        if not self._ended.wait(within_s):
            self._service.abort()
        self._thread.join(within_s)

    def _run(self) -> None:
        while True:
            self._begun.wait()
            self._begun.clear()
            if self._is_closed:
                break
            begin_ns = monotonic_ns()
            try:
                self._answer = self._service.ask()
            except Exception:  # noqa: BLE001 - whatever a server or its library does, the samples go on
                self._answer = {}
            self.cpu_ns = time.thread_time_ns()
            took_ns = monotonic_ns() - begin_ns
            self.asked, self.total_ns = self.asked + 1, self.total_ns + took_ns
            self.longest_ns = max(self.longest_ns, took_ns)
            self._ended.set()
        if close := getattr(self._service, "close", None):
            close()
        self._ended.set()


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
