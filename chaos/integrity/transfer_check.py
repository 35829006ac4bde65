"""The check of transfers: a total that no transfer changes, asked again and again; a data set's own sums."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from bench.core.clock import monotonic_ns
from bench.core.errors import TargetError
from bench.datasets import DataSet
from bench.datasets import check as check_dataset
from chaos.integrity.check import Check, Evidence
from chaos.integrity.postgres_read_back import read_total
from chaos.integrity.query import rehearse
from chaos.integrity.read_back import NotYet, Patience, Unreadable, patiently
from chaos.integrity.totals import Reading, judge_totals

if TYPE_CHECKING:
    from bench.stack.target import Target

EVERY_S = 0.5


class Transfers(Check):
    """Nothing is looked for one by one, so it knows no lost writes; a wrong total is unexpected."""

    _watch: TotalWatch | None = None

    def prepare(self) -> None:
        """Have the server read the query, where there is one."""
        if self.wanted.total is not None:
            rehearse(self, self.wanted.total, "total")
            self._watch = TotalWatch(self.target, self.wanted.total)

    def begin(self, start_ns: int) -> None:
        """Ask for the first time, and again and again."""
        if self._watch is not None:
            self._watch.start(start_ns)

    def finish(self, evidence: Evidence) -> dict[str, Any]:
        """The readings of the total, and what the data set says of its sums."""
        found: dict[str, Any] = {"found": 0, "unexpected": 0, "examples": []}
        if self._watch is not None:
            judged = judge_totals(self._watch.finish(evidence.patience))
            found = {"found": judged.readings, "unexpected": judged.wrong, "examples": judged.examples}
        dataset = self.workload.dataset
        if dataset is not None and dataset.name is not None:
            try:
                sentences = check_dataset(self.target, DataSet(dataset.name, dataset.scale, dataset.keep))
            except TargetError as error:
                raise Unreadable(str(error)) from None
            found["found"] += 1
            found["unexpected"] += len(sentences)
            found["examples"] += [{"what": sentence} for sentence in sentences]
        return found

    def close(self) -> None:
        """Ask no more."""
        if self._watch is not None:
            self._watch.stop()


class TotalWatch:
    """Asks for a total every half second, on a connection of its own each time."""

    def __init__(self, target: Target, query: str) -> None:
        self._target, self._query = target, query
        self._readings: list[Reading] = []
        self._failure: BaseException | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="totals", daemon=True)
        self._start_ns = 0

    def start(self, start_ns: int) -> None:
        """Run zero is at start_ns, on CLOCK_MONOTONIC."""
        self._start_ns = start_ns
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; a reading under way is left behind."""
        self._end.set()

    def finish(self, patience: Patience) -> list[Reading]:
        """All readings, with a last one after all is healed. Raises Unreadable."""
        self.stop()
        if self._failure is not None:
            raise self._failure
        readings = list(self._readings)
        return [*readings, patiently(self._reading, patience)]

    def _reading(self) -> Reading:
        total = read_total(self._target, self._query)
        return Reading(monotonic_ns() - self._start_ns, total)

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                with contextlib.suppress(NotYet):  # it is away, and is asked when it is back
                    self._readings.append(self._reading())
                self._end.wait(EVERY_S)
        except BaseException as failure:  # noqa: BLE001 - told with the result
            self._failure = failure
