"""Faults of a distributed run: made where it is coordinated, seen in what all workers logged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.core.outcome import Outcome
from bench.stack.stack import Stack
from chaos.plugin import Chaos
from tests.swarm.hosts_in_threads import Seen, run_of, swarm, text_of

pytestmark = pytest.mark.usefixtures("short_lead")


def test_a_kill_is_seen_by_both_workers_and_recovered_from_once(
    tmp_path: Path, redis_for_swarms: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = text_of(steady="2400ms").replace("sla:", "faults:\n  - {kill: redis, at: 600ms}\nsla:")
    text = text.replace("deadline: 5s", "deadline: 50ms")  # less than it takes Redis to come back
    assert "deadline: 50ms" in text
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # the journal of faults
    seen = Seen()
    with swarm(tmp_path, 2) as made:
        run = run_of(tmp_path, redis_for_swarms, text, made, seen, lambda _: [Chaos()])
    (fault,) = run.record.faults
    assert fault.took_effect
    assert fault.healed
    (recovery,) = run.record.recoveries
    operations = np.load(run.path / "operations.npy")
    # What a busy machine delayed before the kill is not of the fault.
    harmed = operations[(operations["outcome"] != Outcome.OK) & (operations["done_ns"] >= fault.asked_ns)]
    assert 0 < recovery.failed <= len(harmed)
    assert len(operations) == run.record.totals.planned
    assert recovery.first_success_ns > recovery.first_failure_ns >= fault.asked_ns - 10_000_000
    back = [event for event in seen.events if event.kind == "reconnected"]
    assert run.workloads[0].counters["reconnects"] == len(back)
    # A late answer before the kill costs a lane its connection, too, where the machine is busy.
    after = [event for event in back if event.at_ns >= fault.asked_ns]
    assert {event.details["worker"] for event in after} == {"w1", "w2"}
    assert 0 < recovery.reconnects.count <= len(after)
