"""The generator's account against that of a server which knows what it did.

Nothing here depends on how fast the machine is: the server stamps an answer before it sends it, and
the generator after it has read it, so every sample of one is at least the other's.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.histogram import Counts, lower_edge_ns, percentile_ns
from bench.core.outcome import Outcome
from bench.engine.wire import layout
from bench.engine.wire.layout import FROM_PLANNED
from bench.engine.wire.shard import Shard
from bench.plan.plan import PhasePlan, WorkloadPlan, pacing_table
from bench.plan.program import Field, Program, Template
from bench.run.calibration.measure import PERCENTS, label_of, measure, self_measurement
from bench.run.calibration.truth_server import PLANNED_DIGITS, PROFILES, REQUEST, Delays, TruthServer
from bench.scenario.workloads import Workload

pytestmark = pytest.mark.timeout(300)

BUCKET = 1 + 2 / 1024
"""Two bucket widths: rounding may put equal values into neighbouring buckets."""

CALM = Delays("20 ms", fast_ns=20_000_000)
STALLS = Delays("150 ms stall each 500 ms", fast_ns=100_000, stall_every_ns=500_000_000, stall_ns=150_000_000)


@dataclass
class Accounts:
    """Both sides' histograms of one run."""

    taken: int
    tallies: np.ndarray
    response: Counts
    service: Counts
    lag: Counts
    given_response: Counts
    given_service: Counts


def drive(delays: Delays, rate: int, seconds: float, lanes: int) -> Accounts:
    """As bench.run.calibration.measure does, keeping every histogram."""
    workload = Workload.model_validate(
        {
            "name": "truth",
            "target": "truth",
            "driver": "noop",
            "lanes": lanes,
            "arrivals": "constant",
            "rate": f"{rate}/s",
            "deadline": "60s",
        }
    )
    duration_ns = int(seconds * NS_PER_S)
    phases = (PhasePlan("truth", measured=True, start_ns=0, end_ns=duration_ns),)
    program = Program.build(
        [Template.single("ask", REQUEST, 1, (Field(1, PLANNED_DIGITS, FROM_PLANNED),))], [1.0], []
    )
    plan = WorkloadPlan(workload, 1, program, pacing_table(phases, rate))
    shard = Shard(plan, duration_ns=duration_ns, number=0, count=1, lanes=lanes, protocol=layout.RESP)
    server = TruthServer(delays, lanes)
    try:
        for lane, fd in enumerate(server.connect()):
            shard.offer(lane, fd)
        measure(CALM, 100, 0.1, lanes=4)  # both loops are compiled once this is done
        shard.launch()
        start_ns = monotonic_ns() + 100_000_000
        server.begin(start_ns)
        shard.begin(start_ns)
        assert shard.join(120)
        assert shard.failure is None
    finally:
        server.close()
        shard.close()
    board = shard.board
    kinds = board.counts[0].sum(axis=1)
    return Accounts(
        taken=int(board.taken.sum()),
        tallies=board.tallies[0],
        response=kinds[layout.RESPONSE],
        service=kinds[layout.SERVICE],
        lag=kinds[layout.LAG],
        given_response=server.response,
        given_service=server.service,
    )


def assert_accounts_agree(found: Accounts) -> None:
    assert found.tallies[Outcome.OK] == found.taken == found.given_response.sum() == found.given_service.sum()
    for percent in (1, 10, 25, *PERCENTS, 100):
        for ours, theirs in ((found.response, found.given_response), (found.service, found.given_service)):
            assert percentile_ns(ours, percent) * BUCKET >= percentile_ns(theirs, percent)


def test_no_answer_is_recorded_before_the_server_gave_it() -> None:
    found = drive(CALM, 200, 1.0, lanes=20)
    assert found.taken == 200
    assert_accounts_agree(found)
    # The delay was kept, so the floor of both histograms is known exactly.
    for counts in (found.service, found.given_service, found.response, found.given_response):
        assert lower_edge_ns(int(np.flatnonzero(counts)[0])) >= CALM.fast_ns / BUCKET


