"""A service asked in a thread of its own: one question at a time, broken off where no answer comes."""

import threading
import time
from typing import Protocol

from bench.core.clock import monotonic_ns
from bench.resources.services.noticed import Noticed
from bench.results.generator_records import QuestionRecord

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
