"""A worker that is lost, comes late or lags makes the run INVALID, with its name, and the run still ends."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bench.core.errors import TargetError
from bench.judge.judge import judge
from bench.judge.verdict import Status
from bench.stack.stack import Stack
from bench.swarm.distributed import coordinator, engine
from bench.swarm.distributed.messages import HostMessage, Window
from tests.helpers.waiting import eventually
from tests.swarm.hosts_in_threads import Seen, counts_of, findings_of, run_of, swarm, text_of

pytestmark = pytest.mark.usefixtures("short_lead")


def test_a_worker_that_falls_silent_is_lost_and_what_it_sent_is_kept(
    tmp_path: Path, redis_for_swarms: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinator, "SILENT_S", 2.4)  # the other one may stand still for a moment
    monkeypatch.setattr(coordinator, "BEAT_S", 0.2)
    with swarm(tmp_path, 2) as made:
        host = made.hosts["w2"]
        say = host.host._send

        def falls_silent(message: HostMessage) -> None:
            """By its own windows: those that are seen may come late, when it has said all."""
            host.is_cut_off |= isinstance(message, Window) and message.number >= 8
            say(message)

        host.host._send = falls_silent
        seen = Seen()
        run = run_of(tmp_path, redis_for_swarms, text_of(steady="2s"), made, seen)
    assert judge(run).status is Status.INVALID
    found = findings_of(run)
    assert "worker w2" in found["worker_lost"]
    assert "nothing was heard of it for 2.4 s" in found["worker_lost"]
    assert "sums" not in found
    assert [event.details["worker"] for event in seen.events if event.kind == "worker_lost"] == ["w2"]
    (first, second) = run.record.workers
    assert first.lost is None
    assert "nothing was heard" in second.lost
    planned = sum(planned for planned, _ in counts_of(run).values())
    assert first.planned < planned < 2 * first.planned


def test_a_worker_that_lags_is_told_and_all_it_counted_is_in_the_run(
    tmp_path: Path, redis_for_swarms: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LATE_S", 0.05)
    with swarm(tmp_path, 2) as made:
        host = made.hosts["w2"]
        say = host.host._send
        held: list[Window] = []

        def late(message: HostMessage) -> None:
            """Windows 2 and on come together with the last one: any may be that, after a standstill."""
            if not isinstance(message, Window) or not (message.number >= 2 or message.is_last):
                say(message)
                return
            held.append(message)
            if message.is_last:
                # Late by what the coordinator has seen, not by a time in which it may have stood still.
                first = held[0].number
                eventually(lambda: len(seen.windows) > first + 1, "the coordinator has gone on without them")
                for window in held:
                    say(window)

        host.host._send = late
        seen = Seen()
        run = run_of(tmp_path, redis_for_swarms, text_of(), made, seen)
    found = findings_of(run)
    assert judge(run).status is Status.INVALID
    assert "worker w2" in found["worker_late"]
    assert "sums" not in found
    assert sum(one.planned for one in run.record.workers) == run.record.totals.planned


def test_a_worker_that_joins_a_run_under_way_takes_no_part_and_makes_it_invalid(
    tmp_path: Path, redis_for_swarms: Stack
) -> None:
    with swarm(tmp_path, 1) as made:
        seen = Seen({5: lambda: made.fleet.joined("w9")})
        run = run_of(tmp_path, redis_for_swarms, text_of(steady="200ms"), made, seen)
    assert judge(run).status is Status.INVALID
    assert "worker w9 joined 0." in findings_of(run)["worker_joined_late"]


def test_more_workers_than_lanes_leave_the_rest_idle_and_that_is_said(
    tmp_path: Path, redis_for_swarms: Stack
) -> None:
    text = text_of(steady="200ms").replace("lanes: 8", "lanes: 2")
    with swarm(tmp_path, 3) as made:
        run = run_of(tmp_path, redis_for_swarms, text, made)
    assert [one.segment for one in run.record.workers] == [[1, 3], [2, 3], None]
    (note,) = [one for one in run.anomalies if one.code == "worker_idle"]
    assert "worker w3" in note.message
    assert note.severity == "note"


def test_a_worker_lost_before_the_run_ends_it_with_its_name_and_reason(
    tmp_path: Path, redis_for_swarms: Stack
) -> None:
    with swarm(tmp_path, 2) as made:
        made.hosts["w2"].is_cut_off = True
        threading.Timer(0.3, made.fleet.lost, ("w2", "it quit")).start()
        with pytest.raises(TargetError, match=r"worker w2: expected it to .*, found: it quit"):
            run_of(tmp_path, redis_for_swarms, text_of(), made)


def test_a_target_that_a_worker_cannot_reach_is_told_with_the_workers_name(
    tmp_path: Path, redis_for_swarms: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    with swarm(tmp_path, 1) as made:
        (worker,) = made.fleet.workers.values()
        assert worker.where is not None
        worker.where = replace(worker.where, network_namespace="net:[1]", host="far")
        with pytest.raises(
            TargetError, match=r"worker w1: target redis at 127.*loopback, which is another one"
        ):
            run_of(tmp_path, redis_for_swarms, text_of(), made)
