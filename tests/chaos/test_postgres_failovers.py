"""A Postgres primary that is killed, ended in order, or left running beside a new one: what a run says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bench.core.errors import TargetError
from bench.registry import PRIMARY, STANDBY
from bench.stack.assembled import AssembledStack
from bench.stack.probes.postgres import conninfo
from bench.stack.roles import current_roles
from bench.stack.stack_file import load_stack_file
from chaos.detectors.roles import EVERY_NS as LOOK_NS
from chaos.recovery.promotion import splits
from tests.chaos.failover_list import failed_over as observed_failover
from tests.chaos.in_process import Ended, run_file
from tests.chaos.outage_edges import CLOSE_NS
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.long

SCENARIO = """\
scenario: postgres_failover
purpose: clients find the new primary
workloads:
  - name: shop
    target: orders
    driver: postgres
    engine: {engine}
    lanes: 4
    setup: ["CREATE TABLE IF NOT EXISTS ledger (run bigint, id bigint)"]
    operations:
      add: {{sql: "INSERT INTO ledger VALUES ({{run}}, {{seq}})"}}
    arrivals: constant
    rate: 200/s
    deadline: {deadline}
phases:
  - {{name: steady, for: {length}}}
faults:
{faults}
integrity:
  - {{acknowledged_writes: shop, operation: add, found: "SELECT id FROM ledger WHERE run = {{run}}"}}
sla:
  - recovery.first < 20s
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AssembledStack]:
    folder = tmp_path_factory.mktemp("failover")
    file = folder / "stack.yaml"
    file.write_text("stack: failover\ntargets:\n  orders: {kind: postgres, embedded: {standbys: 2}}\n")
    with AssembledStack(load_stack_file(file), {"orders"}, folder) as up:
        yield up


def roles(stack: AssembledStack) -> list[str]:
    return sorted(current_roles("orders", stack.targets(), stack.topology()).values())


def followers(stack: AssembledStack) -> int:
    with psycopg.connect(conninfo(stack.targets()["orders"])) as primary:
        found = primary.execute("SELECT count(*) FROM pg_stat_replication WHERE replay_lsn IS NOT NULL")
        return int((found.fetchone() or (0,))[0])


@pytest.fixture(autouse=True)
def all_follow(stack: AssembledStack) -> None:
    eventually(lambda: roles(stack) == [PRIMARY, STANDBY, STANDBY], "there is one primary", 60.0)
    eventually(lambda: followers(stack) == 2, "both standbys follow it", 60.0)


def failed_over(
    stack: AssembledStack,
    folder: Path,
    *faults: str,
    engine: str = "wire",
    length: str = "9s",
    deadline: str = "300ms",
) -> Ended:
    path = folder / "failover.yaml"
    lines = "\n".join(f"  - {fault}" for fault in faults)
    path.write_text(SCENARIO.format(engine=engine, faults=lines, length=length, deadline=deadline))
    return run_file(stack, folder, path)


@pytest.mark.parametrize("engine", ["wire", "client"])
def test_a_killed_primary_is_replaced_by_the_standby_that_is_promoted_and_followed(
    stack: AssembledStack, tmp_path: Path, engine: str
) -> None:
    faults = ("{kill: orders, at: 2s, for: 3s}", "{promote: orders, at: 3s}")
    ended = failed_over(stack, tmp_path, *faults, engine=engine)
    killed, promoted = ended.record.faults
    (made,) = ended.record.promotions
    assert (killed.role, killed.process) == (PRIMARY, made.before)
    assert promoted.took_effect, promoted.proof
    assert made.at_ns is not None
    assert killed.effective_ns is not None
    assert promoted.asked_ns is not None
    assert killed.effective_ns < promoted.asked_ns < made.at_ns
    # The promotion is an answer to the kill, and no outage of its own.
    (recovery,) = ended.record.recoveries
    assert recovery.fault == killed.number
    assert recovery.first_success_ns is not None
    assert recovery.first_success_ns > promoted.asked_ns
    timelines = {one.process: one.timeline for one in ended.record.roles if one.role == PRIMARY}
    assert (timelines[made.process or ""] or 0) > (timelines[made.before] or 0)
    (check,) = ended.record.integrity
    assert check.acknowledged


def test_a_switchover_loses_nothing_and_the_old_primary_follows(
    stack: AssembledStack, tmp_path: Path
) -> None:
    ended = failed_over(stack, tmp_path, "{switchover: orders, at: 2s}")
    (fault,), (made,), (check,) = ended.record.faults, ended.record.promotions, ended.record.integrity
    assert fault.took_effect, fault.proof
    assert made.process not in (None, made.before)
    assert (check.lost, check.unexpected) == (0, 0)


def test_a_failover_ends_the_primary_before_it_promotes_a_standby(
    stack: AssembledStack, tmp_path: Path
) -> None:
    ended = failed_over(stack, tmp_path, "{failover: orders, at: 2s}")
    (fault,), (made,) = ended.record.faults, ended.record.promotions
    assert fault.took_effect, fault.proof
    assert made.before == fault.process
    primaries = [one for one in ended.record.roles if one.role == PRIMARY]
    gone = next(one for one in ended.record.roles if one.process == made.before and one.role is None)
    assert made.at_ns is not None
    assert [one.process for one in primaries] == [made.before, made.process]
    assert gone.at_ns > (fault.asked_ns or 0)


