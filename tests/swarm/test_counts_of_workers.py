"""However many workers make the load, it is the same load, and what they counted is added up exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.stack.stack import Stack
from tests.swarm.hosts_in_threads import Seen, counts_of, findings_of, run_of, swarm, text_of

pytestmark = pytest.mark.usefixtures("short_lead")


def test_one_two_and_four_workers_count_the_same_to_the_unit(tmp_path: Path, redis_for_swarms: Stack) -> None:
    alone = counts_of(run_of(tmp_path / "alone", redis_for_swarms, text_of(), None))
    assert sum(planned for planned, _ in alone.values()) > 300
    for count in (1, 2, 4):
        seen = Seen()
        with swarm(tmp_path / str(count), count) as made:
            run = run_of(tmp_path / str(count), redis_for_swarms, text_of(), made, seen)
        assert counts_of(run) == alone
        assert {"sums", "worker_lost", "worker_joined_late"}.isdisjoint(findings_of(run))
        assert [one.workloads["cache"] for one in run.record.workers] == [
            [number + 1, count] for number in range(count)
        ]
        assert sum(one.planned for one in run.record.workers) == run.record.totals.planned
        shown = sum(counts for view in seen.windows for tag, counts in view.gains if tag.kind == "response")
        logged = sum(window.counts for window in run.windows("response"))
        assert np.array_equal(shown, logged)


def test_what_a_worker_logged_is_in_the_log_of_the_run(tmp_path: Path, redis_for_swarms: Stack) -> None:
    with swarm(tmp_path, 2) as made:
        run = run_of(tmp_path, redis_for_swarms, text_of(log="true", steady="300ms"), made)
    operations = np.load(run.path / "operations.npy")
    planned = run.record.totals.planned
    assert sorted(operations["arrival"]) == list(range(planned))
    assert set(operations["lane"]) <= set(range(8))
    assert operations["lane"].max() >= 4, "the second worker's lanes come after the first one's"
    assert (operations["done_ns"] >= operations["sent_ns"]).all()


def test_a_closed_loop_is_cut_by_its_lanes_and_its_arrivals_are_all_different(
    tmp_path: Path, redis_for_swarms: Stack
) -> None:
    text = text_of(arrivals="closed", steady="200ms", log="true")
    with swarm(tmp_path, 2) as made:
        run = run_of(tmp_path, redis_for_swarms, text, made)
    operations = np.load(run.path / "operations.npy")
    assert len(np.unique(operations["arrival"])) == len(operations) == run.record.totals.planned
    assert len(np.unique(operations["lane"])) >= 3
