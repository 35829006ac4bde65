"""Begin and end of outages: what run.json says, beside what a program saw that knows nothing of the harness.

`observer.py` looks at the same address from outside; both share CLOCK_MONOTONIC and nothing else. What it
says is an interval: it was still answered at one time and not any more at another, at most a millisecond
later, because a look that nobody answers says as much by not having been answered at once. A difference
is counted from the nearer end of that interval, and shown from the observer's stamp.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from bench.core.histogram import percentile_ns
from bench.judge.judge import judge
from bench.results.reader import Run
from bench.run.progress import progress_for
from bench.run.session import Session
from bench.scenario.load import load_scenario
from chaos.plugin import Chaos
from tests.chaos.in_process import Ended

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.results.fault_records import FaultRecord
    from bench.results.run_record import RunRecord
    from bench.results.writer import RunWriter
    from bench.scenario.model import Scenario
    from bench.stack.stack import Stack
from bench.stack.target import Target

FOLDER = Path(__file__).parent
MS = 1_000_000
CLOSE_NS = 2 * MS
"""How far an edge may be from the observer's."""
LOOK_NS = MS
"""A server that answers does so within that, on loopback."""
STRAY_NS = (-3 * MS, 3 * MS)
"""When a stray error is made, from the time a fault is asked for."""
AROUND_NS = 5 * MS
"""How near to what the observer saw the hypervisor must have had a processor for the look to be disturbed."""
STRAY_MS = 1
"""How long reads are refused for it: at 1000 arrivals a second, for one of them or two."""


@dataclass(frozen=True)
class Edges:
    """One outage by both; ns from run zero."""

    fault: str
    failure_ns: int
    success_ns: int
    seen_last_good_ns: int
    seen_bad_ns: int
    seen_good_begin_ns: int
    seen_good_ns: int
    is_disturbed: bool = False
    """Whether this machine itself stood still about when the observer saw one of the two."""

    @property
    def failure_apart_ns(self) -> int:
        """From the interval in which the observer says that it went down; 0 inside of it."""
        return _outside(self.failure_ns, self.seen_last_good_ns, self.seen_bad_ns)

    @property
    def success_apart_ns(self) -> int:
        """From the interval in which the observer says that it came back; 0 inside of it."""
        return _outside(self.success_ns, self.seen_good_begin_ns, self.seen_good_ns)

    @property
    def is_close(self) -> bool:
        """Whether both edges are where the observer has them."""
        return max(abs(self.failure_apart_ns), abs(self.success_apart_ns)) <= CLOSE_NS


@dataclass(frozen=True)
class Compared:
    """A run with the observer beside it."""

    edges: list[Edges]
    """Of each fault that both have seen."""
    faults: list[str]
    """All that took effect."""
    late_ns: int
    """P99 of the generator's own lateness: on a busy machine no edge can be known better."""
    ended: Ended