def test_nobody_is_promoted_beside_a_primary_that_runs_unless_it_is_said_for_how_long(
    stack: AssembledStack, tmp_path: Path
) -> None:
    ended = failed_over(stack, tmp_path, "{promote: orders, at: 2s}", length="4s")
    (fault,) = ended.record.faults
    assert not fault.took_effect
    assert "expected a primary that is gone, found orders#" in (fault.proof or "")
    assert ended.check("validity.fault_without_effect")
    assert roles(stack) == [PRIMARY, STANDBY, STANDBY]


def test_only_a_postgres_with_standbys_can_be_switched_over(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text("stack: single\ntargets:\n  orders: {kind: postgres, embedded: {}}\n")
    with (
        AssembledStack(load_stack_file(file), {"orders"}, tmp_path) as up,
        pytest.raises(TargetError, match="expected a Postgres with standbys that the stack started"),
    ):
        failed_over(up, tmp_path_factory.mktemp("run"), "{switchover: orders, at: 2s}")


HELD_BACK = (
    "{pause: {target: orders, role: standby}, at: 1s, for: 6s}",
    "{kill: orders, at: 5s, for: 4s}",
    "{promote: orders, at: 8s}",
)
"""The primary gives the connection of a silent standby up after a second; what it takes then it has alone."""


@pytest.mark.parametrize(
    ("synchronous", "loses"), [("off", True), ("remote_apply", False)], ids=["asynchronous", "remote_apply"]
)
def test_a_standby_that_was_held_back_lacks_what_a_commit_did_not_wait_for(
    tmp_path: Path, synchronous: str, loses: bool
) -> None:
    place = f"{{standbys: 1, synchronous: {synchronous}}}"
    file = tmp_path / "stack.yaml"
    file.write_text(
        f"stack: held_back\ntargets:\n  orders:\n    kind: postgres\n    embedded: {place}\n"
        "    settings: {wal_sender_timeout: 1s}\n"
    )
    with AssembledStack(load_stack_file(file), {"orders"}, tmp_path) as up:
        ended = failed_over(up, tmp_path, *HELD_BACK, length="13s")
    kill = next(one for one in ended.record.faults if one.kind == "kill")
    (made,), (check,) = ended.record.promotions, ended.record.integrity
    standby = next(one for one in ended.record.replication if one.process == made.process)
    assert check.acknowledged
    assert (check.split, check.unexpected) == (0, 0)
    if not loses:
        assert (check.lost, check.oldest_lost_age_ns) == (0, None)
        return
    # It was cut off a second or two after its pause; what was acknowledged from then to the kill is lost.
    assert check.lost is not None
    assert check.lost > 100
    assert check.holes == 0
    assert check.oldest_lost_age_ns is not None
    assert 1e9 < check.oldest_lost_age_ns < 4e9
    assert {one.fault for one in check.examples} == {kill.number}
    # The primary knew that long how far behind it was.
    assert standby.silent
    assert standby.backlog_max_bytes
    assert standby.lag_max_ns > 2e9
    seen = [one for one in ended.record.detections if one.detector == "replication"]
    assert all(one.at_ns is not None for one in seen)


def test_what_a_primary_took_beside_the_new_one_is_counted_as_lost_in_the_split(
    stack: AssembledStack, tmp_path: Path
) -> None:
    """Lanes stay where they are, since nothing breaks their connections: all they write is lost."""
    ended = failed_over(stack, tmp_path, "{promote: orders, at: 2s, for: 2s}")
    (fault,), (check,) = ended.record.faults, ended.record.integrity
    assert fault.took_effect, fault.proof
    both = splits(ended.record.roles, "orders", ended.record.duration_ns)
    length_ns = sum(until_ns - from_ns for from_ns, until_ns in both)
    assert 1e9 < length_ns < 4e9
    assert check.split is not None
    assert check.lost is not None
    assert 100 < check.split <= check.lost
    assert check.holes is not None
    assert check.holes <= check.lost - check.split
    assert ended.record.roles[-1].role == STANDBY


def test_lanes_that_wait_through_the_pause_of_a_primary_write_to_it_when_it_is_let_go(
    stack: AssembledStack, tmp_path: Path
) -> None:
    faults = ("{pause: orders, at: 2s, for: 3s}", "{promote: orders, at: 3s, for: 4s}")
    ended = failed_over(stack, tmp_path, *faults, deadline="6s", length="10s")
    pause, promoted = ended.record.faults
    assert pause.took_effect, pause.proof
    assert promoted.took_effect, promoted.proof
    (made,), (check,) = ended.record.promotions, ended.record.integrity
    assert made.before == pause.process
    assert check.split
    assert ended.record.roles[-1].role == STANDBY


def test_an_observer_of_all_servers_sees_the_promotion_at_the_same_time(tmp_path: Path) -> None:
    """It writes each millisecond through sessions that it keeps, so it has no log-in to wait for."""
    file = tmp_path / "stack.yaml"
    file.write_text("stack: observed\ntargets:\n  orders: {kind: postgres, embedded: {standbys: 1}}\n")
    with AssembledStack(load_stack_file(file), {"orders"}, tmp_path) as up:
        seen = [observed_failover(up, tmp_path) for _ in range(3)]
    # On a machine that others use no edge is known better than the generator itself was on time. Where an
    # outage begins each session knows for itself: the processes of a killed Postgres end one after the other.
    apart = sorted(abs(one.promoted_after_ns) - one.late_ns for one in seen)
    assert apart[1] <= LOOK_NS + CLOSE_NS, seen
    for one in seen:
        # Nobody can have been answered by the new primary before it was one.
        assert one.first_after_ns >= -CLOSE_NS - one.late_ns, one