def test_the_recorded_median_is_the_given_one() -> None:
    found = drive(CALM, 200, 1.0, lanes=20)
    assert percentile_ns(found.response, 50) <= percentile_ns(found.given_response, 50) * 1.5
    assert percentile_ns(found.service, 50) <= percentile_ns(found.given_service, 50) * 1.5


def test_stalls_show_in_the_response_and_not_in_the_median_service() -> None:
    found = drive(STALLS, 500, 2.0, lanes=4)
    assert_accounts_agree(found)
    # Arrivals planned into a stall: 3 in 10, waiting up to 150 ms.
    assert percentile_ns(found.response, 99) >= 100_000_000
    assert percentile_ns(found.service, 50) < percentile_ns(found.response, 90) / 2
    assert percentile_ns(found.lag, 90) > percentile_ns(found.service, 50)


def test_bimodal_delays_are_recorded_with_their_shares() -> None:
    delays = Delays("5 or 50 ms", fast_ns=5_000_000, slow_ns=50_000_000, slow_share=0.2)
    found = drive(delays, 200, 2.0, lanes=40)
    assert_accounts_agree(found)
    slow = {
        name: int(counts[slow_bucket(counts.size) :].sum())
        for name, counts in vars(found).items()
        if "service" in name
    }
    assert slow["service"] >= slow["given_service"] > 0
    assert lower_edge_ns(int(np.flatnonzero(found.given_service)[0])) >= 5_000_000 / BUCKET
    # Seeded draws of one in five: 80 expected of 400.
    assert slow["given_service"] >= 50


def slow_bucket(size: int) -> int:
    """First bucket of at least 50 ms."""
    return next(bucket for bucket in range(size) if lower_edge_ns(bucket) >= 49_900_000)


def test_a_measurement_says_what_was_given_and_what_was_recorded() -> None:
    found = measure(CALM, 500, 0.5, lanes=20)
    assert (found.profile, found.rate_per_s, found.arrivals) == ("20 ms", 500, 250)
    # 250 samples have twelve above P95 and two above P99: they do not speak of the second.
    assert set(found.given_ns) == set(found.recorded_ns) == set(found.lag_ns) == {"p50", "p95"}
    for name, error in found.error_ns.items():
        assert error == found.recorded_ns[name] - found.given_ns[name]
        assert found.recorded_ns[name] * BUCKET >= found.given_ns[name] >= CALM.fast_ns / BUCKET
    told = found.to_json()
    assert told["error_ns"] == found.error_ns
    assert told["arrivals"] == 250


@pytest.mark.parametrize("delays", PROFILES, ids=lambda profile: profile.name)
def test_every_profile_of_the_calibration_can_be_measured(delays: Delays) -> None:
    found = measure(delays, 1000, 0.3, lanes=10)
    assert found.arrivals == 300
    assert min(found.recorded_ns.values()) * BUCKET >= delays.fast_ns


@pytest.mark.parametrize("rate", [None, 1.0, 5_000.0, 10_000_000.0])
def test_the_self_measurement_has_a_floor_that_never_sinks(rate: float | None) -> None:
    found = self_measurement(rate, lanes=1)
    known = list(found["floor_ns"])
    # As many as the samples can speak of: half a second at 1000/s is enough for P99, not for more.
    assert known == [label_of(percent) for percent in PERCENTS][: len(known)]
    assert len(known) >= 3
    values = list(found["floor_ns"].values())
    assert all(value >= 0 for value in values)
    assert values == sorted(values)
    assert 500 <= found["table"][0]["arrivals"] <= 10_000


def test_a_server_can_be_closed_before_anything_was_asked() -> None:
    server = TruthServer(CALM, 3)
    fds = server.connect()
    server.close()
    assert not server.response.any()
    import os

    for fd in fds:
        os.close(fd)