class StolenTime:
    """When the hypervisor had a processor while the block is open; unknown without the right to ask."""

    def __init__(self) -> None:
        self.stretches: list[tuple[int, int]] = []
        """From, to; CLOCK_MONOTONIC, ns."""
        self._watches: list[subprocess.Popen[str]] = []

    def __enter__(self) -> StolenTime:
        for processor in sorted(os.sched_getaffinity(0)):
            program = [sys.executable, "-I", "-S", str(FOLDER / "stolen_time.py"), str(processor)]
            pipe = subprocess.PIPE
            self._watches.append(subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return self

    def __exit__(self, *_: object) -> None:
        for watch in self._watches:
            text, _ = watch.communicate()
            pairs = (line.split() for line in text.splitlines() if line != "ready")
            self.stretches += [(int(begin_ns), int(end_ns)) for begin_ns, end_ns in pairs]

    def is_near(self, from_ns: int, to_ns: int) -> bool:
        return any(begin < to_ns + AROUND_NS and end > from_ns - AROUND_NS for begin, end in self.stretches)


def _outside(at_ns: int, from_ns: int, to_ns: int) -> int:
    return min(at_ns - from_ns, 0) + max(at_ns - to_ns, 0)


class Watched(Chaos):
    """Faults, with the observer beside them on the way that the load takes, and stray errors if wanted."""

    def __init__(self, strays: bool) -> None:
        super().__init__()
        self.outages: list[dict[str, int]] = []
        self._wants_strays = strays
        self._strays: threading.Thread | None = None
        self._observer: subprocess.Popen[str] | None = None

    def prepare(
        self, scenario: Scenario, plan: Plan, stack: Stack, targets: Mapping[str, Target]
    ) -> dict[str, Target]:
        self._at_ns = [fault.at_ns or 0 for fault in scenario.faults]
        self._behind = targets["redis"]
        seen = super().prepare(scenario, plan, stack, targets)
        self._address = seen["redis"].host, seen["redis"].port
        return seen

    def begin(self, start_ns: int, writer: RunWriter) -> None:
        program = [sys.executable, "-I", "-S", str(FOLDER / "observer.py"), *map(str, self._address)]
        self._observer = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._wants_strays:
            self._strays = threading.Thread(target=self._make_strays, args=(start_ns,), daemon=True)
            self._strays.start()
        super().begin(start_ns, writer)

    def finish(self, record: RunRecord, folder: Path) -> RunRecord:
        finished = super().finish(record, folder)
        assert self._observer is not None
        text, _ = self._observer.communicate()
        self.outages = [json.loads(line) for line in text.splitlines()]
        if self._strays is not None:
            self._strays.join()
        return finished

    def close(self) -> None:
        if self._observer is not None and self._observer.poll() is None:
            self._observer.kill()
            self._observer.wait()
        super().close()

    def _make_strays(self, start_ns: int) -> None:
        """Have the key that is read hold no text for a moment. That it ends is the server's own doing: what
        would have to be sent may be held up by the fault that has just cut the network.
        """
        wrong = b"DEL outages:value\r\nRPUSH outages:value stray\r\nPEXPIRE outages:value %d\r\n" % STRAY_MS
        for at_ns in sorted(at_ns + stray for at_ns in self._at_ns for stray in STRAY_NS):
            time.sleep(max(start_ns + at_ns - monotonic_ns(), 0) / 1e9)
            # It may be away by then, which is as good as an error.
            address = self._behind.host, self._behind.port
            with contextlib.suppress(OSError), socket.create_connection(address, 0.5) as connection:
                connection.sendall(b"MULTI\r\n" + wrong + b"EXEC\r\n")
                connection.settimeout(2)
                connection.recv(64)


def compared(stack: Stack, scenario: Path, folder: Path, *, strays: bool = False) -> Compared:
    """Run it against a stack that is up, with the observer beside it."""
    watched = Watched(strays)
    session = Session(stack, folder / "results", progress_for(), plugins=lambda _: [watched])
    with StolenTime() as stolen:
        run = Run.load(session.run(load_scenario(scenario)))
    faults = [one for one in run.record.faults if one.took_effect]
    late_ns = percentile_ns(run.histogram("late"), 99)
    return Compared(
        edges_of(run.record, watched.outages, stolen),
        [_name(one) for one in faults],
        late_ns,
        Ended(run, judge(run)),
    )


def edges_of(record: RunRecord, outages: list[dict[str, int]], stolen: StolenTime) -> list[Edges]:
    """Each recovery beside the longest outage that the observer saw since its fault was asked for.

    Shorter ones are its own: on a busy machine a look may wait for its turn longer than its patience.
    """
    zero_ns = record.started.monotonic_ns
    faults = {one.number: one for one in record.faults}
    found = []
    for recovery in record.recoveries:
        fault = faults[recovery.fault]
        mine = [
            {name: at_ns - zero_ns for name, at_ns in outage.items()}
            for outage in outages
            if outage["good_ns"] is not None
            and fault.asked_ns < outage["good_ns"] - zero_ns
            and outage["bad_ns"] - zero_ns < recovery.until_ns
        ]
        first = max(mine, key=lambda outage: outage["good_ns"] - outage["bad_begin_ns"], default=None)
        if first is None or recovery.first_failure_ns is None or recovery.first_success_ns is None:
            continue
        found.append(
            Edges(
                _name(fault),
                recovery.first_failure_ns,
                recovery.first_success_ns,
                seen_last_good_ns=first["last_good_ns"],
                seen_bad_ns=min(first["bad_ns"], first["bad_begin_ns"] + LOOK_NS),
                seen_good_begin_ns=max(first["good_begin_ns"], first["good_ns"] - LOOK_NS),
                seen_good_ns=first["good_ns"],
                is_disturbed=stolen.is_near(first["last_good_ns"] + zero_ns, first["bad_ns"] + zero_ns)
                or stolen.is_near(first["good_begin_ns"] + zero_ns, first["good_ns"] + zero_ns),
            )
        )
    return found


def _name(fault: FaultRecord) -> str:
    return f"{fault.number} {fault.kind}"
