"""Runs the wire engine against the truth server and compares what each of them recorded."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import MachineLimit
from bench.core.histogram import Counts, percentile_ns
from bench.core.outcome import Outcome
from bench.engine.wire import layout
from bench.engine.wire.layout import FROM_PLANNED
from bench.engine.wire.shard import Shard
from bench.plan.plan import PhasePlan, WorkloadPlan, pacing_table
from bench.plan.program import Field, Program, Template
from bench.run.calibration.truth_server import FIXED, PLANNED_DIGITS, REQUEST, Delays, TruthServer
from bench.scenario.workloads import Workload

Through = Callable[[str, int], tuple[str, int]]

PERCENTS = (50.0, 95.0, 99.0, 99.9)
LEAD_NS = 30_000_000
DEADLINE = "5s"
TOLD_EVERY_S = 30.0
"""Compiling on a cold cache takes 20 s, and as long as it likes on a busy machine."""
ENDING_S = 60.0

SAMPLES_ABOVE = 5
SELF_MEASUREMENT_S = 0.5
LEAST_RATE_PER_S, MOST_RATE_PER_S = 1_000.0, 20_000.0
"""Rates between which the self-measurement follows the scenario: enough samples, and no more than shown."""


@dataclass(frozen=True)
class Measurement:
    """One profile at one rate: percentiles as the server gave them and as the generator recorded them."""

    profile: str
    rate_per_s: float
    arrivals: int
    given_ns: dict[str, int]
    recorded_ns: dict[str, int]
    lag_ns: dict[str, int]
    late_ns: dict[str, int]
    """The part of the lag that the generator itself caused."""

    @property
    def error_ns(self) -> dict[str, int]:
        """Recorded minus given, by percentile."""
        return {
            name: self.recorded_ns[name] - ns
            for name, ns in self.given_ns.items()
            if name in self.recorded_ns
        }

    def to_json(self) -> dict[str, Any]:
        """For run.json."""
        return {**asdict(self), "error_ns": self.error_ns}


def label_of(percent: float) -> str:
    """p50, p95, p99.9."""
    return f"p{percent:g}"


def percentiles(counts: Counts) -> dict[str, int]:
    """Those of PERCENTS that the samples can speak of, in ns: P50, and what has enough samples above it."""
    total = int(counts.sum())
    return {
        label_of(percent): percentile_ns(counts, percent)
        for percent in PERCENTS
        if percent == PERCENTS[0] or total * (100 - percent) / 100 >= SAMPLES_ABOVE
    }


def measure(
    delays: Delays,
    rate_per_s: float,
    seconds: float,
    lanes: int = 50,
    note: Callable[[str], None] = lambda _: None,
    through: Through | None = None,
) -> Measurement:
    """Drive a truth server with `delays` at a constant rate and return both sides' percentiles.

    `note` is told when compiling takes long. `through`: what the connections pass on their way, as
    `TruthServer.connect` has it. Raises MachineLimit where this machine is too busy to end it.
    """
    workload = Workload.model_validate(
        {
            "name": "truth",
            "target": "truth",
            "driver": "noop",
            "lanes": lanes,
            "arrivals": "constant",
            "rate": f"{rate_per_s:.0f}/s",
            "deadline": DEADLINE,
        }
    )
    duration_ns = int(seconds * NS_PER_S)
    phases = (PhasePlan("truth", measured=True, start_ns=0, end_ns=duration_ns),)
    field = Field(1, PLANNED_DIGITS, FROM_PLANNED)
    program = Program.build([Template.single("ask", REQUEST, 1, (field,))], [1.0], [])
    plan = WorkloadPlan(workload, 1, program, pacing_table(phases, rate_per_s))
    shard = Shard(plan, duration_ns=duration_ns, number=0, count=1, lanes=lanes, protocol=layout.RESP)
    server = TruthServer(delays, lanes)
    try:
        for lane, fd in enumerate(server.connect(through)):
            shard.offer(lane, fd)
        shard.launch()
        _await_turn(shard, note)
        start_ns = monotonic_ns() + LEAD_NS
        server.begin(start_ns)
        shard.begin(start_ns)
        if not shard.join(seconds + ENDING_S):
            raise MachineLimit(
                f"a self-measurement of {seconds:g} s to end",
                f"it had not {ENDING_S:.0f} s later",
                "free the machine of other work (bench doctor shows what there is)",
            )
        if shard.failure is not None:
            raise shard.failure
    finally:
        if shard.is_running:
            shard.stop(at_once=True)
            shard.join(5)
        server.close()
        if not shard.is_running:
            shard.close()
    recorded = shard.board.counts[0, :, Outcome.OK]
    return Measurement(
        profile=delays.name,
        rate_per_s=rate_per_s,
        arrivals=int(shard.board.taken.sum()),
        given_ns=percentiles(server.response),
        recorded_ns=percentiles(recorded[layout.RESPONSE]),
        lag_ns=percentiles(recorded[layout.LAG]),
        late_ns=percentiles(recorded[layout.LATENESS]),
    )


def _await_turn(shard: Shard, note: Callable[[str], None]) -> None:
    """Wait until the loop has turned once, so that compiling is behind us, however long that takes."""
    begin = told = time.monotonic()
    while shard.gauge(layout.TURNS) == 0:
        if shard.failure is not None:
            raise shard.failure
        if not shard.is_running:
            raise RuntimeError("the engine's loop ended before it had turned")
        if time.monotonic() - told > TOLD_EVERY_S:
            told = time.monotonic()
            note(f"still compiling the engine, for {told - begin:.0f} s now; other work slows it down")
        time.sleep(0.001)


def self_measurement(
    rate_per_s: float | None,
    lanes: int,
    note: Callable[[str], None] = lambda _: None,
    through: Through | None = None,
) -> dict[str, Any]:
    """The short measurement every run begins with, as run.json keeps it.

    `floor_ns`: what the harness and this machine add to a known delay, by percentile; no SLA below it
    can be judged here. `lag_ns`: how late the generator itself was.
    """
    rate = min(max(rate_per_s or MOST_RATE_PER_S, LEAST_RATE_PER_S), MOST_RATE_PER_S)
    found = measure(FIXED, rate, SELF_MEASUREMENT_S, min(max(lanes, 8), 50), note, through)
    floor: dict[str, int] = {}
    highest = 0
    for name, error in found.error_ns.items():
        # No lower at a higher percentile: what one in twenty may get, one in a hundred may get too.
        highest = floor[name] = max(highest, error)
    return {"floor_ns": floor, "lag_ns": found.lag_ns, "table": [found.to_json()]}
