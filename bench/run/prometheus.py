"""Asks the user's Prometheus during a run, on the run's clock, and keeps what it said in prometheus.csv."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import TargetError
from bench.core.threads import Work
from bench.core.units import BASE_UNITS
from bench.results import layout
from bench.results.run_record import PromQueryRecord, RunRecord
from bench.scenario.prometheus import PrometheusEntry
from bench.stack.probes.prometheus import Prometheus, QueryError

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.results.writer import RunWriter
    from bench.scenario.model import Scenario
    from bench.stack.stack import Stack
    from bench.stack.target import Target


class PrometheusWatch:
    """A plugin; see bench.run.plugins.RunPlugin for the order of calls."""

    def __init__(self, entry: PrometheusEntry) -> None:
        self._entry, self._prometheus = entry, Prometheus(entry.url)
        self._over = threading.Event()
        self._thread: Work[None] | None = None
        self._asked, self._failed, self._empty = (dict.fromkeys(entry.metrics, 0) for _ in range(3))
        self._said: dict[str, str] = {}
        """The last failure of each query."""

    def prepare(
        self,
        scenario: Scenario,  # noqa: ARG002 - the signature of every plugin
        plan: Plan,  # noqa: ARG002
        stack: Stack,  # noqa: ARG002
        targets: Mapping[str, Target],
    ) -> dict[str, Target]:
        """Ask everything once. Raises TargetError for what has no usable answer."""
        self._prometheus.require()
        for name, asked in self._entry.metrics.items():
            try:
                self._prometheus.value(asked.query)
            except QueryError as error:
                expected = f"one value for the query {name}"
                advice = f"correct prometheus.metrics.{name}"
                raise TargetError(
                    "prometheus", self._prometheus.address, expected, str(error), advice
                ) from None
        return dict(targets)

    def calibrate(self) -> None:
        """Nothing: it is in no path."""

    def rehearse(self) -> None:
        """Nothing: `prepare` has asked."""

    def begin(self, start_ns: int, writer: RunWriter) -> None:
        """Ask from run zero on."""
        if self._entry.metrics:
            path = writer.artifact(layout.PROMETHEUS)
            self._thread = Work("prometheus", lambda: self._ask_all(start_ns, path))
            self._thread.start()

    def _ask_all(self, start_ns: int, path: Path) -> None:
        due_ns, every_ns = start_ns, self._entry.every_ns
        with path.open("w", encoding="utf-8", buffering=1) as file:
            file.write("at_ns,name,value\n")
            while not self._over.wait(max(due_ns - monotonic_ns(), 0) / NS_PER_S):
                for name in self._entry.metrics:
                    if (value := self._ask(name)) is not None:
                        file.write(f"{max(monotonic_ns() - start_ns, 0)},{name},{value!r}\n")
                # A slow answer leaves turns out, and moves none.
                due_ns += max(-(-(monotonic_ns() - due_ns) // every_ns), 1) * every_ns

    def _ask(self, name: str) -> float | None:
        asked = self._entry.metrics[name]
        self._asked[name] += 1
        try:
            value = self._prometheus.value(asked.query)
        except QueryError as error:
            self._failed[name] += 1
            self._said[name] = str(error)
            return None
        self._empty[name] += value is None
        return None if value is None else value * BASE_UNITS[asked.unit][1]

    def look(self, now_ns: int) -> str | None:  # noqa: ARG002
        """Nothing is under way."""
        if self._thread is not None and self._thread.failure is not None:
            raise self._thread.failure
        return None

    def end_early(self) -> None:
        """Nothing to undo."""

    def finish(self, record: RunRecord, folder: Path) -> RunRecord:  # noqa: ARG002
        """What was asked, and how often there was no answer."""
        self.close()
        found = [
            PromQueryRecord(
                name=name,
                query=asked.query,
                unit=BASE_UNITS[asked.unit][0],
                asked=self._asked[name],
                failed=self._failed[name],
                empty=self._empty[name],
                said=self._said.get(name),
            )
            for name, asked in self._entry.metrics.items()
        ]
        return record.model_copy(update={"prometheus": found})

    def close(self) -> None:
        """Ask no more; waits for an answer under way."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
