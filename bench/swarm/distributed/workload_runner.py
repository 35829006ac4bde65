"""One workload on a worker: its engine, in a thread that does what the coordinator says, step by step."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

from bench.core.clock import monotonic_ns
from bench.run.session import DRAIN_STEP_NS, POLL_S
from bench.swarm.distributed.codec import packed_bytes, packed_changes, packed_live, packed_result
from bench.swarm.distributed.failures import packed_failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.engine.api import Engine
    from bench.plan.plan import Plan

LEAST_LEAD_NS = 2_000_000
"""An engine that is told of run zero later than this before it may miss it."""


class WorkloadRunner:
    """Runs one engine. Answers go to `send`, each with the number of the workload."""

    def __init__(
        self,
        number: int,
        plan: Plan,
        make_engine: Callable[[], Engine],
        send: Callable[[dict[str, Any]], None],
    ) -> None:
        self._number, self._plan, self._make_engine, self._send = number, plan, make_engine, send
        self._steps: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._engine: Engine | None = None
        self._stops = 0
        self._woken = threading.Event()
        threading.Thread(target=self._run, name=f"part-{number}", daemon=True).start()

    def do(self, message: dict[str, Any]) -> None:
        """Take the next step, after those before it; a stop is obeyed in the middle of the windows."""
        if message["kind"] == "stop":
            self._stops += 2 if message["at_once"] else 1
            self._woken.set()
        else:
            self._steps.put(message)

    def close(self) -> None:
        """End the engine, whatever its thread is at."""
        if self._engine is not None:
            self._engine.close()

    def _run(self) -> None:
        steps = {
            "prepare": self._prepare,
            "begin": self._begin,
            "finish": self._finish,
            "log": self._log,
        }
        while True:
            message = self._steps.get()
            try:
                steps[message["kind"]](message)
            except Exception as failure:  # noqa: BLE001 - the coordinator is told, whatever it is
                self._say("failed", error=packed_failure(failure))

    def _say(self, kind: str, **fields: Any) -> None:
        self._send({"kind": kind, "workload": self._number, **fields})

    def _prepare(self, _: dict[str, Any]) -> None:
        self._engine = self._make_engine()
        self._engine.prepare()
        self._say("prepared")

    def _begin(self, message: dict[str, Any]) -> None:
        assert self._engine is not None
        start_ns = int(message["start_ns"])
        lead_ns = start_ns - monotonic_ns()
        if lead_ns < LEAST_LEAD_NS:
            self._say("late", by_ns=LEAST_LEAD_NS - lead_ns)
            return
        self._engine.begin(start_ns, message["run_label"])
        self._windows(self._engine, start_ns)

    def _windows(self, engine: Engine, start_ns: int) -> None:
        """Send what was gained in each window of the plan, then in steps until all has ended."""
        ends = iter(self._plan.window_ends())
        before, number, asked = 0, 0, 0
        is_running = True
        while is_running:
            due = next(ends, before + DRAIN_STEP_NS)
            while (left := due - (monotonic_ns() - start_ns)) > 0 and engine.is_running():
                if self._stops > asked:
                    asked = self._stops
                    engine.stop(at_once=asked > 1)
                if asked:
                    self._woken.clear()
                self._woken.wait(min(left / 1e9, POLL_S * (1 if asked else 5)))
            is_running = engine.is_running()  # before the look: what ends after it is still to be sent
            self._say(
                "window",
                number=number,
                is_last=not is_running,
                gains=packed_changes(engine.changes()),
                live=packed_live(engine.live()),
                events=engine.events(),
            )
            before, number = due, number + 1

    def _finish(self, _: dict[str, Any]) -> None:
        assert self._engine is not None
        result = packed_result(self._engine.finish())
        logs = [length for _, length in self._engine.raw_logs()]
        self._say("result", result=result, gains=packed_changes(self._engine.changes()), logs=logs)

    def _log(self, message: dict[str, Any]) -> None:
        """A piece of one of the operation logs: records from `first` on, at most `count`."""
        from bench.engine.wire.layout import LOG_RECORD

        assert self._engine is not None
        path, length = self._engine.raw_logs()[message["file"]]
        size = LOG_RECORD.itemsize
        count = min(message["count"], length - message["first"])
        with path.open("rb") as file:
            file.seek(message["first"] * size)
            content = file.read(count * size)
        self._say("log_piece", file=message["file"], first=message["first"], content=packed_bytes(content))
